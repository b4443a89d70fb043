"""Trees of four children: against a slow one, compiled and not, with proofs from every node."""

import sys
from itertools import pairwise

import numpy as np
import pytest

from headrace.graph.merkle import keccak
from headrace.graph2 import batches, keccak_lanes, quads
from headrace.graph2.quads import ZEROS, Quads, climb
from headrace.graph2.views import View

SIZES = [1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 255, 256, 257, 300]


def hashes(count: int, seed: int = 0) -> list[bytes]:
    data = np.random.default_rng(seed).bytes(32 * count)
    return [data[at : at + 32] for at in range(0, 32 * count, 32)]


def slow_root(leaves: list[bytes]) -> bytes:
    """The root by filling every place up to a power of sixteen."""
    places = 1
    while places < len(leaves):
        places *= 16
    nodes = leaves + [bytes(32)] * (places - len(leaves))
    while len(nodes) > 1:
        nodes = [keccak(b"".join(nodes[at : at + 4])) for at in range(0, len(nodes), 4)]
    return nodes[0]


@pytest.mark.parametrize("count", SIZES)
def test_roots_and_proofs(count):
    leaves = hashes(count, count)
    tree = Quads(leaves)
    assert tree.root == slow_root(leaves)
    assert Quads(np.frombuffer(b"".join(leaves), np.uint8).reshape(-1, 32)).root == tree.root
    assert tree.depth % 2 == 0
    assert 4**tree.depth >= count
    assert tree.depth == 0 or 4 ** (tree.depth - 2) < count
    for level in range(tree.depth + 1):
        places = 4 ** (tree.depth - level)
        for index in {0, 1, count // 4**level, places // 2, places - 1}:
            if index >= places:
                continue
            proof = tree.proof(index, level)
            assert len(proof) == 3 * (tree.depth - level)
            assert climb(tree.node(level, index), index, proof) == tree.root
            if index * 4**level >= count:
                assert tree.node(level, index) == ZEROS[level]
    assert tree.node(0, count - 1) == leaves[-1]


@pytest.mark.parametrize("count", [1, 3, 4, 63, 64, 300, 5_000])
def test_the_compiled_kernel_the_plain_one_and_threads_agree(count, monkeypatch):
    monkeypatch.setattr(batches, "_SHARE", 1_000)
    rng = np.random.default_rng(count)
    leaves = rng.integers(0, 256, (count, 96), dtype=np.uint8)
    nodes = rng.integers(0, 256, (count, 128), dtype=np.uint8)
    compiled = batches.hash_leaves(leaves), batches.hash_nodes(nodes)
    tree = Quads.of_leaves(leaves)
    monkeypatch.setattr(batches, "vectorised", lambda: None)
    plain = batches.hash_leaves(leaves), batches.hash_nodes(nodes)
    for one, other in zip(compiled, plain, strict=True):
        assert np.array_equal(one, other)
    slow = Quads.of_leaves(leaves)
    for level in range(tree.depth + 1):
        assert np.array_equal(tree.level(level), slow.level(level))
    assert slow.root == slow_root([keccak(b"\0" + leaf.tobytes()) for leaf in leaves])


@pytest.mark.parametrize("length", range(8, 1_025, 8))
def test_every_length_of_leaf_is_hashed_right(length):
    """Among them all positions of the last byte in the sponge's blocks of 17 words."""
    leaves = np.random.default_rng(length).integers(0, 256, (9, length), dtype=np.uint8)
    out = np.empty((9, 4), dtype=np.uint64)
    keccak_lanes.leaves_into(leaves.view(np.uint64), out)
    made = out.view(np.uint8)
    for leaf, digest in zip(leaves, made, strict=True):
        assert digest.tobytes() == keccak(b"\0" + leaf.tobytes())


def test_nodes_of_all_ones_and_all_zeros():
    for value in (0, 255):
        children = np.full((70, 128), value, dtype=np.uint8)
        assert {row.tobytes() for row in batches.hash_nodes(children)} == {
            keccak(bytes([value]) * 128)
        }


def test_round_constants_are_the_standards():
    first = [0x0000000000000001, 0x0000000000008082, 0x800000000000808A, 0x8000000080008000]
    assert keccak_lanes.ROUND_CONSTANTS[:4].tolist() == first
    assert int(keccak_lanes.ROUND_CONSTANTS[23]) == 0x8000000080008008


def test_numba_is_optional(monkeypatch):
    batches.vectorised.cache_clear()
    monkeypatch.setitem(sys.modules, "headrace.graph2.keccak_lanes", None)
    try:
        assert batches.vectorised() is None
        leaves = np.zeros((100, 32), dtype=np.uint8)
        assert batches.hash_leaves(leaves)[99].tobytes() == keccak(bytes(33))
    finally:
        batches.vectorised.cache_clear()


def test_zero_subtrees():
    assert ZEROS[0] == bytes(32)
    assert len(ZEROS) == 17
    for below, above in pairwise(ZEROS):
        assert above == keccak(4 * below)


def test_overridden_nodes_stand_where_they_are_put():
    leaves = hashes(17)
    wrong = b"\5" * 32
    for level, index in ((0, 17), (0, 200), (1, 5), (1, 63), (2, 2), (2, 15), (3, 1)):
        tree = Quads(leaves, {(level, index): wrong})
        assert tree.node(level, index) == wrong
        assert tree.root != Quads(leaves).root
        assert climb(wrong, index, tree.proof(index, level)) == tree.root
        assert climb(leaves[16], 16, tree.proof(16)) == tree.root
    same = Quads(leaves, {(1, 7): ZEROS[1]})
    assert same.root == Quads(leaves).root


def test_places_that_are_none():
    tree = Quads(hashes(17))
    for level, index in ((5, 0), (-1, 0), (0, 256), (0, -1), (4, 1)):
        with pytest.raises(IndexError):
            tree.node(level, index)
        with pytest.raises(IndexError):
            tree.proof(index, level)
        with pytest.raises(IndexError):
            Quads(hashes(17), {(level, index): bytes(32)})
    with pytest.raises(ValueError, match="32 bytes"):
        Quads(hashes(17), {(0, 20): bytes(31)})


def test_sixteen_children_and_their_fold():
    tree = Quads(hashes(20))
    assert quads.fold(tree.sixteen(4, 0)) == tree.root
    assert tree.sixteen(2, 1) == (*hashes(20)[16:], *[bytes(32)] * 12)
    assert quads.fold(tree.sixteen(2, 1)) == tree.node(2, 1)
    for level in (0, 1):
        with pytest.raises(IndexError):
            tree.sixteen(level, 0)


def test_proofs_of_no_whole_levels_or_too_large_an_index():
    proof = Quads(hashes(16)).proof(3)
    for bad in (proof[:-1], proof[:-2], (*proof, bytes(32))):
        with pytest.raises(ValueError, match="doesn't fit"):
            climb(hashes(16)[3], 3, bad)
    for index in (-1, 16):
        with pytest.raises(ValueError, match="doesn't fit"):
            climb(hashes(16)[3], index, proof)
    assert climb(b"\1" * 32, 0, ()) == b"\1" * 32


def test_a_tensors_root_is_its_leaves():
    view = View(0, 40, 32, 2)
    tensor = np.arange(40 * 32, dtype=np.int16).reshape(40, 32)
    plain = tensor.astype(np.int32) + (1 << 15)
    rows = [bytes(b for shift in (8, 0) for b in (row >> shift & 255)) for row in plain]
    leaves = [b"".join(rows[at : at + 8]) for at in range(0, 40, 8)]
    assert quads.tensor_root(view, tensor) == slow_root([keccak(b"\0" + x) for x in leaves])
