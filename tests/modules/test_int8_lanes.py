import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.graph.encoding import encode_rows, mirror, padded, parameter_word
from headrace.graph.reference import requantise
from tests.harness import Chain, Contract, reverts

INT8 = st.integers(-128, 127)


@pytest.fixture(scope="module")
def lanes(chain: Chain) -> Contract:
    return chain.deploy("Int8LanesHarness")


def row(elements: list[int]) -> bytes:
    return encode_rows(np.array([elements], dtype=np.int8))[0]


@st.composite
def pairs(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Two rows of one width, random or of few values."""
    width = draw(st.integers(1, 1_024))
    values = draw(st.sampled_from([INT8, st.sampled_from([-128, -1, 0, 127])]))
    seed = draw(st.integers(0, 2**32 - 1))
    few = draw(st.booleans())
    rng = np.random.default_rng(seed)
    if few:
        pool = np.array(draw(st.lists(values, min_size=1, max_size=4)))
        return rng.choice(pool, width).tolist(), rng.choice(pool, width).tolist()
    return tuple(rng.integers(-128, 128, (2, width)).tolist())


@given(pairs())
def test_dot_is_exact(lanes: Contract, pair: tuple[list[int], list[int]]):
    left, right = pair
    assert lanes.dot(row(left), mirror(row(right))) == sum(
        a * b for a, b in zip(left, right, strict=True)
    )


@pytest.mark.parametrize("width", [1, 31, 32, 33, 64, 1_000, 1_023, 1_024])
@pytest.mark.parametrize(("a", "b"), [(-128, -128), (127, 127), (-128, 127), (0, 0), (-1, 127)])
def test_dot_of_extremes(lanes: Contract, width: int, a: int, b: int):
    # 127 and 127 at 1,024 columns are the largest bytes there are, 255 x 255.
    assert lanes.dot(row([a] * width), mirror(row([b] * width))) == width * a * b


@pytest.mark.parametrize("place", [*range(32), 63, 1_023])
def test_dot_sees_each_place_alone(lanes: Contract, place: int):
    left = [0] * (place + 1)
    right = [0] * (place + 1)
    left[place], right[place] = -77, 101
    assert lanes.dot(row(left), mirror(row(right))) == -77 * 101
    # The neighbours' weights are not taken for it.
    others = [101] * (place + 1)
    others[place] = 0
    assert lanes.dot(row(left), mirror(row(others))) == 0


def test_dot_wants_equal_whole_words(lanes: Contract):
    for left, right in ((32, 64), (64, 32), (31, 31), (33, 33)):
        with reverts("lanes: rows do not match"):
            lanes.dot(b"\x80" * left, b"\x80" * right)
    assert lanes.dot(b"", b"") == 0


@given(pairs(), st.binary(min_size=31, max_size=31))
def test_padding_of_the_row_counts_for_nothing(
    lanes: Contract, pair: tuple[list[int], list[int]], junk: bytes
):
    left, right = pair
    dirty = row(left)[: len(left)] + junk[: padded(len(left)) - len(left)]
    weights = mirror(row(right))
    assert lanes.has_zero_padding(weights, len(right))
    assert lanes.dot(dirty, weights) == sum(a * b for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("width", [1, 4, 5, 28, 31, 32, 33, 40, 63, 64, 1_001, 1_023])
def test_padding_of_weights_is_seen_byte_by_byte(lanes: Contract, width: int):
    rng = np.random.default_rng(width)
    plain = row(rng.integers(-128, 128, width).tolist())
    assert lanes.has_zero_padding(mirror(plain), width)
    for place in range(padded(width) - 32, padded(width)):
        changed = bytearray(plain)
        changed[place] ^= 1 << (place % 8)
        assert lanes.has_zero_padding(mirror(bytes(changed)), width) == (place < width)


def word(bias: int, mult: int, shift: int) -> int:
    return parameter_word(bias, mult, shift)


def clamp(lo: int, hi: int) -> int:
    return (lo + 128) << 8 | (hi + 128)


@given(
    st.integers(-(2**24), 2**24),
    st.integers(-(2**30), 2**30),
    st.integers(0, 2**31 - 1),
    st.integers(1, 62),
    st.tuples(INT8, INT8).map(sorted),
)
def test_requantise(lanes: Contract, dot: int, bias: int, mult: int, shift: int, bounds: list[int]):
    lo, hi = bounds
    expected = requantise(dot + bias, mult, shift, lo, hi)
    assert lanes.requantise(dot, word(bias, mult, shift), clamp(lo, hi)) == expected


@given(st.integers(-(2**13), 2**13), st.integers(1, 8))
def test_requantise_in_the_range(lanes: Contract, dot: int, shift: int):
    # Small multipliers, so that the clamp seldom hides a rounding.
    mult = 2 ** (shift - 1) // 64 + 1
    expected = requantise(dot, mult, shift, -128, 127)
    assert lanes.requantise(dot, word(0, mult, shift), clamp(-128, 127)) == expected


@pytest.mark.parametrize(
    ("dot", "shift", "expected"),
    [
        # Halves go up, on both sides of zero.
        (1, 1, 1),
        (-1, 1, 0),
        (3, 1, 2),
        (-3, 1, -1),
        (2, 2, 1),
        (-2, 2, 0),
        (-3, 2, -1),
        (-6, 2, -1),
        (-7, 2, -2),
        (5, 2, 1),
    ],
)
def test_ties(lanes: Contract, dot: int, shift: int, expected: int):
    assert lanes.requantise(dot, word(0, 1, shift), clamp(-128, 127)) == expected


def test_extremes(lanes: Contract):
    full = clamp(-128, 127)
    greatest = 2**31 - 1
    for dot, bias in ((2**24, 2**30), (-(2**24), -(2**30))):
        for mult in (0, 1, greatest):
            for shift in (1, 55, 56, 62):
                expected = requantise(dot + bias, mult, shift, -128, 127)
                assert lanes.requantise(dot, word(bias, mult, shift), full) == expected
    # The whole range of an int64 product, down to one unit, at the widest shift.
    assert lanes.requantise(0, word(2**30, greatest, 62), full) == 0
    assert lanes.requantise(2**24, word(2**30, greatest, 62), full) == 1
    assert lanes.requantise(-(2**24), word(-(2**30), greatest, 62), full) == -1
    assert lanes.requantise(12, word(-12, greatest, 1), full) == 0
    assert lanes.requantise(99, word(-100, greatest, 1), full) == -128
    assert lanes.requantise(1_000, word(0, 0, 1), clamp(5, 9)) == 5
    assert lanes.requantise(1_000, word(0, 0, 1), clamp(-9, -5)) == -5
    assert lanes.requantise(1_000, word(0, 1, 1), clamp(-9, -9)) == -9


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        (word(2**30 + 1, 1, 1), "lanes: bias out of bounds"),
        (word(-(2**30) - 1, 1, 1), "lanes: bias out of bounds"),
        (word(0, 2**31, 1), "lanes: mult out of bounds"),
        (word(0, 1, 0), "lanes: shift out of bounds"),
        (word(0, 1, 63), "lanes: shift out of bounds"),
        (word(0, 1, 1) | 1 << 72, "lanes: spare bits in params"),
        (2**256 - 1, "lanes: spare bits in params"),
    ],
)
def test_parameters_out_of_bounds(lanes: Contract, params: int, reason: str):
    with reverts(reason):
        lanes.requantise(0, params, clamp(-128, 127))


@settings(max_examples=10)
@given(st.binary(min_size=1, max_size=32))
def test_element(lanes: Contract, part: bytes):
    data = part.ljust(32 * len(part), b"\x80")
    for column in {0, len(part) - 1, 31, len(data) - 1}:
        assert lanes.element(data, column) == data[column] - 128


def test_element_past_the_end(lanes: Contract):
    with reverts(""):
        lanes.element(b"\x80" * 32, 32)


def test_padded(lanes: Contract):
    for width in (1, 31, 32, 33, 64, 1_000, 1_024):
        assert lanes.padded(width) == padded(width)


def test_cost_of_a_product(lanes: Contract):
    wide, narrow = (lanes.dot_gas(b"\x01" * n, b"\xff" * n) for n in (1_024, 32))
    # Within 20 gas for a multiply-add.
    assert (wide - narrow) / (1_024 - 32) < 20
