"""From floats to int8, and the digits network that the demo serves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.graph import reference
from headrace.graph import trace as traces
from headrace.graph.digits import build_digits
from headrace.graph.errors import ModelError
from headrace.graph.importer import Layer, fixed_point, forward, measure, quantise
from headrace.graph.model import MAX_MULT, MAX_SHIFT
from headrace.graph.model_file import dump_model, load_model


@given(st.floats(2.0**-70, 2.0**29, allow_nan=False))
def test_fixed_point_is_as_near_as_its_bits_allow(factor: float) -> None:
    mult, shift = fixed_point(factor)
    assert 0 <= mult <= MAX_MULT
    assert 1 <= shift <= MAX_SHIFT
    assert abs(mult / 2**shift - factor) <= max(factor * 2.0**-30, 2.0**-63)


@pytest.mark.parametrize(
    ("factor", "expected"),
    [(0.0, (0, 1)), (1.0, (1 << 30, 30)), (2.0**-40, (1 << 22, 62)), (1 - 2.0**-40, (1 << 30, 30))],
)
def test_fixed_point_at_the_edges(factor: float, expected: tuple[int, int]) -> None:
    assert fixed_point(factor) == expected


@pytest.mark.parametrize("factor", [-1.0, float("nan"), float("inf"), 2.0**31])
def test_no_fixed_point(factor: float) -> None:
    with pytest.raises(ModelError):
        fixed_point(factor)


def network(rng: np.random.Generator) -> list[Layer]:
    """Columns of very different size, one of them all zero."""
    first = rng.normal(size=(12, 20)) * np.geomspace(0.01, 10, 20)
    first[:, 3] = 0
    return [
        Layer(first, rng.normal(size=20), relu=True),
        Layer(rng.normal(size=(20, 4)), rng.normal(size=4), relu=False),
    ]


def test_the_int8_network_follows_the_float_one() -> None:
    rng = np.random.default_rng(1)
    layers = network(rng)
    inputs = rng.integers(-128, 128, (400, 12)).astype(np.int8)
    model = quantise(layers, inputs, 0.01)
    trace = traces.run(model, inputs[:256])
    real = forward(layers, inputs[:256] * 0.01)
    step = np.abs(forward(layers, inputs * 0.01)).max() / 127
    # a few steps of a column's range, never a wrong scale
    assert np.abs(trace.tensor(1) * step - real).max() < 6 * step
    assert measure(layers, model, inputs, real_classes(layers, inputs), 0.01).int8_accuracy > 0.95
    assert trace.tensor(0).min() >= 0
    assert trace.tensor(0).max() == 127


def real_classes(layers: list[Layer], inputs: np.ndarray) -> np.ndarray:
    return forward(layers, inputs * 0.01).argmax(axis=1)


def test_the_same_floats_make_the_same_file() -> None:
    made = [
        dump_model(quantise(network(np.random.default_rng(2)), np.ones((1, 12), np.int8), 0.1))
        for _ in range(2)
    ]
    assert made[0] == made[1]


def test_a_network_that_cannot_be_imported() -> None:
    one = np.ones((1, 2), np.int8)
    eye = Layer(np.eye(2), np.zeros(2), relu=False)
    with pytest.raises(ModelError, match="at least one layer"):
        quantise([], one, 1.0)
    with pytest.raises(ModelError, match="at least one int8 row"):
        quantise([eye], one[:0], 1.0)
    with pytest.raises(ModelError, match="positive number"):
        quantise([eye], one, 0.0)
    with pytest.raises(ModelError, match="layer 1 has weights"):
        quantise([eye, Layer(np.ones((3, 2)), np.zeros(2), relu=False)], one, 1.0)
    with pytest.raises(ModelError, match="biases"):
        quantise([Layer(np.eye(2), np.zeros(3), relu=False)], one, 1.0)
    with pytest.raises(ModelError, match="isn't finite"):
        quantise([Layer(np.full((2, 2), np.inf), np.zeros(2), relu=False)], one, 1.0)
    with pytest.raises(ModelError, match="bias of layer 0 is too great"):
        quantise([Layer(np.eye(2) * 1e-9, np.ones(2), relu=False)], one, 1.0)


def test_digits_lose_at_most_one_point() -> None:
    digits = build_digits()
    assert digits.accuracy.images == len(digits.images) == len(digits.labels) >= 449
    assert digits.accuracy.float_accuracy > 0.95
    assert abs(digits.accuracy.float_accuracy - digits.accuracy.int8_accuracy) <= 0.01
    classes = np.concatenate(
        [
            traces.run(digits.model, digits.images[at : at + 32]).result[:, 0]
            for at in range(0, 450, 32)
        ]
    )
    assert float((classes == digits.labels).mean()) == digits.accuracy.int8_accuracy


def test_digits_fit_one_published_trace_and_the_reference() -> None:
    digits = build_digits()
    model = digits.model
    assert [step.width_in for step in model.operators] == [64, 64, 32, 10]
    assert model.publishable_units >= 32
    images = digits.images[:8]
    slow = reference.run(model, images.tolist())
    trace = traces.run(model, images)
    assert [trace.tensor(j).tolist() for j in range(model.op_count)] == slow
    assert load_model(dump_model(model), model.program).program == model.program


def test_digits_are_the_same_when_built_again() -> None:
    first = build_digits()
    build_digits.cache_clear()
    again = build_digits()
    assert again is not first
    assert again.model.program == first.model.program
    assert (again.images == first.images).all()
