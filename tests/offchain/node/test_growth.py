"""A node that has done many jobs holds on to no more than one that has done few."""

from pathlib import Path

from headrace.chain.views import JobState
from tests.offchain.node.fakes import ACK
from tests.offchain.node.theatre import Theatre


def holdings(stage: Theatre) -> int:
    """How many things the daemon remembers of attempts, in memory."""
    daemon = stage.daemon
    work = stage.workshop
    parts = (daemon._mine, daemon._quiet, work._trouble, work._said, work._traces, work._models)
    return sum(map(len, parts)) + len(work.running)


def one_life(stage: Theatre, *, has_input: bool) -> None:
    """A job that is claimed, disputed and final; or one that can't be run and is declined."""
    job = stage.world.match(stage.world.terms(has_input=has_input, salt=len(stage.world.moves)))
    stage.tick(3)
    if has_input:
        stage.world.demanded(stage.world.jobs.jobs[job.id])
        stage.tick(2)
        stage.world.change(job.id, JobState.FINAL, outcome="final")
    else:
        stage.world.later(ACK)
        stage.tick(2)
    stage.world.later()
    stage.tick()


def test_what_a_node_holds_does_not_grow_with_the_jobs_it_has_done(tmp_path: Path):
    stage = Theatre(tmp_path)
    for number in range(4):
        one_life(stage, has_input=number % 2 == 0)
    before = holdings(stage)
    for number in range(20):
        one_life(stage, has_input=number % 2 == 0)
    assert holdings(stage) == before
    assert len(stage.world.done("submit_claim")) == 12
    assert len(stage.world.done("decline")) == 12
