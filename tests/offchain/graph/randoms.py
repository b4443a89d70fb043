"""Random small models and inputs, extremes included, from a seeded generator."""

import numpy as np

from headrace.graph.encoding import Int8
from headrace.graph.model import MAX_BIAS, MAX_MULT, Model, Operator

WIDTHS = (1, 2, 3, 5, 8, 31, 32, 33, 40, 64, 65)


def int8s(rng: np.random.Generator, shape: tuple[int, ...]) -> Int8:
    """Uniform, or all extremes, or mostly ties."""
    style = rng.integers(4)
    if style == 0:
        return rng.choice(np.array([-128, 127], np.int8), shape)
    if style == 1:
        return rng.integers(-2, 3, shape).astype(np.int8)
    if style == 2:
        return np.full(shape, rng.choice([-128, 127, 0]), np.int8)
    return rng.integers(-128, 128, shape).astype(np.int8)


def matmul(rng: np.random.Generator, source: int, width_in: int, width_out: int) -> Operator:
    """Parameters anywhere in their bounds, mostly such that the output isn't all clamped."""
    lo, hi = sorted(int(x) for x in rng.choice([-128, -127, -1, 0, 5, 127], 2))
    if rng.integers(3):
        mult = rng.integers(1 << 20, MAX_MULT + 1, width_out)
        shift = rng.integers(30, 42, width_out)
        bias = rng.integers(-5_000, 5_000, width_out)
    else:
        mult = rng.choice([0, 1, 1 << 30, MAX_MULT], width_out)
        shift = rng.choice([1, 2, 31, 61, 62], width_out)
        bias = rng.choice([-MAX_BIAS, -1, 0, 1, MAX_BIAS], width_out)
    return Operator.matmul(
        source, int8s(rng, (width_out, width_in)), bias, mult, shift, lo=lo, hi=hi
    )


def model(
    rng: np.random.Generator, *, most_operators: int = 5, widths: tuple[int, ...] = WIDTHS
) -> Model:
    """A model of 1 to `most_operators` operators that read any earlier tensor."""
    input_width = int(rng.choice(widths))
    tensors = [input_width]
    operators: list[Operator] = []
    for index in range(int(rng.integers(1, most_operators + 1))):
        source = int(rng.integers(index + 1))
        if rng.integers(4) == 0:
            operators.append(Operator.argmax(source, tensors[source]))
        else:
            operators.append(matmul(rng, source, tensors[source], int(rng.choice(widths))))
        tensors.append(operators[-1].width_out)
    return Model.of(operators, input_width, 256)


def case(rng: np.random.Generator, *, most_units: int = 5) -> tuple[Model, Int8]:
    """A model and an input that it takes."""
    made = model(rng)
    return made, int8s(rng, (int(rng.integers(1, most_units + 1)), made.input_width))
