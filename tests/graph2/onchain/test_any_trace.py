"""Operators are total: whatever bytes their tensors are, the rules say what the reference says."""

import os

import numpy as np
import pytest

from headrace.graph2 import reference
from headrace.graph2.check import Judgement
from headrace.graph2.opcodes import Opcode
from tests.graph2.onchain.court import Court, twin
from tests.graph2.onchain.prover import ELEMENT, WITNESS, Claimed
from tests.graph2.onchain.single import values
from tests.graph2.onchain.test_rules import honest, proofs_of
from tests.graph2.random_graphs import case_of

SEEDS = 20 if os.environ.get("HEADRACE_EXHAUSTIVE") else 2
FILLS = ("random", "zeros", "ones", "edges")


def fill(rng: np.random.Generator, kind: str, size: int) -> bytes:
    """So many bytes: any, the least elements, the greatest, or both and what is near them."""
    if kind == "zeros":
        return bytes(size)
    if kind == "ones":
        return b"\xff" * size
    pool = np.arange(256) if kind == "random" else np.array([0, 1, 127, 128, 254, 255])
    return rng.choice(pool, size).astype(np.uint8).tobytes()


def filled(claim: Claimed, rng: np.random.Generator, kind: str) -> Claimed:
    """The same model's claim with other bytes in every leaf, the input's too."""
    leaves = [[fill(rng, kind, len(leaf)) for leaf in tensor] for tensor in claim.leaves]
    return Claimed(claim.model, claim.units, leaves)


@pytest.mark.parametrize("kind", FILLS)
@pytest.mark.parametrize("opcode", list(Opcode))
def test_any_bytes(court: Court, opcode: Opcode, kind: str):
    rng = np.random.default_rng(int(opcode))
    for seed in range(SEEDS):
        case = case_of(opcode, seed=30 + seed, wide=seed % 2 == 1)
        claim = filled(honest(case), rng, kind)
        court.register(claim.model)
        index = claim.model.op_count - 1
        op = claim.model.operators[index]
        tensors = [None] * (index + 1)
        for source in op.sources:
            tensors[source.tensor] = values(claim, source.tensor)
        out = op.out.at(index + 1)
        proofs = proofs_of(claim, index, rng)
        for proof, judged in zip(proofs, court.judge(claim, proofs), strict=True):
            assert judged == twin(claim, proof)
            if opcode != Opcode.ARGMAX:
                claimed = claim.value(out, proof.row, proof.column)
                right = reference.element(op, tensors, proof.row, proof.column)
                assert judged == Judgement(claimed != right, ELEMENT, claimed, right)
                continue
            row = tensors[op.a.tensor][proof.row]
            claimed = claim.value(out, *divmod(proof.row, out.width))
            is_index = 0 <= claimed < len(row)
            chosen = (row[claimed], -claimed) if is_index else (-(1 << 40), 0)
            is_fault = (row[proof.column], -proof.column) > chosen
            assert judged == Judgement(is_fault, WITNESS, claimed, proof.column)
