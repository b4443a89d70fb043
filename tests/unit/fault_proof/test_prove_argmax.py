import numpy as np
import pytest

from headrace.graph.faults import Fault, FaultKind
from headrace.graph.model import Model, Operator
from headrace.graph.trace import Trace
from tests.harness import Account, Chain
from tests.unit.fault_proof.court import Claim, Court, prove, try_proof


def argmax_court(chain: Chain, rows: list[list[int]]) -> Court:
    """A model that is one ARGMAX on the input."""
    width = len(rows[0])
    model = Model.of([Operator.argmax(0, width)], width, 8)
    return Court.of(chain, model, np.array(rows, dtype=np.int8))


def claimed(court: Court, byte: int) -> tuple[Trace, Claim]:
    """A claim that says `byte` in the first row."""
    trace = court.right.replace(0, 0, 0, byte)
    return trace, court.claim(trace.root)


def test_convicts(court: Court, right: Trace, prover: Account):
    best = int(right.tensor(2)[0, 0])
    lie = right.replace(2, 0, 0, 128 + (best + 1) % 3)
    claim = court.claim(lie.root)
    fault = court.builder(lie).first(right)
    assert fault is not None
    assert fault.kind == FaultKind.WITNESS
    event = prove(court, claim, fault, sender=prover).only("FaultProven")
    assert event.claim_id == claim.claim_id
    assert event.refuter == prover.address
    assert (event.kind, event.op_index, event.row, event.column) == (2, 2, 0, 0)
    assert (event.claimed, event.right) == ((best + 1) % 3, best)
    assert court.proof.dispute_of(claim.claim_id)[:3] == (3, 0, prover.address)


def test_each_pair_of_claim_and_witness(chain: Chain):
    row = [3, 9, -128, 9, 127, 127, 4]
    court = argmax_court(chain, [row])
    for index, value in enumerate(row):
        trace, claim = claimed(court, 128 + index)
        for witness, other in enumerate(row):
            beats = other > value or (other == value and witness < index)
            fault = court.builder(trace).witness(0, 0, witness)
            expected = "" if beats else "proof: no fault"
            assert try_proof(court, claim, fault) == expected


@pytest.mark.parametrize("byte", [0, 127, 128 + 7, 255])
def test_no_index_of_the_row_falls_to_any_witness(chain: Chain, byte: int):
    # Below zero, so that the padding past the row would beat each of them.
    court = argmax_court(chain, [[-5] * 7])
    trace, claim = claimed(court, byte)
    for witness in (0, 6):
        assert try_proof(court, claim, court.builder(trace).witness(0, 0, witness)) == ""


def test_widest(chain: Chain):
    row = [0] * 127 + [1]
    court = argmax_court(chain, [row])
    assert court.right.rows[0][0][0] == 255
    right = court.claim(court.right.root)
    builder = court.builder(court.right)
    for witness in range(128):
        assert try_proof(court, right, builder.witness(0, 0, witness)) == "proof: no fault"
    trace, claim = claimed(court, 128)
    assert try_proof(court, claim, court.builder(trace).witness(0, 0, 127)) == ""


def test_arguments_that_show_nothing(court: Court, right: Trace):
    best = int(right.tensor(2)[0, 0])
    lie = right.replace(2, 0, 0, 128 + (best + 1) % 3)
    claim = court.claim(lie.root)
    builder = court.builder(lie)
    fault: Fault = builder.witness(2, 0, best)
    op = fault.arguments[0]
    not_in_tree = "proof: row is not in the tree"
    assert try_proof(court, claim, fault) == ""
    assert try_proof(court, claim, fault, a0=builder.operator_ref(1)) == "proof: wrong opcode"
    assert try_proof(court, claim, fault, a0=op._replace(op_index=3)) == "proof: no such operator"
    assert try_proof(court, claim, fault, a0=op._replace(op_index=1)) == (
        "proof: not the model's operator"
    )
    assert try_proof(court, claim, fault, a1=3) == "proof: no such row"
    assert try_proof(court, claim, fault, a1=1) == not_in_tree
    # The padding of the source row is no witness.
    assert try_proof(court, claim, fault, a2=3) == "proof: witness out of range"
    assert try_proof(court, claim, fault, a2=2**255) == "proof: witness out of range"
    assert try_proof(court, claim, fault, a3=builder.source_row(2, 1)) == not_in_tree
    assert try_proof(court, claim, fault, a3=builder.output_row(2, 0)) == not_in_tree
    assert try_proof(court, claim, fault, a4=builder.output_row(2, 2)) == not_in_tree
    assert try_proof(court, claim, fault, a4=builder.output_row(1, 0)) == not_in_tree
    longer = fault.arguments[3]._replace(data=fault.arguments[3].data * 2)
    assert try_proof(court, claim, fault, a3=longer) == "proof: wrong row length"
