"""From real factors to the fixed-point words of the format.

Whatever was measured with floats passes through `grid` before anything is built from it, so that
the last bits of a sum, which differ between machines, don't reach the model.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.graph.errors import ModelError
from headrace.graph2.operators import MAX_BIAS, MAX_MULT, MAX_SHIFT, Params

Floats = npt.NDArray[np.float64]

LEVELS = 127
"""Greatest magnitude of an int8 that stands for a real number; -128 is left out."""

_MULT_BITS = 30
_LEAST_FACTOR = 2.0**-50
_GRID = 256


def grid(values: npt.ArrayLike) -> Floats:
    """Round to 9 significant bits: what a measured range is taken for, on every machine."""
    mantissa, exponent = np.frexp(np.asarray(values, dtype=np.float64))
    return np.asarray(np.ldexp(np.rint(mantissa * 2 * _GRID) / (2 * _GRID), exponent))


def scale(greatest: npt.ArrayLike) -> Floats:
    """Return what one int8 step is worth when `greatest` >= 0 is to be reached; 1 for 0."""
    reached = np.asarray(greatest, dtype=np.float64)
    return np.where(reached > 0, reached / LEVELS, 1.0)


def fixed_point(factor: float) -> tuple[int, int]:
    """Return (mult, shift), `mult / 2^shift` nearest to `factor`, of either sign.

    ModelError when no word of the format holds it.
    """
    if not math.isfinite(factor):
        raise ModelError(f"no fixed-point number for {factor}")
    if factor == 0:
        return 0, 1
    shift = min(MAX_SHIFT, _MULT_BITS - math.frexp(factor)[1])
    mult = round(math.ldexp(factor, shift)) if shift >= 1 else MAX_MULT + 1
    if abs(mult) > MAX_MULT:
        raise ModelError(f"the factor {factor} is too great for a fixed-point number")
    return mult, shift


def params(factor: npt.ArrayLike, bias: npt.ArrayLike = 0.0) -> Params:
    """Return the words of `(acc + bias) * factor`, one for each factor, `bias` in units of acc.

    ModelError when a factor or a bias is out of the format's bounds.
    """
    factors = np.atleast_1d(np.asarray(factor, dtype=np.float64))
    rounded = np.rint(np.asarray(bias, dtype=np.float64))
    if not np.isfinite(rounded).all() or float(np.abs(rounded).max(initial=0)) > MAX_BIAS:
        raise ModelError("a bias is too great beside its factor")
    words = [fixed_point(float(value)) for value in factors]
    return Params.of(
        [mult for mult, _ in words],
        [shift for _, shift in words],
        rounded.astype(np.int64),
    )


def offset_params(factor: npt.ArrayLike, offset: npt.ArrayLike) -> Params:
    """Return the words of `acc * factor + offset`, `offset` in units of the result.

    A factor so small that the offset wouldn't fit beside it is taken for the least that does, which
    shifts the result by `offset * acc / 2^30` at most.
    """
    factors = np.asarray(factor, dtype=np.float64)
    offsets = np.asarray(offset, dtype=np.float64)
    least = np.maximum(np.abs(offsets) / (MAX_BIAS - 1), _LEAST_FACTOR)
    held = np.where(np.abs(factors) < least, np.where(factors < 0, -least, least), factors)
    return params(held, offsets / held)


def table(values: npt.ArrayLike, size: int) -> npt.NDArray[Any]:
    """Round to integers of `size` bytes, saturating."""
    high = (1 << (8 * size - 1)) - 1
    rounded: npt.NDArray[Any] = np.clip(np.rint(np.asarray(values)), -high - 1, high)
    return rounded.astype(np.int64)
