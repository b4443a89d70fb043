"""Elements at the ends of what the format allows, where an overflow or a lane would show."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.graph2 import builders as ops
from headrace.graph2.operators import Params
from tests.graph2.onchain.court import Court
from tests.graph2.onchain.single import agree, claim_of

LOW, HIGH = -128, 127
LEAST, MOST = -(1 << 31), (1 << 31) - 1
UNIT = Params.of(mult=2, shift=1)
WIDTHS = [1, 31, 32, 33, 1_023, 1_024, 1_025, 2_049, 4_095, 4_096]
"""Around words, leaves of one row, splits, and rows whose last leaf has no column at all."""


@pytest.mark.parametrize("width", WIDTHS)
def test_matmul(court: Court, width: int):
    rows = np.full((3, width), LOW)
    rows[1] = HIGH
    rows[2] = np.arange(width) % 256 - 128
    weights = np.full((3, width), LOW)
    weights[1] = HIGH
    weights[2] = 127 - np.arange(width) % 256
    claim = claim_of(court, rows, lambda x: ops.matmul(x, weights, UNIT, size=4))
    found = agree(court, claim, 0, [(r, c) for r in range(3) for c in range(3)])
    assert found[:2] == [width * 128 * 128, -width * 128 * 127]
    assert found[4] == width * 127 * 127


@pytest.mark.parametrize("width", [1, 33, 1_024, 1_025, 2_049, 4_096])
@pytest.mark.parametrize("pair", [(LOW, LOW), (LOW, HIGH), (HIGH, HIGH)])
def test_scores(court: Court, width: int, pair: tuple[int, int]):
    rows = np.full((2, width), pair[0])
    rows[1] = pair[1]
    claim = claim_of(court, rows, lambda x: ops.scores(x, x, UNIT, heads=1, seq=2, size=4))
    found = agree(court, claim, 0, [(0, 0), (0, 1), (1, 0), (1, 1)])
    assert found[1] == width * pair[0] * pair[1]


def test_scores_of_heads(court: Court):
    # The heads' channels lie in different leaves of a row that is split.
    rng = np.random.default_rng(3)
    rows = rng.integers(LOW, HIGH, (4, 2_112), endpoint=True)
    claim = claim_of(court, rows, lambda x: ops.scores(x, x, UNIT, heads=11, seq=2, size=4))
    agree(court, claim, 0, [(r, c) for r in range(44) for c in range(2)])


def test_masked_scores(court: Court):
    rows = np.array([[5, 0, 7], [0, 0, -1]])

    def scores(given, mask):
        return ops.scores(given, given, UNIT, heads=1, seq=1, mask=mask, size=2, lo=-999, hi=50)

    claim = claim_of(
        court,
        rows,
        lambda x: ops.affine(x, UNIT, start=1, width=1),
        scores,
    )
    assert agree(court, claim, 1, [(0, 0), (1, 0)]) == [-999, -999]
    claim = claim_of(court, rows, lambda x: ops.affine(x, UNIT, start=2, width=1), scores)
    assert agree(court, claim, 1, [(0, 0), (1, 0)]) == [50, 1]


@pytest.mark.parametrize("wide_side", ["a", "b", "neither"])
@pytest.mark.parametrize("value", [-(1 << 15), (1 << 15) - 1])
@pytest.mark.parametrize("byte", [LOW, HIGH])
def test_context(court: Court, wide_side: str, value: int, byte: int):
    width = 4_096 if wide_side == "neither" else 256
    rows = np.full((2, width), value if wide_side != "neither" else value >> 8)

    def context(given, narrow):
        a, b = {"a": (given, narrow), "b": (narrow, given), "neither": (narrow, narrow)}[wide_side]
        return ops.context(a, b, UNIT, heads=1, seq=2, size=4)

    fixed = {"lo": byte, "hi": byte}
    claim = claim_of(court, rows, lambda x: ops.affine(x, UNIT, **fixed), context, size=2)
    [found] = agree(court, claim, 1, [(1, 1)])
    other = byte if wide_side == "neither" else value
    assert found == max(-(1 << 30), min(1 << 30, width * byte * other))


@pytest.mark.parametrize("width", [1, 7, 33, 250])
def test_context_of_many_groups(court: Court, width: int):
    # Rows that share leaves, with a scale per row; 16-bit weights on either side.
    rng = np.random.default_rng(width)
    rows = rng.integers(-(1 << 15), 1 << 15, (24, width))
    claim = claim_of(
        court,
        rows,
        lambda x: ops.affine(x, Params.of(1 << 20, 28)),
        lambda x, _: ops.rowsum(x, UNIT, fold=4),
        lambda x, narrow, scale: ops.context(
            x,
            narrow,
            Params.of(rng.integers(1, 99, 8), 6),
            heads=2,
            seq=4,
            scale=scale,
            scale_shift=20,
            size=4,
        ),
        size=2,
    )
    agree(court, claim, 2, [(r, c) for r in range(12) for c in range(8)])


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("width", WIDTHS)
def test_sums_of_rows(court: Court, size: int, width: int):
    low = -(1 << (8 * size - 1))
    rng = np.random.default_rng(width)
    rows = np.full((4, width), low)
    rows[1] = -1 - low
    rows[2:] = rng.integers(low, -low, (2, width))
    claim = claim_of(
        court,
        rows,
        lambda x: ops.rowsum(x, UNIT, fold=2),
        lambda x, _: ops.rowdot(x, UNIT, fold=2, shift=0),
        lambda x, *_: ops.rowdot(x, UNIT, fold=2, shift=15),
        lambda x, *_: ops.rowdot(x, UNIT, fold=2, shift=62),
        size=size,
    )
    places = [(0, 0), (0, 1), (1, 0), (1, 1)]
    sums = agree(court, claim, 0, places)
    assert sums[:2] == [width * low, width * (-1 - low)]
    dots = agree(court, claim, 1, places)
    assert dots[0] == min(width * low * low, 1 << 30)
    agree(court, claim, 2, places)
    assert agree(court, claim, 3, places) == [0, 0, 0, 0]


def test_products_and_sums_of_int32(court: Court):
    rows = np.array([[LEAST, MOST, -1, 0, 1, LEAST]]).T
    claim = claim_of(
        court,
        rows,
        lambda x: ops.mul(x, x, UNIT, size=4),
        lambda x, *_: ops.mul(x, x, UNIT, shift=31, size=4),
        lambda x, *_: ops.mul(x, x, UNIT, shift=62, size=4),
        lambda x, *_: ops.add(x, x, mult_a=1 << 30, mult_b=1 << 30, shift=1, size=4),
        lambda x, *_: ops.add(x, x, mult_a=-(1 << 30), mult_b=-(1 << 30), shift=31, size=4),
        lambda x, *_: ops.add(x, x, mult_a=-(1 << 30), mult_b=1 << 30, shift=1, size=4),
        lambda x, *_: ops.isqrt(x),
        lambda x, *_: ops.recip(x, power=62),
        lambda x, *_: ops.recip(x, power=0),
        size=4,
    )
    places = [(r, 0) for r in range(6)]
    for index in range(9):
        agree(court, claim, index, places)
    assert agree(court, claim, 2, places) == [1, 0, 0, 0, 0, 1]
    assert agree(court, claim, 6, places) == [0, 46_340, 0, 0, 1, 0]
    assert agree(court, claim, 8, places) == [1, 0, 1, 1, 1, 1]


def test_tables(court: Court):
    rows = np.array([[LEAST, MOST, -1, 0, 1, 40_000, -40_000]]).T
    rng = np.random.default_rng(5)
    table = rng.integers(-(1 << 15), 1 << 15, 257)
    table[[0, 1, -1]] = -(1 << 15), (1 << 15) - 1, -(1 << 15)
    claim = claim_of(
        court,
        rows,
        lambda x: ops.affine(x, Params.of(1, 16), size=2),
        lambda _, a: ops.lut16(a, table),
        lambda x, a, *_: ops.lut16(a, table, stat=x),
        lambda x, *_: ops.affine(x, Params.of(1, 24)),
        lambda x, *rest: ops.lut8(rest[3], rng.integers(LOW, HIGH, 256), size=1),
        lambda x, *rest: ops.lut8(rest[3], rng.integers(-(1 << 15), 1 << 15, 256), size=2),
        size=4,
    )
    for index in range(6):
        agree(court, claim, index, [(r, 0) for r in range(7)])


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("width", [1, 32, 33, 4_096])
def test_rows_of_tables(court: Court, size: int, width: int):
    # A constant row isn't split: at 4,096 columns of int32 it is a leaf of 16 KiB.
    rng = np.random.default_rng(width)
    half = 1 << (8 * size - 1)
    table = rng.integers(-half, half, (5, width))
    table[0], table[4] = -half, half - 1
    rows = np.array([[LOW, 0, 1], [4, 5, HIGH]])
    claim = claim_of(
        court,
        rows,
        lambda x: ops.gather(x, table, size=size),
        lambda _, a: ops.add_constant(
            a, table, constant_size=size, mult_a=1, mult_b=-(1 << 30), shift=30, size=4
        ),
    )
    places = [(r, c) for r in range(6) for c in {0, width // 2, width - 1}]
    agree(court, claim, 0, places)
    agree(court, claim, 1, places)


@settings(max_examples=40)
@given(
    st.integers(LEAST, MOST),
    st.integers(-(1 << 30), 1 << 30),
    st.integers(-(1 << 31) + 1, (1 << 31) - 1) | st.sampled_from([-(1 << 31) + 1, (1 << 31) - 1]),
    st.integers(1, 62),
    st.tuples(st.integers(LEAST, MOST), st.integers(LEAST, MOST)).map(sorted),
    st.booleans(),
)
def test_the_last_step(court, value, bias, mult, shift, bounds, is_column):
    # Also where the clamp hides nothing: values are brought near to the product's scale.
    params = Params.of([mult] * 2 if is_column else mult, shift, bias)
    rows = [[value, value >> 1], [value >> 16, -value >> 20]]
    claim = claim_of(
        court,
        np.clip(rows, LEAST, MOST),
        lambda x: ops.affine(x, params, size=4, lo=bounds[0], hi=bounds[1]),
        lambda x, *_: ops.affine(x, params, size=4),
        size=4,
    )
    for index in range(2):
        agree(court, claim, index, [(r, c) for r in range(2) for c in range(2)])


@pytest.mark.parametrize("shift", range(1, 63))
def test_every_shift(court: Court, shift: int):
    # Halves go up, on both sides of zero.
    halves = [1, -1, 3, -3, 5, -5]
    mult = 1 << min(shift - 1, 30)
    rest = shift - 1 - min(shift - 1, 30)
    rows = [[max(LEAST, min(MOST, x << min(rest, 29))) for x in halves]]
    params = Params.of(mult, shift)
    claim = claim_of(court, rows, lambda x: ops.affine(x, params, size=4), size=4)
    agree(court, claim, 0, [(0, c) for c in range(6)])


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(1, 1, 0), (3, 1, 1), (5, 2, 2), (7, 16, 15), (2, 3, 0)]
)
def test_images(court: Court, kernel: int, stride: int, padding: int):
    rng = np.random.default_rng(kernel)
    rows = rng.integers(LOW, HIGH, (2, 5 * 4 * 3))
    claim = claim_of(
        court,
        rows,
        lambda x: ops.im2col(
            x, height=5, width=4, channels=3, kernel=kernel, stride=stride, padding=padding
        ),
    )
    out = claim.model.output
    places = [(r, c) for r in range(out.rows) for c in range(out.width)]
    agree(court, claim, 0, [places[i] for i in rng.choice(len(places), 60)])


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("width", [257, 1_025, 4_096])
def test_outputs_of_split_rows(court: Court, width: int, size: int):
    # Whatever a rule reads, its output's leaf may be one of 4 or 16 of a row.
    rng = np.random.default_rng(width)
    rows = rng.integers(LOW, HIGH, (width, 2))
    wide = {"size": size}

    claim = claim_of(
        court,
        rows,
        lambda x: ops.rowsum(x, UNIT, fold=width, **wide),
        lambda x, *_: ops.rowdot(x, UNIT, fold=width, **wide),
        lambda x, *_: ops.scores(x, x, UNIT, heads=1, seq=width, **wide),
        lambda x, sums, *_: ops.affine(sums, UNIT, size=1),
        lambda x, *rest: (
            ops.matmul(rest[3], rng.integers(LOW, HIGH, (width, width)), Params.of(2, 12), **wide)
            if width <= 1_025
            else ops.affine(rest[3], UNIT, **wide)
        ),
        lambda x, *rest: ops.scores(
            x, x, UNIT, heads=1, seq=width, mask=rest[3], lo=-3, hi=99, **wide
        ),
    )
    columns = sorted({0, 31, 32, 255, width // 2, width - 1})
    for index in (0, 1, 3, 4):
        agree(court, claim, index, [(0, c) for c in columns])
    for index in (2, 5):
        agree(court, claim, index, [(r, c) for r in (0, width - 1) for c in columns])


def test_context_of_split_rows(court: Court):
    # The output and the scale have split rows, the operands too.
    rng = np.random.default_rng(9)
    rows = rng.integers(LOW, HIGH, (1_100, 1_030))
    claim = claim_of(
        court,
        rows,
        lambda x: ops.rowsum(x, UNIT, fold=1_100),
        lambda x, scale: ops.context(
            x, x, UNIT, heads=1, seq=1_100, scale=scale, scale_shift=20, size=4
        ),
    )
    places = [(r, c) for r in (0, 599, 1_099) for c in (0, 300, 1_099)]
    agree(court, claim, 1, places)
