"""A round in which one move is answered oddly, with a real key: no nonce is skipped or reused."""

from typing import Any

import pytest

from headrace.chain.rpc import NodeError
from headrace.daemon.actions import Action, Performed, Performer
from headrace.errors import HeadraceError, RetryLater, Unreachable
from tests.offchain.chain.till import OTHER, Bench

ACTIONS = [Action(f"a:{n}", "FaucetToken", "approve", (OTHER, n), deadline=n) for n in (5, 6, 7)]


def perform(bench: Bench, sender: Any) -> Performed:
    told: list[Performed] = []
    with pytest.raises(HeadraceError):
        Performer(sender, {"FaucetToken": bench.token}).perform(ACTIONS, 1, after=told.append)
    return told[0]


def settle(bench: Bench, sender: Any) -> None:
    """All of them are made, each once, with the nonces that follow each other."""
    Performer(sender, {"FaucetToken": bench.token}).perform(ACTIONS, 2)
    bench.mine()
    sender.settle()
    bench.mine(3)
    assert {tx.state for tx in sender.settle()} <= {"done"}
    rows = sender._outbox._db.read("SELECT action, nonce, state FROM tx ORDER BY nonce")
    assert [nonce for _, nonce, _ in rows] == [0, 1, 2]
    assert sorted(action for action, _, _ in rows) == ["a:5", "a:6", "a:7"]
    assert {state for _, _, state in rows} == {"done"}
    assert bench.nonce == 3
    assert len(sender._outbox._db.read("SELECT hash FROM attempt")) == 3


def test_a_signer_that_refuses_one_leaves_no_gap(bench: Bench, monkeypatch):
    sender = bench.start(is_unattended=True)
    sign, asked = bench.key.sign_transaction, []

    def picky(fields: dict[str, Any]) -> tuple[bytes, bytes]:
        asked.append(fields["nonce"])
        if len(asked) == 2:
            raise RetryLater("the signer refuses")
        return sign(fields)

    monkeypatch.setattr(type(bench.key), "sign_transaction", lambda key, fields: picky(fields))
    performed = perform(bench, sender)
    assert [(tx.action, tx.nonce) for tx in performed.sent] == [("a:5", 0), ("a:7", 1)]
    assert asked == [0, 1, 1]
    settle(bench, sender)


@pytest.mark.parametrize("error", [NodeError, RetryLater])
def test_a_node_that_answers_one_oddly_leaves_no_gap(bench: Bench, monkeypatch, error):
    sender = bench.start(is_unattended=True)
    outcomes = bench.rpc.outcomes
    rounds: list[int] = []

    def odd(calls: Any) -> list[Any]:
        found = outcomes(calls)
        if calls and calls[0][0] == "eth_call":
            rounds.append(1)
            if len(rounds) == 1:
                found[1] = error(-32000, "odd") if error is NodeError else error("odd")
        return found

    monkeypatch.setattr(bench.rpc, "outcomes", odd)
    performed = perform(bench, sender)
    assert [(tx.action, tx.nonce) for tx in performed.sent] == [("a:6", 0), ("a:7", 1)]
    settle(bench, sender)


def test_bytes_that_the_node_did_not_get_are_sent_later_and_nothing_is_signed_again(bench: Bench):
    sender = bench.start(is_unattended=True)
    bench.rpc.cut = ("before", "eth_sendRawTransaction", Unreachable)
    performed = Performer(sender, {"FaucetToken": bench.token}).perform(ACTIONS, 1)
    assert [tx.nonce for tx in performed.sent] == [0, 1, 2]
    sender.settle()
    settle(bench, sender)
