"""The watcher's rounds on a chain in memory, killed between any two steps."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace.chain.jobs import Job
from headrace.chain.rules import FaultProof
from headrace.chain.views import ClaimRef, JobState
from headrace.errors import UsageError
from headrace.graph.trace import Trace, run
from headrace.terms.words import Terms
from headrace.watch.checks import Checker
from headrace.watch.daemon import WatchDaemon
from headrace.watch.decide import Verdict
from headrace.watch.record import WatchRecord
from tests.offchain.node.fakes import SETTINGS, Crash, FakeChain, Fuse, Fused
from tests.offchain.terms.examples import REQUESTER, VERIFIER, address

FEE = 1_000
RECORDED = ("keep_answer", "judge")
ANSWER_TX = b"\x0f" * 32
MANY = 100


class Post:
    """A watcher on a chain in memory; `restart` is a new process on the same files."""

    def __init__(self, folder: Path) -> None:
        self.world = FakeChain(folder)
        self.fuse = Fuse()
        self.published = b""
        self.world.call = self.call  # type: ignore[attr-defined]
        self.restart()

    def restart(self) -> None:
        self.world.reload()
        self.world.fuse = self.fuse
        self.record = WatchRecord(self.world.folder / "watch.db", {})
        self.daemon = WatchDaemon(
            self.world,  # type: ignore[arg-type]
            Fused(self.record, self.fuse, *RECORDED),  # type: ignore[arg-type]
            demand_fee=FEE,
        )

    def call(self, method: str, *params: Any) -> Any:
        """The node's side of reading a published trace."""
        assert (method, params[0]) == ("eth_getTransactionByHash", "0x" + ANSWER_TX.hex())
        return {"input": "0x" + self.published.hex()}

    def tick(self, rounds: int = 3) -> None:
        """Rounds in one block; what is computed beside them is waited for."""
        for _ in range(rounds):
            self.daemon.tick()
            end = time.monotonic() + 5
            while self.daemon._bench.running and time.monotonic() < end:
                if not self.daemon._bench._done.empty():
                    break
                time.sleep(0.001)

    def settle(self) -> None:
        """Rounds over some blocks, crashes and restarts included, until nothing happens."""
        quiet = 0
        while quiet < 3:
            before = (len(self.world.moves), len(self.world.refused))
            try:
                self.tick()
            except Crash:
                self.record.close()
                self.restart()
                continue
            self.world.later()
            quiet = quiet + 1 if before == (len(self.world.moves), len(self.world.refused)) else 0

    def right(self, terms: Terms) -> Trace:
        """What an honest run gives."""
        tensor = self.world.store.get_tensor(terms.input_id, terms.units, 5)
        return run(self.world.model, tensor)

    def lie(self, *, is_stored: bool) -> tuple[Job, Trace]:
        """A claim with one wrong element."""
        terms = self.world.terms()
        right = self.right(terms)
        lie = right.replace(1, 2, 1, right.rows[1][2][1] ^ 0x20)
        if is_stored:
            self.world.store.put_trace(lie)
        return self.world.claimed(terms, lie.root), lie

    def answer(self, job: Job, trace: Trace) -> None:
        """Somebody publishes a trace on chain."""
        assert job.record is not None
        ref = ClaimRef(job.terms, job.record, trace.root)
        client = FaultProof(None, VERIFIER)  # type: ignore[arg-type]
        self.published = client.publish_trace(ref, trace.to_bytes()).data
        self.world.case(job, publisher=address(6), published_in=ANSWER_TX)
        self.world.set(self.world.jobs.jobs[job.id])


@pytest.fixture
def post(tmp_path: Path) -> Post:
    return Post(tmp_path)


def with_every_crash(folder: Path, story: Callable[[Post], None]) -> int:
    """Tell the story with a crash at each of its steps in turn; returns how many steps it has."""
    for steps in range(MANY):
        post = Post(folder / str(steps))
        post.fuse.left = steps
        story(post)
        if post.fuse.left >= 0:
            return steps
    raise AssertionError("the story never ends")


def names(post: Post) -> list[str]:
    return [name for name, _ in post.world.moves]


# ---- verdicts


def test_a_right_claim_is_good_and_costs_nothing(post: Post):
    terms = post.world.terms()
    job = post.world.claimed(terms, post.right(terms).root)
    post.settle()
    assert not post.world.moves
    assert post.record.verdict(job.claim_id or b"") == Verdict.GOOD


