"""Node and watcher as processes against the real contracts, in real time, some of them killed."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from headrace.chain.views import ClaimRef, DisputeStatus, JobState
from headrace.graph.trace import run
from headrace.store.blobs import BlobStore
from headrace.terms.words import Record, Terms, claim_id
from tests.flows.town import UNIT, Daemon, Town, a_town

REQUESTER, KEEPER, GRIEFER = 1, 2, 3
HONEST, LIAR, WITHHOLDER, VANISHED, HIDER = 5, 6, 7, 8, 9


@dataclass
class Story:
    """What has happened by the end."""

    town: Town
    jobs: dict[int, Terms]
    records: dict[int, Record]
    nodes: dict[int, Daemon]
    watcher: Daemon
    missing: Terms
    stops: list[tuple[int, float]]

    @property
    def address(self) -> str:
        """The watcher's account."""
        return str(self.watcher.said("watching")[0]["account"])

    def claim_id(self, index: int) -> bytes:
        """The claim of a provider's first attempt at its job."""
        provider = self.records[index].provider
        return claim_id(self.town.job_id(self.jobs[index]), 1, provider)


def test_six_jobs_at_once(tmp_path: Path):
    """One test, because its parts share three quarters of a minute of real time."""
    with a_town(tmp_path) as town:
        story = tell(town, tmp_path / "own-store")
        an_honest_claim_is_made_once_and_paid(story)
        for index in (LIAR, HIDER):
            a_liar_is_convicted_by_the_element_that_it_changed(story, index)
        a_liar_that_shows_its_trace_is_convicted_without_a_demand(story)
        a_withheld_trace_falls_by_silence(story)
        a_node_that_lost_its_store_answers_in_time_and_is_paid(story)
        a_job_without_an_input_is_declined_once(story)
        the_rewards_and_the_fees_are_the_watchers(story)
        sigterm_ends_everything_within_two_seconds(story)


def tell(town: Town, own: Path) -> Story:
    people = town.people
    own_store = BlobStore(own)
    own_store.put_model(town.model)
    town.fund(people[REQUESTER], 200 * UNIT, 1)
    town.fund(people[GRIEFER], UNIT, 1 << town.vault.FAULT_PROOF_BOOK)
    nodes = {
        HONEST: town.node(HONEST),
        LIAR: town.node(LIAR, "liar"),
        WITHHOLDER: town.node(WITHHOLDER, "withholder"),
        VANISHED: town.node(VANISHED, store=own),
        HIDER: town.node(HIDER, "hider"),
    }
    watcher = town.watcher()
    for daemon in (*nodes.values(), watcher):
        daemon.start()
    jobs = {index: town.post(people[REQUESTER], store=own_store) for index in nodes}
    missing = town.post_for(people[REQUESTER], "ab" * 32)
    for index in nodes:
        town.ask_of(index)
    records = {index: town.match(people[KEEPER], jobs[index], index) for index in nodes}
    town.match(people[KEEPER], missing, HONEST)
    town.run_clock()
    story = Story(town, jobs, records, nodes, watcher, missing, [])

    # One node dies at its work, and comes back.
    job = "0x" + town.job_id(jobs[HONEST]).hex()
    town.until(lambda: nodes[HONEST].said("matched", job=job))
    nodes[HONEST].kill()
    nodes[HONEST].start()

    # One loses its store after the claim, is dead when its trace is demanded, and comes back.
    town.until_state(jobs[VANISHED], JobState.CLAIMED)
    nodes[VANISHED].kill()
    shutil.rmtree(own)
    commitment = right_root(story, VANISHED)
    ref = ClaimRef(jobs[VANISHED], records[VANISHED], commitment)
    town.send(people[GRIEFER], town.fault_proof.demand_trace(ref))
    nodes[VANISHED].start()

    # The watcher dies between its demand and what follows from it.
    withheld = story.claim_id(WITHHOLDER)
    town.until(lambda: town.fault_proof.dispute_of(withheld).status == DisputeStatus.DEMANDED)
    watcher.kill()
    watcher.start()

    for index in (LIAR, WITHHOLDER, HIDER):
        town.until_state(jobs[index], JobState.REFUTED)
    for index in (HONEST, VANISHED):
        slot = town.until_state(jobs[index], JobState.CLAIMED, JobState.CONTESTED)
        seconds = town.settings.window if index == HONEST else town.settings.delay
        town.until_time(slot.time + seconds + 1)
        root = right_root(story, index)
        call = town.escrow.finalise(town.job_id(jobs[index]), records[index], root)
        town.send(people[KEEPER], call)
    town.until_state(missing, JobState.OPEN)
    demands = [story.claim_id(index) for index in (WITHHOLDER, HIDER)]
    town.until(
        lambda: all(
            town.fault_proof.dispute_of(claim).status == DisputeStatus.SETTLED for claim in demands
        )
    )
    story.stops += [daemon.terminate() for daemon in (*nodes.values(), watcher)]
    return story


