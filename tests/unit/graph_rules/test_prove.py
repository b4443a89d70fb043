"""Each reason to refuse a proof of an element, at its edge."""

import numpy as np
import pytest

from headrace.graph2 import builders as ops
from headrace.graph2 import numpy_backend
from headrace.graph2.check import Judgement
from headrace.graph2.model import GraphBuilder
from headrace.graph2.opcodes import Opcode
from headrace.graph2.operators import Params
from tests.graph2.onchain.court import Court, reference, twin
from tests.graph2.onchain.prover import ELEMENT, WITNESS, Claimed, Proof, operands
from tests.harness import Contract, reverts

UNITS = 3
UNIT = Params.of(2, 1)
MATMUL, AFFINE, SCORES, PEAKS, TOP, SUMS, LOOKED = range(7)


@pytest.fixture
def claim(court: Court) -> Claimed:
    """Seven operators over an input of 4 rows of 5 columns a unit."""
    rng = np.random.default_rng(1)
    graph = GraphBuilder(4, 5, 1)
    x = graph.add(ops.matmul(graph.input, rng.integers(-9, 9, (3, 5)), Params.of([2] * 3, 6)))
    graph.add(ops.affine(x, UNIT, size=2))
    scores = graph.add(ops.scores(x, x, UNIT, heads=1, seq=4, size=2))
    peaks = graph.add(ops.argmax(scores, fold=4))
    graph.add(ops.pick(scores, peaks))
    graph.add(ops.rowsum(scores, UNIT, fold=2))
    graph.add(ops.lut8(x, rng.integers(-128, 128, 256)))
    model = graph.build(UNITS)
    court.register(model)
    tensor = rng.integers(-128, 128, (12, 5)).astype(np.int8)
    return Claimed.of(model, tensor, numpy_backend.run(model, tensor))


def both(court: Court, claim: Claimed, proof: Proof):
    """What contract and twin say, which is one thing."""
    [judged] = court.judge(claim, [proof])
    assert judged == twin(claim, proof)
    return judged


def test_judgement(court: Court, claim: Claimed):
    view = claim.model.view(MATMUL + 1)
    right = claim.value(view, 7, 2)
    assert both(court, claim, claim.element(MATMUL, 7, 2)) == (False, ELEMENT, right, right)
    claim.put_value(view, 7, 2, right - 3)
    proof = claim.element(MATMUL, 7, 2)
    assert both(court, claim, proof) == (True, ELEMENT, right - 3, right)
    # An element beside it in the same leaf is still right; what was made of the lie isn't.
    assert not both(court, claim, claim.element(MATMUL, 7, 1)).is_fault
    assert both(court, claim, claim.element(AFFINE, 7, 2)).is_fault


def test_positions(court: Court, claim: Claimed):
    for index in (MATMUL, AFFINE, SCORES, SUMS, LOOKED):
        out = claim.model.operators[index].out
        proof = claim.element(index, out.rows * UNITS - 1, out.width - 1)
        assert not both(court, claim, proof).is_fault
        wrong = proof._replace(row=out.rows * UNITS)
        assert both(court, claim, wrong) == "graph: no such row"
        wrong = proof._replace(column=out.width)
        assert both(court, claim, wrong) == "graph: no such column"


def test_operators(court: Court, claim: Claimed):
    proof = claim.element(MATMUL, 0, 0)
    count = claim.model.op_count
    assert both(court, claim, proof._replace(index=count)) == "graph: no such operator"
    other = claim.model.descriptors[AFFINE]
    for changes in (
        {"index": 1},
        {"operator": other._replace(opcode=int(Opcode.MATMUL))},
        {"operator": proof.operator._replace(constants=bytes(32))},
        {"operator": proof.operator._replace(out=proof.operator.out + 256)},
        {"operator_proof": proof.operator_proof[::-1]},
    ):
        assert both(court, claim, proof._replace(**changes)) == "graph: not the model's operator"
    for way in (proof.operator_proof[:-1], (*proof.operator_proof, bytes(32)), ()):
        wrong = proof._replace(operator_proof=way)
        assert both(court, claim, wrong) == "merkle: wrong depth"