def test_the_same_work_is_computed_once(post: Post, monkeypatch: pytest.MonkeyPatch):
    checked: list[bytes] = []
    check = Checker.check

    def counted(checker: Checker, terms: Terms, *rest: Any) -> Any:
        checked.append(terms.input_id)
        return check(checker, terms, *rest)

    monkeypatch.setattr(Checker, "check", counted)
    terms = post.world.terms()
    root = post.right(terms).root
    post.world.claimed(terms, root)
    post.settle()
    second = post.world.claimed(replace(terms, salt=99), root)
    post.settle()
    post.restart()
    post.settle()
    assert checked == [terms.input_id]
    assert post.record.verdict(second.claim_id or b"") == Verdict.GOOD


def test_a_claim_for_another_verifier_is_none_of_ours(post: Post):
    post.world.claimed(post.world.terms(verifier=address(3)), b"\x01" * 32)
    post.settle()
    assert not post.world.moves


@pytest.mark.parametrize("missing", ["models", "tensors"])
def test_what_can_not_be_checked_is_tried_again(post: Post, missing: str):
    post.lie(is_stored=True)
    path = post.world.store.path / missing
    path.rename(path.with_name("elsewhere"))
    post.settle()
    assert not post.world.moves
    path.with_name("elsewhere").rename(path)
    for _ in range(10):
        post.world.later()
        post.tick()
    assert names(post) == ["prove_matmul"]


# ---- a lie whose trace is there


def test_a_lie_is_proven_at_its_place(post: Post):
    job, lie = post.lie(is_stored=True)
    post.settle()
    ((ref, op, row, column, *_),) = post.world.done("prove_matmul")
    assert (ref.terms, ref.record, ref.commitment) == (job.terms, job.record, lie.root)
    assert (op.op_index, row, column) == (1, 2, 1)
    assert names(post) == ["prove_matmul"]


def test_the_proofs_last_second(post: Post):
    post.lie(is_stored=True)
    post.world.later(SETTINGS.window)
    post.tick()
    assert names(post) == ["prove_matmul"]


def test_after_the_window_there_is_no_proof(post: Post):
    post.lie(is_stored=True)
    post.world.later(SETTINGS.window + 1)
    post.tick()
    assert not post.world.moves
    assert not post.world.refused


def test_a_lost_race_is_no_failure(post: Post):
    job, _ = post.lie(is_stored=True)
    post.tick(1)
    post.world.case(job, refuter=address(7))
    post.world.change(job.id, JobState.REFUTED, outcome="refuted", refuter=address(7))
    post.settle()
    assert not post.world.moves


def test_a_crash_at_any_step_of_a_proof(tmp_path: Path):
    def story(post: Post) -> None:
        post.lie(is_stored=True)
        post.settle()
        assert names(post) == ["prove_matmul"]
        assert not post.world.refused

    assert with_every_crash(tmp_path, story) > 4


# ---- a lie whose trace is withheld


def test_a_withheld_trace_is_demanded_then_falls_by_silence(post: Post):
    job, _ = post.lie(is_stored=False)
    post.tick()
    assert names(post) == ["demand_trace"]
    post.world.later(SETTINGS.reply)
    post.tick()
    assert names(post) == ["demand_trace"]
    post.world.later()
    post.tick()
    # The fee of the demand comes back with it.
    assert names(post) == ["demand_trace", "silence", "settle_demand"]
    (settled,) = post.world.done("settle_demand")
    assert settled == (job.id, job.record, 1)
    post.settle()
    assert len(post.world.moves) == 3


def test_a_trace_that_turns_up_in_the_store_is_used(post: Post):
    _, lie = post.lie(is_stored=False)
    post.tick()
    post.world.store.put_trace(lie)
    for _ in range(5):
        post.world.later()
        post.tick()
    assert names(post) == ["demand_trace", "prove_matmul", "settle_demand"]


def test_a_published_lie_is_read_from_the_chain_and_proven(post: Post):
    job, lie = post.lie(is_stored=False)
    post.tick()
    post.answer(job, lie)
    post.world.later()
    post.tick()
    assert names(post)[:2] == ["demand_trace", "prove_matmul"]