def right_root(story: Story, index: int) -> bytes:
    """What an honest claim of a job commits to."""
    town, terms = story.town, story.jobs[index]
    tensor = town.store.get_tensor(terms.input_id, terms.units, town.model.input_width)
    return run(town.model, tensor).root


def an_honest_claim_is_made_once_and_paid(story: Story) -> None:
    terms = story.jobs[HONEST]
    assert story.town.slot(terms).state == JobState.FINAL
    assert story.town.count("Claimed", terms) == 1
    result = story.town.store.get_result(right_root(story, HONEST), story.town.model, terms.units)
    assert result.shape == (terms.units, 1)
    assert story.watcher.said("claim is good", claim="0x" + story.claim_id(HONEST).hex())


def a_liar_is_convicted_by_the_element_that_it_changed(story: Story, index: int) -> None:
    claim = "0x" + story.claim_id(index).hex()
    (found,) = story.watcher.said("fault found", claim=claim)
    assert (found["operator"], found["row"], found["column"]) == (1, 2, 5)
    assert found["claimed"] ^ found["right"] in (0x40, -0x40)
    (end,) = story.town.job(story.jobs[index]).attempts
    assert (end.outcome, end.refuter) == ("refuted", story.address)
    assert end.to_refuter > 0


def a_liar_that_shows_its_trace_is_convicted_without_a_demand(story: Story) -> None:
    dispute = story.town.fault_proof.dispute_of(story.claim_id(LIAR))
    assert (dispute.status, dispute.due) == (DisputeStatus.REFUTED, 0)


def a_withheld_trace_falls_by_silence(story: Story) -> None:
    claim = "0x" + story.claim_id(WITHHOLDER).hex()
    assert not story.watcher.said("fault found", claim=claim)
    assert len(story.watcher.said("sent", action=f"silence:{claim[2:]}")) == 1
    assert len(story.watcher.said("sent", action=f"demand:{claim[2:]}")) == 1
    (end,) = story.town.job(story.jobs[WITHHOLDER]).attempts
    assert (end.outcome, end.refuter) == ("refuted", story.address)


def a_node_that_lost_its_store_answers_in_time_and_is_paid(story: Story) -> None:
    town = story.town
    assert town.slot(story.jobs[VANISHED]).state == JobState.FINAL
    dispute = town.fault_proof.dispute_of(story.claim_id(VANISHED))
    assert dispute.status == DisputeStatus.PUBLISHED
    assert dispute.publisher != town.people[VANISHED]  # its operator's key
    assert town.count("Claimed", story.jobs[VANISHED]) == 1


def a_job_without_an_input_is_declined_once(story: Story) -> None:
    assert story.town.count("Declined", story.missing) == 1
    assert story.town.count("Claimed", story.missing) == 0


def the_rewards_and_the_fees_are_the_watchers(story: Story) -> None:
    refuted = [story.town.job(story.jobs[index]) for index in (LIAR, WITHHOLDER, HIDER)]
    account = story.town.vault.account_of(story.address)
    assert account.free == UNIT + sum(job.attempts[0].to_refuter for job in refuted)
    book = story.town.vault.FAULT_PROOF_BOOK
    assert story.town.vault.reserved_of(story.address, book) == 0


def sigterm_ends_everything_within_two_seconds(story: Story) -> None:
    assert [code for code, _ in story.stops] == [0] * 6
    assert max(seconds for _, seconds in story.stops) < 2
