"""What a daemon does becomes figures, each counted once."""

from dataclasses import dataclass, field, replace
from fractions import Fraction

import pytest

from headrace.chain.abi import Log
from headrace.chain.contracts import JobEscrow
from headrace.chain.follower import Counters, Step
from headrace.chain.graph_rules import GraphProof
from headrace.chain.outbox_rows import Attempt, Tx
from headrace.chain.rpc import Header, NodeError, Rpc, Throttled
from headrace.chain.rules import FaultProof
from headrace.daemon.actions import Action, Performed
from headrace.errors import Rejected, RetryLater, Unreachable
from headrace.ops.health import LOOP, Health
from headrace.ops.metrics import Metrics
from headrace.ops.observed_rpc import ObservedRpc
from headrace.ops.observer import Observer, event_names


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def observer(clock: Clock) -> Observer:
    return Observer(Metrics("keeper"), Health(clock=clock), clock=clock)


def value(observer: Observer, name: str, **labels: str) -> float | None:
    return observer.metrics.registry.get_sample_value(f"headrace_{name}", labels)


def step(head: int, cursor: int, *topics: bytes) -> Step:
    header = Header(number=head, hash=bytes(32), parent=bytes(32), timestamp=5, base_fee=1)
    logs = tuple(
        Log(cursor, at, bytes(32), bytes(32), "0x", (topic,) if topic else (), b"", 5)
        for at, topic in enumerate(topics)
    )
    return Step(header, cursor, added=logs)


def tx(tx_id: int = 1, state: str = "open", **changes: object) -> Tx:
    made = Tx(
        id=tx_id,
        action=f"match:{tx_id}",
        what="JobEscrow.match",
        nonce=tx_id,
        target="0x",
        data=b"",
        value=0,
        gas=1,
        state=state,
        reason="",
        mined_in=None,
        mined_hash=None,
        mined_tx=None,
        made_at_block=1,
    )
    return replace(made, **changes)


@dataclass
class Book:
    open_now: list[Tx]
    signed: dict[int, int]
    # Those of which the last that was signed has no effect.
    given_up: set[int] = field(default_factory=set)

    def unsettled(self) -> list[Tx]:
        return self.open_now

    def attempts(self, tx_id: int) -> list[Attempt]:
        count = self.signed[tx_id]
        made = [
            Attempt(bytes(32), b"", n, n, is_empty=False, made_at_block=1) for n in range(count)
        ]
        if tx_id in self.given_up:
            made[-1] = replace(made[-1], is_empty=True)
        return made


def reach(observer: Observer, now: int, block_seconds: Fraction = Fraction(2)) -> None:
    """The head is of `now`; block n is of ten times n."""
    observer.at_head(now, block_seconds, lambda number: 10 * number)


# ---- the chain


def test_a_step_moves_the_blocks_and_shows_that_the_loop_lives(observer: Observer, clock: Clock):
    observer.health.watch(LOOP, 10)
    clock.now += 9
    observer.stepped(step(120, 100), 60, Counters(), "a.node")
    assert value(observer, "head_block", source="a.node") == 120
    assert value(observer, "cursor_block") == 100
    assert value(observer, "lag_blocks") == 20
    assert value(observer, "finalized_block") == 60
    clock.now += 9
    assert not observer.health.late()


def test_events_are_counted_by_name(observer: Observer):
    events = JobEscrow.abi().events
    posted, matched = events["Posted"].topic, events["Matched"].topic
    observer.stepped(step(9, 8, posted, posted, matched, bytes(32), b""), 0, Counters(), "a.node")
    observer.stepped(step(9, 9, posted), 0, Counters(), "a.node")
    assert value(observer, "events_total", kind="Posted") == 3
    assert value(observer, "events_total", kind="Matched") == 1
    assert value(observer, "events_total", kind="unknown") == 2


