"""A daemon's round also lets go of what is over: in its outbox, in memory, and for its restart."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.chain.fees import SECONDS_PER_DAY
from headrace.chain.outbox_rows import Attempt, Draft, Tx
from headrace.chain.rpc import NodeError
from headrace.daemon.actions import Action, Performed
from headrace.daemon.context import Context
from headrace.errors import Unreachable
from tests.offchain.keeper.stage import Stage
from tests.system import System


@pytest.fixture
def stage(system: System, tmp_path: Path) -> Iterator[Stage]:
    made = Stage(system, tmp_path)
    yield made
    made.close()


def final(context: Context, nonce: int, day: int) -> int:
    """A transaction that has been final since a day."""
    tx, _ = context.outbox.add(
        Draft(f"a:{nonce}", "A.b", context.address, b"", 0, 21_000),
        chain_nonce=nonce,
        block=1,
        sign=lambda at: Attempt(at.to_bytes(32), b"", 1, 1, False, 1),
    )
    context.outbox.settle(tx.id, "done", is_final=True, mined=(1, bytes(32), bytes(32)))
    assert context.outbox.prune(day, keep_days=10_000) == 0
    return tx.id


def test_a_round_lets_go_of_what_was_final_for_the_days_of_the_settings(stage):
    context = stage.open(stage.system.keepers[3])
    today = context.rpc.head().timestamp // SECONDS_PER_DAY
    keep = context.settings.outbox_keep_days
    old = final(context, 0, today - keep - 1)
    # Today's is the last row too, which always stays.
    young = final(context, 1, today - keep)
    last = final(context, 2, today)
    context.look()
    rows = [row[0] for row in context.outbox._db.read("SELECT id FROM tx ORDER BY id")]
    assert old not in rows
    assert rows == [young, last]


def test_what_a_failure_leaves_undone_shows_how_little_time_it_has(stage, monkeypatch):
    context = stage.open(stage.system.keepers[3])
    view = context.look()
    drip = Action("drip", "Token", "drip", (1,), deadline=view.now + 40)

    def silent(*args: object, **options: object) -> None:
        raise Unreachable("no answer")

    monkeypatch.setattr(context.sender, "submit", silent)
    with pytest.raises(Unreachable):
        context.perform([drip], view)
    registry = context.observer.metrics.registry
    assert registry.get_sample_value("headrace_deadline_slack_seconds") == 40


def test_a_round_at_the_head_writes_a_checkpoint_that_a_restart_reads(stage):
    context = stage.open(stage.system.keepers[3])
    terms = stage.system.post(stage.terms())
    stage.system.chain.mine(80)
    context.look()
    assert context.db.checkpoint == context.follower.final
    assert context.follower.final > 0
    again = stage.restart(stage.system.keepers[3])._context
    assert stage.system.job_id(terms) in again.jobs.jobs
    assert again.jobs.live == context.jobs.live


def test_a_job_that_has_ended_is_gone_a_step_later(stage):
    context = stage.open(stage.system.keepers[3])
    terms = stage.system.post(stage.terms())
    job_id = stage.system.job_id(terms)
    context.look()
    stage.system.cancel(terms)
    assert job_id in context.look().jobs
    assert not context.jobs.jobs[job_id].state.is_live
    stage.system.post(stage.terms())
    context.look()
    assert job_id not in context.jobs.jobs


def test_what_became_of_a_rounds_moves_is_told_before_the_error(stage, monkeypatch):
    context = stage.open(stage.system.keepers[3])
    view = context.look()
    odd, drip = (Action(key, "Token", "drip", (1,)) for key in ("odd", "drip"))
    submit = context.sender.submit

    def answer(action: str, *args: Any, **options: Any) -> Tx:
        if action == "odd":
            raise NodeError(-32000, "out of something")
        return submit(action, *args, **options)

    monkeypatch.setattr(context.sender, "submit", answer)
    told: list[Performed] = []
    with pytest.raises(NodeError):
        context.perform([odd, drip], view, after=told.append)
    assert [tx.action for tx in told[0].sent] == ["drip"]
    states = {
        sample.labels["state"]: sample.value
        for metric in context.observer.metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "headrace_actions"
    }
    assert states == {"planned": 1, "sent": 1}
    # Nothing is done any more, and whoever waits for it hears so.
    context.stop.set()
    context.perform([odd], view, after=told.append)
    assert told[1:] == [Performed()]


def test_the_lease_is_held_at_every_step_of_a_long_look(stage, monkeypatch):
    stage.system.chain.mine(300)
    context = stage.open(stage.system.keepers[3])
    steps, held = [], []
    step, hold = context.follower.step, context.outbox.hold
    monkeypatch.setattr(context.follower, "step", lambda: steps.append(len(held)) or step())
    monkeypatch.setattr(type(context.outbox), "hold", lambda self: held.append(1) or hold())
    context.look()
    assert len(steps) > 3
    # At the start of the look once, and before each step.
    assert steps == [number + 2 for number in range(len(steps))]
