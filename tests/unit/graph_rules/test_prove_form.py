"""Kinds 3 to 5: padding, the form of leaves, unused nodes."""

import numpy as np
import pytest

from headrace.graph2 import builders as ops
from headrace.graph2 import numpy_backend
from headrace.graph2.check import Judgement
from headrace.graph2.model import GraphBuilder
from headrace.graph2.operators import Params
from tests.graph2.onchain.court import Court, twin
from tests.graph2.onchain.prover import LEAF_FORM, PAD_NODE, PADDING, Claimed, keccak

UNITS = 5
JUNK = b"\x77" * 32


@pytest.fixture
def claim(court: Court) -> Claimed:
    """Outputs of 40 columns on 50 rows: 8 rows a leaf (int8), 4 (int16), 2 (int32)."""
    graph = GraphBuilder(10, 40, 1)
    for size in (1, 2, 4):
        graph.add(ops.affine(graph.input, Params.of(2, 1), size=size))
    model = graph.build(UNITS)
    court.register(model)
    tensor = np.random.default_rng(1).integers(-128, 128, (50, 40)).astype(np.int8)
    return Claimed.of(model, tensor, numpy_backend.run(model, tensor))


def both(court: Court, claim: Claimed, proof):
    """What contract and twin say, which is one thing."""
    [judged] = court.judge(claim, [proof])
    assert judged == twin(claim, proof)
    return judged


@pytest.mark.parametrize(
    ("index", "leaf", "place", "right"),
    [
        # A packed int8 leaf: 8 rows of 64 bytes, 40 of which are used; rows 50 on are not.
        (0, 0, 40, 128),
        (0, 0, 63, 128),
        (0, 6, 2 * 64, 128),
        (0, 6, 511, 128),
        # int16: of a row 64 bytes of plane 0, then 64 of plane 1.
        (1, 0, 40, 128),
        (1, 0, 64 + 40, 0),
        (1, 12, 2 * 128, 128),
        (1, 12, 2 * 128 + 64, 0),
        # int32: four planes of 64.
        (2, 24, 63, 128),
        (2, 24, 127, 0),
        (2, 24, 256 + 255, 0),
    ],
)
def test_padding(court: Court, claim: Claimed, index: int, leaf: int, place: int, right: int):
    data = claim.leaves[index + 1][leaf]
    assert data[place] == right
    honest = claim.padding(index, leaf, place)
    assert both(court, claim, honest) == Judgement(False, PADDING, right, right)
    wrong = right ^ 1
    claim.put_leaf(index + 1, leaf, data[:place] + bytes([wrong]) + data[place + 1 :])
    proof = claim.padding(index, leaf, place)
    assert both(court, claim, proof) == Judgement(True, PADDING, wrong, right)
    assert both(court, claim, honest) == "graph: not in the tree"


def test_padding_is_only_padding(court: Court, claim: Claimed):
    for index, leaf, place in ((0, 0, 39), (0, 6, 64 + 39), (1, 12, 128 + 64), (2, 24, 192 + 39)):
        assert both(court, claim, claim.padding(index, leaf, place)) == "graph: not in the padding"
    for place in (512, 1 << 200):
        proof = claim.padding(0, 0, 40)._replace(column=place)
        assert both(court, claim, proof) == "graph: no such byte"
    proof = claim.padding(0, 6, 40)._replace(row=7)
    assert both(court, claim, proof) == "graph: no such leaf"
    for change in (-1, 1, 32):
        proof = claim.padding(0, 0, 40)
        data = bytes(max(change, 0)) + proof.openings[max(-change, 0) :]
        found = both(court, claim, proof._replace(openings=data))
        assert found == "graph: data of another length"
    proof = claim.padding(0, 0, 40)._replace(openings=b"")
    assert both(court, claim, proof) == "graph: siblings missing"


@pytest.mark.parametrize(
    ("preimage", "is_fault"),
    [
        (b"\x00" + bytes(512), False),
        (b"\x01" + bytes(512), True),
        (b"\xff" + bytes(512), True),
        (b"\x00" + bytes(511), True),
        (b"\x00" + bytes(513), True),
        (b"", True),
        (b"\x00", True),
        (bytes(32), True),
        # What an inner node is the hash of.
        (JUNK * 4, True),
        (b"\x00" + bytes(2_048), True),
    ],
)
def test_leaf_form(court: Court, claim: Claimed, preimage: bytes, is_fault: bool):
    claim.put_node(1, 0, 3, keccak(preimage))
    proof = claim.leaf_form(0, 3, preimage)
    expected = Judgement(is_fault, LEAF_FORM, len(preimage), 513)
    assert both(court, claim, proof) == expected
    assert both(court, claim, proof._replace(row=2)) == "graph: not in the tree"


