"""numpy equals the plain-Python meaning, everywhere, extremes included."""

import numpy as np
import pytest

from headrace.graph import numpy_backend, reference
from headrace.graph.errors import InputError
from headrace.graph.model import MAX_BIAS, MAX_MULT, MAX_WIDTH, Model, Operator
from tests.offchain.graph import randoms


def test_a_thousand_random_graphs_agree() -> None:
    rng = np.random.default_rng(20_260_731)
    seen: set[int] = set()
    for _ in range(1_000):
        model, tensor = randoms.case(rng)
        fast = numpy_backend.run(model, tensor)
        slow = reference.run(model, tensor.tolist())
        assert [made.tolist() for made in fast] == slow
        seen |= {value for made in fast for value in made.ravel().tolist()}
    assert {-128, -127, 0, 127} <= seen
    assert len(seen) > 200


@pytest.mark.parametrize("x", [-128, 127])
@pytest.mark.parametrize("w", [-128, 127])
@pytest.mark.parametrize("bias", [-MAX_BIAS, 0, MAX_BIAS])
@pytest.mark.parametrize("mult", [0, 1, MAX_MULT])
@pytest.mark.parametrize("shift", [1, 31, 54, 62])
def test_the_widest_row_of_extremes(x: int, w: int, bias: int, mult: int, shift: int) -> None:
    weights = np.full((1, MAX_WIDTH), w, np.int8)
    operator = Operator.matmul(0, weights, [bias], [mult], [shift])
    tensor = np.full((1, MAX_WIDTH), x, np.int8)
    accumulator = MAX_WIDTH * x * w + bias
    scaled = (accumulator * mult + 2 ** (shift - 1)) // 2**shift
    assert numpy_backend.apply(operator, tensor).tolist() == [[max(-128, min(127, scaled))]]
    assert reference.apply(operator, tensor.tolist()) == [[max(-128, min(127, scaled))]]


def test_partial_sums_next_to_the_edge_of_float32_are_exact() -> None:
    # 1,023 products of 2^14 and one of 127 * 1: 2^24 - 2^14 + 127 must come out to the last unit
    weights = np.full((1, MAX_WIDTH), -128, np.int8)
    tensor = np.full((1, MAX_WIDTH), -128, np.int8)
    weights[0, 700], tensor[0, 700] = 1, 127
    target = 1_023 * (1 << 14) + 127
    operator = Operator.matmul(0, weights, [100 - target], [1 << 30], [30])
    assert numpy_backend.apply(operator, tensor).tolist() == [[100]]


@pytest.mark.parametrize(
    ("acc", "mult", "shift", "expected"),
    [(1, 1, 1, 1), (-1, 1, 1, 0), (-3, 1, 1, -1), (3, 1, 1, 2), (5, 1, 2, 1), (6, 1, 2, 2)],
)
def test_halves_round_up(acc: int, mult: int, shift: int, expected: int) -> None:
    operator = Operator.matmul(0, [[0]], [acc], [mult], [shift])
    assert numpy_backend.apply(operator, np.zeros((1, 1), np.int8)).tolist() == [[expected]]
    assert reference.requantise(acc, mult, shift, -128, 127) == expected


def test_argmax_takes_the_least_index_of_a_tie() -> None:
    operator = Operator.argmax(0, 4)
    rows = [[1, 5, 5, 2], [-128, -128, -128, -128], [0, 0, 0, 1]]
    assert numpy_backend.apply(operator, np.array(rows, np.int8)).tolist() == [[1], [0], [3]]
    assert reference.apply(operator, rows) == [[1], [0], [3]]


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (np.zeros((1, 3), np.int16), "the input holds int16, not int8"),
        (np.zeros((1, 4), np.int8), r"the input has shape \(1, 4\), the model takes rows of 3"),
        (np.zeros(3, np.int8), r"the input has shape \(3,\), the model takes rows of 3"),
        (np.zeros((0, 3), np.int8), "the input has 0 rows, the model takes 1 to 2"),
        (np.zeros((3, 3), np.int8), "the input has 3 rows, the model takes 1 to 2"),
    ],
)
def test_an_input_that_the_model_does_not_take(tensor: np.ndarray, message: str) -> None:
    model = Model.of([Operator.argmax(0, 3)], 3, 2)
    with pytest.raises(InputError, match=message):
        numpy_backend.run(model, tensor)
