"""What every move has in common: which claims it may be about, and until when."""

from typing import Any

import pytest

from headrace.graph.faults import Fault, FaultKind
from headrace.graph.trace import Trace
from tests.harness import Account, Chain, Reverted, reverts
from tests.unit.fault_proof.court import (
    FOLLOW,
    REFUTED,
    REPLY,
    WINDOW,
    Claim,
    Court,
    prove,
    settings,
    try_proof,
)
from tests.unit.fault_proof.test_prove_leaf_form import with_leaf
from tests.unit.fault_proof.test_prove_pad_node import with_pad


def a_lie(court: Court, right: Trace, kind: FaultKind) -> tuple[Claim, Fault]:
    """A claim with a fault of this kind, and the fault."""
    claimed = {
        FaultKind.ELEMENT: lambda: right.replace(0, 1, 2, right.rows[0][1][2] ^ 1),
        FaultKind.WITNESS: lambda: right.replace(2, 1, 0, 255),
        FaultKind.PADDING: lambda: right.replace(1, 1, 31, 0),
        FaultKind.LEAF_FORM: lambda: with_leaf(court, right, 0, 0, b"\x00"),
        FaultKind.PAD_NODE: lambda: with_pad(court, right, 0, 0, 3),
    }[kind]()
    claim = court.claim(claimed.root)
    fault = court.builder(claimed).first(right)
    assert fault is not None
    assert fault.kind == kind
    return claim, fault


@pytest.fixture(params=list(FaultKind))
def case(request: pytest.FixtureRequest, court: Court, right: Trace) -> tuple[Claim, Fault]:
    """A lie of each kind."""
    return a_lie(court, right, request.param)


def moves(court: Court, claim: Claim, ref: tuple[Any, ...]) -> list[Any]:
    """The moves that are no proofs, with another ref in place of the claim's."""
    trace = court.right.to_bytes()
    return [
        lambda: court.proof.simulate.demand_trace(ref),
        lambda: court.proof.simulate.publish_trace(ref, trace),
        lambda: court.proof.simulate.silence(ref),
    ]


def assert_all_refuse(
    court: Court, claim: Claim, fault: Fault, ref: tuple[Any, ...], reason: str
) -> None:
    for move in moves(court, claim, ref):
        with reverts(reason):
            move()
    with reverts(reason):
        getattr(court.proof.simulate, fault.function)(ref, *fault.arguments)


def test_only_claims_for_this_verifier(chain: Chain, court: Court, case: tuple[Claim, Fault]):
    claim, fault = case
    other = court.claim(claim.commitment, verifier=chain.accounts[9])
    assert_all_refuse(court, other, fault, other.ref, "proof: not this verifier")


@pytest.mark.parametrize("part", [0, 1])
def test_terms_and_record_name_the_same_verifier_and_settings(
    court: Court, right: Trace, part: int
):
    claim, fault = a_lie(court, right, FaultKind.ELEMENT)
    for changed in (1 << 96, 1 << 56):
        ref = [list(claim.terms), list(claim.record), claim.commitment]
        ref[part][1 if part == 0 else 3] ^= changed
        assert_all_refuse(court, claim, fault, tuple(ref), "proof: not this verifier")


def test_only_claims_that_the_escrow_recognises(court: Court, case: tuple[Claim, Fault]):
    claim, fault = case
    terms, record, commitment = claim.ref
    unknown = "mock: unknown claim"
    others = [
        ((*terms[:4], b"\x01" * 32, *terms[5:]), record, commitment),
        ((*terms[:7], terms[7] + (1 << 160)), record, commitment),
        (terms, (1, *record[1:]), commitment),
        (terms, record, b"\x01" * 32),
    ]
    for ref in others:
        assert_all_refuse(court, claim, fault, ref, unknown)
    court.escrow.set_job(claim.job_id, REFUTED, 1)
    assert_all_refuse(court, claim, fault, claim.ref, "mock: no claim")


def test_until_the_window_ends(court: Court, case: tuple[Claim, Fault]):
    claim, fault = case
    edge = claim.at + WINDOW
    call = getattr(court.proof.simulate, fault.function)
    call(claim.ref, *fault.arguments, timestamp=edge)
    with reverts("proof: too late"):
        call(claim.ref, *fault.arguments, timestamp=edge + 1)
    prove(court, claim, fault, timestamp=edge)


