import pytest

from headrace.graph2.trace import Trace
from tests.harness import Account, Chain, reverts
from tests.unit.graph_proof.court import (
    CONTESTED,
    FEE,
    REPLY,
    WINDOW,
    Claim,
    Court,
    settings,
    small_model,
)


def test_opens_a_case(court: Court, honest: Claim, demander: Account):
    court.fund(demander, 7)
    receipt = court.open(honest, demander)
    due = receipt.timestamp + REPLY
    assert receipt.only("CaseOpened") == (honest.claim_id, honest.case)
    node = honest.node(honest.root)
    assert node == (0, 3, 0, 1, 3, 0, honest.commitment)
    event = receipt.only("NodeDemanded")
    assert event == (honest.claim_id, demander.address, node, due)
    assert court.proof.case_of(honest.claim_id) == (0, 1, 1, due, demander.address, 0)
    assert court.proof.demand_of(honest.claim_id, node) == (1, due, demander.address)
    assert court.vault.free(demander) == 7
    assert court.vault.held(demander, court.proof) == FEE
    # JobEscrow knows that it has to ask.
    assert court.escrow.job(honest.job_id).state == CONTESTED


def test_until_the_window_ends(chain: Chain, court: Court, honest: Claim, demander: Account):
    edge = honest.edge()
    with chain.isolated(), reverts("graph: window is over"):
        court.open(honest, demander, timestamp=edge + 1)
    assert court.open(honest, demander, timestamp=edge).only("NodeDemanded").due == edge + REPLY


def test_times_are_the_jobs(court: Court, right: Trace, demander: Account, chain: Chain):
    claim = court.claim(right, config=settings(window=90, reply=99))
    edge = claim.at + 90
    with chain.isolated(), reverts("graph: window is over"):
        court.open(claim, demander, timestamp=edge + 1)
    assert court.open(claim, demander, timestamp=edge).only("NodeDemanded").due == edge + 99


def test_once_a_claim(court: Court, honest: Claim, demander: Account, chain: Chain):
    court.open(honest, demander)
    for state in ("demanded", "answered"):
        with reverts("game: already demanded"):
            court.open(honest, chain.accounts[6])
        if state == "demanded":
            court.answer(honest, honest.root)


def test_wants_the_fee(court: Court, honest: Claim, demander: Account):
    with reverts("mock: not enough free"):
        court.proof.open(honest.ref, *court.operator_of(honest, honest.root), sender=demander)
    assert court.proof.case_of(honest.claim_id).depth == 0


def test_a_model_of_one_operator_begins_at_its_tensor(court: Court, demander: Account):
    model = small_model(1)
    court.register(model)
    claim = court.claim(court.right(model))
    court.open(claim, demander)
    assert claim.node(claim.root) == (0, 0, 0, 2, 30, 512, claim.commitment)
    court.answer(claim, claim.root)


def test_a_model_of_one_operator_wants_it(court: Court, demander: Account):
    model = small_model(1)
    court.register(model)
    claim = court.claim(court.right(model))
    court.fund(demander)
    with reverts("game: not the model's operator"):
        court.proof.open(claim.ref, court.model.descriptors[1], [], sender=demander)


@pytest.mark.parametrize("is_waiting", [False, True])
def test_a_fallen_claim_takes_none(
    court: Court, false: Claim, right: Trace, demander: Account, prover: Account, is_waiting: bool
):
    proof = court.fault(false, right).proof
    if is_waiting:
        court.commit(false, proof, demander)
    court.proof.prove(false.ref, proof, sender=prover)
    with reverts("graph: too late to open" if is_waiting else "mock: no claim"):
        court.open(false, demander)


def test_only_claims_for_this_verifier(court: Court, right: Trace, demander: Account):
    claim = court.claim(right, verifier=court.escrow)
    with reverts("graph: not this verifier"):
        court.open(claim, demander)
    assert claim.edge() == claim.at + WINDOW


def test_only_claims_that_the_escrow_recognises(court: Court, honest: Claim, demander: Account):
    terms, record, _ = honest.ref
    court.fund(demander)
    with reverts("mock: unknown claim"):
        court.proof.open(
            (terms, record, b"\x01" * 32), *court.operator_of(honest, honest.root), sender=demander
        )