def test_going_back_is_a_reorganisation_and_going_on_is_none(observer: Observer):
    for cursor in (100, 101, 101):
        observer.stepped(step(101, cursor), 0, Counters(), "a.node")
    assert value(observer, "reorgs_total") == 0
    assert value(observer, "reorg_depth") is None
    observer.stepped(step(101, 96), 0, Counters(), "a.node")
    assert value(observer, "reorgs_total") == 1
    assert value(observer, "reorg_depth") == 5


def test_second_readings_that_differ_are_counted_once(observer: Observer):
    for seen in (0, 2, 2, 3):
        observer.stepped(step(1, 1), 0, Counters(audit_mismatches=seen), "a.node")
    assert value(observer, "audit_mismatch_total") == 3


def test_lag_runs_on_while_nothing_is_reached(observer: Observer, clock: Clock):
    assert value(observer, "lag_seconds") == 0
    clock.now += 7
    assert value(observer, "lag_seconds") == 7
    assert not observer.health.checks()["lag"].is_ok
    reach(observer, 5)
    assert value(observer, "lag_seconds") == 0
    assert observer.health.checks()["lag"].is_ok


# ---- transactions


def test_what_has_ended_is_counted_with_its_gas(observer: Observer):
    changed = [
        tx(1, "done", fee=70),
        tx(2, "reverted", fee=5),
        tx(3, "mined", fee=9),
        tx(4, "open"),
        tx(5, "done", fee=30),
    ]
    observer.settled(changed, Book([], {}))
    assert value(observer, "tx_total", kind="JobEscrow.match", outcome="done") == 2
    assert value(observer, "tx_total", kind="JobEscrow.match", outcome="reverted") == 1
    assert value(observer, "tx_total", kind="JobEscrow.match", outcome="mined") is None
    assert value(observer, "gas_spent_wei_total", kind="JobEscrow.match") == 105


def test_what_an_alert_counts_begins_at_zero(observer: Observer):
    # Of a series that begins at 1 Prometheus sees no increase.
    assert value(observer, "events_total", kind="unknown") == 0
    observer.settled([tx(1, "done")], Book([], {}))
    assert value(observer, "tx_total", kind="JobEscrow.match", outcome="reverted") == 0


def test_only_what_is_in_no_block_is_in_flight(observer: Observer):
    observer.settled([], Book([tx(1), tx(2, "mined"), tx(3)], {1: 1, 3: 1}))
    assert value(observer, "tx_inflight") == 2
    observer.settled([], Book([], {}))
    assert value(observer, "tx_inflight") == 0


def test_every_higher_offer_is_counted_once(observer: Observer):
    for signed in (1, 1, 2, 2, 4):
        observer.settled([], Book([tx(1)], {1: signed}))
    assert value(observer, "tx_bumps_total") == 3


@pytest.mark.parametrize(
    ("chain_nonce", "held", "gap"),
    [(5, [], 0), (5, [5, 6, 7], 0), (5, [6, 7], 1), (5, [5, 9], 3), (5, [3, 4], 0), (5, [4, 6], 1)],
)
def test_a_gap_is_a_nonce_that_nothing_holds(
    observer: Observer, chain_nonce: int, held: list[int], gap: int
):
    observer.nonces(chain_nonce, [tx(1, nonce=nonce) for nonce in held])
    assert value(observer, "nonce_gap") == gap


# ---- actions


def action(key: str, deadline: int | None = None) -> Action:
    return Action(key, "JobEscrow", "match", (), deadline=deadline)


def test_a_round_is_shown_by_kind_and_state(observer: Observer):
    actions = [action(key) for key in "abcdef"]
    performed = Performed(
        sent=(tx(1, action="a"),),
        done=("b",),
        refused={"c": "why"},
        held=("d",),
        deferred={"e": "why"},
    )
    observer.performed(actions, performed, 100)
    for state in ("sent", "done", "refused", "held", "deferred", "planned"):
        assert value(observer, "actions", kind="JobEscrow.match", state=state) == 1
    observer.performed([], Performed(), 101)
    assert value(observer, "actions", kind="JobEscrow.match", state="sent") is None