def test_leaf_form_refused(court: Court, claim: Claimed):
    long = bytes(2_050)
    claim.put_node(1, 0, 3, keccak(long))
    assert both(court, claim, claim.leaf_form(0, 3, long)) == "graph: preimage too long"
    assert both(court, claim, claim.leaf_form(0, 2, JUNK)) == "graph: not in the tree"
    proof = claim.leaf_form(0, 3, JUNK)
    assert both(court, claim, proof._replace(row=7)) == "graph: no such leaf"
    assert both(court, claim, proof._replace(openings=JUNK)) == "graph: siblings missing"


def unused(claim: Claimed) -> list[tuple[int, int, int]]:
    """Each node of the trees that covers only unused places: operator, level, index."""
    found = []
    trees = [(i, t, len(claim.leaves[i + 1])) for i, t in enumerate(claim.trees[1:])]
    for index, tree, used in [*trees, (claim.model.op_count, claim.top, claim.model.op_count)]:
        for level in range(tree.depth + 1):
            for at in range(4 ** (tree.depth - level)):
                if at * 4**level >= used:
                    found.append((index, level, at))
    return found


def test_unused_nodes(court: Court, claim: Claimed):
    places = unused(claim)
    # 16 places over 7 and 13 leaves, 256 over 25, 16 over 3 operators.
    assert len(places) == (9 + 2) + 3 + (231 + 57 + 14 + 3) + (13 + 3)
    proofs = [claim.pad_node(*place) for place in places]
    for proof, judged in zip(proofs, court.judge(claim, proofs), strict=True):
        assert judged == twin(claim, proof) == Judgement(False, PAD_NODE, 0, 0)
    cases = []
    for index, level, at in places:
        other = Claimed(claim.model, UNITS, claim.leaves)
        if index == claim.model.op_count:
            other.top.put(level, at, JUNK)
        else:
            other.put_node(index + 1, level, at, JUNK)
        cases.append((other, other.pad_node(index, level, at)))
    for (other, proof), judged in zip(cases, court.judge_all(cases), strict=True):
        assert judged == twin(other, proof) == Judgement(True, PAD_NODE, 0, 0)


def test_unused_nodes_refused(court: Court, claim: Claimed):
    last = claim.pad_node(0, 0, 7)
    for changes, reason in (
        ({"row": 6}, "graph: node has places in use"),
        ({"row": 1, "column": 1}, "graph: node has places in use"),
        ({"row": 0, "column": 2}, "graph: node has places in use"),
        ({"row": 16}, "graph: no such node"),
        ({"row": 4, "column": 1}, "graph: no such node"),
        ({"column": 3}, "graph: no such level"),
        ({"column": 1 << 128}, "graph: no such level"),
        ({"row": 8}, "graph: not in the tree"),
        ({"index": 1}, "graph: not the model's operator"),
        ({"index": 4}, "graph: no such operator"),
        ({"openings": b""}, "graph: siblings missing"),
        ({"openings": b"\x00" + last.openings}, "graph: data of another length"),
        ({"kind": 7}, "graph: no such leaf"),
        ({"kind": 0, "row": 0}, "graph: data of another length"),
    ):
        assert both(court, claim, last._replace(**changes)) == reason, changes
    # The trace's own tree.
    top = claim.pad_node(3, 1, 1)
    for changes, reason in (
        ({"row": 0}, "graph: node has places in use"),
        ({"row": 4}, "graph: no such node"),
        ({"column": 3}, "graph: no such level"),
        # The operator that is sent along is the last one.
        ({"index": 2}, "graph: node has places in use"),
        ({"index": 1}, "graph: not the model's operator"),
        ({"index": 4}, "graph: no such operator"),
    ):
        assert both(court, claim, top._replace(**changes)) == reason, changes


def test_unknown_kinds(court: Court, claim: Claimed):
    for kind in (0, 6, 7, 1 << 255):
        proof = claim.padding(0, 0, 40)._replace(kind=kind)
        assert both(court, claim, proof) == "graph: unknown kind"
