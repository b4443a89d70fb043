"""What GraphProof and JobEscrow must make of claims: the model beside the contracts.

Each `why_not_...` is the reason by which the contracts must refuse a move in the next block, or ""
if they must not. Plain state and plain rules, from docs/contracts/GraphProof.md.
"""

from dataclasses import dataclass, field

from headrace.graph2.game_tree import GameNode
from tests.unit.graph_proof.court import FALLS, PENDING, REPLY, STANDS, STEP, WINDOW, Claim

LIVE, FALLING, REFUTED = range(3)
BLOCKS = 20
NO_CLAIM = "escrow: no claim"


@dataclass
class Asked:
    """A node that was demanded. `answerer` is empty until it was answered."""

    demander: str
    due: int
    answerer: str = ""
    is_settled: bool = False


@dataclass
class Moment:
    """When a move is made: the time and number of its block."""

    now: int
    block: int


@dataclass
class Story:
    """A claim, and all that has happened to it. `is_false`: it has a fault."""

    claim: Claim
    levels: int
    is_false: bool
    status: int = LIVE
    ended: str = ""
    is_contested: bool = False
    is_opened: bool = False
    depth: int = 0
    last_due: int = 0
    party: str = ""
    nodes: dict[GameNode, Asked] = field(default_factory=dict)
    commitments: dict[tuple[str, bool], tuple[int, int]] = field(default_factory=dict)
    last_commitment: int = 0
    proven: int = 0
    best: int = 2**32 - 1

    # -- times and verdicts --

    def edge(self, depth: int) -> int:
        """When a level closes."""
        return self.claim.at + WINDOW + depth * STEP

    @property
    def longest(self) -> int:
        """The end of D."""
        return self.edge(self.levels)

    @property
    def open_nodes(self) -> list[GameNode]:
        """Demanded and not answered."""
        return [node for node, asked in self.nodes.items() if not asked.answerer]

    def is_silent(self, now: int) -> bool:
        """Whether nobody can answer in full any more."""
        return bool(self.open_nodes) and now > self.last_due

    def is_waiting(self, at: Moment) -> bool:
        """Whether a commitment may still be opened past the edge."""
        is_recent = at.block <= self.last_commitment + BLOCKS
        return bool(self.commitments) and is_recent and at.now <= self.longest

    def is_provable(self, at: Moment) -> bool:
        """Whether a proof is in time."""
        return at.now <= self.edge(self.depth) or self.is_waiting(at)

    def is_reward_open(self, at: Moment) -> bool:
        """Whether an earlier commitment may still come."""
        return at.block <= self.proven + BLOCKS and at.now <= self.longest

    def verdict(self, at: Moment) -> tuple[int, int, str]:
        """The verdict, from when on it holds, and the refuter."""
        if self.status == REFUTED:
            return FALLS, 0, self.party
        if self.status == FALLING:
            return (PENDING, 0, "") if self.is_reward_open(at) else (FALLS, 0, self.party)
        if self.is_silent(at.now):
            return FALLS, 0, self.party
        if self.open_nodes:
            return PENDING, 0, ""
        edge = self.edge(self.depth)
        if at.now > edge and self.is_waiting(at):
            return PENDING, 0, ""
        return STANDS, edge, ""

    # -- the game --

    def _why_not_contest(self, at: Moment) -> str:
        if self.ended:
            return NO_CLAIM
        if not self.is_contested and at.now > self.edge(0):
            return "contest: window is over"
        return ""

    def why_not_open(self, at: Moment) -> str:
        if reason := self._why_not_contest(at):
            return reason
        if self.status != LIVE:
            return "graph: too late to open"
        if at.now > self.edge(0):
            return "graph: window is over"
        return self._why_not_ask(self.claim.root, at)

    def _why_not_ask(self, node: GameNode, at: Moment) -> str:
        if self.is_silent(at.now):
            return "game: claim has fallen"
        return "game: already demanded" if node in self.nodes else ""

    def why_not_demand(self, parent: GameNode, index: int, at: Moment) -> str:
        """Wants a parent that is no leaf."""
        if not self.is_opened:
            return "game: not the case"
        if self.status != LIVE:
            return "game: claim is refuted"
        asked = self.nodes.get(parent)
        if asked is None or not asked.answerer or asked.is_settled:
            return "game: parent is not answered"
        shape = self.claim.shape
        child = shape.child(parent, index)
        if not shape.is_used(child):
            return "game: place without a use"
        if at.now > self.edge(shape.level(child)):
            return "game: level is closed"
        return self._why_not_ask(child, at)

    def ask(self, node: GameNode, demander: str, now: int) -> None:
        """A node was demanded."""
        due = now + REPLY
        self.nodes[node] = Asked(demander, due)
        self.is_opened = self.is_contested = True
        self.depth = max(self.depth, self.claim.shape.level(node) + 1)
        if due > self.last_due:
            self.last_due, self.party = due, demander

    def why_not_answer(self, node: GameNode, at: Moment) -> str:
        if self.status != LIVE:
            return "game: nothing to answer for"
        asked = self.nodes.get(node)
        if asked is None or asked.answerer or asked.is_settled:
            return "game: no open demand"
        return "game: reply is over" if at.now > asked.due else ""

    def why_not_silence(self, node: GameNode, at: Moment) -> str:
        if not self.is_opened:
            return "game: not the case"
        if self.status != LIVE:
            return "game: claim is refuted"
        asked = self.nodes.get(node)
        if asked is None or asked.answerer or asked.is_settled:
            return "game: no demand to call out"
        if at.now <= asked.due:
            return "game: reply is running"
        return NO_CLAIM if self.ended else ""

    def fall(self, refuter: str) -> None:
        """Convicted and carried out."""
        self.status, self.party, self.ended = REFUTED, refuter, "refuted"

    # -- proofs --

    def why_not_prove(self, at: Moment) -> str:
        if self.ended:
            return NO_CLAIM
        if self.status != LIVE:
            return "graph: already refuted"
        if not self.is_provable(at):
            return "graph: too late"
        return "" if self.is_false else "graph: no fault"

    def prove(self, prover: str, block: int) -> None:
        """A proof went through."""
        if not self.commitments:
            self.fall(prover)
        else:
            self.status, self.party, self.proven = FALLING, prover, block

    def why_not_commit(self, key: tuple[str, bool], at: Moment) -> str:
        if reason := self._why_not_contest(at):
            return reason
        if self.status != LIVE:
            return "graph: too late to commit"
        if at.now > self.edge(self.depth):
            return "graph: window for it is over"
        return "game: already committed" if key in self.commitments else ""

    def commit(self, key: tuple[str, bool], block: int) -> None:
        """A commitment was made; `key` is by whom, and whether it is to the fault."""
        self.commitments[key] = (len(self.commitments) + 1, block)
        self.last_commitment, self.is_contested = block, True

    def why_not_reward(self, who: str, at: Moment) -> str:
        if self.ended:
            return NO_CLAIM
        before = at.block
        if self.status == LIVE:
            if not self.is_provable(at):
                return "graph: too late for a reward"
        elif not self.is_reward_open(at):
            return "graph: reward is settled"
        else:
            before = self.proven
        kept = self.commitments.get((who, True))
        if kept is None:
            return "game: not committed"
        number, block = kept
        if block >= before:
            return "game: committed too late"
        if number >= self.best:
            return "graph: somebody was earlier"
        return "" if self.is_false else "graph: no fault to pay for"

    def reward(self, who: str, block: int) -> None:
        """A commitment was opened."""
        number = self.commitments[who, True][0]
        if number == 1:
            self.fall(who)
            return
        if self.status == LIVE:
            self.proven = block
        self.status, self.party, self.best = FALLING, who, number

    # -- ends --

    def why_not_finalise(self, at: Moment) -> str:
        if self.ended:
            return NO_CLAIM
        if not self.is_contested:
            return "finalise: window is open" if at.now <= self.edge(0) else ""
        verdict, not_before, _ = self.verdict(at)
        if verdict != STANDS:
            return "finalise: no such verdict"
        return "finalise: window is open" if at.now <= not_before else ""

    def why_not_refute(self, at: Moment) -> str:
        if self.ended:
            return NO_CLAIM
        return "" if self.verdict(at)[0] == FALLS else "refute: no such verdict"

    def why_not_settle(self, node: GameNode) -> str:
        if not self.ended:
            return "game: claim is open"
        asked = self.nodes.get(node)
        return "game: no fee to settle" if asked is None or asked.is_settled else ""

    def payee(self, node: GameNode) -> str:
        """Whose the fee of a node is, once the claim has ended."""
        asked = self.nodes[node]
        stood = self.ended == "final"
        return asked.answerer if stood and asked.answerer else asked.demander

    def owed(self, who: str) -> int:
        """How many fees of an account are put aside."""
        return sum(a.demander == who and not a.is_settled for a in self.nodes.values())
