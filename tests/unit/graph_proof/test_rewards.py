"""Commitments to faults: who found one first is paid, and nobody else can do anything with them."""

import pytest

from headrace.graph2.faults import Proof
from headrace.graph2.trace import Trace
from tests.harness import Account, Chain, reverts
from tests.unit.graph_proof.court import (
    CONTESTED,
    FALLS,
    PENDING,
    SALT,
    STANDS,
    Claim,
    Court,
    lie,
    settings,
)

BLOCKS = 20


@pytest.fixture
def proof(court: Court, false: Claim, right: Trace) -> Proof:
    """The proof of the false claim's fault."""
    return court.fault(false, right).proof


@pytest.fixture
def thief(chain: Chain) -> Account:
    """Who copies other people's proofs."""
    return chain.accounts[9]


def test_a_commitment(court: Court, false: Claim, proof: Proof, prover: Account, thief: Account):
    digest = court.digest(false, proof, prover)
    receipt = court.commit(false, proof, prover)
    assert receipt.only("FaultCommitted") == (false.claim_id, digest, 1)
    kept = (1, receipt.block_number)
    assert tuple(court.proof.commitment_of(false.claim_id, digest)) == kept
    assert court.commit(false, proof, thief).only("FaultCommitted").number == 2
    assert court.escrow.job(false.job_id).state == CONTESTED
    with reverts("game: already committed"):
        court.commit(false, proof, prover)


def test_a_copied_digest_is_worth_nothing(
    court: Court, false: Claim, proof: Proof, prover: Account, thief: Account
):
    """Whoever sends somebody's digest first has done that one a favour, and only on that claim."""
    digest = court.digest(false, proof, prover)
    other = court.claim(false.trace)
    court.proof.commit_fault(other.ref, digest, sender=thief)
    court.proof.commit_fault(false.ref, digest, sender=thief)
    with reverts("game: not committed"):
        court.proof.claim_reward(false.ref, proof, SALT, sender=thief)
    receipt = court.proof.claim_reward(false.ref, proof, SALT, sender=prover)
    assert receipt.only("RefuteCalled").refuter == prover.address


def test_the_first_is_paid_at_once(court: Court, false: Claim, proof: Proof, prover: Account):
    court.commit(false, proof, prover)
    receipt = court.proof.claim_reward(false.ref, proof, SALT, sender=prover)
    assert receipt.only("RefuteCalled") == (false.job_id, prover.address)
    assert court.proof.case_of(false.claim_id).status == 2
    with reverts("mock: no claim"):
        court.proof.claim_reward(false.ref, proof, SALT, sender=prover)


def test_a_copied_proof_takes_nothing(
    court: Court, false: Claim, proof: Proof, prover: Account, thief: Account
):
    court.commit(false, proof, prover)
    court.proof.prove(false.ref, proof, sender=thief)
    assert court.outcome(false).verdict == PENDING
    receipt = court.proof.claim_reward(false.ref, proof, SALT, sender=prover)
    assert receipt.only("RefuteCalled").refuter == prover.address


def test_a_proof_of_another_place_takes_nothing(court: Court, right: Trace, chain: Chain):
    prover, thief = chain.accounts[3], chain.accounts[9]
    claim = court.claim(lie(lie(right, row=5), row=6))
    mine = court.builder(claim).prove_at(1, 5, 7)
    other = court.builder(claim).prove_at(1, 6, 7)
    court.commit(claim, mine, prover)
    court.proof.prove(claim.ref, other, sender=thief)
    receipt = court.proof.claim_reward(claim.ref, mine, SALT, sender=prover)
    assert receipt.only("RefuteCalled").refuter == prover.address


def test_a_later_commitment_only_until_an_earlier_one_comes(
    court: Court, false: Claim, proof: Proof, prover: Account, thief: Account, chain: Chain
):
    first, second, third = chain.accounts[6:9]
    for who in (first, second, third):
        court.commit(false, proof, who)
    court.proof.prove(false.ref, proof, sender=thief)
    court.proof.claim_reward(false.ref, proof, SALT, sender=third)
    assert court.proof.case_of(false.claim_id)[4] == third.address
    court.proof.claim_reward(false.ref, proof, SALT, sender=second)
    with reverts("graph: somebody was earlier"):
        court.proof.claim_reward(false.ref, proof, SALT, sender=third)
    with reverts("graph: somebody was earlier"):
        court.proof.claim_reward(false.ref, proof, SALT, sender=second)
    assert court.proof.case_of(false.claim_id)[4] == second.address
    receipt = court.proof.claim_reward(false.ref, proof, SALT, sender=first)
    assert receipt.only("RefuteCalled").refuter == first.address


