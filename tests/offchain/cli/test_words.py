"""What needs no chain: amounts, times, tables, hints, and a job's state in words."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.chain.graph_rules import Node
from headrace.chain.jobs import Attempt, Job
from headrace.chain.views import JobState
from headrace.cli import hints, story
from headrace.cli.answer import plain
from headrace.cli.local import PARAMETERS, example_images, example_model
from headrace.cli.show import moment, percent, span, table, when
from headrace.daemon.disputes import Case
from headrace.daemon.games import Game, NodeState
from headrace.errors import UsageError
from headrace.graph.trace import run
from headrace.terms.amounts import Money
from headrace.terms.requirement import PROVIDER_BITS, REQUESTER_BITS
from headrace.terms.words import FaultProofSettings, Record, Terms
from scripts.check_reasons import reasons_in
from tests.harness import ROOT

A, B, C = ("0x" + digit * 40 for digit in "123")
SETTINGS = FaultProofSettings(window=10, reply=20, follow=30).pack()
USD = Money(6, "USD")


# ---- amounts and times


@given(st.integers(0, 2**80 - 1), st.integers(0, 18))
def test_amounts_go_out_and_in_unchanged(units: int, decimals: int) -> None:
    money = Money(decimals, "X")
    assert money.parse(money.text(units), "amount") == units
    assert not money.text(units).endswith((".", ".0"))


def test_amounts_as_people_write_them() -> None:
    assert USD.text(1_250_000) == "1.25"
    assert USD.text(-1) == "-0.000001"
    assert USD.of(0) == "0 USD"
    assert USD.parse(" 007.50 ", "x") == 7_500_000
    assert USD.parse(str(2**80 // 10**6), "x") < 2**80
    for text in ("", ".5", "5.", "+1", "1_000", "0x10", "inf", "1 000", "1.0000001"):
        with pytest.raises(UsageError, match=r"^amount: "):
            USD.parse(text, "amount")
    with pytest.raises(UsageError, match="is too large"):
        Money(0, "X").parse(str(2**80), "amount")


def test_times() -> None:
    assert [span(s) for s in (0, 59, 60, 3_725, 90_000)] == ["0s", "59s", "1m", "1h 2m", "1d 1h"]
    assert when(1_800_000_060, 1_800_000_000) == "2027-01-15 08:01:00 UTC (in 1m)"
    assert when(1_800_000_000, 1_800_000_001).endswith("(1s ago)")
    assert when(5, 5).endswith("(now)")
    assert moment(2**60) == "never"
    assert [percent(bps) for bps in (0, 50, 1_000, 12_345)] == ["0 %", "0.5 %", "10 %", "123.45 %"]
    assert table(("a", "bb"), [("xxx", "y")]) == ["a    bb", "xxx  y"]


def test_json_keeps_what_a_reader_could_lose() -> None:
    assert plain({"big": 2**60, "small": 5, "id": b"\x01", "state": JobState.OPEN, "no": None}) == {
        "big": str(2**60),
        "small": 5,
        "id": "0x01",
        "state": "open",
        "no": None,
    }


# ---- hints


def test_every_hint_is_for_a_reason_that_a_contract_gives() -> None:
    known = {
        reason
        for folder in ("contracts", "contracts/modules")
        for path in (ROOT / folder).glob("*.vy")
        for _, reason in reasons_in(path)
    }
    hinted = {*hints._SENTENCES, *hints._REQUESTER_REASONS, *hints._PROVIDER_REASONS}
    assert hinted - known == set()
    for reason in hinted:
        said = hints.hint(reason)
        assert said, reason
        assert not said.endswith(".")
    assert hints.hint("something else") is None


def test_hints_and_bits_say_the_same() -> None:
    assert set(hints._REQUESTER_REASONS.values()) == {*REQUESTER_BITS.values()} - {"funds"}
    assert set(hints._PROVIDER_REASONS.values()) == set(PROVIDER_BITS.values())
    assert hints.hint("registry: too little vram") == (
        "a GPU of the node has less memory than asked for; ask for less"
    )
    commands = {found for text in hints._SENTENCES.values() for found in _commands(text)}
    from headrace.cli.app import _COMMANDS

    assert commands <= set(_COMMANDS)


def _commands(text: str) -> list[str]:
    return re.findall(r"`headrace (\w+)", text)


# ---- states


def job(state: JobState, **changes: object) -> Job:
    terms = Terms(
        requester=A,
        verifier=C,
        settings=SETTINGS,
        requirement=0,
        program=bytes(32),
        input_id=bytes(32),
        price_start=1,
        price_cap=2,
        damage_cap=0,
        tip_fixed=0,
        tip_max=0,
        tip_share_bps=0,
        no_show_bps=5_000,
        max_attempts=3,
        valid_from=100,
        ramp_seconds=10,
        final_deadline=1_000,
        ack_seconds=20,
        attempt_seconds=60,
        units=1,
        input_bytes=1,
        epoch=0,
        salt=0,
    )
    record = Record(
        requester=A,
        price=1_500_000,
        no_show_bps=5_000,
        provider=B,
        lock=9_000_000,
        node=0,
        max_attempts=3,
        declines=0,
        keeper=C,
        tip=0,
        charge_bps=0,
        verifier=C,
        settings=SETTINGS,
        price_cap=2,
        levy=0,
        damage_cap=0,
        keeper_fee=0,
        matched_at=200,
        final_deadline=1_000,
        ack_seconds=20,
        operator=B,
        window=10,
    )
    attempts = ()
    if state != JobState.OPEN:
        attempts = (Attempt(record, bytes(32), claimed_at=250, commitment=bytes([1]) * 32),)
    made = Job(
        id=bytes(32),
        terms=terms,
        posted_in=1,
        state=state,
        attempt=len(attempts),
        attempts=attempts,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def what(found: tuple[story.Move, ...]) -> list[tuple[str, int, int]]:
    return [(move.what.split(":")[0].split(",")[0], move.since, move.until) for move in found]


def moves(made: Job, now: int, case: Case | None = None) -> tuple[story.Move, ...]:
    return story.moves(made, case, now, verifiers=story.Verifiers(C), delay_max=500)


def test_an_open_job_and_its_edges() -> None:
    made = job(JobState.OPEN)
    assert what(moves(made, 50)) == [
        ("match it", 100, 1_000),
        ("cancel it", 0, 0),
        ("cancel it", 1_001, 0),
    ]
    assert story.next_deadline(moves(made, 50), 50) == 99
    assert story.next_deadline(moves(made, 100), 100) == 1_000
    assert story.state_name(made, 99) == "open, not valid yet"
    assert story.state_name(made, 1_000) == "open"
    assert story.state_name(made, 1_001) == "open, but over"
    assert what(moves(made, 1_001)) == [("cancel it", 0, 0)]
    assert "waits for somebody to cancel" in story.in_words(made, None, 1_001)


def test_a_running_attempt_and_its_edges() -> None:
    made = job(JobState.MATCHED)
    assert what(moves(made, 220)) == [
        ("decline it", 0, 220),
        ("claim its result", 0, 260),
        ("expire the attempt", 261, 0),
    ]
    assert [name for name, *_ in what(moves(made, 221))] == [
        "claim its result",
        "expire the attempt",
    ]
    assert [name for name, *_ in what(moves(made, 261))] == ["expire the attempt"]
    assert moves(made, 261)[0].is_open(261)
    assert not moves(made, 260)[-1].is_open(260)
    assert story.state_name(made, 260) == "running"
    assert story.state_name(made, 261) == "overdue"


def test_a_claim_and_its_window() -> None:
    made = job(JobState.CLAIMED)
    void = 250 + 500 + 2 * 86_400 + 1
    assert what(moves(made, 260)) == [
        ("prove a wrong element", 0, 260),
        ("demand its trace", 0, 260),
        ("finalise it", 261, 0),
        ("undo the claim if its verifier fails", void, 0),
    ]
    assert story.next_deadline(moves(made, 255), 255) == 260
    assert what(moves(made, 261))[0] == ("finalise it", 261, 0)
    assert moves(made, 261)[0].is_open(261)


def test_a_demanded_trace() -> None:
    made, case = job(JobState.CONTESTED), Case(bytes(32), demander=A, due=275)
    assert what(moves(made, 275, case))[:2] == [
        ("publish the trace", 0, 275),
        ("convict the claim by silence", 276, 0),
    ]
    assert what(moves(made, 276, case))[0] == ("convict the claim by silence", 276, 0)
    assert "its trace is demanded" in story.in_words(made, case, 275)


def test_a_published_trace() -> None:
    made = job(JobState.CONTESTED)
    case = Case(bytes(32), demander=A, due=275, publisher=B)
    # Until the whole delay is over: 10 + 20 + 30 seconds from the claim.
    assert what(moves(made, 300, case))[:2] == [
        ("prove a wrong element", 0, 310),
        ("finalise it", 311, 0),
    ]
    assert "published for checking" in story.in_words(made, case, 300)
    proven = replace(case, refuter=A)
    assert what(moves(made, 300, proven))[0] == ("carry out the verdict", 0, 0)


def test_another_verifier_is_not_explained() -> None:
    found = story.moves(
        job(JobState.CLAIMED), None, 255, verifiers=story.Verifiers(A), delay_max=500
    )
    assert what(found)[0] == ("finalise it", 261, 0)


@pytest.mark.parametrize(
    ("state", "outcome", "sentence", "history"),
    [
        (JobState.FINAL, "final", "it is done, and paid", "was right, and paid"),
        (JobState.REFUTED, "refuted", "was proven wrong; the money went back", "was proven wrong"),
        (JobState.EXPIRED, "expired", "nobody delivered in time", "didn't deliver"),
        (JobState.EXPIRED, "voided", "its verifier failed", "was left without a verdict"),
        (JobState.CANCELLED, "declined", "it is cancelled", "declined"),
    ],
)
def test_ended_jobs(state: JobState, outcome: str, sentence: str, history: str) -> None:
    made = job(state)
    made = replace(made, attempts=(replace(made.attempts[0], outcome=outcome, slash=500_000),))
    assert moves(made, 400) == ()
    assert story.next_deadline((), 400) is None
    assert sentence in story.in_words(made, None, 400)
    (line,) = story.history(made, USD)
    assert line.startswith(f"1. {B} node 0 at 1.5 USD, matched 1970-01-01 00:03:20 UTC: {history}")
    assert line.endswith("slashed 0.5 USD")


# ---- the example of `headrace up`


def test_the_example_finds_the_brightest_quarter() -> None:
    rows = [[int(cell) for cell in line.split(",")] for line in example_images().splitlines()]
    trace = run(example_model(), np.array(rows, np.int8))
    assert trace.result[:, 0].tolist() == [0, 1, 2, 3, 0, 1, 2, 3]


def test_the_local_parameters_are_those_of_the_repository() -> None:
    import json

    file = json.loads((ROOT / "deployments" / "local.params.json").read_text())
    mine = dict(PARAMETERS)
    known = {model["name"]: model["vram_gib"] for model in file.pop("gpu_models")}
    for model in mine.pop("gpu_models"):  # type: ignore[attr-defined]
        assert known[model["name"]] == model["vram_gib"]
    assert mine == file


# ---- a claim that GraphProof judges


def game(*states: NodeState) -> Game:
    return Game(b"c" * 32, nodes=states)


def node_state(level: int, due: int, answerer: str | None = None) -> NodeState:
    return NodeState(Node(level, 300, 0, 2 - level, 0, 0, bytes(32)), A, due, answerer)


def large_moves(case: Game | None, now: int) -> list[str]:
    made = job(JobState.CONTESTED if case else JobState.CLAIMED)
    found = story.moves(made, case, now, verifiers=story.Verifiers(A, C), delay_max=500)
    return [move.what for move in found]


def test_a_large_claim_that_nobody_moved_against() -> None:
    assert large_moves(None, 205) == [
        "prove a wrong element",
        "demand its trace, level by level, for fees",
        "finalise it: the provider is paid",
        "undo the claim if its verifier fails",
    ]


def test_an_open_demand_is_answered_or_convicts() -> None:
    assert large_moves(game(node_state(0, 220)), 215) == [
        "answer the demand of level 0 of the trace",
        "convict the claim by silence on level 0 of the trace",
        "prove a wrong element",
        "undo the claim if its verifier fails",
    ]
    # Past due there is no answer any more, and no end but the verdict.
    assert "answer the demand of level 0 of the trace" not in large_moves(
        game(node_state(0, 220)), 221
    )
    assert "finalise it: the provider is paid" not in large_moves(game(node_state(0, 220)), 221)


def test_an_answered_demand_keeps_the_claim_open_for_one_level_more() -> None:
    answered = game(node_state(0, 220, answerer=B))
    made = job(JobState.CONTESTED)
    found = story.moves(made, answered, 215, verifiers=story.Verifiers(A, C), delay_max=500)
    final = next(move for move in found if move.what.startswith("finalise"))
    settings = FaultProofSettings.unpack(SETTINGS)
    assert final.since == made.claimed_at + settings.delay_over(1) + 1
