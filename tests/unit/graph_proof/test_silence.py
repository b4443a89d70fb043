import pytest

from headrace.graph2.trace import Trace
from tests.harness import Account, Chain, reverts
from tests.unit.graph_proof.court import REFUTED, REPLY, Claim, Court, lie


def test_convicts_and_pays_the_demander(
    court: Court, honest: Claim, demander: Account, chain: Chain
):
    due = court.open(honest, demander).only("NodeDemanded").due
    receipt = court.silence(honest, honest.root, sender=chain.accounts[8], timestamp=due + 1)
    event = receipt.only("FaultProven")
    assert event == (honest.claim_id, demander.address, 6, 3, 0, 0, 0, 0)
    assert receipt.only("RefuteCalled") == (honest.job_id, demander.address)
    assert court.escrow.job(honest.job_id).state == REFUTED
    assert court.proof.case_of(honest.claim_id)[0] == 2


def test_from_the_second_after_due(chain: Chain, court: Court, honest: Claim, demander: Account):
    due = court.open(honest, demander).only("NodeDemanded").due
    with chain.isolated(), reverts("game: reply is running"):
        court.silence(honest, honest.root, timestamp=due)
    court.silence(honest, honest.root, timestamp=due + 1)


def test_pays_who_asked_for_that_node(court: Court, false: Claim, demander: Account, chain: Chain):
    """A liar's friend who asked first, or last, takes nothing from who found the silence."""
    friend = chain.accounts[9]
    court.open(false, friend)
    court.answer(false, false.root)
    court.demand(false, false.root, 1, demander)
    court.demand(false, false.root, 2, friend)
    node = false.shape.child(false.root, 1)
    due = court.proof.demand_of(false.claim_id, false.node(node)).due
    receipt = court.silence(false, node, sender=friend, timestamp=due + 1)
    assert receipt.only("RefuteCalled").refuter == demander.address


def test_only_an_open_demand(court: Court, honest: Claim, demander: Account, chain: Chain):
    with reverts("game: not the case"):
        court.silence(honest, honest.root)
    court.open(honest, demander)
    court.answer(honest, honest.root)
    chain.travel(REPLY + 1)
    with reverts("game: no demand to call out"):
        court.silence(honest, honest.root)
    with reverts("game: no demand to call out"):
        court.silence(honest, honest.shape.child(honest.root, 0))


def test_once(court: Court, honest: Claim, demander: Account):
    due = court.open(honest, demander).only("NodeDemanded").due
    court.silence(honest, honest.root, timestamp=due + 1)
    with reverts("game: claim is refuted"):
        court.silence(honest, honest.root)


def test_a_forged_case_or_record(court: Court, honest: Claim, demander: Account):
    due = court.open(honest, demander).only("NodeDemanded").due
    node = honest.node(honest.root)
    for change in ({"job_id": bytes(32)}, {"settings": 0}, {"commitment": bytes(32)}):
        with reverts("game: not the case"):
            court.proof.silence(honest.case._replace(**change), node, honest.record)
    # The escrow knows no such claim, so it has no verdict to carry out.
    with reverts("mock: verdict is not FALLS"):
        court.proof.silence(honest.case, node, (1, *honest.record[1:]), timestamp=due + 1)


def test_however_late(court: Court, honest: Claim, demander: Account):
    due = court.open(honest, demander).only("NodeDemanded").due
    court.silence(honest, honest.root, timestamp=due + 1_000_000)


@pytest.mark.parametrize("kind", ["silence", "proof"])
def test_proof_and_silence_do_not_both_count(
    court: Court, right: Trace, demander: Account, prover: Account, kind: str
):
    claim = court.claim(lie(right))
    due = court.open(claim, demander).only("NodeDemanded").due
    proof = court.fault(claim, right).proof
    if kind == "silence":
        court.silence(claim, claim.root, timestamp=due + 1)
        with reverts("mock: no claim"):
            court.proof.prove(claim.ref, proof, sender=prover)
    else:
        court.proof.prove(claim.ref, proof, sender=prover)
        with reverts("game: claim is refuted"):
            court.silence(claim, claim.root, timestamp=due + 1)
    assert court.escrow.refuted() == 1
