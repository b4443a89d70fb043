"""Two keepers as processes against the real contracts, in real time, killed at random moments."""

import random
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from eth_account import Account as Signer

from headrace.chain.abi import checksummed
from headrace.chain.db import ChainDb
from headrace.chain.follower import Follower
from headrace.chain.jobs import JobBook
from headrace.chain.views import JobState
from headrace.graph.tensors import tensor_root
from headrace.market.book import LiveAsk
from headrace.market.postings import ask_posting, bid_posting
from headrace.store.board import Board
from headrace.terms import eip712
from headrace.terms.words import Ask, FaultProofSettings, Node, Terms, verifier_terms
from tests.flows.town import UNIT, Daemon, Town, a_town
from tests.harness import Account
from tests.unit.fault_proof.court import random_input

REQUESTER, DEAR, CHEAP = 1, 5, 6
POSTED, SIGNED, BATCHED, UNTAKEN = 5, 2, 3, 1
ENDED = (JobState.FINAL, JobState.EXPIRED, JobState.CANCELLED)


@dataclass
class Story:
    """What has happened by the end."""

    town: Town
    keepers: dict[int, Daemon]
    kills: int = 0
    # How often each keeper had been up before its last start.
    opened: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    jobs: list[Terms] = field(default_factory=list)
    # The jobs that their provider doesn't claim, and one that nobody offers enough for.
    idle: set[bytes] = field(default_factory=set)
    untaken: bytes = b""
    stops: list[tuple[int, float]] = field(default_factory=list)

    def logs(self, event: str) -> list[dict[str, Any]]:
        """All events of JobEscrow with this name."""
        topic = "0x" + self.town.escrow.abi().events[event].topic.hex()
        wanted = {
            "address": self.town.escrow.address,
            "fromBlock": "0x0",
            "topics": [topic],
        }
        return list(self.town.rpc.call("eth_getLogs", wanted))

    def ids(self, *events: str) -> list[str]:
        """The job ids of all these events, sorted."""
        return sorted(log["topics"][1] for event in events for log in self.logs(event))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Eleven jobs; about twenty seconds."""
    with a_town(tmp_path_factory.mktemp("keepers")) as town:
        yield tell(town, random.Random(20_26))


def tell(town: Town, chance: random.Random) -> Story:
    town.settings = FaultProofSettings(window=3, reply=2, follow=2)
    requester = town.people[REQUESTER]
    town.fund(requester, 200 * UNIT, 1)
    story = Story(town, {DEAR: rival(town, DEAR), CHEAP: rival(town, CHEAP)})
    for index, price in ((DEAR, 3 * UNIT), (CHEAP, 2 * UNIT)):
        offer(town, index, price)
    # Posted together; the ramp reaches the cheap ask first.
    jobs = [job(town, number) for number in range(POSTED + UNTAKEN)]
    jobs[-1] = replace(jobs[-1], price_start=1, price_cap=2, final_deadline=town.now + 4)
    for terms in jobs:
        town.send(requester, town.escrow.post_job(terms))
    for number in range(SIGNED):
        jobs.append(job(town, 100 + number))
        bid(town, jobs[-1])
    batch = replace(job(town, 200), input_id=bytes(32))
    inputs = tuple(job(town, 300 + number).input_id for number in range(BATCHED))
    bid(town, batch, inputs)
    jobs += [replace(batch, input_id=input_id) for input_id in inputs]
    story.jobs = jobs
    story.untaken = town.job_id(jobs[POSTED])
    story.idle = {town.job_id(jobs[0]), town.job_id(jobs[POSTED + UNTAKEN])}
    for keeper in story.keepers.values():
        keeper.start()
    town.run_clock()
    live(story, chance)
    for keeper in story.keepers.values():
        town.until(lambda k=keeper: len(k.said("open")) > story.opened[k.name])
        story.stops.append(keeper.terminate())
    return story


def live(story: Story, chance: random.Random) -> None:
    """The providers claim what they were given; the keepers are killed and started again."""
    town, claimed = story.town, set()
    next_kill = time.monotonic() + 0.5
    end = time.monotonic() + 90
    ids = [town.job_id(terms) for terms in story.jobs]
    while True:
        assert time.monotonic() < end, "it never ended\n" + town.logs()
        slots = town.escrow.jobs(ids)
        if all(slot.state in ENDED for slot in slots):
            return
        for job_id, slot in zip(ids, slots, strict=True):
            if slot.state == JobState.MATCHED and job_id not in claimed | story.idle:
                claim(story, job_id)
                claimed.add(job_id)
        if time.monotonic() > next_kill:
            keeper = chance.choice(list(story.keepers.values()))
            keeper.kill()
            story.kills += 1
            story.opened[keeper.name] = len(keeper.said("open"))
            keeper.start()
            next_kill = time.monotonic() + chance.uniform(0.7, 2.5)
        time.sleep(0.1)


def claim(story: Story, job_id: bytes) -> None:
    """Claim as the job's provider; its record is in the event of its match."""
    town = story.town
    records = records_of(story)
    record = records[job_id]
    call = town.escrow.submit_claim(job_id, record, b"\x07" * 32)
    request = {"from": record.provider, "to": call.to, "data": "0x" + call.data.hex()}
    town.rpc.call("eth_sendTransaction", request)


