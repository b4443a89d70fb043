"""Trees against a naive tree that really holds all 2^d places."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.graph.merkle import ZEROS, Tree, climb, depth, keccak


def naive_levels(leaves: list[bytes]) -> list[list[bytes]]:
    size = 1
    while size < len(leaves):
        size *= 2
    levels = [leaves + [bytes(32)] * (size - len(leaves))]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([keccak(below[i] + below[i + 1]) for i in range(0, len(below), 2)])
    return levels


def leaves_of(count: int) -> list[bytes]:
    return [keccak(bytes([index, count])) for index in range(count)]


def test_keccak_is_not_sha3() -> None:
    empty = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak(b"").hex() == empty


@pytest.mark.parametrize(("count", "levels"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (256, 8)])
def test_depth(count: int, levels: int) -> None:
    assert depth(count) == levels


def test_depth_of_nothing() -> None:
    with pytest.raises(ValueError, match="at least one leaf"):
        depth(0)


@pytest.mark.parametrize("count", range(1, 20))
def test_every_node_and_proof_equals_the_naive_tree(count: int) -> None:
    tree = Tree(leaves_of(count))
    levels = naive_levels(leaves_of(count))
    assert [tree.root] == levels[-1]
    for level, nodes in enumerate(levels):
        for index, node in enumerate(nodes):
            assert tree.node(level, index) == node
            proof = tree.proof(index, level)
            assert len(proof) == tree.depth - level
            assert climb(node, index, proof) == tree.root


def test_padding_is_the_zero_subtree() -> None:
    tree = Tree(leaves_of(5))
    assert tree.node(1, 3) == ZEROS[1] == keccak(bytes(64))
    assert tree.node(0, 7) == bytes(32)


@settings(max_examples=60, deadline=None)
@given(count=st.integers(1, 40), data=st.data())
def test_a_proof_holds_only_at_its_place(count: int, data: st.DataObject) -> None:
    leaves = leaves_of(count)
    tree = Tree(leaves)
    index = data.draw(st.integers(0, count - 1))
    proof = tree.proof(index)
    other = data.draw(
        st.integers(0, (1 << tree.depth) - 1).filter(lambda i: i != index) | st.none()
    )
    if other is not None and tree.depth:
        assert climb(leaves[index], other, proof) != tree.root
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        wrong = (*proof[:at], keccak(proof[at]), *proof[at + 1 :])
        assert climb(leaves[index], index, wrong) != tree.root


def test_an_index_beyond_the_proof() -> None:
    with pytest.raises(ValueError, match="doesn't fit"):
        climb(bytes(32), 4, (bytes(32), bytes(32)))


def test_overrides_replace_nodes() -> None:
    leaves = leaves_of(5)
    fake = keccak(b"fake")
    tree = Tree(leaves, {(1, 3): fake})
    assert tree.node(1, 3) == fake
    assert climb(fake, 3, tree.proof(3, 1)) == tree.root != Tree(leaves).root
    assert climb(leaves[4], 4, tree.proof(4)) == tree.root
    with pytest.raises(ValueError, match="no node 4 on level 1"):
        Tree(leaves, {(1, 4): fake})
    with pytest.raises(ValueError, match="32 bytes"):
        Tree(leaves, {(1, 3): b"short"})


def test_a_place_outside_the_tree() -> None:
    with pytest.raises(IndexError, match="no node 8"):
        Tree(leaves_of(5)).proof(8)