def test_it_is_read_after_a_restart_as_well(post: Post):
    job, lie = post.lie(is_stored=False)
    post.tick()
    post.answer(job, lie)
    post.restart()
    post.tick(4)
    assert names(post)[:2] == ["demand_trace", "prove_matmul"]


def test_the_last_second_of_a_proof_after_publication(post: Post):
    job, lie = post.lie(is_stored=False)
    post.tick()
    post.answer(job, lie)
    post.world.later(SETTINGS.delay)
    post.tick(4)
    assert names(post)[:2] == ["demand_trace", "prove_matmul"]


def test_after_the_delay_it_is_too_late(post: Post):
    job, lie = post.lie(is_stored=False)
    post.tick()
    post.answer(job, lie)
    post.world.later(SETTINGS.delay + 1)
    post.tick(4)
    assert names(post) == ["demand_trace"]


def test_somebody_elses_demand_against_a_good_claim_is_its_own_business(post: Post):
    terms = post.world.terms()
    job = post.world.claimed(terms, post.right(terms).root)
    post.tick()
    post.world.demanded(job, REQUESTER)
    post.world.later(SETTINGS.reply + 1)
    post.settle()
    assert not post.world.moves


def test_somebody_elses_demand_against_a_bad_claim_is_brought_to_its_end(post: Post):
    job, _ = post.lie(is_stored=False)
    post.world.demanded(job, REQUESTER)
    post.tick()
    post.world.later(SETTINGS.reply + 1)
    post.tick()
    assert names(post) == ["silence"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"books": 3}, "authorise the book FaultProof"),
        ({"free": FEE - 1}, "deposit 1 token units more"),
        ({"books": 0, "free": 0}, "authorise the book FaultProof and deposit 1000 token units"),
    ],
)
def test_a_demand_that_can_not_be_paid_says_so_once(
    post: Post, change: dict[str, int], words: str, caplog: pytest.LogCaptureFixture
):
    post.lie(is_stored=False)
    good = post.world.account
    post.world.account = replace(good, **change)
    post.settle()
    assert not post.world.moves
    said = [entry for entry in caplog.records if words in str(getattr(entry, "why", ""))]
    assert len(said) == 1
    registry = post.world.observer.metrics.registry
    assert registry.get_sample_value("headrace_claims_unchecked") == 1
    post.world.account = replace(good, free=FEE)
    post.tick()
    assert names(post) == ["demand_trace"]
    assert registry.get_sample_value("headrace_claims_unchecked") == 0


def test_the_demands_last_second(post: Post):
    post.lie(is_stored=False)
    post.world.later(SETTINGS.window)
    post.tick()
    assert names(post) == ["demand_trace"]


def test_after_the_window_there_is_no_demand(post: Post):
    post.lie(is_stored=False)
    post.tick(1)
    post.world.later(SETTINGS.window + 1)
    post.tick()
    assert not post.world.moves
    assert not post.world.refused


def test_a_crash_at_any_step_of_a_demand_and_a_silence(tmp_path: Path):
    def story(post: Post) -> None:
        post.lie(is_stored=False)
        post.settle()
        post.world.later(SETTINGS.reply)
        post.settle()
        assert names(post) == ["demand_trace", "silence", "settle_demand"]
        assert not post.world.refused

    assert with_every_crash(tmp_path, story) > 8


# ---- the record


def test_a_record_of_another_deployment_is_refused(tmp_path: Path):
    WatchRecord(tmp_path / "watch.db", {"escrow": "0xaa"}).close()
    with pytest.raises(UsageError, match="has escrow 0xaa, not 0xbb"):
        WatchRecord(tmp_path / "watch.db", {"escrow": "0xbb"})


def test_what_the_record_knows_after_a_restart(tmp_path: Path):
    record = WatchRecord(tmp_path / "watch.db", {})
    claim, job, root = b"\x01" * 32, b"\x02" * 32, b"\x03" * 32
    assert record.judge(claim, job, 2, Verdict.BAD)
    assert not record.judge(claim, job, 2, Verdict.BAD)
    record.keep_answer(claim, job, 3, root)
    record.close()
    record = WatchRecord(tmp_path / "watch.db", {})
    assert (record.verdict(claim), record.place(claim)) == (Verdict.BAD, (job, 2))
    assert record.answer(claim, job, 3) == root
    assert record.answer(claim, job, 4) is None
    assert (record.verdict(job), record.place(job)) == (Verdict.UNKNOWN, None)