def test_the_least_time_left_is_shown_and_goes_with_its_action(observer: Observer):
    observer.performed([action("a", 160), action("b", 130), action("c")], Performed(), 100)
    assert value(observer, "deadline_slack_seconds") == 30
    observer.performed([action("a", 160), action("b", 130)], Performed(done=("b",)), 110)
    assert value(observer, "deadline_slack_seconds") == 50
    observer.performed([action("c")], Performed(), 120)
    assert value(observer, "deadline_slack_seconds") is None


def test_an_action_ages_from_when_it_was_first_due_until_it_is_not(observer: Observer):
    observer.performed([action("a")], Performed(), 100)
    observer.performed([action("a"), action("b")], Performed(), 130)
    assert value(observer, "action_age_seconds") == 30
    observer.performed([action("b")], Performed(), 140)
    assert value(observer, "action_age_seconds") == 10
    observer.performed([action("a")], Performed(), 150)
    assert value(observer, "action_age_seconds") == 0


def test_an_action_that_is_not_made_for_hours_only_gets_older(observer: Observer):
    for now in range(0, 10_801, 600):
        observer.performed([action("a")], Performed(), now)
        assert value(observer, "action_age_seconds") == now


def test_what_was_signed_counts_until_it_is_in_a_block(observer: Observer):
    signed = tx(action="a", deadline=200, made_at_block=10)
    book = Book([signed], {1: 1})
    observer.performed([action("a", 200)], Performed(sent=(signed,)), 100)
    assert value(observer, "deadline_slack_seconds") == 100
    # No round decides on it again.
    observer.settled([], book)
    reach(observer, 140)
    observer.performed([], Performed(), 140)
    assert value(observer, "deadline_slack_seconds") == 60
    assert value(observer, "action_age_seconds") == 40
    # Nor does one that fails before it decides anything make it look done.
    observer.settled([], book)
    reach(observer, 190)
    assert value(observer, "deadline_slack_seconds") == 10
    assert value(observer, "action_age_seconds") == 90
    observer.settled([], book)
    reach(observer, 201)
    assert value(observer, "deadline_slack_seconds") == -1
    observer.settled([replace(signed, state="mined")], Book([replace(signed, state="mined")], {}))
    reach(observer, 203)
    assert value(observer, "deadline_slack_seconds") is None
    assert value(observer, "action_age_seconds") == 0


def test_what_an_earlier_run_signed_ages_from_the_block_it_was_signed_at(observer: Observer):
    book = Book([tx(1, made_at_block=9, deadline=300), tx(2, made_at_block=5)], {1: 1, 2: 1})
    observer.settled([], book)
    reach(observer, 120)
    assert value(observer, "action_age_seconds") == 70
    assert value(observer, "deadline_slack_seconds") == 180
    # A reorganisation opens what was mined: it is as old as before.
    observer.settled([], Book([], {}))
    reach(observer, 130)
    assert value(observer, "action_age_seconds") == 0
    observer.settled([], book)
    reach(observer, 140)
    assert value(observer, "action_age_seconds") == 90


def test_the_most_urgent_of_what_is_signed_and_what_is_not_is_shown(observer: Observer):
    observer.settled([], Book([tx(1, deadline=150)], {1: 1}))
    reach(observer, 100)
    observer.performed([action("b", 170)], Performed(deferred={"b": "why"}), 100)
    assert value(observer, "deadline_slack_seconds") == 50
    observer.performed([action("b", 120)], Performed(deferred={"b": "why"}), 100)
    assert value(observer, "deadline_slack_seconds") == 20


