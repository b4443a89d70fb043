import pytest

from headrace.graph2.trace import Trace
from tests.harness import Account, Chain, reverts
from tests.unit.graph_proof.court import CLAIMED, EXPIRED, FEE, FINAL, REFUTED, Claim, Court

PATH = (1, 3)


@pytest.fixture
def answered(court: Court, honest: Claim, demander: Account, answerer: Account) -> Claim:
    """A claim one of whose nodes was demanded and answered."""
    court.open(honest, demander)
    court.answer(honest, honest.root, sender=answerer)
    return honest


def test_final_pays_the_answerer(
    court: Court, answered: Claim, demander: Account, answerer: Account, chain: Chain
):
    court.escrow.set_job(answered.job_id, FINAL, 1)
    receipt = court.settle(answered, answered.root, demander, answerer, sender=chain.accounts[8])
    assert receipt.only("DemandSettled") == (answered.claim_id, answerer.address, FEE)
    assert court.vault.free(answerer) == FEE
    assert court.vault.held(demander, court.proof) == 0
    assert court.proof.demand_of(answered.claim_id, answered.node(answered.root))[0] == 3
    with reverts("game: no fee to settle"):
        court.settle(answered, answered.root, demander, answerer)


def test_who_answers_its_own_demand_gets_its_fee_back(
    court: Court, honest: Claim, demander: Account
):
    court.open(honest, demander)
    court.answer(honest, honest.root, sender=demander)
    court.escrow.set_job(honest.job_id, FINAL, 1)
    court.settle(honest, honest.root, demander, demander)
    assert court.vault.free(demander) == FEE


def test_refuted_by_proof_gives_it_back(
    court: Court, false: Claim, right: Trace, demander: Account, answerer: Account
):
    court.open(false, demander)
    court.answer(false, false.root, sender=answerer)
    court.demand(false, false.root, 1, demander)
    court.proof.prove(false.ref, court.fault(false, right).proof)
    court.settle(false, false.root, demander, answerer)
    court.settle(false, false.shape.child(false.root, 1), demander, answerer)
    assert court.vault.free(demander) == 2 * FEE
    assert court.vault.free(answerer) == 0


@pytest.mark.parametrize("is_called_out", [False, True])
def test_refuted_by_silence_gives_all_back(
    court: Court, false: Claim, demander: Account, answerer: Account, is_called_out: bool
):
    court.open(false, demander)
    court.answer(false, false.root, sender=answerer)
    due = court.demand(false, false.root, 1, demander).only("NodeDemanded").due
    silent = false.shape.child(false.root, 1)
    if is_called_out:
        court.silence(false, silent, timestamp=due + 1)
    else:
        # Through JobEscrow, which asked `outcome`.
        court.escrow.set_job(false.job_id, REFUTED, 1)
    court.settle(false, silent, demander, answerer)
    court.settle(false, false.root, demander, answerer)
    assert court.vault.free(demander) == 2 * FEE
    assert court.vault.held(demander, court.proof) == 0


def test_voided_pays_the_answerer(
    court: Court, answered: Claim, demander: Account, answerer: Account
):
    court.escrow.set_job(answered.job_id, EXPIRED, 1)
    court.settle(answered, answered.root, demander, answerer)
    assert court.vault.free(answerer) == FEE


def test_not_before_the_end(court: Court, answered: Claim, demander: Account, answerer: Account):
    with reverts("game: claim is open"):
        court.settle(answered, answered.root, demander, answerer)
    court.escrow.set_job(answered.job_id, CLAIMED, 1)
    with reverts("game: claim is open"):
        court.settle(answered, answered.root, demander, answerer)
    # A later attempt of the same job doesn't hold it up.
    court.escrow.set_job(answered.job_id, CLAIMED, 2)
    court.settle(answered, answered.root, demander, answerer)


def test_only_the_parties_there_were(
    court: Court, answered: Claim, demander: Account, answerer: Account, chain: Chain
):
    court.escrow.set_job(answered.job_id, FINAL, 1)
    friend = chain.accounts[9]
    for parties in ((demander, friend), (friend, answerer), (answerer, demander)):
        with reverts("game: wrong parties"):
            court.settle(answered, answered.root, *parties)


def test_only_what_was_demanded(
    court: Court, answered: Claim, demander: Account, answerer: Account
):
    court.escrow.set_job(answered.job_id, FINAL, 1)
    with reverts("game: no fee to settle"):
        court.settle(answered, answered.shape.child(answered.root, 0), demander, answerer)


def test_each_node_has_its_own_fee(
    court: Court, honest: Claim, demander: Account, answerer: Account, chain: Chain
):
    other = chain.accounts[6]
    path = honest.path(*PATH)
    court.open(honest, demander)
    court.answer(honest, path[0], sender=answerer)
    court.demand(honest, path[0], 1, other)
    court.answer(honest, path[1], sender=other)
    court.demand(honest, path[1], 0, demander)
    court.answer(honest, path[2], sender=answerer)
    court.demand(honest, path[2], 3, other)
    court.answer(honest, path[3], sender=answerer)
    court.escrow.set_job(honest.job_id, FINAL, 1)
    payers = (demander, other, demander, other)
    payees = (answerer, other, answerer, answerer)
    for node, payer, payee in zip(path, payers, payees, strict=True):
        court.settle(honest, node, payer, payee)
    assert court.vault.free(answerer) == 3 * FEE
    assert court.vault.free(other) == FEE
    assert court.vault.held(demander, court.proof) == court.vault.held(other, court.proof) == 0
