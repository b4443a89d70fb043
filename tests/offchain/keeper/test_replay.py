"""A plan doesn't remember blocks that were taken back, nor miss any that came again.

The books of the daemons (jobs, disputes, games) fold the logs that the model's contracts write, out
of tables that are rolled back. What views answer is the model's as of the block; that a keeper's
own memory of such answers survives a rollback is shown on a real chain (test_known.py).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given

from headrace.chain.db import ChainDb
from headrace.chain.jobs import Job
from headrace.daemon.books import Books
from headrace.keeper.decide import Planned, plan
from tests.offchain.daemon.histories import ESCROW, GRAPH, PROOF, History
from tests.offchain.keeper.happenings import (
    BEGUN,
    BOARD,
    KINDS,
    Step,
    fresh,
    happen,
    steps,
)
from tests.offchain.keeper.ledger import Entry
from tests.offchain.keeper.model import Model
from tests.offchain.keeper.picture import picture
from tests.offchain.keeper.states import EAGER, KEEPER, T0

Block = tuple[int, list[Entry]]
Opened = Callable[[], ChainDb]


@pytest.fixture
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """Opens empty tables, each in a folder of its own."""
    all_opened: list[ChainDb] = []

    def open_db() -> ChainDb:
        while all_opened:  # those of the example before
            all_opened.pop().close()
        folder: Path = tmp_path_factory.mktemp("replay")
        db = ChainDb(folder / "chain.db", chain_id=1, genesis=bytes(32), escrow=ESCROW)
        all_opened.append(db)
        return db

    yield open_db
    for db in all_opened:
        db.close()


class Follower:
    """A keeper's books, block after block."""

    def __init__(self, db: ChainDb) -> None:
        self.history = History(db)
        self.books = Books.load(db, escrow=ESCROW, fault_proof=PROOF, graph_proof=GRAPH)

    def take(self, blocks: list[Block]) -> None:
        """More blocks, each so many seconds after the first, which is its number too."""
        for number, entries in blocks:
            self.history.number = number
            for where, name, values, call, _ in entries:
                tx = number.to_bytes(16) + call.to_bytes(16)
                self.history.log(where, name, *values, tx=tx)
            self.books.follow(self.history.seal(), 0)

    def back(self, number: int) -> None:
        """All above a block is gone."""
        self.books.follow(self.history.back(number), 0)

    def planned(self, model: Model) -> Planned:
        """The plan at the end of the block that it is at, where contracts answer as `model`."""
        jobs = {job_id: self.books.jobs.jobs[job_id] for job_id in self.books.jobs.jobs}
        live = {job.id: plain(job) for job in jobs.values() if job.state.is_live}
        assert live == {i: plain(job) for i, job in model.jobs.items() if job.state.is_live}
        assert self.books.jobs.unread == 0
        owed = {claim for claim, case in model.cases.items() if case.has_fee}
        owed_nodes = {claim for claim, game in model.games.items() if game.has_fees}
        assert self.books.disputes.unsettled == owed
        assert self.books.games.unsettled == owed_nodes
        state = picture(model, jobs, self.books.disputes.cases, self.books.games.games)
        return plan(state, model.now, KEEPER, EAGER)


def plain(job: Job) -> Job:
    """Without what only a chain knows."""
    attempts = tuple(replace(attempt, txs=()) for attempt in job.attempts)
    return replace(job, posted_in=0, cancel_tx=None, attempts=attempts)


@dataclass
class Market:
    """A model that makes blocks."""

    model: Model

    def go_on(self, course: list[Step]) -> list[Block]:
        """The blocks of some steps: of each second in which something was logged, and the last."""
        seen = len(self.model.logs)
        for step in course:
            happen(self.model, step)
        entries: dict[int, list[Entry]] = {}
        for entry in self.model.logs[seen:]:
            entries.setdefault(entry[-1], []).append(entry)
        entries.setdefault(self.model.now, [])
        return [(at - T0, found) for at, found in entries.items()]


# What is put on the board isn't taken back with a block: it stays as it is meanwhile.
CHAIN = [kind for kind in KINDS if kind not in BOARD]
ON_CHAIN = steps(3, 12, [*CHAIN, *["round"] * 5, "wait", "wait"])


@given(first=steps(5, 20, begun=BEGUN), later=ON_CHAIN, other=ON_CHAIN)
def test_after_a_rollback_a_plan_is_as_if_nothing_had_been_and_after_a_replay_as_before(
    opened: Opened, first: list[Step], later: list[Step], other: list[Step]
):
    market, follower = Market(fresh()), Follower(opened())
    kept = market.go_on(first)
    follower.take(kept)
    past, fork = market.model.clone(), kept[-1][0]
    at_fork = follower.planned(past)
    gone = market.go_on(later)
    follower.take(gone)
    present = market.model.clone()
    before = follower.planned(present)
    assert before == plan(picture(present), present.now, KEEPER, EAGER)

    follower.back(fork)
    assert follower.planned(past) == at_fork
    follower.take(gone)
    assert follower.planned(present) == before

    # The chain goes on another way: as for a keeper that has never seen the first.
    follower.back(fork)
    market = Market(past)
    taken = market.go_on(other)
    follower.take(taken)
    never_saw = Follower(opened())
    never_saw.take(kept + taken)
    assert never_saw.planned(market.model) == follower.planned(market.model)
