"""A proof convicts, when it is in time, and who is paid (recomputing: unit/graph_rules)."""

import pytest

from headrace.graph2.faults import Proof
from headrace.graph2.trace import Trace
from tests.harness import Account, Chain, reverts
from tests.unit.graph_proof.court import REFUTED, Claim, Court, lie, settings


@pytest.fixture
def proof(court: Court, false: Claim, right: Trace) -> Proof:
    """The proof of the false claim's fault."""
    return court.fault(false, right).proof


def test_convicts_and_pays(court: Court, false: Claim, right: Trace, prover: Account):
    fault = court.fault(false, right)
    receipt = court.proof.prove(false.ref, fault.proof, sender=prover)
    event = receipt.only("FaultProven")
    assert event[:6] == (false.claim_id, prover.address, 1, 1, 5, 7)
    assert event[6:] == (fault.claimed, fault.right)
    assert fault.claimed == fault.right ^ 1
    assert receipt.only("RefuteCalled") == (false.job_id, prover.address)
    assert court.escrow.job(false.job_id).state == REFUTED
    assert court.proof.case_of(false.claim_id) == (2, 0, 0, 0, prover.address, 0)


def test_a_right_element_convicts_nobody(court: Court, honest: Claim):
    builder = court.builder(honest)
    for place in ((0, 0, 0), (1, 5, 7), (2, 239, 39)):
        with reverts("graph: no fault"):
            court.proof.prove(honest.ref, builder.prove_at(*place))


def test_a_right_element_of_a_false_claim(court: Court, false: Claim):
    with reverts("graph: no fault"):
        court.proof.prove(false.ref, court.builder(false).prove_at(0, 0, 0))


def test_what_the_rules_refuse_reverts_with_their_reason(court: Court, false: Claim, proof: Proof):
    with reverts("graph: not the model's operator"):
        court.proof.prove(false.ref, proof._replace(index=0))


def test_until_the_window_ends(court: Court, false: Claim, proof: Proof, chain: Chain):
    edge = false.edge()
    with chain.isolated(), reverts("graph: too late"):
        court.proof.prove(false.ref, proof, timestamp=edge + 1)
    court.proof.prove(false.ref, proof, timestamp=edge)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_until_the_level_below_the_last_demand_closes(
    court: Court, false: Claim, proof: Proof, demander: Account, chain: Chain, depth: int
):
    court.descend(false, false.path(1, 0)[:depth], demander)
    court.answer(false, false.path(1, 0)[depth - 1])
    edge = false.edge(depth)
    with chain.isolated(), reverts("graph: too late"):
        court.proof.prove(false.ref, proof, timestamp=edge + 1)
    court.proof.prove(false.ref, proof, timestamp=edge)


def test_the_settings_decide(court: Court, right: Trace, chain: Chain):
    claim = court.claim(lie(right), config=settings(window=11))
    proof = court.fault(claim, right).proof
    with chain.isolated(), reverts("graph: too late"):
        court.proof.prove(claim.ref, proof, timestamp=claim.at + 12)
    court.proof.prove(claim.ref, proof, timestamp=claim.at + 11)


def test_beside_open_and_overdue_demands(
    court: Court, false: Claim, proof: Proof, demander: Account, prover: Account
):
    due = court.open(false, demander).only("NodeDemanded").due
    receipt = court.proof.prove(false.ref, proof, sender=prover, timestamp=due + 1)
    assert receipt.only("RefuteCalled").refuter == prover.address


def test_once(court: Court, false: Claim, proof: Proof, prover: Account):
    court.escrow.set_stubborn(True)
    court.proof.prove(false.ref, proof, sender=prover)
    with reverts("graph: already refuted"):
        court.proof.prove(false.ref, proof, sender=prover)


def test_only_claims_for_this_verifier(court: Court, right: Trace):
    claim = court.claim(lie(right), verifier=court.vault)
    with reverts("graph: not this verifier"):
        court.proof.prove(claim.ref, court.fault(claim, right).proof)


def test_only_claims_that_the_escrow_recognises(court: Court, false: Claim, proof: Proof):
    terms, record, commitment = false.ref
    with reverts("mock: unknown claim"):
        court.proof.prove((terms, (1, *record[1:]), commitment), proof)
    court.escrow.set_job(false.job_id, REFUTED, 1)
    with reverts("mock: no claim"):
        court.proof.prove(false.ref, proof)


def test_nobody_comes_back_in(court: Court, false: Claim, proof: Proof, right: Trace):
    other = court.claim(lie(right, row=6))
    again = court.proof.encode("prove", other.ref, court.fault(other, right).proof)
    court.escrow.set_callback(again)
    court.proof.prove(false.ref, proof)
    assert court.escrow.callback_reason() == b""
    assert court.proof.case_of(other.claim_id).status == 0


def test_with_a_commitment_it_waits(court: Court, false: Claim, proof: Proof, chain: Chain):
    bare, friend = chain.accounts[3], chain.accounts[6]
    court.commit(false, proof, friend)
    receipt = court.proof.prove(false.ref, proof, sender=bare)
    assert receipt.only("RewardOpen") == (false.claim_id, receipt.block_number + 20)
    assert receipt.only("FaultProven").refuter == bare.address
    assert not receipt.named("RefuteCalled")
    assert court.proof.case_of(false.claim_id) == (1, 0, 0, 0, bare.address, 1)
    with reverts("graph: already refuted"):
        court.proof.prove(false.ref, proof, sender=bare)
