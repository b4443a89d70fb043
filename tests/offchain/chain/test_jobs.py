"""The fold of JobEscrow's events agrees with the contract, and can be undone to any block."""

import random
from collections.abc import Iterable
from contextlib import suppress
from itertools import count

import pytest
from eth_utils import keccak

from headrace.chain.abi import Log
from headrace.chain.contracts import JobEscrow
from headrace.chain.db import ChainDb
from headrace.chain.follower import Follower
from headrace.chain.jobs import JobBook
from headrace.chain.rpc import Rpc
from headrace.chain.views import JobState
from headrace.errors import RetryLater
from headrace.terms.money import exclusion_after
from headrace.terms.words import (
    ZERO_HASH,
    Ask,
    Exclusion,
    Terms,
    claim_digest,
    excluded_hash,
    record_hash,
)
from tests.harness import Reverted
from tests.system import FALLS, STANDS, Attempt, System

CHOICES = [
    *["post", "bid", "batch", "match", "match", "claim", "claim", "contest"],
    *["decline", "expire", "final", "refute", "cancel"],
]


class Walk:
    """Random lives of jobs, by transactions that may be refused."""

    def __init__(self, system: System, seed: int) -> None:
        self.system = system
        self.draw = random.Random(seed)
        self.open: dict[bytes, tuple[Terms, list[Exclusion]]] = {}
        self.running: list[Attempt] = []
        self.claimed: list[Attempt] = []
        # What each running job had excluded when it was matched.
        self.before: dict[bytes, list[Exclusion]] = {}
        self._inputs = count(seed * 1_000)

    def go(self, moves: int) -> None:
        for _ in range(moves):
            with suppress(Reverted):
                getattr(self, self.draw.choice(CHOICES))()

    def terms(self, **changes) -> Terms:
        return self.system.terms(max_attempts=self.draw.choice([1, 1, 2, 4]), **changes)

    def post(self) -> None:
        terms = self.system.post(self.terms())
        self.open[self.system.job_id(terms)] = (terms, [])

    def bid(self) -> None:
        self.running.append(self.system.match(self.terms(), self.ask([])))

    def batch(self) -> None:
        inputs = [keccak(text=f"{next(self._inputs)}") for _ in range(self.draw.randint(1, 3))]
        terms = self.terms(input_id=ZERO_HASH)
        self.running += self.system.match_batch(terms, inputs, self.ask([]))

    def ask(self, excluded: list[Exclusion]) -> Ask:
        out = [exclusion.provider for exclusion in excluded]
        free = [i for i, p in enumerate(self.system.providers) if p.address not in out]
        return self.system.ask(self.draw.choice(free))

    def match(self) -> None:
        job_id = self.draw.choice([*self.open, ZERO_HASH])
        if job_id in self.open:
            terms, excluded = self.open[job_id]
            attempt = self.system.match(terms, self.ask(excluded), excluded=excluded)
            del self.open[job_id]
            self.before[job_id] = excluded
            self.running.append(attempt)

    def _take(self, pool: list[Attempt]) -> Attempt:
        if not pool:
            raise Reverted("nothing to do")
        return pool[self.draw.randrange(len(pool))]

    def claim(self) -> None:
        attempt = self._take(self.running)
        self.system.claim(attempt)
        self.running.remove(attempt)
        self.claimed.append(attempt)

    def contest(self) -> None:
        attempt = self._take(self.claimed)
        verifier = self.system.chain.impersonate(self.system.dummy)
        packed = (attempt.terms.pack(), attempt.record.pack(), attempt.commitment)
        self.system.escrow.contest(*packed, sender=verifier)

    def _ended(self, attempt: Attempt, pool: list[Attempt]) -> None:
        pool.remove(attempt)
        if self.system.job(attempt).state == JobState.OPEN:
            excluded = self.before.get(attempt.job_id, [])
            self.open[attempt.job_id] = (
                attempt.terms,
                [*excluded, exclusion_after(attempt.record)],
            )

    def decline(self) -> None:
        attempt = self._take(self.running)
        self.system.decline(attempt)
        self._ended(attempt, self.running)

    def expire(self) -> None:
        attempt = self._take(self.running)
        self.system.expire(attempt)
        self._ended(attempt, self.running)

    def final(self) -> None:
        attempt = self._take(self.claimed)
        self.system.rule(attempt, STANDS)
        self.system.finalise(attempt)
        self.claimed.remove(attempt)

    def refute(self) -> None:
        attempt = self._take(self.claimed)
        self.system.rule(attempt, FALLS, self.system.watchers[0])
        self.system.refute(attempt)
        self._ended(attempt, self.claimed)

    def cancel(self) -> None:
        if self.open and self.draw.random() < 0.5:
            job_id = self.draw.choice(list(self.open))
            terms, excluded = self.open[job_id]
            self.system.cancel(terms, excluded=excluded)
            del self.open[job_id]
        else:
            self.system.cancel(self.terms())