@pytest.mark.parametrize(
    ("index", "longer"),
    [
        (MATMUL, "graph: openings of wrong length"),
        (LOOKED, "graph: openings of wrong length"),
        (AFFINE, "graph: openings too long"),
        (TOP, "graph: openings too long"),
        (SCORES, "graph: rows too long"),
        (SUMS, "graph: rows too long"),
    ],
)
def test_lengths(court: Court, claim: Claimed, index: int, longer: str):
    proof = claim.element(index, 0, 0)
    for more in (1, 32):
        wrong = proof._replace(openings=proof.openings + bytes(more))
        assert both(court, claim, wrong) == longer
    short = proof._replace(openings=proof.openings[:-1])
    of_constant = longer == "graph: openings of wrong length"
    assert both(court, claim, short) == (longer if of_constant else "graph: openings too short")
    for left in (0, 1, 511, len(proof.openings) // 2):
        wrong = proof._replace(openings=proof.openings[:left])
        assert both(court, claim, wrong) == "graph: openings too short"


def test_roles(court: Court, claim: Claimed):
    # The rows of a score don't change places, nor does the output with what it is made of.
    op = claim.model.operators[SCORES]
    output = claim.leaf(op.out.at(SCORES + 1), 1, 2)
    first, second = operands(claim, op, 5, 2)
    proof = claim.element(SCORES, 5, 2)
    swapped = claim.element(SCORES, 5, 1)
    assert first != output
    for openings in (first + second + output, first + output + second):
        wrong = both(court, claim, proof._replace(openings=openings))
        assert wrong == "graph: not in the tree"
    # Both rows lie in one leaf, which is opened for either score: the position tells them apart.
    assert swapped.openings == proof.openings
    values = [both(court, claim, p) for p in (proof, swapped)]
    assert [v.is_fault for v in values] == [False, False]


def test_witnesses(court: Court, claim: Claimed):
    out = claim.model.view(PEAKS + 1)
    scores = claim.model.view(SCORES + 1)
    row = 6
    best = claim.value(out, row // 4, row % 4)
    for witness in range(4):
        judged = both(court, claim, claim.witness(PEAKS, row, witness))
        assert judged == Judgement(False, WITNESS, best, witness)
    proof = claim.witness(PEAKS, row, 0)
    assert both(court, claim, proof._replace(row=12)) == "graph: no such row"
    assert both(court, claim, proof._replace(column=4)) == "graph: no such column"
    wrong = proof._replace(openings=proof.openings + b"\x00")
    assert both(court, claim, wrong) == "graph: openings too long"
    assert both(court, claim, proof._replace(kind=ELEMENT)) == "graph: argmax wants a witness"
    for index in (MATMUL, SCORES, TOP):
        other = claim.element(index, 0, 0)._replace(kind=WITNESS)
        assert both(court, claim, other) == "graph: not an argmax"

    # Of equal elements the first counts.
    for column in range(4):
        claim.put_value(scores, row, column, 7)
    for claimed in range(4):
        claim.put_value(out, row // 4, row % 4, claimed)
        for witness in range(4):
            judged = both(court, claim, claim.witness(PEAKS, row, witness))
            assert judged == Judgement(witness < claimed, WITNESS, claimed, witness)
    # What is no index falls to any witness, and its own element isn't opened.
    for claimed in (-1, 4, 32_767, -32_768):
        claim.put_value(out, row // 4, row % 4, claimed)
        judged = both(court, claim, claim.witness(PEAKS, row, 3))
        assert judged == Judgement(True, WITNESS, claimed, 3)


def test_a_picked_index_is_cut_to_the_row(court: Court, claim: Claimed):
    peaks, scores = claim.model.view(PEAKS + 1), claim.model.view(SCORES + 1)
    for index, column in ((-5, 0), (0, 0), (3, 3), (4, 3), (32_767, 3)):
        claim.put_value(peaks, 0, 1, index)
        judged = both(court, claim, claim.element(TOP, 0, 1))
        assert judged.right == claim.value(scores, 1, column)


def test_models(court: Court, claim: Claimed):
    # The model is what the job's program names, to the last number.
    for proof in (
        claim.element(MATMUL, 0, 0),
        claim.element(AFFINE, 0, 0),
        claim.element(SCORES, 0, 0),
        claim.pad_node(7, 0, 7),
    ):
        root, count, given, most = proof.model
        for model in (
            (bytes(32), count, given, most),
            (root, count + 1, given, most),
            (root, count - 1, given, most),
            (root, count, given + 1, most),
            (root, count, given, most + 1),
            (root, count, given, 1 << 255),
        ):
            wrong = proof._replace(model=model)
            assert both(court, claim, wrong) == "graph: not the job's model"


def test_units(court: Court, claim: Claimed):
    for proof in (claim.element(MATMUL, 0, 0), claim.pad_node(7, 0, 7)):
        for units in (0, UNITS + 1, (1 << 32) - 1):
            changes = {"units": units}
            [judged] = court.judge(claim, [proof], **changes)
            assert judged == twin(claim, proof, **changes) == "graph: bad units"


def part(court: Court, name: str) -> Contract:
    """One of the contracts behind the rules."""
    [found] = [one for one in court.parts if one.name == name]
    return found


def test_parts_know_their_own_rules(court: Court, claim: Claimed):
    rows, elements = part(court, "GraphRowRules"), part(court, "GraphElementRules")
    ref = reference(claim)
    for index in (SCORES, SUMS):
        proof = claim.element(index, 0, 0)
        assert rows.prove(ref, proof) == court.rules.prove(ref, proof)
    proof = claim.element(LOOKED, 0, 0)
    assert elements.prove(ref, proof) == court.rules.prove(ref, proof)
    with reverts("graph: no rule of rows"):
        rows.prove(ref, proof)
    # An opening of what a score would read if it were an element.
    op = claim.model.operators[SCORES]
    openings = claim.leaf(op.out.at(SCORES + 1), 0, 0) + claim.leaf(op.a, 0, 0)
    with reverts("graph: no rule of an element"):
        elements.prove(ref, claim.proof(ELEMENT, SCORES, 0, 0, openings))


def test_audit_is_prove(court: Court, claim: Claimed):
    ref = reference(claim)
    for index in (MATMUL, AFFINE, SCORES):
        proof = claim.element(index, 2, 1)
        judged = court.rules.audit(ref, proof)
        assert judged == court.rules.prove(ref, proof)
        assert not judged.is_fault
        with reverts("graph: no such column"):
            court.rules.audit(ref, proof._replace(column=99))
