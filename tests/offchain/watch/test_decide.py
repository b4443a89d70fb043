"""A watcher's decisions, on both sides of every edge."""

from typing import Any

import pytest

from headrace.chain.views import DisputeStatus
from headrace.terms.words import FaultProofSettings
from headrace.watch.decide import Move, Step, Verdict, Watched, decide

WINDOW, REPLY, FOLLOW = 100, 20, 10
SETTINGS = FaultProofSettings(window=WINDOW, reply=REPLY, follow=FOLLOW).pack()
T = 5_000
ID = b"\x01" * 32


def steps(now: int, **changes: Any) -> list[Step]:
    values: dict[str, Any] = {"claim_id": ID, "claimed_at": T, "settings": SETTINGS}
    return [move.step for move in decide([Watched(**(values | changes))], now)]


BAD = {"verdict": Verdict.BAD}
PROVABLE = BAD | {"has_fault": True}
DEMANDED = {"status": DisputeStatus.DEMANDED, "due": T + 50}
PUBLISHED = {"status": DisputeStatus.PUBLISHED, "due": T + 50}


def test_an_unknown_claim_is_examined_while_it_can_be_contested():
    assert steps(T + WINDOW) == [Step.EXAMINE]
    assert steps(T + WINDOW + 1) == []
    assert steps(T, is_running=True) == []


def test_a_disputed_claim_is_examined_until_the_longest_delay():
    until = T + WINDOW + REPLY + FOLLOW
    assert steps(until, **PUBLISHED) == [Step.EXAMINE]
    assert steps(until + 1, **PUBLISHED) == []


def test_a_good_claim_is_let_be():
    assert steps(T, verdict=Verdict.GOOD) == []
    assert steps(T, verdict=Verdict.GOOD, **DEMANDED) == []


def test_the_edge_of_a_proof():
    assert steps(T + WINDOW, **PROVABLE) == [Step.PROVE]
    assert steps(T + WINDOW + 1, **PROVABLE) == []


@pytest.mark.parametrize("status", [DEMANDED | {"due": T + 999}, PUBLISHED])
def test_the_edge_of_a_proof_after_a_demand(status: dict[str, Any]):
    until = T + WINDOW + REPLY + FOLLOW
    assert steps(until, **PROVABLE, **status) == [Step.PROVE]
    assert steps(until + 1, **PROVABLE, **status) == []


def test_a_wrong_claim_without_its_trace_is_demanded_in_the_window():
    assert steps(T + WINDOW, **BAD) == [Step.DEMAND, Step.EXAMINE]
    assert steps(T + WINDOW, is_running=True, **BAD) == [Step.DEMAND]
    assert steps(T + WINDOW + 1, **BAD) == []


def test_the_edge_of_silence():
    due = DEMANDED["due"]
    assert isinstance(due, int)
    assert steps(due, **BAD, **DEMANDED) == [Step.EXAMINE]
    assert steps(due + 1, **BAD, **DEMANDED) == [Step.SILENCE]
    # Even long after: nobody else may have done it.
    assert steps(due + 10_000, **BAD, **DEMANDED) == [Step.SILENCE]


def test_silence_needs_no_proof_if_the_demand_is_ours():
    late = T + 51
    assert steps(late, is_mine=True, **DEMANDED) == [Step.SILENCE]
    assert steps(late, is_mine=True, verdict=Verdict.GOOD, **DEMANDED) == [Step.SILENCE]
    assert steps(late, **DEMANDED) == []


def test_silence_comes_before_a_proof_that_is_at_hand():
    assert steps(T + 51, **PROVABLE, **DEMANDED) == [Step.SILENCE]


def test_what_was_published_is_read_once():
    assert steps(T, **BAD, **PUBLISHED) == [Step.READ]
    assert steps(T, is_running=True, **BAD, **PUBLISHED) == []
    assert steps(T, has_read=True, **BAD, **PUBLISHED) == []


@pytest.mark.parametrize("status", [DisputeStatus.REFUTED, DisputeStatus.SETTLED])
def test_what_is_over_is_let_be(status: DisputeStatus):
    assert steps(T, status=status, **PROVABLE) == []


@pytest.mark.parametrize(
    ("step", "until", "changes"),
    [
        (Step.PROVE, T + WINDOW, PROVABLE),
        (Step.PROVE, T + WINDOW + REPLY + FOLLOW, PROVABLE | DEMANDED),
        (Step.PROVE, T + WINDOW + REPLY + FOLLOW, PROVABLE | PUBLISHED),
        (Step.DEMAND, T + WINDOW, BAD),
        (Step.SILENCE, None, BAD | DEMANDED | {"due": T - 1}),
    ],
)
def test_a_move_says_until_when_the_contract_takes_it(
    step: Step, until: int | None, changes: dict[str, Any]
):
    claim = Watched(claim_id=ID, claimed_at=T, settings=SETTINGS, **changes)
    found = {move.step: move.until for move in decide([claim], T)}
    assert found[step] == until
    if until is not None:
        assert step in steps(until, **(changes | {"due": T + 999}))
        assert step not in steps(until + 1, **(changes | {"due": T + 999}))


def test_the_most_urgent_comes_first():
    def claim(number: int, claimed_at: int) -> Watched:
        name = bytes([number]) * 32
        return Watched(claim_id=name, claimed_at=claimed_at, settings=SETTINGS)

    moves = decide([claim(1, T + 3), claim(2, T + 1), claim(3, T + 1)], T + 5)
    assert moves == [Move(bytes([n]) * 32, Step.EXAMINE) for n in (2, 3, 1)]
