import pytest

from headrace.graph.trace import Trace
from tests.harness import Account, Chain, reverts
from tests.unit.fault_proof.court import (
    CONTESTED,
    FEE,
    REPLY,
    WINDOW,
    Claim,
    Court,
    prove,
    settings,
)


def test_opens_a_dispute(court: Court, honest: Claim, demander: Account):
    court.fund(demander, FEE + 7)
    receipt = court.proof.demand_trace(honest.ref, sender=demander)
    due = receipt.timestamp + REPLY
    event = receipt.only("TraceDemanded")
    assert event == (honest.claim_id, demander.address, due)
    assert court.proof.dispute_of(honest.claim_id)[:3] == (1, due, demander.address)
    assert court.vault.free(demander) == 7
    assert court.vault.held(demander, court.proof) == FEE
    # JobEscrow knows that it has to ask.
    assert court.escrow.job(honest.job_id).state == CONTESTED


def test_until_the_window_ends(chain: Chain, court: Court, honest: Claim, demander: Account):
    edge = honest.at + WINDOW
    court.fund(demander)
    with chain.isolated(), reverts("proof: window is over"):
        court.proof.demand_trace(honest.ref, sender=demander, timestamp=edge + 1)
    receipt = court.proof.demand_trace(honest.ref, sender=demander, timestamp=edge)
    assert receipt.only("TraceDemanded").due == edge + REPLY


def test_reply_is_the_jobs(court: Court, right: Trace, demander: Account):
    claim = court.claim(right.root, config=settings(reply=99))
    receipt = court.demand(claim, demander)
    assert receipt.only("TraceDemanded").due == receipt.timestamp + 99


def test_once_a_claim(court: Court, right: Trace, honest: Claim, demander: Account, chain: Chain):
    court.demand(honest, demander)
    for state in ("demanded", "published"):
        for caller in (demander, chain.accounts[6]):
            court.fund(caller)
            with reverts("dispute: already disputed"):
                court.proof.demand_trace(honest.ref, sender=caller)
        if state == "demanded":
            court.proof.publish_trace(honest.ref, right.to_bytes())


def test_wants_the_fee(court: Court, honest: Claim, demander: Account):
    court.fund(demander, FEE - 1)
    with reverts("mock: not enough free"):
        court.proof.demand_trace(honest.ref, sender=demander)
    assert court.proof.dispute_of(honest.claim_id).status == 0


def test_a_refuted_claim_takes_no_demand(
    court: Court, right: Trace, demander: Account, prover: Account
):
    lie = right.replace(0, 0, 0, right.rows[0][0][0] ^ 1)
    claim = court.claim(lie.root)
    fault = court.builder(lie).first(right)
    assert fault is not None
    prove(court, claim, fault, sender=prover)
    court.fund(demander)
    with reverts("mock: no claim"):
        court.proof.demand_trace(claim.ref, sender=demander)


@pytest.mark.parametrize("count", [1, 3])
def test_a_demander_pays_for_each_claim(court: Court, right: Trace, demander: Account, count: int):
    for _ in range(count):
        court.demand(court.claim(right.root), demander)
    assert court.vault.held(demander, court.proof) == count * FEE