class Follow:
    """A follower of the system's JobEscrow and the book it keeps."""

    def __init__(self, system: System, path) -> None:
        self.rpc = Rpc(system.chain.url)
        self.escrow = JobEscrow(self.rpc, system.escrow.address)
        self.db = ChainDb(
            path / "c.sqlite", chain_id=31337, genesis=b"\0" * 32, escrow=self.escrow.address
        )
        addresses = [self.escrow.address, system.vault.address]
        self.follower = Follower(self.rpc, self.db, addresses, start=0, near=32)
        self.book = JobBook()

    def catch_up(self) -> set[bytes]:
        touched: set[bytes] = set()
        while True:
            step = self.follower.step()
            touched |= self.book.follow(step, self.db, self.escrow.address)
            if step.is_caught_up:
                return touched

    def logs(self) -> list[Log]:
        return [log for log in self.db.logs() if log.address == self.escrow.address]


@pytest.fixture
def follow(system, tmp_path):
    following = Follow(system, tmp_path)
    yield following
    following.db.close()
    following.rpc.close()


def check(book: JobBook, escrow: JobEscrow) -> None:
    """Every job of the book is what its slot says, down to the digest."""
    ids = list(book.jobs)
    for job_id, slot in zip(ids, escrow.jobs(ids), strict=True):
        job = book.jobs[job_id]
        assert (job.state, job.attempt) == (slot.state, slot.attempt)
        assert (job_id in book.live) == slot.state.is_live
        if job.state == JobState.OPEN:
            assert slot.digest == excluded_hash(job.excluded)
            assert slot.time == job.declines | job.declined_at << 2
        elif job.state == JobState.MATCHED:
            assert slot.digest == record_hash(job.record)
            assert slot.time == job.claim_until
            assert job.provider == job.record.provider
        elif job.state.is_claimed:
            assert slot.digest == claim_digest(job.record, job.commitment)
            assert slot.time == job.claimed_at
        else:
            assert job.provider is None
    for slot in escrow.jobs(sorted(book.revoked)):
        assert slot.state == JobState.CANCELLED
    assert book.unread == 0


def same(one: JobBook, other: JobBook) -> bool:
    return (one.jobs, one.live, one.revoked) == (other.jobs, other.live, other.revoked)


@pytest.mark.parametrize("seed", [1, 2])
def test_agrees_with_the_contract_through_reorganisations(system, follow, seed):
    walk = Walk(system, seed)
    walk.go(90)
    follow.catch_up()
    check(follow.book, follow.escrow)

    snapshot, kept = system.chain.snapshot(), replace_walk(walk)
    walk.go(25)
    follow.catch_up()
    check(follow.book, follow.escrow)
    before = dict(follow.book.jobs)

    system.chain.restore(snapshot)
    # Longer than the branch that is gone, with other content.
    kept.draw = random.Random(seed + 100)
    kept.go(40)
    system.chain.mine(60)
    touched = follow.catch_up()
    check(follow.book, follow.escrow)
    after = follow.book.jobs
    changed = {i for i in {*before, *after} if before.get(i) != after.get(i)}
    assert changed <= touched
    seen = {attempt.outcome for job in follow.book.jobs.values() for attempt in job.attempts}
    assert seen >= {"running", "final", "refuted", "expired", "declined"}
    assert any(job.batch_id for job in follow.book.jobs.values())
    assert same(follow.book, JobBook.load(follow.db, follow.escrow.address))


