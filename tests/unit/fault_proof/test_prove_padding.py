from headrace.graph.faults import FaultKind
from headrace.graph.trace import Trace
from tests.harness import Account
from tests.unit.fault_proof.court import Court, prove, try_proof


def test_convicts(court: Court, right: Trace, prover: Account):
    lie = right.replace(0, 2, 63, 7)
    claim = court.claim(lie.root)
    fault = court.builder(lie).first(right)
    assert fault is not None
    assert fault.kind == FaultKind.PADDING
    event = prove(court, claim, fault, sender=prover).only("FaultProven")
    assert (event.claim_id, event.refuter) == (claim.claim_id, prover.address)
    assert (event.kind, event.op_index, event.row, event.column) == (3, 0, 2, 63)
    assert (event.claimed, event.right) == (7 - 128, 0)
    assert court.proof.dispute_of(claim.claim_id)[:3] == (3, 0, prover.address)


def test_of_either_opcode(court: Court, right: Trace):
    for operator in range(3):
        lie = right.replace(operator, 0, 50 if operator == 0 else 20, 129)
        assert try_proof(court, court.claim(lie.root), court.builder(lie).first(right)) == ""


def test_only_the_padding(court: Court, right: Trace):
    # An element that is wrong is no wrong padding, whatever it is; nor is what lies past the row.
    lie = right.replace(0, 2, 39, 7).replace(0, 2, 40, 7)
    claim = court.claim(lie.root)
    builder = court.builder(lie)
    fault = builder.padding(0, 2, 40)
    assert try_proof(court, claim, fault) == ""
    for column in (0, 39, 64, 65, 2**255):
        assert try_proof(court, claim, fault, a2=column) == "proof: not in the padding"


def test_arguments_that_show_nothing(court: Court, right: Trace):
    lie = right.replace(0, 2, 63, 7)
    claim = court.claim(lie.root)
    builder = court.builder(lie)
    fault = builder.padding(0, 2, 63)
    op = fault.arguments[0]
    assert try_proof(court, claim, fault, a0=op._replace(op_index=3)) == "proof: no such operator"
    assert try_proof(court, claim, fault, a0=op._replace(op_index=2)) == (
        "proof: not the model's operator"
    )
    # An operator that says its rows are narrower is none of the model's.
    narrow = op.operator._replace(width_out=33)
    assert try_proof(court, claim, fault, a0=op._replace(operator=narrow)) == (
        "proof: not the model's operator"
    )
    assert try_proof(court, claim, fault, a1=3) == "proof: no such row"
    assert try_proof(court, claim, fault, a1=1) == "proof: row is not in the tree"
    assert try_proof(court, claim, fault, a2=62) == "proof: no fault"
    assert try_proof(court, claim, fault, a3=builder.output_row(1, 2)) == "proof: wrong row length"
    assert try_proof(court, claim, fault, a3=builder.output_row(0, 1)) == (
        "proof: row is not in the tree"
    )