def records_of(story: Story) -> dict[bytes, Any]:
    """What was agreed for each job that was matched."""
    town = story.town
    name = town.folder / f"look-{time.monotonic_ns()}.db"
    deployment = town.deployment
    db = ChainDb(
        name,
        chain_id=deployment.chain_id,
        genesis=deployment.genesis,
        escrow=town.escrow.address,
    )
    follower = Follower(town.rpc, db, [town.escrow.address], start=deployment.start_block)
    while not follower.step().is_caught_up:
        pass
    book = JobBook.load(db, town.escrow.address)
    db.close()
    return {job.id: job.record for job in book.jobs.values() if job.record is not None}


def rival(town: Town, index: int) -> Daemon:
    """A keeper that only hears of the provider `index`."""
    home, _ = town.home(f"keeper{index}", 3_000 + index)
    daemon = town._daemon(f"keeper{index}", home, ["headrace.keeper"], None)
    daemon.environment["HEADRACE_BOARD"] = str(board_of(town, index).path)
    return daemon


def board_of(town: Town, index: int) -> Board:
    return Board(town.folder / f"board{index}")


def offer(town: Town, index: int, price: int) -> None:
    """Register a provider that works for itself, and put its ask on its own board."""
    provider = town.people[index]
    town.fund(provider, 200 * UNIT, 3)
    spec = Node(gpu_model=1, vram_gib=24, gpu_count=1, region=0, capacity=20, latency_class=1)
    town.send(provider, town.registry.register(provider, provider, 5 * UNIT, spec))
    code_hash = town.deployment.contracts["FaultProof"].code_hash
    ask = Ask(
        provider=provider,
        node=0,
        lane=0,
        epoch=0,
        expiry=town.now + 3_600,
        price_base=price,
        price_per_unit=0,
        max_lock=50 * UNIT,
        max_units=100,
        max_input_bytes=10_000,
        min_attempt_seconds=1,
        min_ack_seconds=1,
        max_delay=3_600,
        programs=town.model.program,
        verifier_terms=verifier_terms(town.fault_proof.address, code_hash, town.settings.pack()),
        salt=index,
    )
    digest = eip712.ask_hash(ask, town.token.address, town.domain)
    signature = eip712.sign(digest, signer(index))
    live_ask = LiveAsk(
        ask_hash=digest,
        ask=ask,
        signature=signature,
        signer=provider,
        programs=(town.model.program,),
    )
    board_of(town, index).post("ask", digest, ask_posting(live_ask))


def signer(index: int) -> Any:
    return Signer.from_key(Account("", index).key)


def bid(town: Town, terms: Terms, inputs: tuple[bytes, ...] = ()) -> None:
    """Put a signed job, or a batch, on both boards."""
    if inputs:
        digest = eip712.batch_id(terms, inputs, town.domain)
    else:
        digest = eip712.job_id(terms, town.domain)
    posting = bid_posting(terms, eip712.sign(digest, signer(REQUESTER)), inputs)
    for index in (DEAR, CHEAP):
        board_of(town, index).post("bid", digest, posting)


def job(town: Town, number: int) -> Terms:
    """A job that waits until the ramp reaches an ask."""
    now = town.now
    return Terms(
        requester=town.people[REQUESTER],
        verifier=town.fault_proof.address,
        settings=town.settings.pack(),
        requirement=0,
        program=town.model.program,
        input_id=tensor_root(random_input(town._rng, 4, town.model.input_width)),
        price_start=0,
        price_cap=20 * UNIT,
        damage_cap=0,
        tip_fixed=0,
        tip_max=0,
        tip_share_bps=0,
        no_show_bps=5_000,
        max_attempts=1,
        # A token every ten seconds, one and a half by now: in five seconds it is enough for the
        # cheap ask, ten later for the dear one.
        valid_from=now - 15,
        ramp_seconds=200,
        final_deadline=now + 600,
        ack_seconds=1,
        attempt_seconds=8,
        units=4,
        input_bytes=1_000,
        epoch=0,
        salt=10_000 + number,
    )


def test_each_job_ends_exactly_once_whatever_is_killed(story: Story):
    assert story.kills >= 5
    ids = sorted("0x" + story.town.job_id(terms).hex() for terms in story.jobs)
    assert story.ids("Finalised", "Expired", "Cancelled", "Refuted", "Voided") == ids
    assert story.ids("Cancelled") == ["0x" + story.untaken.hex()]
    assert story.ids("Expired") == sorted("0x" + job_id.hex() for job_id in story.idle)


def test_each_job_is_matched_exactly_once(story: Story):
    matched = story.ids("Matched", "BidMatched", "MemberMatched")
    ids = {"0x" + story.town.job_id(terms).hex() for terms in story.jobs}
    assert matched == sorted(ids - {"0x" + story.untaken.hex()})
    assert len(story.ids("BatchMatched")) == 1


def test_the_cheaper_ask_wins_every_job(story: Story):
    providers = {record.provider for record in records_of(story).values()}
    assert providers == {checksummed(story.town.people[CHEAP])}


def test_no_money_is_left_behind(story: Story):
    town = story.town
    for index in (REQUESTER, DEAR, CHEAP):
        assert town.vault.account_of(town.people[index]).reserved_escrow == 0


def test_they_stop_at_once_when_they_are_told_to(story: Story):
    for code, seconds in story.stops:
        assert code == 0
        # Two seconds, and one for a machine that is busy.
        assert seconds < 3


def test_a_keeper_says_what_it_did_and_nothing_is_wrong(story: Story):
    said = [line["say"] for keeper in story.keepers.values() for line in keeper.lines]
    assert said.count("open") > len(story.keepers)
    assert {"sent", "mined", "job", "stopped"} <= set(said)
    levels = {line["level"] for keeper in story.keepers.values() for line in keeper.lines}
    assert "error" not in levels
