import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.graph.merkle import Tree, climb, depth, keccak
from headrace.graph2 import quads as twin
from headrace.graph2.views import height
from tests.harness import Chain, Contract


@pytest.fixture(scope="module")
def quads(chain: Chain) -> Contract:
    return chain.deploy("ViewsHarness")


def hashes(count: int, seed: int = 0) -> list[bytes]:
    """So many different hashes."""
    return [keccak(seed.to_bytes(4, "big") + i.to_bytes(4, "big")) for i in range(count)]


@pytest.mark.parametrize("power", range(6))
def test_depth(quads: Contract, power: int):
    for leaves in (16**power - 1, 16**power, 16**power + 1):
        if leaves:
            assert quads.depth_of(leaves) == 2 * height(leaves)


@given(st.integers(1, 16**7))
def test_depth_of_any_number(quads: Contract, leaves: int):
    found = quads.depth_of(leaves)
    assert found % 2 == 0
    assert 4**found >= leaves
    assert found == 0 or 4 ** (found - 2) < leaves


def test_zeros(quads: Contract):
    node = bytes(32)
    for level in range(15):
        assert quads.zero(level) == node == twin.ZEROS[level]
        node = keccak(4 * node)


@pytest.mark.parametrize("count", [1, 2, 4, 5, 15, 16, 17, 60, 256, 257])
def test_every_leaf_leads_to_the_root(quads: Contract, count: int):
    tree = twin.Quads(hashes(count))
    rng = np.random.default_rng(count)
    for index in {0, count - 1, *rng.integers(0, 4**tree.depth, 6).tolist()}:
        for level in range(tree.depth + 1):
            at = index >> 2 * level
            way = tree.proof(at, level)
            assert quads.climb(tree.node(level, at), at, b"".join(way)) == tree.root


@given(st.integers(0, 255), st.integers(0, 11), st.integers(1, 255))
def test_another_way_leads_elsewhere(quads: Contract, index: int, place: int, flip: int):
    tree = twin.Quads(hashes(256))
    leaf, way = tree.node(0, index), list(tree.proof(index))
    assert quads.climb(leaf, index, b"".join(way)) == tree.root
    for other in {index ^ 1, index ^ 2, index ^ 0x30, index ^ 0x80}:
        assert quads.climb(leaf, other, b"".join(way)) != tree.root
    changed = list(way)
    changed[place] = bytes([changed[place][0] ^ flip]) + changed[place][1:]
    assert quads.climb(leaf, index, b"".join(changed)) != tree.root
    assert quads.climb(leaf, index, b"".join(way[:-3])) != tree.root
    assert quads.climb(leaf, index, b"".join([*way, *way[:3]])) != tree.root


@pytest.mark.parametrize("count", [1, 4, 16])
def test_nodes_over_a_row(quads: Contract, count: int):
    nodes = hashes(16, seed=5)
    expected = nodes[:count]
    while len(expected) > 1:
        groups = range(0, len(expected), 4)
        expected = [keccak(b"".join(expected[i : i + 4])) for i in groups]
    assert quads.over(nodes, count) == expected[0]


@given(st.integers(1, 70), st.integers(0, 69))
def test_binary(quads: Contract, count: int, index: int):
    tree = Tree(hashes(count))
    index %= count
    way = tree.proof(index)
    assert len(way) == depth(count)
    found = quads.climb_binary(tree.node(0, index), index, b"".join(way))
    assert found == climb(tree.node(0, index), index, way) == tree.root
