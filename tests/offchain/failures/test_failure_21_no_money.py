"""Failure 21: the money for gas runs out: below the reserve only what may not wait is sent."""

import pytest

from headrace.chain.fees import GWEI, Fees, Kind
from headrace.chain.outbox import Deferred
from headrace.daemon.actions import Action, Performer
from tests.offchain.chain.till import OTHER, Bench

RESERVE = 10**16


def kind_of(what: str) -> Kind:
    return Kind(gas_ceiling=500_000, is_safety=what == "FaucetToken.approve")


@pytest.fixture
def sender(bench: Bench):
    fees = Fees.unattended(200 * GWEI, kind_of, reserve=RESERVE, daily_budget=10**18)
    return bench.start(fees=fees, is_unattended=True)


def have(bench: Bench, wei: int) -> None:
    bench.anvil.rpc("anvil_setBalance", bench.key.address, hex(wei))


def test_failure_21_ordinary_actions_stop_at_the_reserve_and_safety_goes_on(bench, sender):
    have(bench, RESERVE + 10**14)
    with pytest.raises(Deferred, match="near its reserve of 10000000000000000 wei"):
        sender.submit("match", bench.token.drip(1))
    assert sender.submit("prove", bench.token.approve(OTHER, 1)).is_safety
    bench.mine()
    sender.settle()
    have(bench, RESERVE + 10**16)
    assert sender.submit("match", bench.token.drip(1))


def test_failure_21_money_that_is_spoken_for_is_not_spent_twice(bench, sender):
    one = sender.submit("prove:0", bench.token.approve(OTHER, 1))
    cost = one.gas * sender._outbox.attempts(one.id)[0].max_fee
    # Enough for five at their worst, and the first is under way.
    have(bench, 5 * cost + cost // 2)
    for number in range(1, 5):
        sender.submit(f"prove:{number}", bench.token.approve(OTHER, number))
    with pytest.raises(Deferred, match="not enough money for gas"):
        sender.submit("prove:5", bench.token.approve(OTHER, 5))
    bench.mine()
    sender.settle()
    # All that was signed could be paid for; they were cheaper than feared, which makes room.
    assert bench.nonce == 5
    assert sender.submit("prove:5", bench.token.approve(OTHER, 5)).nonce == 5


def test_failure_21_a_round_without_money_still_does_what_it_can(bench, sender, caplog):
    have(bench, RESERVE + 10**14)
    performer = Performer(sender, {"Token": bench.token, "FaucetToken": bench.token})
    actions = [Action(f"drip:{n}", "Token", "drip", (1,)) for n in range(3)] + [
        Action("approve", "FaucetToken", "approve", (OTHER, 1), deadline=2**40)
    ]
    performed = performer.perform(actions, now=1)
    assert [tx.action for tx in performed.sent] == ["approve"]
    assert set(performed.deferred) == {"drip:0", "drip:1", "drip:2"}
    assert all("reserve" in why for why in performed.deferred.values())
    assert [r.message for r in caplog.records if r.levelname == "WARNING"] == ["waits"]
    have(bench, 10**20)
    assert len(performer.perform(actions, now=2).sent) == 4


def test_failure_21_a_move_that_is_too_dear_holds_up_no_cheaper_one(bench, sender):
    """As one that needs ten times the gas: it is due first, and the others can be paid."""
    cheap = sender.submit("probe", bench.token.approve(OTHER, 9))
    cost = cheap.gas * sender._outbox.attempts(cheap.id)[0].max_fee
    bench.mine()
    sender.settle()
    have(bench, 4 * cost)
    performer = Performer(sender, {"FaucetToken": bench.token})
    dear = Action("dear", "FaucetToken", "approve", (OTHER, 1), gas=10 * cheap.gas, deadline=1000)
    others = [
        Action(f"cheap:{n}", "FaucetToken", "approve", (OTHER, n), deadline=2**40) for n in (1, 2)
    ]
    for now in (1, 2):
        performed = performer.perform([*others, dear], now=now)
        assert [tx.action for tx in performed.sent] == ["cheap:1", "cheap:2"]
        assert "not enough money" in performed.deferred["dear"]
    bench.mine()
    assert sender.settle()
    assert [tx.nonce for tx in performed.sent] == [1, 2]


def test_failure_21_a_node_that_says_so_is_believed(bench, sender):
    have(bench, 0)
    with pytest.raises(Deferred, match="not enough money for gas"):
        sender.submit("prove", bench.token.approve(OTHER, 1))
    assert sender._outbox.of_action("prove") is None
