import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.graph import merkle
from headrace.graph.encoding import leaf, parameter_leaf
from headrace.graph.merkle import ZEROS, Tree
from tests.harness import Chain, Contract, reverts

COUNTS = st.one_of(st.integers(1, 17), st.sampled_from([31, 32, 33, 127, 128, 129, 255, 256]))


@pytest.fixture(scope="module")
def trees(chain: Chain) -> Contract:
    return chain.deploy("MerkleHarness")


def leaves_of(count: int, seed: int = 0) -> list[bytes]:
    return [merkle.keccak(bytes([seed]) + i.to_bytes(2, "big")) for i in range(count)]


def test_depth(trees: Contract):
    edges = {n + d for e in range(17) for n in (2**e,) for d in (-1, 0, 1)}
    for count in sorted(n for n in edges if 1 <= n <= 65_536):
        assert trees.depth_of(count) == merkle.depth(count)


def test_zero_subtrees(trees: Contract):
    assert [trees.zero(level) for level in range(17)] == list(ZEROS)


@given(st.binary(max_size=1_024))
def test_leaves(trees: Contract, data: bytes):
    assert trees.row_leaf(data) == leaf(data)


@given(st.integers(0, 2**256 - 1))
def test_parameter_leaves(trees: Contract, word: int):
    assert trees.param_leaf(word) == parameter_leaf(word)


@pytest.mark.parametrize("count", [*range(1, 18), 31, 32, 33, 100, 127, 128, 129, 255, 256])
def test_root(trees: Contract, count: int):
    leaves = leaves_of(count)
    assert trees.root(leaves) == Tree(leaves).root


def test_root_of_zero_leaves_is_the_zero_subtree(trees: Contract):
    for depth in range(4):
        assert trees.root([bytes(32)] * 2**depth) == ZEROS[depth]


@given(COUNTS, st.data())
def test_climb(trees: Contract, count: int, data: st.DataObject):
    tree = Tree(leaves_of(count))
    index = data.draw(st.integers(0, 2**tree.depth - 1))
    proof = tree.proof(index)
    assert trees.climb(tree.node(0, index), index, tree.depth, proof) == tree.root


@settings(max_examples=15)
@given(COUNTS.filter(lambda n: n > 1), st.data())
def test_climb_is_pinned(trees: Contract, count: int, data: st.DataObject):
    tree = Tree(leaves_of(count))
    index = data.draw(st.integers(0, count - 1))
    node, proof = tree.node(0, index), tree.proof(index)
    with reverts("merkle: wrong depth"):
        trees.climb(node, index, tree.depth, proof[:-1])
    if tree.depth < 8:
        with reverts("merkle: wrong depth"):
            trees.climb(node, index, tree.depth, (*proof, bytes(32)))
    # The same node under an index with a bit beyond the tree: the same path, refused.
    bit = data.draw(st.integers(tree.depth, 255))
    with reverts("merkle: index out of range"):
        trees.climb(node, index | 1 << bit, tree.depth, proof)
    other = data.draw(st.integers(0, 2**tree.depth - 1).filter(lambda i: i != index))
    assert trees.climb(node, other, tree.depth, proof) != tree.root
    # An inner node is no leaf.
    with reverts("merkle: wrong depth"):
        trees.climb(tree.node(1, index >> 1), index >> 1, tree.depth, proof[1:])


def test_climb_of_a_single_leaf(trees: Contract):
    assert trees.climb(b"\x07" * 32, 0, 0, []) == b"\x07" * 32
    with reverts("merkle: index out of range"):
        trees.climb(b"\x07" * 32, 1, 0, [])


@settings(max_examples=20)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=8), st.integers(1, 20), st.randoms())
def test_trace_root(trees: Contract, words: list[int], units: int, random: object):
    rows = [[random.randbytes(32 * w) for _ in range(units)] for w in words]
    trace = b"".join(b"".join(tensor) for tensor in rows)
    tree = Tree([Tree([leaf(row) for row in tensor]).root for tensor in rows])
    packed = sum((w - 1) << (8 * index) for index, w in enumerate(words))
    assert trees.trace_root(trace, units, len(words), packed) == tree.root
