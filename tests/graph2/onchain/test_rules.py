"""Every opcode over random graphs: contract, twin and reference say the same of every element."""

import numpy as np
import pytest

from headrace.graph2 import numpy_backend
from headrace.graph2.check import Judgement
from headrace.graph2.opcodes import Opcode
from tests.graph2.onchain.court import Court, twin
from tests.graph2.onchain.prover import ELEMENT, WITNESS, Claimed, Proof
from tests.graph2.random_graphs import case_of

MOST = 24
"""Elements of an operator that are tried."""


def honest(seed_case) -> Claimed:
    outputs = numpy_backend.run(seed_case.model, seed_case.tensor)
    return Claimed.of(seed_case.model, seed_case.tensor, outputs)


def places(rng: np.random.Generator, rows: int, width: int) -> list[tuple[int, int]]:
    """The corners, and some more."""
    corners = {(0, 0), (0, width - 1), (rows - 1, 0), (rows - 1, width - 1)}
    more = {(int(rng.integers(rows)), int(rng.integers(width))) for _ in range(MOST - 4)}
    return sorted(corners | more)


def proofs_of(claim: Claimed, index: int, rng: np.random.Generator) -> list[Proof]:
    """Proofs about some elements of an operator."""
    op = claim.model.operators[index]
    rows = op.out.rows * claim.units
    found = []
    for row, column in places(rng, rows, op.out.width):
        if op.opcode == Opcode.ARGMAX:
            better = int(rng.integers(op.a.width))
            found.append(claim.witness(index, row * op.out.width + column, better))
        else:
            found.append(claim.element(index, row, column))
    return found


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("opcode", list(Opcode))
def test_right_elements_are_no_faults(court: Court, opcode: Opcode, wide: bool):
    claim = honest(case_of(opcode, wide=wide))
    court.register(claim.model)
    rng = np.random.default_rng(1)
    for index in range(claim.model.op_count):
        proofs = proofs_of(claim, index, rng)
        for proof, judged in zip(proofs, court.judge(claim, proofs), strict=True):
            assert isinstance(judged, Judgement), (judged, proof)
            assert not judged.is_fault
            assert judged == twin(claim, proof)
            if proof.kind == ELEMENT:
                assert judged.claimed == judged.right


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("opcode", list(Opcode))
def test_wrong_elements_are_faults(court: Court, opcode: Opcode, wide: bool):
    case = case_of(opcode, seed=1, wide=wide)
    claim = honest(case)
    court.register(claim.model)
    rng = np.random.default_rng(2)
    index = claim.model.op_count - 1
    op = claim.model.operators[index]
    out = op.out.at(index + 1)
    cases = []
    for row, column in places(rng, out.rows * claim.units, out.width):
        right = claim.value(out, row, column)
        lie = int(rng.integers(out.low, out.high, endpoint=True))
        lie = lie if lie != right else (right + 1 if right < out.high else right - 1)
        claim.put_value(out, row, column, lie)
        if opcode == Opcode.ARGMAX:
            proof = claim.witness(index, row * out.width + column, right)
        else:
            proof = claim.element(index, row, column)
        [judged] = court.judge(claim, [proof])
        expected = Judgement(True, ELEMENT, lie, right)
        if opcode == Opcode.ARGMAX:
            expected = Judgement(True, WITNESS, lie, right)
        cases.append((judged, twin(claim, proof), expected))
        claim.put_value(out, row, column, right)
    for judged, said, expected in cases:
        assert judged == said == expected
