"""Large models, node and watcher as processes: proven, forced out by levels, silent, honest."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.chain.contract import Contract
from headrace.chain.graph_rules import DemandStatus, GraphProof
from headrace.chain.views import ClaimRef, JobState
from headrace.daemon.games import Game, GameBook
from headrace.graph2.trace import run
from headrace.terms.words import FaultProofSettings, Record, Terms, claim_id
from scripts.graph_vectors import Draw, model
from tests.flows.cast import LIE
from tests.flows.town import UNIT, Daemon, Town, a_town

REQUESTER, KEEPER, GRIEFER = 1, 2, 3
HONEST, LIAR, WITHHOLDER, HIDER, VANISHED = 5, 6, 7, 8, 9


class LargeTown(Town):
    """A town whose jobs are for a model of version 2, with every operator."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, FaultProofSettings(window=14, reply=20, follow=4))

    def make_model(self) -> Any:
        return model(Draw())

    def install(self) -> Contract:
        models = self.deployment.graph_models(self.rpc)
        given, most = self.model.input.word, self.model.max_units
        call = models.register_model(self.model.descriptors, given, most, bytes(32))
        self.send(self.people[0], call)
        self.send(self.people[0], models.list_mirror(self.model.program, "https://models.example"))
        return self.deployment.graph_proof(self.rpc)

    def make_input(self, units: int) -> Any:
        made = self._rng.integers(0, 14, (units, self.model.input.width))
        return made.astype(self.model.input.dtype)

    @property
    def graph_proof(self) -> GraphProof:
        assert isinstance(self.judge, GraphProof)
        return self.judge


@dataclass
class Story:
    """What has happened by the end."""

    town: LargeTown
    jobs: dict[int, Terms]
    records: dict[int, Record]
    nodes: dict[int, Daemon]
    watcher: Daemon

    @property
    def address(self) -> str:
        return str(self.watcher.said("watching")[0]["account"])

    def claim_id(self, index: int) -> bytes:
        provider = self.records[index].provider
        return claim_id(self.town.job_id(self.jobs[index]), 1, provider)

    def right_root(self, index: int) -> bytes:
        town, terms = self.town, self.jobs[index]
        tensor = town.store.get_input(terms.input_id, town.form, terms.units)
        return run(town.model, tensor).root

    def game(self, index: int) -> Game:
        """The game about a provider's claim, as the chain's events tell it."""
        town = self.town
        wanted = {"address": town.judge.address, "fromBlock": "0x0"}
        topics = [None, "0x" + self.claim_id(index).hex()]
        logs = town.rpc.call("eth_getLogs", wanted | {"topics": topics})
        book = GameBook()
        book.fold(town.as_log(item, town.judge.address) for item in logs)
        return book.games.get(self.claim_id(index), Game(self.claim_id(index)))


def test_five_large_jobs_at_once(tmp_path: Path) -> None:
    """One test, because its parts share a minute of real time."""
    with a_town(tmp_path, LargeTown) as town:
        assert isinstance(town, LargeTown)
        story = tell(town)
        an_honest_claim_is_paid(story)
        a_published_lie_is_proven_without_a_demand(story)
        a_silent_liar_falls_at_the_first_level(story)
        a_liar_that_answers_is_followed_down_to_the_element(story)
        an_honest_node_answers_after_a_restart_and_earns_the_fee(story)
        every_fee_has_gone_where_it_belongs(story)