def test_a_deadline_that_has_moved_counts_as_it_is_now(observer: Observer):
    observer.settled([], Book([tx(1, action="a", deadline=110)], {1: 1}))
    reach(observer, 100)
    moved = tx(1, action="a", deadline=400)
    observer.performed([action("a", 400)], Performed(sent=(moved,)), 100)
    assert value(observer, "deadline_slack_seconds") == 300


def test_of_what_was_taken_back_the_nonce_waits_and_no_deadline(observer: Observer):
    observer.settled([], Book([tx(1, deadline=150, made_at_block=4)], {1: 2}, {1}))
    reach(observer, 100)
    assert value(observer, "deadline_slack_seconds") is None
    assert value(observer, "action_age_seconds") == 60


def test_what_is_in_a_block_does_not_wait_though_it_is_decided_on_once_more(observer: Observer):
    mined = tx(1, "mined", action="a", deadline=150)
    observer.performed([action("a", 150)], Performed(sent=(mined,)), 100)
    assert value(observer, "deadline_slack_seconds") is None
    assert value(observer, "action_age_seconds") == 0


def test_the_pace_of_the_chain_is_shown(observer: Observer):
    assert value(observer, "block_seconds") is None
    reach(observer, 100, Fraction(25, 2))
    assert value(observer, "block_seconds") == 12.5


# ---- requests


class Line(ObservedRpc):
    """One whose answers are given."""

    answer: object = None

    def _outcomes(self, calls: object) -> list[object]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return list(self.answer)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        ("0x1", "ok"),
        (None, "ok"),
        (Rejected("match: no"), "ok"),
        (NodeError(-32601, "no such method"), "-32601"),
        (Throttled("slow down"), "throttled"),
        (RetryLater("later"), "error"),
        (Unreachable("gone"), "unreachable"),
    ],
)
def test_requests_are_counted_by_how_they_ended(outcome: object, code: str):
    metrics = Metrics("keeper")
    line = Line("http://key:secret@127.0.0.1:1/path-key", timeout=1, metrics=metrics)
    line.answer = [outcome, "0x2"]
    line.outcomes([("eth_call", ()), ("eth_chainId", ())])
    get = metrics.registry.get_sample_value
    host = {"host": "127.0.0.1:1"}
    first = {"method": "eth_call", "code": code}
    assert get("headrace_rpc_requests_total", host | first) == 1
    assert get("headrace_rpc_requests_total", host | {"method": "eth_chainId", "code": "ok"}) == 1
    assert get("headrace_rpc_seconds_count", host) == 1
    text = metrics.text().decode()
    assert "secret" not in text
    assert "path-key" not in text


def test_a_request_that_raises_is_counted_too():
    metrics = Metrics("keeper")
    line = Line("http://127.0.0.1:1", timeout=1, metrics=metrics)
    line.answer = Unreachable("gone")
    with pytest.raises(Unreachable):
        line.chain_id()
    labels = {"host": "127.0.0.1:1", "method": "eth_chainId", "code": "unreachable"}
    assert metrics.registry.get_sample_value("headrace_rpc_requests_total", labels) == 1
    assert isinstance(line, Rpc)


def test_what_no_offer_fits_is_shown_by_filter(observer: Observer):
    observer.market(5, {"price": 7, "region": 2})
    assert value(observer, "jobs_unmatched") == 5
    assert value(observer, "offers_dropped", filter="price") == 7
    observer.market(0, {"region": 1})
    assert value(observer, "jobs_unmatched") == 0
    assert value(observer, "offers_dropped", filter="price") is None
    assert value(observer, "offers_dropped", filter="region") == 1


def test_claims_that_nobody_checks_are_shown(observer: Observer):
    observer.watching(2)
    assert value(observer, "claims_unchecked") == 2
    observer.watching(0)
    assert value(observer, "claims_unchecked") == 0


def test_the_events_of_every_verifier_have_names():
    for contract in (JobEscrow, FaultProof, GraphProof):
        for event in contract.abi().events.values():
            assert event_names()[event.topic] == event.name
