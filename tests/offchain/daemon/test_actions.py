"""Actions are made once; what is done already is no failure; what is refused is let be."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from headrace.chain.abi import BadAnswer, Call
from headrace.chain.contract import Contract
from headrace.chain.contracts import JobEscrow, Token
from headrace.chain.graph_rules import GraphProof
from headrace.chain.outbox import Deferred
from headrace.chain.outbox_rows import Tx
from headrace.chain.rpc import NodeError, Rpc, Throttled
from headrace.chain.rules import FaultProof
from headrace.daemon.actions import (
    DONE,
    FIRST_LAPSE,
    LONGEST_LAPSE,
    Action,
    Performed,
    Performer,
    by_urgency,
    under_way,
)
from headrace.errors import Rejected, RetryLater, Unreachable
from tests.harness import ROOT

CONTRACTS: dict[str, type[Contract]] = {
    "JobEscrow": JobEscrow,
    "FaultProof": FaultProof,
    "GraphProof": GraphProof,
}
DRIP = Action("drip:1", "Token", "drip", (5,))


@dataclass
class FakeSender:
    """Takes everything, unless `answer` raises."""

    answer: Callable[[str], None] = lambda action: None
    asked: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def submit(
        self, action: str, call: Call, *, gas: int | None = None, deadline: int | None = None
    ) -> Tx:
        self.asked.append(action)
        self.answer(action)
        self.calls.append(call)
        return Tx(
            *(len(self.asked), action, call.what, 0, call.to, call.data, 0, gas or 1, "open"),
            *("", None, None, None, 0),
        )


@pytest.fixture
def sender() -> FakeSender:
    return FakeSender()


@pytest.fixture
def performer(sender: FakeSender) -> Performer:
    token = Token(Rpc("http://127.0.0.1:1"), "0x" + "11" * 20)
    return Performer(sender, {"Token": token}, done={"Token.drip": frozenset({"token: enough"})})


def refusing(reason: str) -> Callable[[str], None]:
    def answer(action: str) -> None:
        raise Rejected(reason)

    return answer


def test_an_action_becomes_the_call_of_its_function(sender, performer):
    performed = performer.perform([replace(DRIP, gas=99)], now=0)
    assert sender.calls == [Token(Rpc("http://127.0.0.1:1"), "0x" + "11" * 20).drip(5)]
    assert [tx.gas for tx in performed.sent] == [99]
    assert under_way(performed.sent) == ("drip:1",)


def test_that_somebody_was_faster_is_no_failure(sender, performer, caplog):
    sender.answer = refusing("token: enough")
    performed = performer.perform([DRIP], now=0)
    assert (performed.done, performed.refused, performed.sent) == (("drip:1",), {}, ())
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_another_reason_is_a_refusal_that_is_logged_once(sender, performer, caplog):
    sender.answer = refusing("token: too much")
    for now in (0, FIRST_LAPSE, 10 * FIRST_LAPSE):
        performed = performer.perform([DRIP], now=now)
        assert performed.refused == {"drip:1": "token: too much"}
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert [record.why for record in warnings] == ["token: too much"]


def test_a_refused_action_is_let_be_for_a_while_that_doubles(sender, performer):
    sender.answer = refusing("token: too much")
    now, asked = 1_000, []
    for _ in range(8):
        performer.perform([DRIP], now)
        start = now
        while performer.perform([DRIP], now).held:
            now += 1
        asked.append(now - start)
        # The last round of the while has asked: the lapse that follows is of that one.
    assert len(sender.asked) == 9
    assert asked[0] == FIRST_LAPSE
    assert asked[1] == 2 * FIRST_LAPSE
    assert asked[-1] == LONGEST_LAPSE


def test_it_is_tried_again_at_once_when_what_it_was_decided_on_changes(sender, performer):
    sender.answer = refusing("token: too much")
    performer.perform([replace(DRIP, ground="one ask")], now=0)
    assert performer.perform([replace(DRIP, ground="one ask")], now=1).held == ("drip:1",)
    performer.perform([replace(DRIP, ground="another ask")], now=1)
    assert len(sender.asked) == 2
    sender.answer = lambda action: None
    assert performer.perform([replace(DRIP, ground="a third")], now=1).sent


@pytest.mark.parametrize("error", [Throttled("busy"), Unreachable("down")])
def test_a_node_that_is_not_there_leaves_the_rest_to_the_next_round(sender, performer, error):
    def answer(action: str) -> None:
        if action == "drip:2":
            raise error

    sender.answer = answer
    actions = [replace(DRIP, key=f"drip:{n}") for n in (1, 2, 3)]
    with pytest.raises(type(error)):
        performer.perform(actions, now=0)
    assert sender.asked == ["drip:1", "drip:2"]
    sender.answer = lambda action: None
    assert len(performer.perform(actions, now=0).sent) == 3


@pytest.mark.parametrize(
    "error", [RetryLater("refuses"), NodeError(-32000, "odd"), BadAnswer("no number")]
)
def test_a_move_that_is_answered_oddly_holds_up_no_other(sender, performer, error, caplog):
    def answer(action: str) -> None:
        if action in ("drip:1", "drip:3"):
            raise error if action == "drip:1" else RetryLater("another")
        if action == "drip:4":
            raise Rejected("token: too much")

    sender.answer = answer
    actions = [replace(DRIP, key=f"drip:{n}", deadline=n + 50) for n in range(1, 6)]
    told: list[Performed] = []
    for now, deferred in ((0, {}), (1, {"drip:1": str(error), "drip:3": "another"})):
        with pytest.raises(type(error)) as raised:
            performer.perform(actions, now, after=told.append)
        # The first error, once all others were asked for.
        assert raised.value is error
        assert [tx.action for tx in told[-1].sent] == ["drip:2", "drip:5"]
        assert told[-1].deferred == deferred
    assert [bool(performed.refused) for performed in told] == [True, False]
    # It is said once of each, and goes last for as long as it lasts.
    assert sender.asked[5:] == ["drip:2", "drip:5", "drip:1", "drip:3"]
    said = [record.action for record in caplog.records if record.message == "no proper answer"]
    assert said == ["drip:1", "drip:3"]
    sender.answer = lambda action: None
    sender.asked.clear()
    assert len(performer.perform(actions, now=50).sent) == 5
    sender.asked.clear()
    performer.perform(actions, now=50)
    assert sender.asked == [action.key for action in actions]


def test_a_move_that_silences_the_node_is_not_tried_first_again(sender, performer):
    def answer(action: str) -> None:
        if action in ("drip:1", "drip:2"):
            raise Unreachable(f"down at {action}")

    sender.answer = answer
    actions = [replace(DRIP, key=f"drip:{n}", deadline=n) for n in (1, 2, 3)]
    told: list[Performed] = []
    for _ in range(4):
        with pytest.raises(Unreachable):
            performer.perform(actions, 0, after=told.append)
    assert [len(performed.sent) for performed in told] == [0, 0, 1, 1]
    # What was only left undone is not put off.
    assert not any(performed.deferred for performed in told)


def test_something_can_be_written_down_first_but_not_of_what_is_held(sender, performer):
    noted: list[str] = []
    sender.answer = refusing("token: too much")
    for _ in range(2):
        performer.perform([DRIP], now=0, before=lambda action: noted.append(action.key))
    assert noted == ["drip:1"]


def test_what_a_rule_of_our_own_forbids_waits_for_the_next_block_and_holds_up_nothing(
    sender, performer, caplog
):
    def answer(action: str) -> None:
        if action != "drip:3":
            raise Deferred(f"no room for {action}")

    sender.answer = answer
    actions = [replace(DRIP, key=f"drip:{n}") for n in (1, 2, 3)]
    performed = performer.perform(actions, now=5)
    assert [tx.action for tx in performed.sent] == ["drip:3"]
    assert performed.deferred == {
        "drip:1": "no room for drip:1",
        "drip:2": "no room for drip:2",
    }
    # Not asked again in the same block, and said once for as long as it lasts.
    sender.asked.clear()
    assert set(performer.perform(actions, now=5).deferred) == {"drip:1", "drip:2"}
    assert sender.asked == ["drip:3"]
    performer.perform(actions, now=6)
    assert sender.asked == ["drip:3", "drip:1", "drip:2", "drip:3"]
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "waits"
    ]
    sender.answer = lambda action: None
    assert performer.perform(actions, now=7).deferred == {}


def test_what_may_not_wait_goes_first_then_by_deadline(sender, performer):
    actions = [
        replace(DRIP, key="late", deadline=50),
        replace(DRIP, key="whenever"),
        replace(DRIP, key="soon", deadline=20),
        replace(DRIP, key="first", deadline=20),
    ]
    assert [a.key for a in by_urgency(actions)] == ["soon", "first", "late", "whenever"]
    proof = Action("proof", "FaultProof", "prove_argmax", (), deadline=99)
    assert by_urgency([*actions, proof])[0] == proof
    performer.perform(actions, now=1)
    assert sender.asked == ["soon", "first", "late", "whenever"]


def test_among_what_may_not_wait_that_goes_first_which_soon_comes_too_late():
    """Silence can be called out later too, but nothing that only earns something goes before it."""
    moves = [
        replace(DRIP, key="match", deadline=5),
        Action("silence", "FaultProof", "silence", ()),
        Action("claim", "JobEscrow", "submit_claim", (), deadline=90),
        Action("commit", "GraphProof", "commit_fault", (), deadline=20),
        Action("prove", "GraphProof", "prove", (), deadline=30),
    ]
    urgent = [action.key for action in by_urgency(moves)]
    assert urgent == ["prove", "claim", "silence", "commit", "match"]


def test_nothing_is_sent_before_its_time_or_after_its_deadline(sender, performer):
    action = replace(DRIP, not_before=10, deadline=20)
    for now, is_sent in ((9, False), (10, True), (20, True), (21, False)):
        performed = performer.perform([action], now)
        assert bool(performed.sent) is is_sent
        assert performed.held == (() if is_sent else ("drip:1",))


@pytest.mark.parametrize("what", DONE)
def test_every_reason_for_done_is_one_that_the_contracts_give(what: str):
    contract, _, function = what.partition(".")
    assert function in CONTRACTS[contract].abi().functions
    sources = "".join(path.read_text() for path in (ROOT / "contracts").rglob("*.vy"))
    for reason in DONE[what]:
        assert f'"{reason}"' in sources, reason
