"""The node's rounds on a chain in memory, killed between any two steps."""

import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace.chain.jobs import Job
from headrace.chain.views import JobState, Provider
from headrace.daemon.actions import Performed
from headrace.daemon.context import View
from headrace.errors import Unreachable
from headrace.graph.encoding import Int8
from headrace.graph.model import Model, Operator
from headrace.graph.trace import Trace
from headrace.node.record import Entry, NodeRecord, Stage
from headrace.node.work import NumpyWorker, StorePublisher
from tests.offchain.node.fakes import (
    ACK,
    ATTEMPT,
    OWNER,
    SETTINGS,
)
from tests.offchain.node.theatre import TTL, Theatre, with_every_crash
from tests.offchain.terms.examples import address


@pytest.fixture
def stage(tmp_path: Path) -> Theatre:
    return Theatre(tmp_path)


# ---- a job from its match to its claim


def test_a_job_is_run_published_and_claimed(stage: Theatre):
    job = stage.world.match(stage.world.terms())
    stage.tick(2)
    (claim,) = stage.world.done("submit_claim")
    right = stage.right(job)
    assert claim == (job.id, job.record, right.root)
    stage.tick()
    assert stage.entry(job) == Entry(Stage.CLAIMED, right.root, is_published=True)
    assert stage.world.store.get_trace(right.root, stage.world.model, 3).root == right.root
    assert stage.worker.runs == 1


def test_a_crash_at_any_step_of_a_good_job(tmp_path: Path):
    def story(stage: Theatre, steps: int) -> None:
        job = stage.world.match(stage.world.terms())
        stage.fuse.left = steps
        stage.settle()
        right = stage.right(job)
        # Once, and right; never a second time, never something else.
        assert [args[2] for args in stage.world.done("submit_claim")] == [right.root]
        assert not stage.world.refused
        assert stage.entry(job) == Entry(Stage.CLAIMED, right.root, is_published=True)
        assert stage.world.store.get_result(right.root, stage.world.model, 3).shape == (3, 1)
        assert not stage.world.done("decline")

    assert with_every_crash(tmp_path, story) > 8


def test_a_worker_that_says_something_else_each_time_claims_what_it_said_first(tmp_path: Path):
    class Fickle(NumpyWorker):
        runs = 0

        def run(self, model: Model, tensor: Int8) -> Trace:
            self.runs += 1
            return super().run(model, tensor).replace(0, 0, 0, self.runs)

    def story(stage: Theatre, steps: int) -> None:
        stage.worker = Fickle()
        stage.restart()
        recorded: list[bytes] = []
        keep = NodeRecord.compute
        job = stage.world.match(stage.world.terms())

        def compute(record: NodeRecord, key: Any, root: bytes, trace: bytes) -> None:
            keep(record, key, root, trace)
            recorded.append(root)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(NodeRecord, "compute", compute)
            stage.fuse.left = steps
            stage.settle()
        assert len(recorded) == 1
        assert [args[2] for args in stage.world.done("submit_claim")] == recorded
        entry = stage.entry(job)
        assert entry is not None
        assert entry.root == recorded[0]

    with_every_crash(tmp_path, story)


def test_a_claim_that_a_reorganisation_took_back_is_made_again(stage: Theatre):
    job = stage.world.match(stage.world.terms())
    stage.tick(3)
    # Matched anew in another block: another record, the same claim.
    stage.world.later(3)
    again = stage.world.match(job.terms)
    assert again.record != job.record
    stage.tick(2)
    claims = stage.world.done("submit_claim")
    assert [args[1] for args in claims] == [job.record, again.record]
    assert claims[0][2] == claims[1][2]
    assert stage.worker.runs == 1


def test_jobs_of_others_are_left_alone(stage: Theatre):
    stage.world.match(stage.world.terms(), provider=address(9))
    stage.world.match(stage.world.terms(), node=1)
    stage.tick(3)
    assert not stage.world.moves
    assert stage.worker.runs == 0


def test_more_jobs_than_places(stage: Theatre):
    jobs = [stage.world.match(stage.world.terms()) for _ in range(5)]
    stage.settle()
    assert {args[0] for args in stage.world.done("submit_claim")} == {job.id for job in jobs}
    assert stage.worker.runs == 5


def test_a_slow_job_holds_up_nothing_else(stage: Theatre):
    go = threading.Event()

    class Slow(NumpyWorker):
        def run(self, model: Model, tensor: Int8) -> Trace:
            if tensor.shape[0] == 4:
                assert go.wait(10)
            return super().run(model, tensor)

    stage.worker = Slow()
    stage.restart()
    slow = stage.world.match(stage.world.terms(units=4))
    quick = stage.world.match(stage.world.terms())
    end = time.monotonic() + 5
    while not stage.world.done("submit_claim") and time.monotonic() < end:
        stage.daemon.tick()
    assert [args[0] for args in stage.world.done("submit_claim")] == [quick.id]
    go.set()
    stage.settle()
    assert [args[0] for args in stage.world.done("submit_claim")] == [quick.id, slow.id]


