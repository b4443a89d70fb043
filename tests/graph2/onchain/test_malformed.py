"""Whatever is done to a proof, contract and twin say the same of it, and it convicts nobody."""

from collections.abc import Iterator

import numpy as np
import pytest

from headrace.graph2 import numpy_backend
from headrace.graph2.check import Judgement
from headrace.graph2.opcodes import Opcode
from tests.graph2.onchain.court import Court, twin
from tests.graph2.onchain.prover import Claimed, Proof
from tests.graph2.onchain.test_rules import honest, proofs_of
from tests.graph2.random_graphs import case_of

ROUNDS = 3
WORD = 32


def mutants(rng: np.random.Generator, proof: Proof, others: list[Proof]) -> Iterator[Proof]:
    """A proof with one thing wrong, each in turn."""
    data = proof.openings
    # Lengths: one byte, one sibling, one level, all of it, and what nobody asked for.
    for cut in (1, WORD, 3 * WORD, len(data)):
        yield proof._replace(openings=data[:-cut])
        yield proof._replace(openings=data[cut:])
    for more in (1, WORD, 3 * WORD):
        yield proof._replace(openings=data + bytes(more))
        yield proof._replace(openings=bytes(more) + data)
    # Bytes, and the order of siblings and of openings.
    for _ in range(8):
        at = int(rng.integers(len(data)))
        flipped = data[at] ^ int(rng.integers(1, 256))
        yield proof._replace(openings=data[:at] + bytes([flipped]) + data[at + 1 :])
    for _ in range(4):
        first, second = sorted(rng.choice(len(data) // WORD, 2, replace=False) * WORD)
        one, two = data[first : first + WORD], data[second : second + WORD]
        swapped = data[:first] + two + data[first + WORD : second] + one
        yield proof._replace(openings=swapped + data[second + WORD :])
    half = len(data) // 2
    yield proof._replace(openings=data[half:] + data[:half])
    # Positions.
    for name in ("index", "row", "column"):
        value = getattr(proof, name)
        for other in (value + 1, value - 1, value + 32, 0, 1 << 32, 1 << 200, (1 << 256) - 1):
            if other >= 0:
                yield proof._replace(**{name: other})
    # The operator and its way.
    way = proof.operator_proof
    yield proof._replace(operator_proof=(*way, bytes(WORD)))
    yield proof._replace(operator_proof=way[:-1] if way else (bytes(WORD),))
    yield proof._replace(operator_proof=way[::-1])
    for name in proof.operator._fields:
        value = getattr(proof.operator, name)
        changed = bytes(WORD) if isinstance(value, bytes) else value ^ 1 << int(rng.integers(70))
        yield proof._replace(operator=proof.operator._replace(**{name: changed}))
    root, count, given, most = proof.model
    for model in ((way[0] if way else root[::-1], count, given, most), (root, count, given, 0)):
        yield proof._replace(model=model)
    # Other kinds, and parts of proofs about other elements.
    for kind in range(8):
        yield proof._replace(kind=kind)
    for other in others:
        yield proof._replace(openings=other.openings)
        yield proof._replace(operator=other.operator, operator_proof=other.operator_proof)
        yield other._replace(row=proof.row, column=proof.column)


@pytest.mark.parametrize("opcode", list(Opcode))
def test_nothing_convicts_an_honest_claim(court: Court, opcode: Opcode):
    rng = np.random.default_rng(int(opcode))
    for seed in range(ROUNDS):
        claim = honest(case_of(opcode, seed=10 + seed, wide=seed == 2))
        court.register(claim.model)
        proofs = proofs_of(claim, claim.model.op_count - 1, rng)
        others = [proofs[0], proofs[-1], proofs_of(claim, 0, rng)[0]]
        tried = list(mutants(rng, proofs[len(proofs) // 2], others))
        for proof, judged in zip(tried, court.judge(claim, tried), strict=True):
            assert judged == twin(claim, proof), proof
            # A position next to the one that was meant may be proven by the same openings.
            assert not isinstance(judged, Judgement) or not judged.is_fault


@pytest.mark.parametrize("opcode", list(Opcode))
def test_other_claims_aren_t_touched(court: Court, opcode: Opcode):
    case = case_of(opcode, seed=20)
    claim = honest(case)
    court.register(claim.model)
    [proof, *_] = proofs_of(claim, claim.model.op_count - 1, np.random.default_rng(0))
    other = Claimed.of(
        case.model, case.tensor, [t ^ 1 for t in numpy_backend.run(case.model, case.tensor)]
    )
    for changes, most in (
        ({"commitment": other.commitment}, "graph: not in the tree"),
        ({"input_id": bytes(WORD)}, None),
        ({"units": claim.units + 1}, None),
        ({"units": claim.units - 1}, None),
        ({"units": 0}, "graph: bad units"),
        ({"units": claim.model.max_units + 1}, "graph: bad units"),
        ({"units": (1 << 32) - 1}, "graph: bad units"),
    ):
        [judged] = court.judge(claim, [proof], **changes)
        assert judged == twin(claim, proof, **changes)
        assert most is None or judged == most
        assert not isinstance(judged, Judgement) or not judged.is_fault
