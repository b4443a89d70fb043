"""Failure 23: a node dies in the middle of a job.

Back in time, it does the work again and claims once. If it stays away, its attempt runs out on
chain, a keeper ends it, and another node has the job. Nothing half-done is ever claimed.
"""

import sys
from dataclasses import replace
from pathlib import Path

from headrace.chain.views import JobState
from headrace.graph.trace import run
from headrace.terms.words import Terms
from tests.flows.town import UNIT, Daemon, Town, a_town
from tests.unit.fault_proof.court import random_input

REQUESTER, MATCHER = 1, 2
BACK, AWAY, OTHER = 5, 6, 7
SLOW = "4"


def test_failure_23_a_node_dies_in_the_middle_of_a_job(tmp_path: Path):
    """One test: its two stories share half a minute of real time."""
    with a_town(tmp_path) as town:
        town.settings = replace(town.settings, window=4, reply=4, follow=4)
        town.fund(town.people[REQUESTER], 200 * UNIT, 1)
        nodes = {index: slow(town, index) for index in (BACK, AWAY)}
        nodes[OTHER] = town.node(OTHER)
        home, _ = town.home("keeper", 3_000)
        keeper = town._daemon("keeper", home, ["headrace.keeper"], None)
        for index in (BACK, AWAY):
            nodes[index].start()
            town.ask_of(index)
        example = town.post(town.people[REQUESTER])
        town.send(town.people[REQUESTER], town.escrow.cancel(example, []))
        # Long enough for a busy machine to start three programs and to work twice.
        first = post_like(town, example, salt=98, attempt_seconds=120)
        # The asks of all are the same, so the matches with those that die are made by hand.
        second = post_like(
            town, example, salt=99, max_attempts=2, attempt_seconds=12, ack_seconds=3
        )
        town.match(town.people[MATCHER], first, BACK)
        town.match(town.people[MATCHER], second, AWAY)
        town.run_clock()
        for index in (BACK, AWAY):
            town.until(lambda index=index: at_work(nodes[index]) == 1)
            nodes[index].kill()
        nodes[OTHER].start()
        keeper.start()
        nodes[BACK].start()
        back_in_time(town, first)
        taker = away_for_good(town, second)
        # Its own work twice, and perhaps that of the node that stayed away.
        assert at_work(nodes[BACK]) == 2 + (taker == town.people[BACK].lower())
        assert at_work(nodes[AWAY]) == 1


def slow(town: Town, index: int) -> Daemon:
    daemon = town.node(index)
    file = daemon.command[-1]
    daemon.command = [sys.executable, "-m", "tests.offchain.failures.slow_node", SLOW, file]
    return daemon


def at_work(daemon: Daemon) -> int:
    """How often the node has begun to work."""
    path = Path(daemon.environment["HEADRACE_HOME"]) / "at-work"
    return len(path.read_text().splitlines()) if path.exists() else 0


def post_like(town: Town, terms: Terms, **changes: int) -> Terms:
    """Another posted job, over an input of its own."""
    tensor = random_input(town._rng, terms.units, town.model.input_width)
    other = replace(terms, input_id=bytes.fromhex(town.store.put_tensor(tensor)), **changes)
    town.send(terms.requester, town.escrow.post_job(other))
    return other


def right_root(town: Town, terms: Terms) -> bytes:
    """The only commitment that is right for a job."""
    tensor = town.store.get_tensor(terms.input_id.hex(), terms.units, town.model.input_width)
    return run(town.model, tensor).root


def back_in_time(town: Town, terms: Terms) -> None:
    town.until_state(terms, JobState.FINAL, JobState.EXPIRED)
    assert town.count("Claimed", terms) == 1
    assert town.count("Matched", terms) == 1
    assert town.job(terms).commitment == right_root(town, terms)


def away_for_good(town: Town, terms: Terms) -> str:
    """Returns who had the job in the end."""
    town.until_state(terms, JobState.FINAL)
    job = town.job(terms)
    assert [attempt.outcome for attempt in job.attempts] == ["expired", "final"]
    providers = [attempt.record.provider.lower() for attempt in job.attempts]
    assert providers[0] == town.people[AWAY].lower()
    assert providers[1] != town.people[AWAY].lower()
    assert town.count("Claimed", terms) == 1
    assert job.commitment == right_root(town, terms)
    # Who stayed away pays for it, and not the requester.
    assert job.attempts[0].slash > 0
    assert job.attempts[1].slash == 0
    return providers[1]