def replace_walk(walk: Walk) -> Walk:
    """A copy to go on from after the chain is set back."""
    copy = Walk(walk.system, 0)
    copy.open, copy.running, copy.claimed = dict(walk.open), [*walk.running], [*walk.claimed]
    copy._inputs = count(10**9)
    copy.before = dict(walk.before)
    return copy


def test_undoing_any_blocks_is_as_if_they_had_never_been(system, follow):
    Walk(system, 7).go(70)
    follow.catch_up()
    logs = follow.logs()
    whole = follow.book
    numbers = sorted({log.block_number for log in logs})
    for cut in numbers:
        left = [log for log in logs if log.block_number < cut]
        removed = [log for log in logs if log.block_number >= cut]

        def about(subjects: Iterable[bytes], left: list[Log] = left) -> list[Log]:
            wanted = set(subjects)
            return [log for log in left if log.topics[1] in wanted]

        book = JobBook()
        book.fold(logs)
        book.undo(removed, about, follow.escrow.address)
        fresh = JobBook()
        fresh.fold(left)
        assert same(book, fresh)
        book.fold(removed)
        assert same(book, whole)


def test_an_attempts_history_tells_where_the_money_went(system, follow):
    terms = system.post(system.terms(max_attempts=3))
    lied = system.match(terms, system.ask(1))
    system.claim(lied)
    system.rule(lied, FALLS, system.watchers[0])
    refuted = system.refute(lied).only("Refuted")
    first = exclusion_after(lied.record)
    late = system.match(terms, system.ask(2), excluded=[first])
    expired = system.expire(late).only("Expired")
    second = exclusion_after(late.record)
    good = system.match(terms, system.ask(3), excluded=[first, second])
    claimed = system.claim(good)
    system.rule(good, STANDS)
    end = system.finalise(good)

    follow.catch_up()
    job = follow.book.jobs[system.job_id(terms)]
    assert [attempt.outcome for attempt in job.attempts] == ["refuted", "expired", "final"]
    one, two, three = job.attempts
    assert (one.refuter, one.slash, one.to_refuter) == (
        system.watchers[0].address,
        refuted.slash,
        refuted.to_refuter,
    )
    assert one.slash == one.to_requester + one.to_refuter + one.to_keeper + one.to_sink
    assert two.slash == expired.slash == two.to_requester + two.to_keeper + two.to_sink
    assert two.keeper == system.keepers[2].address
    assert three.txs == tuple(
        bytes.fromhex(receipt.hash[2:]) for receipt in (good.receipt, claimed, end)
    )
    assert job.excluded == (first, second)
    assert job.record == good.record
    assert job.terms == terms


def test_events_that_make_no_sense_are_counted_and_left_out(system, follow):
    attempt = system.claimed(system.post())
    follow.catch_up()
    *_, posted, matched, claimed = follow.logs()
    orphan = JobBook()
    assert orphan.fold([claimed]) == set()
    assert (orphan.unread, orphan.jobs) == (1, {})
    broken = JobBook()
    broken.fold([posted, matched._replace(data=matched.data[:64]), matched, claimed])
    assert broken.unread == 1
    assert broken.jobs[attempt.job_id] == follow.book.jobs[attempt.job_id]
    # A topic that no event of ours has is another version's, not an error.
    broken.fold([claimed._replace(topics=(b"\x55" * 32, *claimed.topics[1:]))])
    assert broken.unread == 1


def test_a_running_attempts_deadlines(system, follow):
    attempt = system.match()
    follow.catch_up()
    job = follow.book.jobs[attempt.job_id]
    assert job.claim_until == attempt.ends
    assert job.decline_until == attempt.record.matched_at + attempt.terms.ack_seconds
    assert job.claim_id is None
    system.claim(attempt)
    follow.catch_up()
    job = follow.book.jobs[attempt.job_id]
    assert (job.claim_until, job.decline_until) == (0, 0)
    assert job.claim_id == attempt.claim_id


def test_a_chain_that_was_only_set_back_is_waited_for(system, follow):
    snapshot = system.chain.snapshot()
    attempt = system.match()
    follow.catch_up()
    system.chain.restore(snapshot)
    with pytest.raises(RetryLater, match="it was at"):
        follow.catch_up()
    system.chain.mine(3)
    follow.catch_up()
    assert attempt.job_id not in follow.book.jobs