def test_after_the_window_nobody_can_move(court: Court, right: Trace):
    claim, fault = a_lie(court, right, FaultKind.ELEMENT)
    with reverts("proof: too late"):
        prove(court, claim, fault, timestamp=claim.at + WINDOW + 1)


@pytest.mark.parametrize("is_published", [False, True])
def test_until_the_longest_delay_once_demanded(
    court: Court, case: tuple[Claim, Fault], demander: Account, is_published: bool
):
    claim, fault = case
    court.demand(claim, demander)
    if is_published and fault.kind not in (FaultKind.LEAF_FORM, FaultKind.PAD_NODE):
        # A trace of the right form can be published although it is wrong.
        lie = {
            FaultKind.ELEMENT: lambda r: r.replace(0, 1, 2, r.rows[0][1][2] ^ 1),
            FaultKind.WITNESS: lambda r: r.replace(2, 1, 0, 255),
            FaultKind.PADDING: lambda r: r.replace(1, 1, 31, 0),
        }[fault.kind](court.right)
        court.proof.publish_trace(claim.ref, lie.to_bytes())
    edge = claim.at + WINDOW + REPLY + FOLLOW
    call = getattr(court.proof.simulate, fault.function)
    with reverts("proof: too late"):
        call(claim.ref, *fault.arguments, timestamp=edge + 1)
    prove(court, claim, fault, timestamp=edge)


def test_the_settings_decide(court: Court, right: Trace):
    lie = right.replace(0, 1, 2, right.rows[0][1][2] ^ 1)
    claim = court.claim(lie.root, config=settings(window=11))
    fault = court.builder(lie).first(right)
    assert fault is not None
    with reverts("proof: too late"):
        prove(court, claim, fault, timestamp=claim.at + 12)


def test_a_refuted_claim_is_not_refuted_again(
    court: Court, case: tuple[Claim, Fault], prover: Account
):
    claim, fault = case
    # An escrow that leaves the claim live: FaultProof holds on its own.
    court.escrow.set_stubborn(True)
    prove(court, claim, fault, sender=prover)
    with reverts("proof: already refuted"):
        prove(court, claim, fault)
    with reverts("dispute: already disputed"):
        court.proof.demand_trace(claim.ref)
    with reverts("dispute: no open demand"):
        court.proof.silence(claim.ref)
    assert court.proof.dispute_of(claim.claim_id).party == prover.address
    assert court.escrow.refuted() == 1


def test_the_second_of_two_provers_finds_no_claim(court: Court, case: tuple[Claim, Fault]):
    claim, fault = case
    prove(court, claim, fault)
    assert try_proof(court, claim, fault) == "mock: no claim"


def test_a_proof_of_one_claim_does_not_touch_another(court: Court, right: Trace):
    claim, fault = a_lie(court, right, FaultKind.ELEMENT)
    same = court.claim(claim.commitment)
    retry = court.claim(claim.commitment, attempt=2)
    prove(court, claim, fault)
    for other in (same, retry):
        assert court.proof.dispute_of(other.claim_id).status == 0
        assert try_proof(court, other, fault) == ""


def test_nobody_gets_in_while_a_verdict_is_carried_out(court: Court, right: Trace):
    claim, fault = a_lie(court, right, FaultKind.ELEMENT)
    other, other_fault = a_lie(court, right, FaultKind.PADDING)
    calls = [
        court.proof.encode(other_fault.function, other.ref, *other_fault.arguments),
        court.proof.encode("demand_trace", other.ref),
        court.proof.encode("silence", other.ref),
        court.proof.encode("settle_demand", claim.job_id, claim.record, 1),
        court.proof.encode("register_model", [], 1, 1, bytes(32)),
    ]
    for data in calls:
        court.escrow.set_callback(data)
        with court.chain.isolated():
            prove(court, claim, fault)
            # The lock gives no reason; a contract's own check would.
            assert court.escrow.callback_reason() == b""
    court.escrow.set_callback(court.proof.encode("outcome", claim.claim_id, 0, 0))
    with pytest.raises(Reverted, match="mock: callback went through"):
        prove(court, claim, fault)
