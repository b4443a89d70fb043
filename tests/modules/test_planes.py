import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.graph.encoding import mirror
from tests.harness import Chain, Contract, reverts

OFFSET = 1 << 31
COUNTS = [1, 31, 32, 33, 64, 1_000, 4_095, 4_096]


@pytest.fixture(scope="module")
def planes(chain: Chain) -> Contract:
    return chain.deploy("PlanesHarness")


@given(st.binary(min_size=1_024, max_size=1_024), st.integers(0, 255), st.sampled_from([1, 2, 4]))
def test_element(planes: Contract, data: bytes, offset: int, size: int):
    for step in (32, 64, 256):
        found = bytes(data[offset + plane * step] for plane in range(size))
        expected = int.from_bytes(found, "big") - (1 << (8 * size - 1))
        assert planes.element(data, offset, step, size) == expected
    assert planes.byte(data, offset) == data[offset]


def test_elements_at_the_ends(planes: Contract):
    data = bytes(64) + b"\xff" * 64
    assert planes.element(data, 0, 32, 2) == -(1 << 15)
    assert planes.element(data, 64, 32, 2) == (1 << 15) - 1
    assert planes.element(bytes(128), 31, 32, 4) == -(1 << 31)
    assert planes.element(b"\xff" * 128, 31, 32, 4) == (1 << 31) - 1
    with reverts(""):
        planes.element(data, 127, 32, 2)
    with reverts(""):
        planes.byte(data, 128)


@given(st.integers(1, 4_096), st.integers(0, 2**32 - 1), st.booleans())
@example(4_096, 0, True)
def test_sums(planes: Contract, count: int, seed: int, is_extreme: bool):
    # What is behind the count is junk that must not count.
    length = (count + 31) // 32 * 32
    rng = np.random.default_rng(seed)
    pool = np.array([0, 255]) if is_extreme else np.arange(256)
    left, right = rng.choice(pool, (2, length))
    found = planes.sums(left.astype(np.uint8).tobytes(), right.astype(np.uint8).tobytes(), count)
    left, right = left[:count].tolist(), right[:count].tolist()
    assert found == (sum(x * y for x, y in zip(left, right, strict=True)), sum(left), sum(right))


@pytest.mark.parametrize("count", COUNTS)
def test_sums_of_the_largest(planes: Contract, count: int):
    row = b"\xff" * ((count + 31) // 32 * 32)
    assert planes.sums(row, row, count) == (255 * 255 * count, 255 * count, 255 * count)


@pytest.mark.parametrize("place", [*range(32), 63, 4_095])
def test_sums_see_each_place_alone(planes: Contract, place: int):
    length = place // 32 * 32 + 32
    left, right = bytearray(length), bytearray(length)
    left[place], right[place] = 77, 101
    assert planes.sums(bytes(left), bytes(right), place + 1) == (77 * 101, 77, 101)
    if place:
        assert planes.sums(bytes(left), bytes(right), place) == (0, 0, 0)
    others = bytearray(b"\x65" * length)
    others[place] = 0
    assert planes.sums(bytes(left), bytes(others), length)[0] == 0


@given(st.integers(1, 50), st.sampled_from([(1, 1), (1, 2), (2, 1), (2, 2)]), st.integers(0, 2**32))
def test_signed_numbers(planes: Contract, count: int, sizes: tuple[int, int], seed: int):
    rng = np.random.default_rng(seed)
    rows = []
    for size in sizes:
        half = 1 << (8 * size - 1)
        rows.append((rng.integers(-half, half, count).tolist(), half))
    (left, p), (right, q) = rows
    unsigned = [x + p for x in left], [y + q for y in right]
    products = sum(x * y for x, y in zip(*unsigned, strict=True))
    sums = [sum(row) for row in unsigned]
    found = planes.signed_products(products, *sums, *sizes, count)
    assert found == sum(x * y for x, y in zip(left, right, strict=True))
    assert planes.signed_sum(sums[0], sizes[0], count) == sum(left)


@pytest.mark.parametrize("width", [1, 4, 5, 28, 31, 32, 33, 40, 63, 64, 4_095, 4_096])
def test_padding_of_weights(planes: Contract, width: int):
    used = (width - 1) % 32 + 1
    plain = bytes(range(used)) + b"\x80" * (32 - used)
    planes.check_padding(int.from_bytes(mirror(plain), "big"), width)
    for place in range(32):
        changed = bytearray(plain)
        changed[place] ^= 1 << place % 8
        last = int.from_bytes(mirror(bytes(changed)), "big")
        if place < used:
            planes.check_padding(last, width)
        else:
            with reverts("graph: ill-formed weights"):
                planes.check_padding(last, width)


def word(bias: int, mult: int, shift: int) -> int:
    """A parameter word."""
    return (bias + OFFSET) << 40 | (mult + OFFSET) << 8 | shift


def post(low: int, high: int) -> int:
    """The clamp of a descriptor."""
    return (low + OFFSET) << 224 | (high + OFFSET) << 192


INT32 = st.integers(-OFFSET, OFFSET - 1)


@given(
    st.integers(-(1 << 44), 1 << 44) | st.integers(-(1 << 30) - 2, -(1 << 30) + 2) | INT32,
    st.integers(-(1 << 30), 1 << 30),
    st.integers(-OFFSET + 1, OFFSET - 1) | st.sampled_from([-OFFSET + 1, OFFSET - 1, 0, 1, -1]),
    st.integers(1, 62),
    st.tuples(INT32, INT32).map(sorted),
)
@example(1 << 200, 1 << 30, OFFSET - 1, 1, [-OFFSET, OFFSET - 1])
@example(-(1 << 200), -(1 << 30), -OFFSET + 1, 62, [-OFFSET, OFFSET - 1])
def test_the_last_step(
    planes: Contract, acc: int, bias: int, mult: int, shift: int, bounds: list[int]
):
    low, high = bounds
    summed = max(-(1 << 30), min(1 << 30, acc)) + bias
    expected = max(low, min(high, (summed * mult + (1 << (shift - 1))) >> shift))
    assert planes.requantise(acc, word(bias, mult, shift), post(low, high)) == expected
    assert planes.clamp(acc, post(low, high)) == max(low, min(high, acc))


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        (word((1 << 30) + 1, 1, 1), "graph: bias out of bounds"),
        (word(-(1 << 30) - 1, 1, 1), "graph: bias out of bounds"),
        (word(0, -OFFSET, 1), "graph: mult out of bounds"),
        (word(0, 1, 0), "graph: shift out of bounds"),
        (word(0, 1, 63), "graph: shift out of bounds"),
        (word(0, 1, 1) | 1 << 72, "graph: spare bits in a word"),
        ((1 << 256) - 1, "graph: spare bits in a word"),
    ],
)
def test_parameters_out_of_bounds(planes: Contract, params: int, reason: str):
    with reverts(reason):
        planes.requantise(0, params, post(-128, 127))


def test_cost_of_a_product(planes: Contract):
    wide, narrow = (planes.sums_gas(b"\x01" * n, b"\xff" * n, n) for n in (4_096, 32))
    # Within 25 gas for a multiply-add, mirrored as it goes.
    assert (wide - narrow) / (4_096 - 32) < 25
