"""Random histories of disputes: free moves by anyone, and honest people among everybody else."""

import itertools
import random
from functools import partial

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from headrace.graph2.game_tree import GameNode, children_of, leaf_of
from tests.graph_arena import Arena
from tests.harness import Account
from tests.models.graph_world import LIVE, Story
from tests.stateful.game import Game
from tests.system import STANDS, System
from tests.unit.graph_proof.court import REPLY, small_model

MOVES = (
    "open",
    "demand",
    "demand",
    "demand",
    "answer",
    "answer",
    "answer",
    "silence",
    "prove",
    "commit",
    "reward",
    "finalise",
    "refute",
    "settle",
)

numbers = st.integers(0, 2**16)


@pytest.fixture(scope="module")
def arena(system: System) -> Arena:
    """The small model on three units, in the whole system."""
    rng = np.random.default_rng(11)
    tensor = rng.integers(-128, 128, (240, 40)).astype(np.int8)
    return Arena.on(system, small_model(), tensor)


def nodes_of(story: Story) -> list[GameNode]:
    """Nodes that a move may be about: those demanded, or the first."""
    return list(story.nodes) or [story.claim.root]


class GameMachine(RuleBasedStateMachine):
    """Any move at any time, legal or not: the contracts do what the model says."""

    arena: Arena

    def __init__(self) -> None:
        super().__init__()
        self.snapshot = self.arena.chain.snapshot()
        self.game = Game(self.arena)

    @initialize(
        places=st.lists(st.tuples(st.integers(0, 2), numbers, numbers), max_size=2),
        depth=st.integers(0, 3),
    )
    def begin(self, places, depth):
        """Some claims; the last one has been gone into so far."""
        game = self.game
        for place in (None, *places):
            game.claim(place and (place[0], place[1] % 240, place[2] % 40))
        story, shape = game.stories[-1], game.stories[-1].claim.shape
        node = story.claim.root
        for level in range(depth):
            if level:
                game.demand(story, node, 1, game.people[0])
                node = shape.child(node, 1)
            else:
                game.open(story, game.people[0])
            game.answer(story, node, game.people[1])

    @rule(move=st.sampled_from(MOVES), which=numbers, who=numbers, where=numbers, index=numbers)
    def move(self, move, which, who, where, index):
        game = self.game
        story = game.stories[which % len(game.stories)]
        person = game.people[who % len(game.people)]
        nodes = nodes_of(story)
        node = nodes[where % len(nodes)]
        if move == "open":
            game.open(story, person)
        elif move == "demand":
            self.demand(story, person, where, index)
        elif move == "answer":
            asked = story.open_nodes or nodes
            game.answer(story, asked[where % len(asked)], person)
        elif move == "silence":
            game.silence(story, node, person)
        elif move == "prove":
            game.prove(story, person)
        elif move == "commit":
            game.commit(story, person, bool(where & 1))
        elif move == "reward":
            game.reward(story, person)
        elif move == "settle":
            game.settle(story, node)
        else:
            getattr(game, move)(story)

    def demand(self, story: Story, person: Account, where: int, index: int) -> None:
        """Mostly of a child of an answered node, seldom of something else."""
        shape = story.claim.shape
        inner = [node for node in nodes_of(story) if not shape.is_leaf(node)]
        known = [node for node in inner if node in story.nodes and story.nodes[node].answerer]
        parents = known if known and index % 8 else inner
        if known and index % 8 > 4:
            parents = known[-1:]
        self.game.demand(story, parents[where % len(parents)], index // 8 % 4, person)

    @rule(which=numbers, edge=numbers, by=st.integers(0, 1))
    def wait(self, which, edge, by):
        """Until the next move is in the last second of something, or in the second after it."""
        story = self.game.stories[which % len(self.game.stories)]
        edges = [story.edge(depth) for depth in range(story.levels + 1)]
        edges += [asked.due for asked in story.nodes.values()] * 2
        coming = sorted(second for second in edges if second >= self.game.next.now)[:3]
        if coming:
            self.game.wait_until(coming[edge % len(coming)] + by)

    @rule(count=st.sampled_from([1, 5, 18, 19, 20]))
    def mine(self, count):
        self.game.chain.mine(count)

    @rule(is_back=st.booleans())
    def reorganise(self, is_back):
        if is_back:
            self.game.reorganise()
        else:
            self.game.keep()

    @invariant()
    def agrees(self):
        self.game.check()

    def teardown(self):
        try:
            self.game.end()
        finally:
            self.game.chain.restore(self.snapshot)


def test_any_move_at_any_time(arena: Arena):
    machine = type("Machine", (GameMachine,), {"arena": arena})
    run_state_machine_as_test(machine, settings=settings(max_examples=settings().max_examples))


# ---- honest people among everybody else


class Episode:
    """One claim, an honest side, and others who do what they like."""

    def __init__(self, arena: Arena, seed: int, *, is_false: bool) -> None:
        self.random = random.Random(seed)
        self.game = Game(arena)
        place = None
        if is_false:
            draw = self.random.randrange
            place = (draw(3), draw(240), draw(40))
        self.story = self.game.claim(place)
        self.watcher, self.provider, *self.griefers = self.game.people
        self.published = self.random.random() < 0.3
        self.path: list[GameNode] = []
        if place is not None:
            view = arena.model.operators[place[0]].out
            self.path = self.story.claim.path(place[0], view.leaf_of(*place[1:]))

    # -- the honest side: what it has to do, and by when --

    def duties(self):
        """(last second, move) of all that the honest side has to do now."""
        story = self.story
        if story.ended or story.status != LIVE:
            return
        if not story.is_false:
            for node in story.open_nodes:
                answer = partial(self.game.answer, story, node, self.provider)
                yield story.nodes[node].due, answer
            return
        if story.is_silent(self.game.next.now):
            return
        if self.published or self.is_known():
            yield story.edge(story.depth), partial(self.game.prove, story, self.watcher)
        elif not story.is_opened:
            yield story.edge(0), partial(self.game.open, story, self.watcher)
        else:
            yield from self.next_demand()

    def is_known(self) -> bool:
        """Whether the game has forced the wrong leaf out."""
        asked = self.story.nodes.get(self.path[-1])
        return asked is not None and bool(asked.answerer)

    def next_demand(self):
        """The node after the last one of the way to the fault that was answered."""
        story = self.story
        for depth, node in enumerate(self.path[1:], 1):
            parent = story.nodes.get(self.path[depth - 1])
            if node in story.nodes or parent is None or not parent.answerer:
                continue
            index = story.claim.index_of(node)
            before, index = self.path[depth - 1], story.claim.index_of(node)
            move = partial(self.game.demand, story, before, index, self.watcher)
            yield story.edge(depth), move

    # -- the others --

    def interfere(self) -> None:
        """Somebody does something; a liar answers, or not."""
        story, draw, game = self.story, self.random, self.game
        who = draw.choice(self.griefers)
        kind = draw.random()
        shape = story.claim.shape
        if not story.is_opened and kind < 0.3:
            game.open(story, who)
        elif story.is_false and story.open_nodes and kind < 0.35:
            game.answer(story, draw.choice(story.open_nodes), self.provider)
        elif kind < 0.5:
            inner = [node for node in nodes_of(story) if not shape.is_leaf(node)]
            game.demand(story, draw.choice(inner), draw.randrange(3), who)
        elif kind < 0.55:
            game.open(story, who)
        elif kind < 0.7:
            game.commit(story, who, bool(draw.getrandbits(1)))
        elif kind < 0.75:
            game.silence(story, draw.choice(nodes_of(story)), who)
        elif kind < 0.85 and not story.is_false:
            game.prove(story, who)
        elif kind < 0.9:
            game.finalise(story)
        elif kind < 0.95:
            game.reward(story, who)
        else:
            game.refute(story)

    # -- time --

    def play(self) -> None:
        """Until it is over. The honest side moves at once or in the last second, by chance."""
        story, game = self.story, self.game
        for _ in range(400):
            if story.ended:
                return
            duties = sorted(self.duties(), key=lambda duty: duty[0])
            limit = duties[0][0] if duties else story.longest + 1
            if self.random.random() < 0.6 and game.next.now < limit:
                self.interfere()
                continue
            if duties:
                if self.random.random() < 0.5:
                    game.wait_until(limit)
                duties[0][1]()
            else:
                step = self.random.choice([1, 5, REPLY, REPLY + 1])
                game.wait_until(min(game.next.now + step, limit))
                self.finish()
        raise AssertionError("the episode doesn't end")

    def finish(self) -> None:
        """Anyone carries out what is due."""
        story, game = self.story, self.game
        late = [n for n in story.open_nodes if story.nodes[n].due < game.next.now]
        if late and story.status == LIVE:
            game.silence(story, late[0], self.watcher)
        elif not game.story_is_pending(story):
            if story.verdict(game.next)[0] == STANDS:
                game.finalise(story)
            else:
                game.refute(story)


@pytest.mark.parametrize("is_false", [False, True])
def test_honest_claims_are_final_and_false_ones_never(arena: Arena, is_false: bool):
    count = settings().max_examples
    for seed in range(count):
        with arena.chain.isolated():
            episode = Episode(arena, seed, is_false=is_false)
            episode.play()
            story = episode.story
            assert story.ended == ("refuted" if is_false else "final"), seed
            # As soon as D is over, whatever the others did.
            assert arena.chain.now() <= story.longest + 2
            episode.game.end()


def send_all(arena: Arena, calls: list[tuple[str, tuple, Account]]) -> None:
    """Transactions to GraphProof, as many as fit into each block; all have to succeed."""
    chain = arena.chain
    hashes = []
    for name, args, sender in calls:
        data = arena.proof.encode(name, *args)
        request = chain.request(sender, arena.proof.address, data, gas=250_000)
        hashes.append(chain.rpc("eth_sendTransaction", request))
        if len(hashes) % 100 == 0:
            chain.mine()
    chain.mine()
    for sent in hashes:
        assert int(chain.rpc("eth_getTransactionReceipt", sent)["status"], 16) == 1


def test_every_node_is_demanded(arena: Arena):
    """However much is demanded, the end is D, and each answer is paid: thousands in the nightly."""
    is_long = settings().max_examples >= 1_000
    rng = np.random.default_rng(11)
    tensor = rng.integers(-128, 128, (80 * (20 if is_long else 2), 40)).astype(np.int8)
    arena = arena.beside(arena.model, tensor)
    game, answerer = Game(arena), arena.system.operators[2]
    for _ in range(4 if is_long else 1):
        story = game.claim(None)
        claim, shape = story.claim, story.claim.shape
        game.open(story, game.people[0])
        level = [claim.root]
        while True:
            answers = []
            for node in level:
                part = leaf_of if shape.is_leaf(node) else children_of
                name = "answer_leaf" if shape.is_leaf(node) else "answer"
                args = (claim.claim_id, claim.node(node), part(claim.trace, node))
                answers.append((name, args, answerer))
                story.nodes[node].answerer = answerer.address
            send_all(arena, answers)
            if shape.is_leaf(level[0]):
                break
            # In the last seconds that there are, by everybody.
            below, calls = [], []
            for parent, index in itertools.product(level, range(16)):
                child = shape.child(parent, index)
                if shape.is_used(child):
                    who = game.people[len(calls) % len(game.people)]
                    calls.append(("demand", arena.arguments(claim, parent, index), who))
                    below.append((child, who))
            game.wait_until(story.edge(story.depth) - len(calls) // 100)
            send_all(arena, calls)
            for child, who in below:
                kept = arena.proof.demand_of(claim.claim_id, claim.node(child))
                assert kept.demander == who.address
                story.ask(child, who.address, kept.due - REPLY)
            level = [child for child, _ in below]
        # Who asked last of those whose answers were due last: order in the block decides.
        story.party = arena.proof.case_of(claim.claim_id).party
        assert len(story.nodes) > 3 * arena.model.operators[0].out.leaves(shape.units)
        assert story.depth == story.levels
        game.check()
        game.wait_until(story.longest)
        game.finalise(story)
        assert not story.ended
        game.finalise(story)
        assert story.ended == "final"
    game.end()
