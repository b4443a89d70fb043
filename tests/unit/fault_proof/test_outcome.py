"""`outcome` and the hooks that JobEscrow never calls."""

from headrace.graph.trace import Trace
from tests.harness import ZERO_ADDRESS, Account, Chain, reverts
from tests.unit.fault_proof.court import FOLLOW, REPLY, WINDOW, Claim, Court, prove, settings

PENDING, STANDS, FALLS = 1, 2, 4


def test_undisputed_stands_after_its_window(court: Court):
    outcome = court.proof.outcome(b"\x01" * 32, 1_000, settings(window=77))
    assert outcome == (STANDS, 1_077, ZERO_ADDRESS, [])


def test_demanded_is_pending_until_due_then_falls(
    chain: Chain, court: Court, honest: Claim, demander: Account
):
    due = court.demand(honest, demander).timestamp + REPLY
    pending = (PENDING, 0, ZERO_ADDRESS, [])
    chain.travel(due - chain.now())
    assert court.proof.outcome(honest.claim_id, honest.at, settings()) == pending
    chain.travel(1)
    falls = (FALLS, 0, demander.address, [])
    assert court.proof.outcome(honest.claim_id, honest.at, settings()) == falls


def test_published_stands_after_the_longest_delay(
    court: Court, right: Trace, honest: Claim, demander: Account
):
    court.demand(honest, demander)
    court.proof.publish_trace(honest.ref, right.to_bytes())
    outcome = court.proof.outcome(honest.claim_id, honest.at, settings())
    assert outcome == (STANDS, honest.at + WINDOW + REPLY + FOLLOW, ZERO_ADDRESS, [])


def test_refuted_falls_for_good(
    chain: Chain, court: Court, right: Trace, prover: Account, demander: Account
):
    lie = right.replace(0, 1, 2, right.rows[0][1][2] ^ 1)
    claim = court.claim(lie.root)
    court.demand(claim, demander)
    prove(court, claim, court.builder(lie).first(right), sender=prover)
    falls = (FALLS, 0, prover.address, [])
    assert court.proof.outcome(claim.claim_id, claim.at, settings()) == falls
    court.proof.settle_demand(claim.job_id, claim.record, 1)
    chain.travel(100_000)
    assert court.proof.outcome(claim.claim_id, claim.at, settings()) == falls


def test_has_no_hooks(court: Court):
    with reverts("proof: has no hooks"):
        court.proof.on_match(bytes(32), bytes(32), bytes(32), 1, settings())
    with reverts("proof: has no hooks"):
        court.proof.on_claim(bytes(32), bytes(32))
