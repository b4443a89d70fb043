import pytest

from headrace.graph.claimed import ClaimedTrace
from headrace.graph.faults import FaultKind
from headrace.graph.trace import Trace
from tests.harness import Account
from tests.unit.fault_proof.court import Court, prove, try_proof


def with_leaf(court: Court, right: Trace, operator: int, row: int, preimage: bytes) -> ClaimedTrace:
    """The right trace but for one leaf, the hash of `preimage`."""
    leaves = [list(tensor) for tensor in ClaimedTrace.of(right).leaves]
    leaves[operator][row] = preimage
    return ClaimedTrace(court.model, tuple(map(tuple, leaves)))


@pytest.mark.parametrize(
    "preimage",
    [
        b"",
        b"\x00",
        b"\x00" + b"\x80" * 31,
        b"\x00" + b"\x80" * 33,
        b"\x00" + b"\x80" * 64,
        b"\x80" * 64,  # as long as two nodes: a tree grafted onto a leaf
        b"\x01" + b"\x80" * 32,
        b"\xff" + b"\x80" * 32,
        b"\x00" + b"\x80" * 2_048,
    ],
)
def test_convicts(court: Court, right: Trace, prover: Account, preimage: bytes):
    claimed = with_leaf(court, right, 1, 2, preimage)
    claim = court.claim(claimed.root)
    fault = court.builder(claimed).first(right)
    assert fault is not None
    assert fault.kind == FaultKind.LEAF_FORM
    event = prove(court, claim, fault, sender=prover).only("FaultProven")
    assert (event.claim_id, event.refuter) == (claim.claim_id, prover.address)
    assert (event.kind, event.op_index, event.row, event.column) == (4, 1, 2, 0)
    assert (event.claimed, event.right) == (len(preimage), 33)
    assert court.proof.dispute_of(claim.claim_id)[:3] == (3, 0, prover.address)


def test_a_row_with_wrong_bytes_is_of_the_right_form(court: Court, right: Trace):
    claimed = with_leaf(court, right, 1, 2, b"\x00" + bytes(range(32)))
    fault = court.builder(claimed).leaf_form(1, 2)
    assert try_proof(court, court.claim(claimed.root), fault) == "proof: no fault"


def test_arguments_that_show_nothing(court: Court, right: Trace):
    claimed = with_leaf(court, right, 1, 2, b"\x00\x80")
    claim = court.claim(claimed.root)
    builder = court.builder(claimed)
    fault = builder.leaf_form(1, 2)
    op = fault.arguments[0]
    absent = "proof: row is not in the tree"
    assert try_proof(court, claim, fault) == ""
    assert try_proof(court, claim, fault, a0=op._replace(op_index=3)) == "proof: no such operator"
    assert try_proof(court, claim, fault, a0=op._replace(op_index=0)) == (
        "proof: not the model's operator"
    )
    assert try_proof(court, claim, fault, a0=builder.operator_ref(0)) == absent
    assert try_proof(court, claim, fault, a1=1) == absent
    # Place 3 of the tensor's four holds no row, and the zero leaf there is not for this proof.
    assert try_proof(court, claim, fault, a1=3) == "proof: no such row"
    assert try_proof(court, claim, fault, a2=b"\x00\x81") == absent
    assert try_proof(court, claim, fault, a2=b"\x00" + b"\x80" * 2_049) == "no reason"
    # Two siblings short, a node above the leaf could pass for one.
    for proof in (fault.arguments[3][:-1], fault.arguments[3][1:], ()):
        assert try_proof(court, claim, fault, a3=proof) == "merkle: wrong depth"


def test_an_inner_node_of_a_right_trace_is_no_leaf(court: Court, right: Trace):
    claim = court.claim(right.root)
    builder = court.builder(right)
    tree = builder.claimed.tensor_trees[1]
    preimage = tree.node(0, 0) + tree.node(0, 1)
    fault = builder.leaf_form(1, 0)
    path = builder.claimed.node_proof(1, 1, 0)
    for proof in (path, (*path, bytes(32))):
        reason = try_proof(court, claim, fault, a2=preimage, a3=proof)
        assert reason in ("merkle: wrong depth", "proof: row is not in the tree")
