"""GraphProof and its model side by side: every move of the game is made on both."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

from headrace.graph2.game_tree import GameNode
from tests.graph_arena import NODE_FEE, Arena
from tests.harness import Account, Receipt, reverts
from tests.models.graph_world import Moment, Story
from tests.system import CLAIMED, CONTESTED, FINAL
from tests.unit.graph_proof.court import PENDING, SALT, STANDS, lie

JUNK = b"\x77" * 24


class Game:
    """Claims, honest and false, and everybody who may move."""

    def __init__(self, arena: Arena) -> None:
        self.arena, self.chain, self.proof = arena, arena.chain, arena.proof
        self.people = [*arena.system.watchers[:2], *arena.system.providers[3:5]]
        self.right = arena.right()
        self.stories: list[Story] = []
        self.kept: tuple[str, list[Story]] | None = None
        self.balances = arena.system.balances()

    # -- helpers --

    @property
    def next(self) -> Moment:
        """When the next move is made."""
        return Moment(self.chain.now() + 1, self.chain.block_number() + 1)

    def claim(self, place: tuple[int, int, int] | None) -> Story:
        """A new claim: right, or with a wrong element there."""
        trace = self.right if place is None else lie(self.right, *place)
        claim = self.arena.claim(trace, provider=2, max_attempts=1)
        levels = self.arena.model.levels
        self.stories.append(Story(claim, levels, is_false=place is not None))
        return self.stories[-1]

    def tried(self, reason: str, move: Callable[[], Receipt]) -> Receipt | None:
        """Makes a move that has to fail with `reason`, or to succeed if it is empty."""
        if not reason:
            return move()
        with reverts(reason):
            move()
        return None

    def proof_of(self, story: Story) -> Any:
        """The proof of the claim's fault, or one of an element that is right."""
        builder = self.arena.builder(story.claim)
        fault = builder.first(self.right)
        return builder.prove_at(0, 0, 0) if fault is None else fault.proof

    # -- moves --

    def open(self, story: Story, who: Account) -> None:
        at = self.next
        move = partial(self.arena.open, story.claim, who)
        if self.tried(story.why_not_open(at), move):
            story.ask(story.claim.root, who.address, at.now)

    def demand(self, story: Story, parent: GameNode, index: int, who: Account) -> None:
        at = self.next
        reason = story.why_not_demand(parent, index, at)
        if self.tried(reason, partial(self.arena.demand, story.claim, parent, index, who)):
            story.ask(story.claim.shape.child(parent, index), who.address, at.now)

    def answer(self, story: Story, node: GameNode, who: Account) -> None:
        move = partial(self.arena.answer, story.claim, node, sender=who)
        if self.tried(story.why_not_answer(node, self.next), move):
            story.nodes[node].answerer = who.address

    def silence(self, story: Story, node: GameNode, who: Account) -> None:
        move = partial(self.arena.silence, story.claim, node, sender=who)
        if receipt := self.tried(story.why_not_silence(node, self.next), move):
            demander = story.nodes[node].demander
            assert receipt.only("Refuted").refuter == demander
            story.fall(demander)

    def prove(self, story: Story, who: Account) -> None:
        at = self.next
        move = partial(self.proof.prove, story.claim.ref, self.proof_of(story), sender=who)
        if self.tried(story.why_not_prove(at), move):
            story.prove(who.address, at.block)

    def commit(self, story: Story, who: Account, is_meant: bool) -> None:
        at, key = self.next, (who.address, is_meant)
        digest = self.arena.digest(story.claim, self.proof_of(story), who)
        if not is_meant:
            digest = JUNK + digest[:8]
        move = partial(self.proof.commit_fault, story.claim.ref, digest, sender=who)
        if self.tried(story.why_not_commit(key, at), move):
            story.commit(key, at.block)

    def reward(self, story: Story, who: Account) -> None:
        at, proof = self.next, self.proof_of(story)
        move = partial(self.proof.claim_reward, story.claim.ref, proof, SALT, sender=who)
        if self.tried(story.why_not_reward(who.address, at), move):
            story.reward(who.address, at.block)

    def finalise(self, story: Story) -> None:
        move = partial(self.arena.finalise, story.claim)
        if self.tried(story.why_not_finalise(self.next), move):
            story.ended = "final"

    def refute(self, story: Story) -> None:
        at = self.next
        move = partial(self.arena.refute, story.claim)
        if receipt := self.tried(story.why_not_refute(at), move):
            assert receipt.only("Refuted").refuter == story.verdict(at)[2]
            story.ended = "refuted"

    def settle(self, story: Story, node: GameNode) -> None:
        asked = story.nodes.get(node)
        demander = asked.demander if asked else self.people[0].address
        answerer = (asked.answerer if asked else "") or demander
        move = partial(self.arena.settle, story.claim, node, demander, answerer)
        if receipt := self.tried(story.why_not_settle(node), move):
            assert receipt.only("DemandSettled").payee == story.payee(node)
            story.nodes[node].is_settled = True

    def story_is_pending(self, story: Story) -> bool:
        """Whether there is no verdict in the next block."""
        return story.verdict(self.next)[0] == PENDING

    def wait_until(self, second: int) -> None:
        """The next move is made in that second, unless it is over."""
        if second > self.chain.now() + 1:
            self.chain.travel(second - self.chain.now() - 1)

    # -- reorganisations --

    def keep(self) -> None:
        """A point that the chain may be thrown back to."""
        self.kept = (self.chain.snapshot(), copy.deepcopy(self.stories))

    def reorganise(self) -> None:
        """All since `keep` didn't happen."""
        if self.kept is not None:
            snapshot, self.stories = self.kept
            self.kept = None
            self.chain.restore(snapshot)

    # -- what must hold --

    def check(self) -> None:
        """The contracts are where the model is."""
        moment = Moment(self.chain.now(), self.chain.block_number())
        system, questions = self.arena.system, []
        for story in self.stories:
            claim = story.claim
            questions += [
                (self.proof, "case_of", claim.claim_id),
                (self.proof, "outcome", claim.claim_id, claim.at, claim.case.settings),
                (system.escrow, "job", claim.job_id),
            ]
        questions += [(system.vault, "reserved_of", person, 3) for person in self.people]
        answers = iter(system.ask_all(questions))
        for story in self.stories:
            case, outcome, job = next(answers), next(answers), next(answers)
            assert case.status == story.status
            assert case[1:4] == (story.depth, len(story.open_nodes), story.last_due)
            assert case.commitments == len(story.commitments)
            if story.party:
                assert case.party == story.party
            verdict, not_before, refuter = story.verdict(moment)
            assert outcome.verdict == verdict
            if verdict == STANDS:
                # No later than D, however many demands there are.
                assert outcome.not_before == not_before <= story.longest
            elif refuter:
                assert outcome.refuter == refuter
            if not story.ended:
                assert job.state == (CONTESTED if story.is_contested else CLAIMED)
                # Past D there is a verdict.
                assert moment.now <= story.longest or verdict != PENDING
            else:
                assert (job.state == FINAL) == (story.ended == "final")
        for person in self.people:
            owed = sum(story.owed(person.address) for story in self.stories)
            assert next(answers) == owed * NODE_FEE

    def end(self) -> None:
        """Everything ends, every fee goes where it belongs, once, and no money is lost."""
        for story in self.stories:
            if not story.ended:
                self.wait_until(story.longest + 1)
            if not story.ended and story.verdict(self.next)[0] == STANDS:
                self.finalise(story)
            elif not story.ended:
                self.refute(story)
            assert story.ended
            for node in story.nodes:
                if not story.nodes[node].is_settled:
                    self.settle(story, node)
                self.settle(story, node)
        self.check()
        assert all(self.arena.held(person) == 0 for person in self.people)
        self.arena.system.assert_conserved()
