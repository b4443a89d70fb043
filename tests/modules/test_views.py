from math import ceil, log

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from headrace.graph.errors import ModelError
from headrace.graph2.views import MAX_LEAVES, View
from tests.harness import Chain, Contract, reverts

COMMITMENT, INPUT = b"\xcc" * 32, b"\x11" * 32
EDGES = [1, 31, 32, 33, 255, 256, 257, 512, 513, 1_023, 1_024, 1_025, 2_048, 2_049, 4_095, 4_096]


@pytest.fixture(scope="module")
def views(chain: Chain) -> Contract:
    return chain.deploy("ViewsHarness")


@st.composite
def shapes(draw: st.DrawFn) -> tuple[View, int]:
    """A view and units that a registered model may have."""
    width = draw(st.sampled_from(EDGES) | st.integers(1, 4_096))
    rows = draw(st.sampled_from([1, 2, 3, 16, 17, 65_535]) | st.integers(1, 65_535))
    view = View(draw(st.integers(0, 256)), rows, width, draw(st.sampled_from([1, 2, 4])))
    units = draw(st.sampled_from([1, 2, 3, 4_096]) | st.integers(1, 4_096))
    assume(view.leaves(units) <= MAX_LEAVES)
    return view, units


def shape(units: int, operators: int = 256) -> tuple[int, int, bytes, bytes]:
    """`views.Shape` of a claim of a model of so many operators."""
    return units, 2 * ceil(round(log(operators, 16), 9)), INPUT, COMMITMENT


@given(shapes())
def test_layout(views: Contract, case: tuple[View, int]):
    view, units = case
    found = views.layout(view.word, units)
    assert found == (view.split, view.block, view.pack, view.row_part, view.leaves(units))


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("width", EDGES)
def test_layout_at_the_edges(views: Contract, width: int, size: int):
    for rows in (1, 15, 16, 17):
        view = View(3, rows, width, size)
        found = views.layout(view.word, 3)
        assert found == (view.split, view.block, view.pack, view.row_part, view.leaves(3))
        # What the format promises of it.
        assert found.pack * found.part <= 1_024
        assert found.split * found.block >= width
        assert found.pack == 1 or (found.split == 1 and found.pack * found.part <= 512)


@given(shapes(), st.integers(0, 1 << 40), st.integers(0, 1 << 20), st.integers(0, 4_000))
def test_places(views: Contract, case: tuple[View, int], row: int, column: int, start: int):
    view, units = case
    row, column = row % (view.rows * units), column % view.width
    depth = 2 * view.height(units)
    above = 4 if view.tensor else 0
    joint = (view.tensor - 1) << 2 * depth if view.tensor else 0
    siblings = 96 * (depth + above)
    end = start + view.leaf_bytes + siblings
    found = views.place(shape(units), view.word, row, column, start, end)
    assert found.root == (COMMITMENT if view.tensor else INPUT)
    assert found.index == joint | view.leaf_of(row, column)
    assert found.offset == view.place_of(row, column)
    assert (found.start, found.length, found.middle) == (
        start,
        view.leaf_bytes,
        start + view.leaf_bytes,
    )
    assert (found.siblings, found.end) == (siblings, end)
    assert (found.split, found.block, found.size) == (1, view.block, view.size)
    with reverts("graph: openings too short"):
        views.place(shape(units), view.word, row, column, start, end - 1)

    level = {1: 0, 4: 1, 16: 2}[view.split]
    siblings -= 96 * level
    end = start + view.split * view.leaf_bytes + siblings
    whole = views.row_place(shape(units), view.word, row, start, end)
    joint >>= 2 * level
    assert whole.index == joint | row // view.pack
    assert whole.offset == row % view.pack * view.row_part
    assert (whole.length, whole.siblings) == (view.split * view.leaf_bytes, siblings)
    assert whole.split == view.split
    with reverts("graph: openings too short"):
        views.row_place(shape(units), view.word, row, start, end - 1)


@given(shapes())
def test_positions_end(views: Contract, case: tuple[View, int]):
    view, units = case
    rows, leaves = view.rows * units, view.leaves(units)
    big = 1 << 20
    views.place(shape(units), view.word, rows - 1, view.width - 1, 0, big)
    for row in (rows, 1 << 255):
        with reverts("graph: no such row"):
            views.place(shape(units), view.word, row, 0, 0, big)
        with reverts("graph: no such row"):
            views.row_place(shape(units), view.word, row, 0, big)
    for column in (view.width, 1 << 255):
        with reverts("graph: no such column"):
            views.place(shape(units), view.word, 0, column, 0, big)
    last = views.leaf_place(shape(units), view.word, leaves - 1)
    assert last.length == view.leaf_bytes
    for leaf in (leaves, 1 << 255):
        with reverts("graph: no such leaf"):
            views.leaf_place(shape(units), view.word, leaf)


@given(shapes(), st.integers(0, 1 << 40), st.integers(0, 1_023))
def test_padding(views: Contract, case: tuple[View, int], leaf: int, offset: int):
    view, units = case
    leaf, offset = leaf % view.leaves(units), offset % view.leaf_bytes
    used = set()
    group, part = divmod(leaf, view.split)
    for row in range(group * view.pack, min((group + 1) * view.pack, view.rows * units)):
        for column in range(part * view.block, min((part + 1) * view.block, view.width)):
            for plane in range(view.size):
                used.add(view.place_of(row, column, plane))
    plane = offset % view.row_part // view.block
    expected = 256 if offset in used else (0 if plane else 128)
    assert views.padding_at(shape(units), view.word, leaf, offset) == expected


def test_bounds_of_views_are_the_registry_s():
    # The harness may be asked anything; a model can't have a view like these.
    for rows, width, size in ((0, 1, 1), (65_536, 1, 1), (1, 0, 1), (1, 4_097, 1), (1, 1, 3)):
        with pytest.raises(ModelError):
            View(0, rows, width, size)
