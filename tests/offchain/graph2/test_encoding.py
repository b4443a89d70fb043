"""Leaves of tensors: against a slow reading of the page, with and without compiled code."""

from math import ceil

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.graph2 import encoding, planes_lanes
from headrace.graph2.views import View

views = st.builds(
    View,
    st.just(0),
    st.integers(1, 40),
    st.one_of(st.integers(1, 140), st.integers(240, 280), st.integers(500, 1_100)),
    st.sampled_from([1, 2, 4]),
)


def tensor_of(view: View, units: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shape = (view.rows * units, view.width)
    return rng.integers(view.low, view.high, shape, endpoint=True).astype(view.dtype)


def slowly(view: View, tensor: np.ndarray) -> list[bytes]:
    """The leaves, byte by byte as docs/int8-graph-2.md says it."""
    size = view.size
    padded = ceil(view.width / 32) * 32
    split = 1 if size * padded <= 1_024 else 4 if size * padded <= 4_096 else 16
    block = ceil(ceil(view.width / split) / 32) * 32
    pack = 1
    if split == 1:
        while 2 * pack * size * block <= 512:
            pack *= 2
    rows = len(tensor)
    leaves = [bytearray(pack * size * block) for _ in range(ceil(rows / pack) * split)]
    for row in range(ceil(rows / pack) * pack):
        for column in range(split * block):
            real = row < rows and column < view.width
            value = int(tensor[row, column]) if real else 0
            unsigned = (value + (1 << (8 * size - 1))).to_bytes(size, "big")
            leaf = leaves[row // pack * split + column // block]
            for plane, byte in enumerate(unsigned):
                leaf[row % pack * size * block + plane * block + column % block] = byte
    return [bytes(leaf) for leaf in leaves]


@settings(max_examples=40, deadline=None)
@given(views, st.integers(1, 3), st.integers(0, 99))
@example(View(0, 1, 1, 1), 1, 0)
@example(View(0, 3, 512, 1), 1, 0)
@example(View(0, 2, 1_024, 1), 1, 0)
@example(View(0, 2, 1_025, 1), 1, 0)
@example(View(0, 1, 4_096, 1), 1, 0)
@example(View(0, 1, 2_049, 2), 1, 0)
@example(View(0, 1, 4_096, 4), 1, 0)
@example(View(0, 5, 32, 4), 1, 0)
def test_leaves_are_what_the_page_says(view, units, seed):
    tensor = tensor_of(view, units, seed)
    expected = slowly(view, tensor)
    assert len(expected) == view.leaves(units)
    plain = encoding.plain_encode(view, tensor)
    assert [leaf.tobytes() for leaf in plain] == expected
    assert np.array_equal(encoding.encode(view, tensor), plain)
    compiled = np.full_like(plain, 77)
    unsigned = tensor.view(f"u{view.size}")
    planes_lanes.planes_into(unsigned, view.split, view.block, view.pack, view.size, compiled)
    assert np.array_equal(compiled, plain)
    decoded = encoding.decode(view, plain, units)
    assert decoded.dtype == view.dtype
    assert np.array_equal(decoded, tensor)


@settings(max_examples=40, deadline=None)
@given(views, st.integers(1, 2), st.data())
def test_an_element_is_found_in_its_leaf_and_a_byte_in_its_element(view, units, data):
    tensor = tensor_of(view, units)
    row = data.draw(st.integers(0, len(tensor) - 1))
    column = data.draw(st.integers(0, view.width - 1))
    number = view.leaf_of(row, column)
    leaf = encoding.leaf_of_tensor(view, tensor, number)
    assert leaf == encoding.plain_encode(view, tensor)[number].tobytes()
    assert encoding.element_of_leaf(view, leaf, row, column) == int(tensor[row, column])
    for plane in range(view.size):
        place = view.place_of(row, column, plane)
        assert encoding.position_in_leaf(view, number, place) == (row, column)


def test_bytes_of_padding_are_in_no_element():
    view = View(0, 3, 33, 2)  # rows of 64 columns, 128 bytes; four to a leaf
    seen = [encoding.position_in_leaf(view, 0, byte) for byte in range(view.leaf_bytes)]
    inside = {place for place in seen if place[0] < 3 and place[1] < 33}
    assert len(inside) == 3 * 33
    assert sum(place in inside for place in seen) == 2 * 3 * 33
    assert seen[33] == (0, 33)  # the first column that isn't there
    assert seen[3 * 128] == (3, 0)  # the first row


def test_any_layout_in_memory_gives_the_same_leaves():
    view = View(0, 100, 60, 2)
    tensor = tensor_of(view, 1)
    expected = encoding.plain_encode(view, tensor)
    read_only = tensor.copy()
    read_only.setflags(write=False)
    for other in (
        np.asfortranarray(tensor),
        np.repeat(tensor, 2, axis=1)[:, ::2],
        tensor.astype(">i2"),
        read_only,
    ):
        assert np.array_equal(encoding.encode(view, other), expected)


def test_without_numba_numpy_does_it(monkeypatch):
    view = View(0, 200, 40, 4)
    tensor = tensor_of(view, 1)
    expected = encoding.encode(view, tensor)
    monkeypatch.setattr(encoding, "_compiled", lambda: None)
    assert np.array_equal(encoding.encode(view, tensor), expected)


def test_there_are_no_other_leaves():
    view = View(0, 5, 40, 2)  # 128 bytes a row, four to a leaf: two leaves
    tensor = tensor_of(view, 1)
    assert view.leaves(1) == 2
    assert len(encoding.leaf_of_tensor(view, tensor, 1)) == view.leaf_bytes
    for number in (-1, 2):
        with pytest.raises(IndexError, match="no leaf"):
            encoding.leaf_of_tensor(view, tensor, number)
