"""The books stay as large as what is going on, and a restart from a checkpoint changes nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.chain import jobs as jobs_module
from headrace.chain.db import ChainDb
from headrace.chain.job import Job
from headrace.chain.jobs import JobBook
from headrace.chain.views import JobState
from headrace.daemon import books as books_module
from headrace.daemon.books import Books
from headrace.daemon.disputes import DisputeBook
from headrace.daemon.games import GameBook
from tests.offchain.daemon.histories import ESCROW, GRAPH, PROOF, PROVIDERS, History, Life

PLACES = {"escrow": ESCROW, "fault_proof": PROOF, "graph_proof": GRAPH}


@pytest.fixture
def db(tmp_path: Path) -> Iterator[ChainDb]:
    made = open_db(tmp_path)
    yield made
    made.close()


def open_db(folder: Path) -> ChainDb:
    return ChainDb(folder / "chain.db", chain_id=1, genesis=bytes(32), escrow=ESCROW)


def truth_of(db: ChainDb) -> tuple[JobBook, DisputeBook, GameBook]:
    """Everything, folded from nothing."""
    truth = JobBook(), DisputeBook(), GameBook()
    for book, place in zip(truth, (ESCROW, PROOF, GRAPH), strict=True):
        book.fold(db.logs(place))
    return truth


def check(books: Books, db: ChainDb) -> None:
    """What is going on is as in a fold from nothing; what else is there is true."""
    jobs, disputes, games = truth_of(db)
    assert books.jobs.live == jobs.live
    assert {i: books.jobs.jobs[i] for i in jobs.live} == {i: jobs.jobs[i] for i in jobs.live}
    assert all(jobs.jobs[i] == job for i, job in books.jobs.jobs.items())
    assert books.jobs.unread == 0
    assert books.disputes.unsettled == disputes.unsettled
    assert books.games.unsettled == games.unsettled
    waited = {job.claim_id for i in jobs.live if (job := jobs.jobs[i]).claim_id}
    owed = disputes.unsettled | games.unsettled
    for mine, whole in (
        (books.disputes.claims, disputes.claims),
        (books.games.claims, games.claims),
    ):
        wanted = {claim for claim in whole if claim in waited | owed}
        assert {claim: mine[claim] for claim in wanted} == {c: whole[c] for c in wanted}
    for job in jobs.jobs.values():
        if any(claim in owed for claim, _ in job.claims):
            assert books.jobs.jobs[job.id] == job


def parties(jobs: list[Job]) -> tuple[set[str], dict[str, int]]:
    """Who was ever paid, and when each keeper has last matched."""
    paid, seen = set(), {}
    for job in jobs:
        if job.record is not None:
            keeper, at = job.record.keeper, job.record.matched_at
            seen[keeper] = max(at, seen.get(keeper, 0))
            if job.state == JobState.FINAL:
                paid.add(job.record.provider)
    return paid, seen


def restarted(db: ChainDb) -> Books:
    books = Books.load(db, **PLACES)
    check(books, db)
    everybody = [*truth_of(db)[0].jobs.values()]
    assert parties(list(books.jobs.jobs.values())) == parties(everybody)
    return books


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["block", "block", "block", "final", "checkpoint", "back", "restart"]),
        st.integers(0, 12),
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=60)
@given(steps=STEPS, seed=st.integers(0, 10**6))
def test_any_history_with_checkpoints_and_rollbacks_is_as_one_from_nothing(
    steps, seed, tmp_path_factory
):
    db = open_db(tmp_path_factory.mktemp("books"))
    history, books, final = History(db, seed), Books.load(db, **PLACES), 0
    for _ in range(8):
        books.follow(history.block(14), final)
    check(books, db)
    for step, size in steps:
        if step == "block":
            books.follow(history.block(size), final)
        elif step == "final":
            final = max(final, history.number - size)
            db.set_note("final", str(final))
            books.jobs.latest.settle(final)
        elif step == "checkpoint" and db.cursor() is not None:
            db.keep_checkpoint(final, books._wanted(), [*PLACES.values()])
        elif step == "back" and db.cursor() is not None:
            # What was final is never taken back.
            books.follow(history.back(max(final, history.number - size)), final)
        elif step == "restart":
            books = restarted(db)
        check(books, db)
    restarted(db)
    db.close()


def claimed(history: History, *, asks: int = 0) -> Life:
    """A job with a claim, of which so many nodes were demanded, in a block of its own."""
    history.number += 1
    life = history.post()
    history.match(life)
    history.claim(life)
    for _ in range(asks):
        history.ask(life)
    return life


def test_a_claim_that_was_let_go_of_is_there_when_its_job_goes_on_after_all(db: ChainDb):
    history, books = History(db), Books.load(db, **PLACES)
    life = claimed(history, asks=1)
    history.log(GRAPH, "DemandSettled", life.claim, PROVIDERS[0], 7)
    books.follow(history.seal(), 0)
    assert set(books.games.claims) == {life.claim}
    history.number += 1
    history.final(life)
    books.follow(history.seal(), 1)
    books.follow(history.block(0), 1)
    history.number += 1
    history.post()
    books.follow(history.seal(), 1)
    assert books.games.claims == {}
    db.keep_checkpoint(1, books._wanted(), [*PLACES.values()])
    books.follow(history.back(1), 1)
    check(books, db)
    # And so it is for a process that is started then.
    restarted(db)
    assert set(books.games.claims) == set(Books.load(db, **PLACES).games.claims) == {life.claim}


def test_what_is_told_of_a_claim_that_was_let_go_of_finds_it_whole(db: ChainDb):
    history, books = History(db), Books.load(db, **PLACES)
    life = claimed(history, asks=2)
    history.final(life)
    for _ in range(2):
        history.log(GRAPH, "DemandSettled", life.claim, PROVIDERS[0], 7)
    books.follow(history.seal(), history.number)
    for _ in range(2):
        history.number += 1
        history.post()
        books.follow(history.seal(), history.number)
    assert books.games.claims == {}
    history.number += 1
    history.log(GRAPH, "RewardOpen", life.claim, 77)
    books.follow(history.seal(), history.number)
    assert books.games.games[life.claim] == truth_of(db)[2].games[life.claim]
    history.number += 1
    history.post()
    books.follow(history.seal(), history.number)
    assert books.games.claims == {}


def test_a_job_stays_while_a_fee_of_it_waits(db: ChainDb):
    history, books = History(db), Books.load(db, **PLACES)
    life = claimed(history, asks=1)
    history.final(life)
    books.follow(history.seal(), 1)
    for _ in range(3):
        history.number += 1
        history.post()
        books.follow(history.seal(), history.number)
        check(books, db)
    assert life.id in books.jobs.jobs
    books.keep_checkpoint(3)
    assert life.id in Books.load(db, **PLACES).jobs.jobs
    history.number += 1
    history.log(GRAPH, "DemandSettled", life.claim, PROVIDERS[0], 7)
    books.follow(history.seal(), history.number)
    history.number += 1
    history.post()
    books.follow(history.seal(), history.number)
    assert life.id not in books.jobs.jobs
    assert books.games.claims == {}


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_settlement_that_is_taken_back_finds_its_job(db: ChainDb, is_restarted: bool):
    history, books = History(db), Books.load(db, **PLACES)
    life = claimed(history, asks=1)
    history.final(life)
    books.follow(history.seal(), 1)
    db.set_note("final", "1")
    history.number += 1
    history.log(GRAPH, "DemandSettled", life.claim, PROVIDERS[0], 7)
    books.follow(history.seal(), 1)
    for _ in range(2):
        history.number += 1
        history.post()
        books.follow(history.seal(), 1)
    books.keep_checkpoint(1)
    if is_restarted:
        books = Books.load(db, **PLACES)
        books.follow(history.block(0), 1)
    books.follow(history.back(1), 1)
    check(books, db)
    assert books.games.unsettled == {life.claim}
    assert life.id in books.jobs.jobs


def test_a_change_below_it_takes_the_checkpoint_back(db: ChainDb):
    history = History(db, 3)
    books = Books.load(db, **PLACES)
    for _ in range(30):
        books.follow(history.block(6), 0)
    db.keep_checkpoint(20, books._wanted(), [*PLACES.values()])
    history.back(20)
    assert db.checkpoint == 20
    restarted(db)
    history.back(19)
    assert db.checkpoint is None
    restarted(db)
    history.block(5)
    db.keep_checkpoint(20, Books.load(db, **PLACES)._wanted(), [*PLACES.values()])
    log = next(iter(db.logs_between(20, 20)))
    history.block(5)
    db.repair([21], db.logs_between(21, 21), notes={})
    assert db.checkpoint == 20
    db.repair([20], [log], notes={})
    assert db.checkpoint is None
    restarted(db)


def test_no_checkpoint_above_what_was_read(db: ChainDb):
    with pytest.raises(ValueError, match="no checkpoint of block 0 yet"):
        db.keep_checkpoint(0, [], [ESCROW])
    History(db).block(1)
    with pytest.raises(ValueError, match="no checkpoint of block 2 yet"):
        db.keep_checkpoint(2, [], [ESCROW])
    db.keep_checkpoint(1, [], [ESCROW])
    db.forget()
    assert db.checkpoint is None


def lived(history: History, books: Books, jobs: int, final: bool = True) -> None:
    """So many jobs are posted, matched, claimed, disputed and final, one a block."""
    for _ in range(jobs):
        history.number += 1
        life = history.post()
        history.match(life)
        history.claim(life)
        history.ask(life)
        history.demand(life)
        history.final(life)
        for where, claim, _ in life.owed:
            history.log(where, "DemandSettled", claim, life.terms.requester, 7)
        del history.lives[life.id]
        books.follow(history.seal(), history.number - 2 if final else 0)
        history._saved.clear()


def held(books: Books) -> int:
    """How many things the books hold on to."""
    return sum(
        len(part)
        for part in (
            *(books.jobs.jobs, books.jobs.live, books.jobs.revoked, books.jobs._ended),
            *(books.jobs.latest._final, books.jobs.latest._recent),
            *(books.disputes.claims, books.disputes.unsettled),
            *(books.games.claims, books.games.unsettled),
            *(books._claim_of, books._job_of, books._doubtful),
        )
    )


def test_what_is_held_does_not_grow_with_what_is_over(db: ChainDb):
    history, books = History(db), Books.load(db, **PLACES)
    lived(history, books, 30)
    before = held(books)
    for _ in range(3):
        history.number += 1
        history.revoke()
        books.follow(history.seal(), history.number)
    lived(history, books, 300)
    assert held(books) <= before
    assert before < 60
    check(books, db)


def test_what_ends_in_the_steps_of_one_look_is_there_when_it_is_looked_at(
    db: ChainDb, monkeypatch: pytest.MonkeyPatch
):
    history, books = History(db), Books.load(db, **PLACES)
    lived(history, books, 3)
    ended = set(books.jobs._ended)
    assert ended
    assert ended <= set(books.jobs.jobs)
    # Further steps of the same look leave it; the next look's first doesn't.
    for _ in range(2):
        books.follow(history.block(6), history.number, is_first=False)
    assert ended <= set(books.jobs.jobs)
    monkeypatch.setattr(jobs_module, "_MOST_ENDED", 0)
    books.follow(history.block(6), history.number, is_first=False)
    assert not ended & set(books.jobs.jobs)
    lived(history, books, 3)
    monkeypatch.undo()
    ended = set(books.jobs._ended)
    books.follow(history.block(6), history.number)
    assert not ended & set(books.jobs.jobs)


def test_a_restart_reads_as_little_after_a_thousand_jobs_as_after_ten(db: ChainDb):
    history, books = History(db), Books.load(db, **PLACES)

    def read() -> int:
        books.keep_checkpoint(history.number - 2)
        return sum(len(list(db.logs_wanted(place))) for place in PLACES.values())

    lived(history, books, 10)
    before = read()
    lived(history, books, 300)
    db.keep_checkpoint(history.number - 2, books._wanted(), [*PLACES.values()])
    # One more of each party's last jobs at most.
    assert read() <= before + 40
    assert sum(1 for _ in db.logs()) > 1_800


def test_a_checkpoint_is_written_when_enough_has_happened(db: ChainDb, monkeypatch):
    monkeypatch.setattr(books_module, "CHECKPOINT_EVERY", 80)
    history, books = History(db), Books.load(db, **PLACES)
    assert not books.keep_checkpoint(-1)
    lived(history, books, 2)
    assert books.keep_checkpoint(1)
    lived(history, books, 5)
    assert not books.keep_checkpoint(5)
    lived(history, books, 10)
    assert not books.keep_checkpoint(1)
    assert books.keep_checkpoint(15)
    assert not books.keep_checkpoint(16)
    # A process that is started often counts what others have read before it.
    lived(history, books, 12)
    again = Books.load(db, **PLACES)
    assert again.keep_checkpoint(20)


def test_who_wants_to_have_everything_has_it(db: ChainDb):
    history = History(db)
    books = Books.load(db, **PLACES, keeps_ended=True)
    lived(history, books, 5)
    books.follow(history.block(0), 4)
    assert len(books.jobs.jobs) == 5
    assert not books.keep_checkpoint(4)
    assert len(books.games.claims) == 5
