"""One builder for each opcode: `graph.add(builders.matmul(x, weights, params))`.

`size` is the bytes of an output element; `lo` and `hi` default to the output's whole range.
ModelError when what is asked for breaks a bound of the format.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.graph.errors import ModelError
from headrace.graph2.opcodes import CONSTANT, SAME, STAT, Opcode
from headrace.graph2.operators import FIELDS, IDENTITY, Operator, Params
from headrace.graph2.views import View

_OFFSET = 1 << 31


def _extra(*values: int) -> tuple[int, ...]:
    return tuple(values) + (0,) * (FIELDS - len(values))


def _low(view: View, lo: int | None) -> int:
    return view.low if lo is None else lo


def _high(view: View, hi: int | None) -> int:
    return view.high if hi is None else hi


def matmul(
    a: View,
    weights: npt.ArrayLike,
    params: Params,
    *,
    size: int = 1,
    lo: int | None = None,
    hi: int | None = None,
) -> Operator:
    """Build a MATMUL with `weights` (width_out, a.width) int8."""
    given = np.asarray(weights)
    if given.dtype.kind not in "iu" or given.ndim != 2:
        raise ModelError("weights must be integers of (width_out, width_in)")
    if given.size and (int(given.min()) < -128 or int(given.max()) > 127):
        raise ModelError("weights must be from -128 to 127")
    fixed = np.array(given, dtype=np.int8, order="C")
    fixed.setflags(write=False)
    out = View(0, a.rows, fixed.shape[0], size)
    return Operator(
        opcode=Opcode.MATMUL,
        a=a,
        out=out,
        per_column=True,
        params=_spread(params, out.width),
        weights=fixed,
        lo=_low(out, lo),
        hi=_high(out, hi),
    )


def scores(
    a: View,
    b: View,
    params: Params,
    *,
    heads: int,
    seq: int,
    mask: View | None = None,
    size: int = 2,
    lo: int | None = None,
    hi: int | None = None,
) -> Operator:
    """Build SCORES: each query row of `a` with each key row of `b`, by head; masked ones are lo."""
    out = View(0, a.rows * heads, seq, size)
    return Operator(
        opcode=Opcode.SCORES,
        a=a,
        b=b,
        s=mask,
        out=out,
        extra=_extra(heads, seq, a.width // heads),
        params=params,
        lo=_low(out, lo),
        hi=_high(out, hi),
    )


def context(
    a: View,
    b: View,
    params: Params,
    *,
    heads: int,
    seq: int,
    scale: View | None = None,
    scale_shift: int = 0,
    size: int = 1,
    lo: int | None = None,
    hi: int | None = None,
) -> Operator:
    """Build CONTEXT: rows of `a` (one a head and query) with rows of `b` (one a head and channel).

    `b` is the values transposed. `scale` has one element for each row of `a`.
    """
    groups = a.rows // (heads * seq)
    channels = b.rows // max(groups * heads, 1)
    out = View(0, groups * seq, heads * channels, size)
    many = len(params) > 1
    return Operator(
        opcode=Opcode.CONTEXT,
        a=a,
        b=b,
        s=scale,
        out=out,
        extra=_extra(heads, seq, channels, scale_shift),
        per_column=many,
        params=params,
        lo=_low(out, lo),
        hi=_high(out, hi),
    )


def transpose(a: View, *, seq: int) -> Operator:
    """Build TRANSPOSE: blocks of `seq` rows become blocks of a.width rows of `seq` elements."""
    out = View(0, a.rows // seq * a.width, seq, a.size)
    return Operator(opcode=Opcode.TRANSPOSE, a=a, out=out, extra=_extra(0, seq))


def affine(
    a: View,
    params: Params = IDENTITY,
    *,
    width: int | None = None,
    start: int = 0,
    size: int = 1,
    lo: int | None = None,
    hi: int | None = None,
) -> Operator:
    """Build AFFINE: requantise the columns from `start` on (so it is the slice, too)."""
    out = View(0, a.rows, a.width - start if width is None else width, size)
    return Operator(
        opcode=Opcode.AFFINE,
        a=a,
        out=out,
        extra=_extra(start),
        per_column=len(params) > 1,
        params=params,
        lo=_low(out, lo),
        hi=_high(out, hi),
    )


def mul(
    a: View,
    b: View,
    params: Params = IDENTITY,
    *,
    stat: bool = False,
    shift: int = 0,
    size: int = 1,
    lo: int | None = None,
    hi: int | None = None,
) -> Operator:
    """Build MUL: elements of `a` times those of `b`, or times the one of their row (`stat`)."""
    out = View(0, a.rows, a.width, size)
    return Operator(
        opcode=Opcode.MUL,
        a=a,
        b=b,
        out=out,
        extra=_extra(shift, STAT if stat else SAME),
        per_column=len(params) > 1,
        params=params,
        lo=_low(out, lo),
        hi=_high(out, hi),
    )


def add(
    a: View,
    b: View,
    *,
    mult_a: int,
    mult_b: int,
    shift: int,
    stat: bool = False,
    size: int = 1,
    lo: int | None = None,
    hi: int | None = None,
) -> Operator:
    """Build ADD: `(a * mult_a + b * mult_b) >> shift`, rounded; `b` may be one a row (`stat`)."""
    out = View(0, a.rows, a.width, size)
    return Operator(
        opcode=Opcode.ADD,
        a=a,
        b=b,
        out=out,
        extra=_extra(0, STAT if stat else SAME, 0, 0, mult_b + _OFFSET),
        params=Params.of(mult_a, shift),
        lo=_low(out, lo),
        hi=_high(out, hi),
    )


def add_constant(
    a: View,
    rows: npt.ArrayLike,
    *,
    constant_size: int,
    mult_a: int,
    mult_b: int,
    shift: int,
    size: int = 1,
    lo: int | None = None,
    hi: int | None = None,
) -> Operator:
    """Build ADD with constant `rows` (n, a.width): row r gets constant row r mod n."""
    out = View(0, a.rows, a.width, size)
    table = _table(rows, constant_size)
    return Operator(
        opcode=Opcode.ADD,
        a=a,
        out=out,
        extra=_extra(0, CONSTANT, table.shape[0], constant_size, mult_b + _OFFSET),
        params=Params.of(mult_a, shift),
        table=table,
        lo=_low(out, lo),
        hi=_high(out, hi),
    )


def lut8(a: View, table: npt.ArrayLike, *, size: int = 1) -> Operator:
    """Build LUT8 with 256 values: entry a + 128."""
    out = View(0, a.rows, a.width, size)
    return Operator(opcode=Opcode.LUT8, a=a, out=out, table=_table(table, size))


def lut16(
    a: View,
    table: npt.ArrayLike,
    *,
    stat: View | None = None,
    size: int = 2,
    lo: int | None = None,
    hi: int | None = None,
) -> Operator:
    """Build LUT16 with 257 values, linear in between; `stat` is taken off each row first."""
    out = View(0, a.rows, a.width, size)
    return Operator(
        opcode=Opcode.LUT16,
        a=a,
        s=stat,
        out=out,
        table=_table(table, 2),
        lo=_low(out, lo),
        hi=_high(out, hi),
    )


def rowsum(
    a: View,
    params: Params = IDENTITY,
    *,
    fold: int = 1,
    size: int = 4,
    lo: int | None = None,
    hi: int | None = None,
) -> Operator:
    """Build ROWSUM; `fold` row sums stand in one row of the output."""
    out = View(0, a.rows // fold, fold, size)
    return Operator(
        opcode=Opcode.ROWSUM, a=a, out=out, params=params, lo=_low(out, lo), hi=_high(out, hi)
    )


def rowdot(
    a: View,
    params: Params = IDENTITY,
    *,
    fold: int = 1,
    shift: int = 0,
    size: int = 4,
    lo: int | None = None,
    hi: int | None = None,
) -> Operator:
    """Build ROWDOT: the sum of a row's squares, `>> shift`."""
    out = View(0, a.rows // fold, fold, size)
    return Operator(
        opcode=Opcode.ROWDOT,
        a=a,
        out=out,
        extra=_extra(shift),
        params=params,
        lo=_low(out, lo),
        hi=_high(out, hi),
    )


def isqrt(a: View, *, size: int = 4, lo: int | None = None, hi: int | None = None) -> Operator:
    """Build ISQRT: the whole part of the root of what is above zero."""
    out = View(0, a.rows, a.width, size)
    return Operator(opcode=Opcode.ISQRT, a=a, out=out, lo=_low(out, lo), hi=_high(out, hi))


def recip(
    a: View, *, power: int, size: int = 4, lo: int | None = None, hi: int | None = None
) -> Operator:
    """Build RECIP: `2^power div max(a, 1)`."""
    out = View(0, a.rows, a.width, size)
    return Operator(
        opcode=Opcode.RECIP, a=a, out=out, extra=_extra(power), lo=_low(out, lo), hi=_high(out, hi)
    )


def argmax(a: View, *, fold: int = 1, size: int = 2) -> Operator:
    """Build ARGMAX: the least index of each row's greatest element."""
    out = View(0, a.rows // fold, fold, size)
    return Operator(opcode=Opcode.ARGMAX, a=a, out=out)


def pick(a: View, index: View) -> Operator:
    """Build PICK: of each row of `a` the element that `index` names."""
    out = View(0, index.rows, index.width, a.size)
    return Operator(opcode=Opcode.PICK, a=a, b=index, out=out)


def gather(a: View, table: npt.ArrayLike, *, size: int) -> Operator:
    """Build GATHER: for each element of `a` the row of `table` (n, width) that it names."""
    rows = _table(table, size)
    out = View(0, a.rows * a.width, rows.shape[1], size)
    return Operator(opcode=Opcode.GATHER, a=a, out=out, extra=_extra(rows.shape[0] - 1), table=rows)


def reshape(a: View, width: int) -> Operator:
    """Build RESHAPE to rows of `width`."""
    out = View(0, a.rows * a.width // width, width, a.size)
    return Operator(opcode=Opcode.RESHAPE, a=a, out=out)


def concat(a: View, b: View) -> Operator:
    """Build CONCAT: the columns of `b` after those of `a`."""
    out = View(0, a.rows, a.width + b.width, a.size)
    return Operator(opcode=Opcode.CONCAT, a=a, b=b, out=out)


def im2col(
    a: View,
    *,
    height: int,
    width: int,
    channels: int,
    kernel: int,
    stride: int = 1,
    padding: int = 0,
) -> Operator:
    """Build IM2COL: the patches of images of (height, width, channels), one row an image."""
    down = (height + 2 * padding - kernel) // stride + 1
    across = (width + 2 * padding - kernel) // stride + 1
    out = View(0, a.rows * down * across, kernel * kernel * channels, a.size)
    return Operator(
        opcode=Opcode.IM2COL,
        a=a,
        out=out,
        extra=_extra(height, width, channels, kernel, stride, padding),
    )


def _spread(params: Params, count: int) -> Params:
    """One word for each of `count` columns."""
    if len(params) == count:
        return params
    if len(params) != 1:
        raise ModelError(f"{len(params)} parameters for {count} columns")
    return Params.of(
        np.repeat(params.mult, count), np.repeat(params.shift, count), np.repeat(params.bias, count)
    )


def _table(values: npt.ArrayLike, size: int) -> npt.NDArray[Any]:
    given = np.asarray(values)
    if given.dtype.kind not in "iu" or given.size == 0:
        raise ModelError("a table holds integers")
    low, high = -(1 << (8 * size - 1)), (1 << (8 * size - 1)) - 1
    if int(given.min()) < low or int(given.max()) > high:
        raise ModelError(f"a table's values must be from {low} to {high}")
    fixed = np.array(given, dtype=np.dtype(f"i{size}"), order="C")
    fixed.setflags(write=False)
    return fixed