def test_what_is_over_before_it_is_computed_is_dropped(stage: Theatre):
    job = stage.world.match(stage.world.terms())
    stage.tick()  # it runs
    stage.world.change(job.id, JobState.EXPIRED)
    stage.tick(3)
    assert not stage.world.moves
    assert stage.entry(job) == Entry()


def test_the_claims_last_second(stage: Theatre):
    terms = stage.world.terms(ack_seconds=0)
    path = stage.world.store.path / "tensors"
    path.rename(path.with_name("elsewhere"))
    stage.world.match(terms)
    stage.world.later()
    stage.tick(2)
    assert not stage.world.moves
    stage.world.later(ATTEMPT - 1)
    path.with_name("elsewhere").rename(path)
    stage.tick(2)
    assert len(stage.world.done("submit_claim")) == 1
    assert stage.world.deadlines["submit_claim"] == stage.world.now


def test_a_second_too_late_nothing_is_sent(stage: Theatre):
    job = stage.world.match(stage.world.terms(has_input=False, ack_seconds=0))
    stage.world.later()
    stage.tick(2)
    stage.world.later(ATTEMPT)
    stage.tick(2)
    entry = stage.entry(job)
    assert entry is not None
    assert (entry.stage, stage.world.moves) == (Stage.FAILED, [])
    assert "not in" in entry.reason


# ---- inputs that can't be used