def test_commitments_of_the_same_block_as_the_proof_are_too_late(
    court: Court, false: Claim, proof: Proof, prover: Account, thief: Account
):
    court.commit(false, proof, prover)
    chain = court.chain
    calls = [
        ("commit_fault", (false.ref, court.digest(false, proof, thief)), thief),
        ("prove", (false.ref, proof), chain.accounts[8]),
    ]
    for name, args, sender in calls:
        data = court.proof.encode(name, *args)
        request = chain.request(sender, court.proof.address, data)
        chain.rpc("eth_sendTransaction", request)
    chain.mine()
    assert court.proof.case_of(false.claim_id)[0::5] == (1, 2)
    with reverts("game: committed too late"):
        court.proof.claim_reward(false.ref, proof, SALT, sender=thief)


def test_nobody_commits_to_what_is_proven(
    court: Court, false: Claim, proof: Proof, prover: Account, thief: Account
):
    court.commit(false, proof, prover)
    court.proof.prove(false.ref, proof)
    with reverts("graph: too late to commit"):
        court.commit(false, proof, thief)


def test_junk_keeps_the_reward_open_for_twenty_blocks(
    court: Court, false: Claim, proof: Proof, prover: Account, thief: Account, chain: Chain
):
    court.proof.commit_fault(false.ref, b"\x01" * 32, sender=thief)
    proven = court.proof.prove(false.ref, proof, sender=prover).block_number
    chain.mine(BLOCKS)
    assert chain.block_number() == proven + BLOCKS
    # A view is asked as if in the latest block.
    assert court.outcome(false).verdict == PENDING
    chain.mine()
    outcome = court.outcome(false)
    assert (outcome.verdict, outcome.refuter) == (FALLS, prover.address)


@pytest.mark.parametrize("late", [0, 1])
def test_the_reward_is_open_for_twenty_blocks(
    court: Court, false: Claim, proof: Proof, prover: Account, thief: Account, late: int
):
    court.commit(false, proof, prover)
    proven = court.proof.prove(false.ref, proof, sender=thief).block_number
    court.chain.mine(BLOCKS - 1 + late)
    if late:
        with reverts("graph: reward is settled"):
            court.proof.claim_reward(false.ref, proof, SALT, sender=prover)
        assert court.outcome(false).refuter == thief.address
    else:
        receipt = court.proof.claim_reward(false.ref, proof, SALT, sender=prover)
        assert receipt.block_number == proven + BLOCKS
        assert receipt.only("RefuteCalled").refuter == prover.address


def test_a_better_commitment_does_not_keep_it_open_longer(
    court: Court, false: Claim, proof: Proof, prover: Account, thief: Account, chain: Chain
):
    first, second = chain.accounts[6:8]
    for who in (first, second):
        court.commit(false, proof, who)
    proven = court.proof.prove(false.ref, proof, sender=thief).block_number
    chain.mine(BLOCKS - 2)
    receipt = court.proof.claim_reward(false.ref, proof, SALT, sender=second)
    assert receipt.only("RewardOpen") == (false.claim_id, proven + BLOCKS)
    chain.mine()
    with reverts("graph: reward is settled"):
        court.proof.claim_reward(false.ref, proof, SALT, sender=first)
    assert court.outcome(false)[0::2] == (FALLS, second.address)


def test_and_never_past_the_longest_delay(
    court: Court, false: Claim, proof: Proof, prover: Account, thief: Account, chain: Chain
):
    court.commit(false, proof, prover)
    court.proof.prove(false.ref, proof, sender=thief)
    end = false.edge(court.model.levels)
    call = court.proof.simulate.claim_reward
    call(false.ref, proof, SALT, sender=prover, timestamp=end)
    with reverts("graph: reward is settled"):
        call(false.ref, proof, SALT, sender=prover, timestamp=end + 1)
    assert court.outcome(false, timestamp=end).verdict == PENDING
    assert court.outcome(false, timestamp=end + 1).verdict == FALLS


