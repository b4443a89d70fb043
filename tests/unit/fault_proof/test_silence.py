from headrace.graph.trace import Trace
from tests.harness import Account, Chain, reverts
from tests.unit.fault_proof.court import FOLLOW, REPLY, WINDOW, Claim, Court, settings
from tests.unit.fault_proof.test_outcome import FALLS


def test_convicts_a_withheld_trace(
    chain: Chain, court: Court, right: Trace, demander: Account, prover: Account
):
    claim = court.claim(b"\x99" * 32)
    due = court.demand(claim, demander).timestamp + REPLY
    with chain.isolated(), reverts("proof: reply is running"):
        court.proof.silence(claim.ref, sender=prover, timestamp=due)
    receipt = court.proof.silence(claim.ref, sender=prover, timestamp=due + 1)
    event = receipt.only("FaultProven")
    # The reward is the demander's, who paid to find out, not the caller's.
    assert event == (claim.claim_id, demander.address, 6, 0, 0, 0, 0, 0)
    assert receipt.only("RefuteCalled") == (claim.job_id, demander.address)
    assert court.proof.dispute_of(claim.claim_id)[:3] == (3, due, demander.address)
    outcome = court.proof.outcome(claim.claim_id, claim.at, settings())
    assert (outcome.verdict, outcome.refuter) == (FALLS, demander.address)


def test_at_any_time_later(court: Court, demander: Account):
    claim = court.claim(b"\x99" * 32)
    court.demand(claim, demander)
    late = claim.at + WINDOW + REPLY + FOLLOW + 100_000
    court.proof.silence(claim.ref, timestamp=late)
    assert court.escrow.refuted() == 1


def test_not_without_a_demand(chain: Chain, court: Court, honest: Claim):
    chain.travel(10_000)
    with reverts("dispute: no open demand"):
        court.proof.silence(honest.ref)


def test_not_once_published(
    chain: Chain, court: Court, right: Trace, honest: Claim, demander: Account
):
    court.demand(honest, demander)
    court.proof.publish_trace(honest.ref, right.to_bytes())
    chain.travel(10_000)
    with reverts("dispute: no open demand"):
        court.proof.silence(honest.ref)


def test_once(chain: Chain, court: Court, demander: Account):
    claim = court.claim(b"\x99" * 32)
    court.demand(claim, demander)
    chain.travel(REPLY + 1)
    court.proof.silence(claim.ref)
    with reverts("mock: no claim"):
        court.proof.silence(claim.ref)