def test_a_missing_input_is_declined_before_its_edge(stage: Theatre):
    job = stage.world.match(stage.world.terms(has_input=False))
    for _ in range(ACK - ACK // 3):
        stage.tick()
        assert not stage.world.moves
        stage.world.later()
    stage.tick()
    assert stage.world.done("decline") == [(job.id, job.record)]
    entry = stage.entry(job)
    assert entry is not None
    assert entry.stage == Stage.DECLINED
    assert stage.worker.runs == 0


@pytest.mark.parametrize(("seconds", "is_sent"), [(ACK, True), (ACK + 1, False)])
def test_the_last_second_of_declining(stage: Theatre, seconds: int, is_sent: bool):
    stage.world.match(stage.world.terms(has_input=False))
    stage.tick()
    stage.world.later(seconds)
    stage.tick(2)
    assert len(stage.world.done("decline")) == is_sent
    if is_sent:
        assert stage.world.deadlines["decline"] == stage.world.now


def test_a_claim_does_not_wait_for_an_answer_about_the_provider(stage: Theatre):
    stage.world.match(stage.world.terms())
    stage.tick()
    stage.world.later()

    def silent(provider: str, block: int) -> Provider:
        raise Unreachable("no answer")

    stage.world.provider_of = silent  # type: ignore[method-assign]
    with pytest.raises(Unreachable):
        stage.tick()
    assert len(stage.world.done("submit_claim")) == 1


def test_a_round_of_a_new_block_is_told_of_even_if_nothing_is_due(
    stage: Theatre, monkeypatch: pytest.MonkeyPatch
):
    rounds: list[int] = []
    perform = stage.world.perform

    def told(actions: Any, view: View, **rest: Any) -> Performed:
        rounds.append(len(actions))
        return perform(actions, view, **rest)

    monkeypatch.setattr(stage.world, "perform", told)
    stage.tick(2)
    stage.world.later()
    stage.tick(2)
    assert rounds == [0, 0]


def test_an_input_that_comes_in_time_is_run(stage: Theatre):
    terms = stage.world.terms()
    path = stage.world.store.path / "tensors"
    path.rename(path.with_name("elsewhere"))
    stage.world.match(terms)
    stage.tick(2)
    stage.world.later(ACK // 2)
    path.with_name("elsewhere").rename(path)
    stage.tick(2)
    assert len(stage.world.done("submit_claim")) == 1
    assert not stage.world.done("decline")


@pytest.mark.parametrize("content", [b"", b"HRTENSR1", b"\xff" * 200])
def test_a_corrupt_input_is_declined_in_time(stage: Theatre, content: bytes):
    terms = stage.world.terms()
    for path in (stage.world.store.path / "tensors").rglob("*"):
        if path.is_file():
            path.write_bytes(content)
    stage.world.match(terms)
    stage.tick(2)
    assert not stage.world.moves
    stage.world.later(ACK)
    stage.tick()
    assert len(stage.world.done("decline")) == 1


def test_terms_that_lie_about_the_input_are_declined_at_once(stage: Theatre):
    terms = stage.world.terms()
    stage.world.match(replace(terms, input_bytes=terms.input_bytes - 1))
    stage.tick(2)
    assert len(stage.world.done("decline")) == 1


def test_a_crash_at_any_step_of_a_decline(tmp_path: Path):
    def story(stage: Theatre, steps: int) -> None:
        job = stage.world.match(stage.world.terms(has_input=False))
        stage.fuse.left = steps
        stage.settle()
        stage.world.later(ACK - 1)
        stage.settle()
        assert stage.world.done("decline") == [(job.id, job.record)]
        assert not stage.world.refused
        entry = stage.entry(job)
        assert entry is not None
        assert (entry.stage, entry.root) == (Stage.DECLINED, None)
        stage.world.later(ATTEMPT)
        stage.settle()
        assert not stage.world.done("submit_claim")

    assert with_every_crash(tmp_path, story) > 4


def test_a_worker_that_fails_steps_back(stage: Theatre):
    class Broken(NumpyWorker):
        def run(self, model: Model, tensor: Int8) -> Trace:
            raise MemoryError("no room")

    stage.worker = Broken()
    stage.restart()
    job = stage.world.match(stage.world.terms())
    stage.tick(3)
    assert len(stage.world.done("decline")) == 1
    entry = stage.entry(job)
    assert entry is not None
    assert "no room" in entry.reason


def test_a_worker_that_fails_after_the_acknowledgement_claims_nothing(stage: Theatre):
    class Mistaken(NumpyWorker):
        def run(self, model: Model, tensor: Int8) -> Trace:
            return super().run(model, tensor[:-1])

    stage.worker = Mistaken()
    stage.restart()
    stage.world.match(stage.world.terms(ack_seconds=0))
    stage.world.later()
    stage.tick(4)
    assert not stage.world.moves


# ---- publishing


def test_a_store_that_takes_nothing_does_not_hold_up_the_claim(stage: Theatre):
    class Full(StorePublisher):
        is_full = True

        def publish(self, trace: Trace) -> None:
            if self.is_full:
                raise Unreachable("the disk is full")
            super().publish(trace)

    stage.publisher = publisher = Full(stage.world.store)
    stage.restart()
    job = stage.world.match(stage.world.terms())
    stage.tick(4)
    assert len(stage.world.done("submit_claim")) == 1
    entry = stage.entry(job)
    assert entry is not None
    assert not entry.is_published
    publisher.is_full = False
    stage.tick()
    entry = stage.entry(job)
    assert entry is not None
    assert entry.is_published


# ---- demands


def claimed(stage: Theatre) -> Job:
    job = stage.world.match(stage.world.terms())
    stage.tick(3)
    return stage.world.jobs.jobs[job.id]


def test_a_demand_is_answered_with_the_whole_trace(stage: Theatre):
    job = claimed(stage)
    stage.tick(3)
    assert not stage.world.done("publish_trace")
    stage.world.demanded(job)
    stage.tick(3)
    ((ref, data),) = stage.world.done("publish_trace")
    assert (ref.terms, ref.record, ref.commitment) == (job.terms, job.record, job.commitment)
    assert data == stage.right(job).to_bytes()


def test_a_demand_is_answered_after_a_restart_without_the_store(stage: Theatre):
    job = claimed(stage)
    data = stage.right(job).to_bytes()
    shutil.rmtree(stage.world.store.path)
    stage.restart()
    stage.world.demanded(job)
    stage.tick()
    assert [args[1] for args in stage.world.done("publish_trace")] == [data]


@pytest.mark.parametrize("has_stored", [True, False])
def test_a_demand_is_answered_although_the_record_is_lost(stage: Theatre, has_stored: bool):
    job = claimed(stage)
    data = stage.right(job).to_bytes()
    stage.record.close()
    (stage.world.folder / "node.db").unlink()
    if not has_stored:
        shutil.rmtree(stage.world.store.path / "traces")
    runs = stage.worker.runs
    stage.restart()
    stage.world.demanded(job)
    stage.tick(4)
    assert [args[1] for args in stage.world.done("publish_trace")] == [data]
    assert stage.worker.runs == runs + (not has_stored)
    assert len(stage.world.done("submit_claim")) == 1


def test_a_claim_of_another_program_with_this_key_is_not_answered_with_our_trace(stage: Theatre):
    job = stage.world.match(stage.world.terms())
    job = stage.world.change(
        job.id, JobState.CLAIMED, outcome="claimed", commitment=b"\x0c" * 32, claimed_at=0
    )
    stage.world.demanded(job)
    stage.tick(5)
    assert not stage.world.moves


def test_the_answers_last_second(stage: Theatre):
    stage.world.demanded(claimed(stage))
    stage.world.later(SETTINGS.reply)
    stage.tick()
    assert len(stage.world.done("publish_trace")) == 1
    assert stage.world.deadlines["publish_trace"] == stage.world.now


def test_after_due_there_is_no_answer(stage: Theatre):
    stage.world.demanded(claimed(stage))
    stage.world.later(SETTINGS.reply + 1)
    stage.tick(2)
    assert not stage.world.done("publish_trace")


def test_a_demand_for_a_model_that_is_not_offered_any_more(stage: Theatre):
    job = claimed(stage)
    other = Model.of([Operator.argmax(0, 5)], 5, 7)
    stage.models = {other.program: other}
    stage.world.demanded(job)
    stage.restart()
    stage.tick()
    assert len(stage.world.done("publish_trace")) == 1


def test_a_crash_at_any_step_of_an_answer(tmp_path: Path):
    def story(stage: Theatre, steps: int) -> None:
        job = claimed(stage)
        stage.world.demanded(job)
        stage.fuse.left = steps
        stage.settle()
        assert len(stage.world.done("publish_trace")) == 1
        assert len(stage.world.done("submit_claim")) == 1
        assert not stage.world.refused

    assert with_every_crash(tmp_path, story) >= 2


# ---- the provider


def test_a_heartbeat_at_half_its_life(stage: Theatre):
    stage.world.later(TTL // 2 - 1)
    stage.tick()
    assert not stage.world.done("heartbeat")
    stage.world.later()
    stage.tick(2)
    assert stage.world.done("heartbeat") == [(OWNER,)]
    stage.world.later(TTL // 2)
    stage.tick()
    assert len(stage.world.done("heartbeat")) == 2


@pytest.mark.parametrize("change", [{"status": 2}, {"operator": address(4)}])
def test_no_heartbeat_for_a_provider_that_is_not_ours(stage: Theatre, change: dict[str, Any]):
    stage.world.provider = replace(stage.world.provider, is_available=False, **change)
    stage.world.later(TTL)
    stage.tick()
    assert not stage.world.moves


def test_a_node_that_starts_makes_itself_available_once(stage: Theatre):
    stage.world.provider = replace(stage.world.provider, is_available=False)
    stage.tick()
    assert stage.world.done("set_available") == [(OWNER, True)]
    # What its owner does later is the owner's business.
    stage.world.provider = replace(stage.world.provider, is_available=False)
    stage.world.later()
    stage.tick()
    assert len(stage.world.done("set_available")) == 1


def test_draining_offers_nothing_and_finishes_what_runs(stage: Theatre):
    stage.tick()
    assert stage.world.board.names("ask")
    job = stage.world.match(stage.world.terms())
    stage.record.set_draining(True)
    stage.world.later()
    stage.tick(3)
    assert stage.world.board.names("ask") == ()
    assert stage.world.done("set_available") == [(OWNER, False)]
    assert len(stage.world.done("submit_claim")) == 1
    assert not stage.world.stop.is_set
    # A claim can still be contested.
    stage.world.demanded(stage.world.jobs.jobs[job.id])
    stage.world.later()
    stage.tick()
    assert len(stage.world.done("publish_trace")) == 1
    stage.world.change(job.id, JobState.FINAL)
    stage.world.later()
    stage.tick()
    assert stage.world.stop.is_set
    assert not stage.record.is_draining


def test_a_drain_that_is_put_off_is_asked_for_again(
    stage: Theatre, monkeypatch: pytest.MonkeyPatch
):
    stage.tick()
    with monkeypatch.context() as patch:
        patch.setattr(stage.world, "set_available", lambda *_: "the fee is over the cap")
        stage.record.set_draining(True)
        stage.world.later()
        stage.tick()
        assert not stage.world.done("set_available")
        assert not stage.world.stop.is_set
    stage.world.later()
    stage.tick()
    assert stage.world.done("set_available") == [(OWNER, False)]
    stage.world.later()
    stage.tick()
    assert stage.world.stop.is_set


def test_a_crash_while_draining_drains_on(stage: Theatre):
    job = claimed(stage)
    stage.record.set_draining(True)
    stage.world.later()
    stage.tick()
    stage.restart()
    stage.world.later()
    stage.tick()
    assert stage.world.board.names("ask") == ()
    assert stage.world.done("set_available") == [(OWNER, False)]
    stage.world.change(job.id, JobState.FINAL)
    stage.world.later()
    stage.tick()
    assert stage.world.stop.is_set