def test_in_the_window_only(court: Court, false: Claim, proof: Proof, prover: Account):
    edge, chain = false.edge(), court.chain
    with chain.isolated(), reverts("graph: window for it is over"):
        court.commit(false, proof, prover, timestamp=edge + 1)
    court.commit(false, proof, prover, timestamp=edge)


def test_a_commitment_of_the_last_second_can_be_opened(
    court: Court, false: Claim, proof: Proof, prover: Account, chain: Chain
):
    made = court.commit(false, proof, prover, timestamp=false.edge())
    assert court.outcome(false, timestamp=false.edge() + 1).verdict == PENDING
    with chain.isolated():
        chain.mine(BLOCKS)
        with reverts("graph: too late for a reward"):
            court.proof.claim_reward(false.ref, proof, SALT, sender=prover)
        with reverts("graph: too late"):
            court.proof.prove(false.ref, proof, sender=prover)
    chain.mine(BLOCKS - 1)
    receipt = court.proof.claim_reward(false.ref, proof, SALT, sender=prover)
    assert receipt.block_number == made.block_number + BLOCKS


def test_an_honest_claim_waits_twenty_blocks_at_most(
    court: Court, honest: Claim, thief: Account, chain: Chain
):
    court.proof.commit_fault(honest.ref, b"\x01" * 32, sender=thief, timestamp=honest.edge())
    with reverts("graph: window for it is over"):
        court.proof.commit_fault(honest.ref, b"\x02" * 32, sender=thief)
    chain.mine(BLOCKS + 1)
    outcome = court.outcome(honest)
    assert (outcome.verdict, outcome.not_before) == (STANDS, honest.edge())


def test_and_never_longer_than_d(court: Court, right: Trace, thief: Account, chain: Chain):
    """With settings that leave fewer seconds than blocks, time decides."""
    claim = court.claim(right, config=settings(window=10, reply=5, follow=5))
    court.proof.commit_fault(claim.ref, b"\x01" * 32, sender=thief, timestamp=claim.at + 10)
    end = claim.at + 10 + court.model.levels * 10
    assert court.outcome(claim, timestamp=end).verdict == PENDING
    assert court.outcome(claim, timestamp=end + 1).verdict == STANDS


def test_a_reward_wants_a_fault(court: Court, false: Claim, prover: Account):
    proof = court.builder(false).prove_at(0, 0, 0)
    court.commit(false, proof, prover)
    with reverts("graph: no fault to pay for"):
        court.proof.claim_reward(false.ref, proof, SALT, sender=prover)


@pytest.mark.parametrize("field", ["row", "column", "index"])
def test_the_digest_names_the_place(
    court: Court, false: Claim, proof: Proof, prover: Account, field: str
):
    court.commit(false, proof._replace(**{field: 2}), prover)
    with reverts("game: not committed"):
        court.proof.claim_reward(false.ref, proof, SALT, sender=prover)


def test_the_salt_is_needed(court: Court, false: Claim, proof: Proof, prover: Account):
    court.commit(false, proof, prover)
    with reverts("game: not committed"):
        court.proof.claim_reward(false.ref, proof, bytes(32), sender=prover)


def test_while_it_falls_nothing_else_moves(
    court: Court, false: Claim, proof: Proof, prover: Account, demander: Account
):
    court.open(false, demander)
    court.commit(false, proof, prover)
    court.proof.prove(false.ref, proof)
    with reverts("game: nothing to answer for"):
        court.answer(false, false.root)
    with reverts("game: claim is refuted"):
        court.silence(false, false.root)
    with reverts("game: claim is open"):
        court.settle(false, false.root, demander, demander)


def test_a_paid_reward_is_paid(court: Court, false: Claim, proof: Proof, prover: Account):
    court.escrow.set_stubborn(True)
    court.commit(false, proof, prover)
    court.proof.claim_reward(false.ref, proof, SALT, sender=prover)
    with reverts("graph: reward is paid"):
        court.proof.claim_reward(false.ref, proof, SALT, sender=prover)
