"""Failure 15: fees rise above what was offered: the offer follows to its cap, and then it holds."""

import logging
from itertools import pairwise

import pytest

from headrace.chain.fees import GWEI, Fees, Kind
from tests.offchain.chain.till import OTHER, Bench

CAP = 100 * GWEI


def kind_of(what: str) -> Kind:
    return Kind(gas_ceiling=500_000, is_safety=what == "FaucetToken.approve")


@pytest.fixture
def fees() -> Fees:
    return Fees.unattended(CAP, kind_of, reserve=0, daily_budget=10**18)


def spike(bench: Bench, wei: int, blocks: int = 1) -> None:
    for _ in range(blocks):
        bench.base_fee(wei)
        bench.mine()


def offers(sender, action):
    return sender._outbox.attempts(sender._outbox.of_action(action).id)


def test_failure_15_the_offer_follows_holds_at_its_cap_and_gets_in_afterwards(bench, fees, caplog):
    sender = bench.start(fees=fees, is_unattended=True)
    deadline = bench.rpc.head().timestamp + 100
    sender.submit("match", bench.token.drip(5), deadline=deadline)
    sender.submit("prove", bench.token.approve(OTHER, 5), deadline=deadline)
    # First to where both caps reach, then to where only safety does, then above both.
    spike(bench, 20 * GWEI)
    sender.settle()
    assert offers(sender, "match")[-1].max_fee > 40 * GWEI
    spike(bench, 70 * GWEI)
    with caplog.at_level(logging.INFO):
        sender.settle()
        assert offers(sender, "match")[-1].max_fee <= CAP // 2
        assert 70 * GWEI < offers(sender, "prove")[-1].max_fee <= CAP
        held = [len(offers(sender, action)) for action in ("match", "prove")]
        for _ in range(10):
            spike(bench, 120 * GWEI)
            sender.settle()
        assert [len(offers(sender, action)) for action in ("match", "prove")] == held
    at_risk = {r.action for r in caplog.records if r.message == "deadline at risk"}
    assert at_risk == {"match", "prove"}
    assert bench.nonce == 0
    for action in ("match", "prove"):
        for before, after in pairwise(offers(sender, action)):
            assert after.max_fee * 8 >= before.max_fee * 9
            assert after.priority_fee * 8 >= before.priority_fee * 9
    for _ in range(6):
        spike(bench, GWEI)
        sender.settle()
    assert (bench.balance, bench.nonce) == (5, 2)
    assert {sender._outbox.of_action(a).state for a in ("match", "prove")} == {"done"}


def test_failure_15_a_stuck_one_is_raised_every_few_blocks_but_never_beyond_its_cap(bench, fees):
    sender = bench.start(fees=fees, is_unattended=True)
    sender._broadcaster.send = lambda tx, attempt, block: None  # no node hears of it
    sender.submit("match", bench.token.drip(5))
    for _ in range(300):
        bench.mine()
        sender.settle()
    raised = offers(sender, "match")
    assert 20 < len(raised) <= 30
    assert raised[-1].max_fee <= CAP // 2 < raised[-1].max_fee * 9 // 8 + 1
    blocks = [attempt.made_at_block for attempt in raised]
    assert all(b - a >= fees.stuck_blocks for a, b in pairwise(blocks))