def tell(town: LargeTown) -> Story:
    people = town.people
    town.fund(people[REQUESTER], 200 * UNIT, 1)
    town.fund(people[GRIEFER], UNIT, 1 << town.vault.GRAPH_PROOF_BOOK)
    roles = {HONEST: "", LIAR: "liar", WITHHOLDER: "withholder", HIDER: "hider", VANISHED: ""}
    nodes = {index: town.node(index, role) for index, role in roles.items()}
    watcher = town.watcher()
    for daemon in (*nodes.values(), watcher):
        daemon.start()
    jobs = {index: town.post(people[REQUESTER], units=2) for index in nodes}
    for index in nodes:
        town.ask_of(index)
    records = {index: town.match(people[KEEPER], jobs[index], index) for index in nodes}
    town.run_clock()
    story = Story(town, jobs, records, nodes, watcher)

    # An honest node is dead when its data is demanded, and comes back.
    town.until_state(jobs[VANISHED], JobState.CLAIMED)
    nodes[VANISHED].kill()
    claim = ClaimRef(jobs[VANISHED], records[VANISHED], story.right_root(VANISHED))
    town.send(people[GRIEFER], town.graph_proof.open(claim, NO_OPERATOR, []))
    nodes[VANISHED].start()

    # The watcher dies in the middle of its way down, comes back when the window is over, and goes
    # on from what it finds on chain.
    town.until(lambda: len(story.game(HIDER).nodes) >= 2)
    watcher.kill()
    town.until_time(town.slot(jobs[HIDER]).time + town.settings.window + 2)
    watcher.start()

    for index in (LIAR, WITHHOLDER, HIDER):
        town.until_state(jobs[index], JobState.REFUTED)
    for index in (HONEST, VANISHED):
        slot = town.until_state(jobs[index], JobState.CLAIMED, JobState.CONTESTED)
        levels = 0 if index == HONEST else 1
        town.until_time(slot.time + town.settings.delay_over(levels) + 1)
        root = story.right_root(index)
        call = town.escrow.finalise(town.job_id(jobs[index]), records[index], root)
        town.send(people[KEEPER], call)
    state = story.game(VANISHED).nodes[0]
    call = town.graph_proof.settle_demand(
        town.job_id(jobs[VANISHED]),
        1,
        records[VANISHED].provider,
        state.node,
        state.demander,
        state.answerer or state.demander,
    )
    town.send(people[KEEPER], call)
    town.until(
        lambda: all(
            town.graph_proof.demand_of(story.claim_id(index), node.node).status
            == DemandStatus.SETTLED
            for index in (WITHHOLDER, HIDER)
            for node in story.game(index).nodes
        )
    )
    for daemon in (*nodes.values(), watcher):
        assert daemon.terminate()[0] == 0
    return story


NO_OPERATOR = (0, 0, 0, 0, 0, 0, 0, bytes(32))


def an_honest_claim_is_paid(story: Story) -> None:
    terms = story.jobs[HONEST]
    assert story.town.slot(terms).state == JobState.FINAL
    result = story.town.store.get_result(story.right_root(HONEST), story.town.model, terms.units)
    output = story.town.model.output
    assert result.shape == (output.rows * terms.units, output.width)
    assert story.watcher.said("claim is good", claim="0x" + story.claim_id(HONEST).hex())
    assert story.game(HONEST).nodes == ()


def a_published_lie_is_proven_without_a_demand(story: Story) -> None:
    found = story.watcher.said("fault found", claim="0x" + story.claim_id(LIAR).hex())[-1]
    assert (found["operator"], found["row"], found["column"]) == LIE
    assert found["claimed"] == -1 - found["right"]
    game = story.game(LIAR)
    assert (game.nodes, game.refuter) == ((), story.address)


def a_silent_liar_falls_at_the_first_level(story: Story) -> None:
    game = story.game(WITHHOLDER)
    (state,) = game.nodes
    assert (state.node.level, state.answerer) == (0, None)
    assert game.refuter == story.address
    assert not story.watcher.said("fault found", claim="0x" + story.claim_id(WITHHOLDER).hex())


def a_liar_that_answers_is_followed_down_to_the_element(story: Story) -> None:
    game = story.game(HIDER)
    model = story.town.model
    assert len(game.nodes) == model.op_height + model.operators[LIE[0]].out.height(2) + 1
    assert [state.node.level for state in game.nodes] == list(range(len(game.nodes)))
    assert game.nodes[-1].data is not None
    found = story.watcher.said("fault found", claim="0x" + story.claim_id(HIDER).hex())[-1]
    assert (found["operator"], found["row"], found["column"]) == LIE
    assert game.refuter == story.address


def an_honest_node_answers_after_a_restart_and_earns_the_fee(story: Story) -> None:
    town = story.town
    assert town.slot(story.jobs[VANISHED]).state == JobState.FINAL
    (state,) = story.game(VANISHED).nodes
    assert state.answerer not in (None, town.people[VANISHED])  # its operator's key
    fee = town.graph_proof.demand_fee()
    assert town.vault.account_of(str(state.answerer)).free == fee
    assert town.vault.account_of(town.people[GRIEFER]).free == UNIT - fee


def every_fee_has_gone_where_it_belongs(story: Story) -> None:
    town = story.town
    refuted = [town.job(story.jobs[index]) for index in (LIAR, WITHHOLDER, HIDER)]
    account = town.vault.account_of(story.address)
    assert account.free == UNIT + sum(job.attempts[0].to_refuter for job in refuted)
    assert town.vault.reserved_of(story.address, town.vault.GRAPH_PROOF_BOOK) == 0
