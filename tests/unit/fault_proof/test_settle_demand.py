import pytest

from headrace.graph.trace import Trace
from tests.harness import Account, Chain, reverts
from tests.unit.fault_proof.court import (
    CLAIMED,
    CONTESTED,
    EXPIRED,
    FEE,
    FINAL,
    REPLY,
    Claim,
    Court,
    prove,
)

OPEN, MATCHED, CANCELLED = 1, 2, 7


def settle(court: Court, claim: Claim, **options):
    """Settle the claim's demand."""
    return court.proof.settle_demand(claim.job_id, claim.record, claim.attempt, **options)


def assert_settled_once(court: Court, claim: Claim, demander: Account, payee: Account) -> None:
    """The fee goes to the payee, whoever asks, and only once."""
    before = court.vault.free(payee)
    receipt = settle(court, claim, sender=court.chain.accounts[8])
    assert receipt.only("DemandSettled") == (claim.claim_id, payee.address, FEE)
    assert court.vault.free(payee) == before + FEE
    assert court.vault.held(demander, court.proof) == 0
    assert court.proof.dispute_of(claim.claim_id).status == 4
    with reverts("dispute: already settled"):
        settle(court, claim)


@pytest.fixture
def published(
    court: Court, right: Trace, honest: Claim, demander: Account, publisher: Account
) -> Claim:
    """A right claim whose trace was demanded and published."""
    court.demand(honest, demander)
    court.proof.publish_trace(honest.ref, right.to_bytes(), sender=publisher)
    return honest


def test_final_pays_the_publisher(
    court: Court, published: Claim, demander: Account, publisher: Account
):
    court.escrow.set_job(published.job_id, FINAL, 1)
    assert_settled_once(court, published, demander, publisher)
    dispute = court.proof.dispute_of(published.claim_id)
    assert (dispute.party, dispute.publisher) == (demander.address, publisher.address)


def test_voided_pays_the_publisher(
    court: Court, published: Claim, demander: Account, publisher: Account
):
    court.escrow.set_job(published.job_id, EXPIRED, 1)
    assert_settled_once(court, published, demander, publisher)


def test_who_publishes_on_its_own_demand_gets_its_fee_back(
    court: Court, right: Trace, honest: Claim, demander: Account
):
    court.demand(honest, demander)
    court.proof.publish_trace(honest.ref, right.to_bytes(), sender=demander)
    court.escrow.set_job(honest.job_id, FINAL, 1)
    assert_settled_once(court, honest, demander, demander)


def test_voided_without_an_answer_gives_it_back(court: Court, honest: Claim, demander: Account):
    court.demand(honest, demander)
    court.escrow.set_job(honest.job_id, EXPIRED, 1)
    assert_settled_once(court, honest, demander, demander)


@pytest.mark.parametrize("is_published", [False, True])
def test_refuted_by_proof_gives_it_back(
    court: Court,
    right: Trace,
    demander: Account,
    publisher: Account,
    prover: Account,
    is_published: bool,
):
    lie = right.replace(1, 0, 1, right.rows[1][0][1] ^ 1)
    claim = court.claim(lie.root)
    court.demand(claim, demander)
    if is_published:
        court.proof.publish_trace(claim.ref, lie.to_bytes(), sender=publisher)
    fault = court.builder(lie).first(right)
    assert fault is not None
    prove(court, claim, fault, sender=prover)
    assert court.proof.dispute_of(claim.claim_id).party == prover.address
    assert_settled_once(court, claim, demander, demander)


def test_refuted_by_silence_gives_it_back(chain: Chain, court: Court, demander: Account):
    claim = court.claim(b"\x99" * 32)
    court.demand(claim, demander)
    chain.travel(REPLY + 1)
    court.proof.silence(claim.ref)
    assert_settled_once(court, claim, demander, demander)


@pytest.mark.parametrize("state", [CLAIMED, CONTESTED])
def test_not_while_the_claim_is_open(court: Court, published: Claim, state: int):
    court.escrow.set_job(published.job_id, state, 1)
    with reverts("proof: claim is open"):
        settle(court, published)


@pytest.mark.parametrize("state", [OPEN, MATCHED, CLAIMED, CONTESTED, FINAL, EXPIRED, CANCELLED])
def test_a_later_attempt_does_not_hold_it_up(
    court: Court, published: Claim, demander: Account, publisher: Account, state: int
):
    court.escrow.set_job(published.job_id, state, 2)
    assert_settled_once(court, published, demander, publisher)


def test_only_what_was_demanded(
    court: Court, right: Trace, honest: Claim, published: Claim, prover: Account
):
    court.escrow.set_job(published.job_id, FINAL, 1)
    none = "dispute: no demand"
    with reverts(none):
        court.proof.settle_demand(published.job_id, published.record, 2)
    with reverts(none):
        court.proof.settle_demand(b"\x01" * 32, published.record, 1)
    record = list(published.record)
    record[1] ^= 1 << 96
    with reverts(none):
        court.proof.settle_demand(published.job_id, tuple(record), 1)
    # A bare proof left a verdict, but no fee.
    lie = right.replace(1, 0, 1, right.rows[1][0][1] ^ 1)
    claim = court.claim(lie.root)
    fault = court.builder(lie).first(right)
    assert fault is not None
    prove(court, claim, fault, sender=prover)
    with reverts(none):
        settle(court, claim)


def test_every_fee_has_an_exit(chain: Chain, court: Court, right: Trace, demander: Account):
    """Demands that end in every way at once: nothing is left, nothing is lost."""
    publisher = chain.accounts[5]
    lie = right.replace(1, 0, 1, right.rows[1][0][1] ^ 1)
    claims = [court.claim(right.root) for _ in range(2)] + [
        court.claim(lie.root),
        court.claim(b"\x98" * 32),
        court.claim(b"\x99" * 32),
    ]
    for claim in claims:
        court.demand(claim, demander)
    for claim in claims[:2]:
        court.proof.publish_trace(claim.ref, right.to_bytes(), sender=publisher)
    fault = court.builder(lie).first(right)
    assert fault is not None
    prove(court, claims[2], fault)
    chain.travel(REPLY + 1)
    court.proof.silence(claims[3].ref)
    for claim, state in ((claims[0], FINAL), (claims[1], EXPIRED), (claims[4], EXPIRED)):
        court.escrow.set_job(claim.job_id, state, 1)
    assert court.vault.held(demander, court.proof) == 5 * FEE
    for claim in reversed(claims):
        settle(court, claim)
    assert court.vault.held(demander, court.proof) == 0
    assert (court.vault.free(demander), court.vault.free(publisher)) == (3 * FEE, 2 * FEE)
