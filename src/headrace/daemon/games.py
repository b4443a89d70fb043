"""What GraphProof's events say of disputed claims, folded: nodes demanded and answered, verdicts.

As with disputes, the fold is pure and a reorganisation refolds what it touched. Answers are in the
events themselves, so whoever follows the chain has every byte that was forced out.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from headrace.chain.abi import BadAnswer, Event, Log
from headrace.chain.db import ChainDb
from headrace.chain.follower import Step
from headrace.chain.graph_rules import CaseRef, GraphProof, Node

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NodeState:
    """
    A demanded node. `due` is the last second for its answer; `kids` are the sixteen nodes below it
    or, of a leaf, `data` its bytes, once somebody has answered.
    """

    node: Node
    demander: str
    due: int
    answerer: str | None = None
    kids: tuple[bytes, ...] = ()
    data: bytes | None = None

    @property
    def is_open(self) -> bool:
        """Whether an answer is waited for."""
        return self.answerer is None


@dataclass(frozen=True, slots=True)
class Game:
    """
    A claim that somebody has moved against. `refuter` is who convicted it, None while nobody has;
    until block `open_until` somebody with an earlier commitment may take the reward from it.
    """

    claim_id: bytes
    case: CaseRef | None = None
    nodes: tuple[NodeState, ...] = ()
    refuter: str | None = None
    open_until: int = 0
    commitments: tuple[bytes, ...] = ()
    settled: int = 0

    @property
    def open_nodes(self) -> tuple[NodeState, ...]:
        """The nodes without an answer."""
        return tuple(state for state in self.nodes if state.is_open)

    @property
    def depth(self) -> int:
        """Levels that were demanded."""
        return max((state.node.level + 1 for state in self.nodes), default=0)

    @property
    def has_fees(self) -> bool:
        """Whether fees of demands still have to go where they belong."""
        return self.settled < len(self.nodes)

    def state_of(self, node: Node) -> NodeState | None:
        """What is known of a node; None if nobody has demanded it."""
        return next((state for state in self.nodes if state.node == node), None)


@dataclass(slots=True)
class GameBook:
    """All games by claim; `unsettled` are the claims with fees that have not been sent on."""

    games: dict[bytes, Game] = field(default_factory=dict)
    unsettled: set[bytes] = field(default_factory=set)
    unread: int = 0

    @classmethod
    def load(cls, db: ChainDb, graph_proof: str) -> "GameBook":
        """The book over everything in `db` that the contract at `graph_proof` has logged."""
        book = cls()
        book.fold(db.logs(graph_proof))
        return book

    def follow(self, step: Step, db: ChainDb, graph_proof: str) -> set[bytes]:
        """Take in what a step of the follower changed; returns the claims it touched."""
        removed = {
            entry.topics[1]
            for entry in step.removed
            if entry.address == graph_proof and len(entry.topics) > 1
        }
        for claim_id in removed:
            self.games.pop(claim_id, None)
            self.unsettled.discard(claim_id)
        if removed:
            self.fold(entry for entry in db.logs_about(removed) if entry.address == graph_proof)
        return removed | self.fold(entry for entry in step.added if entry.address == graph_proof)

    def fold(self, logs: Iterable[Log]) -> set[bytes]:
        """Take in logs of GraphProof in the chain's order; returns the claims they touch."""
        abi = GraphProof.abi()
        touched = set()
        for entry in logs:
            try:
                event = abi.event(entry)
            except BadAnswer as error:
                self.unread += 1
                log.error("event left out", extra={"block": entry.block_number, "why": repr(error)})
                continue
            if event is not None and "claim_id" in event.args:
                touched.add(self.apply(event))
        return touched

    def apply(self, event: Event) -> bytes:
        """Take in one event about a claim; returns the claim's id."""
        claim_id = bytes(event.args["claim_id"])
        game = _moved(self.games.get(claim_id, Game(claim_id)), event)
        self.games[claim_id] = game
        if game.has_fees:
            self.unsettled.add(claim_id)
        else:
            self.unsettled.discard(claim_id)
        return claim_id


def place_name(node: Node) -> str:
    """A node's place in its claim, for the keys of actions: the same hash may stand at several."""
    return f"{node.level}-{node.operator}-{node.place}"


def _moved(game: Game, event: Event) -> Game:
    args = event.args
    if event.name == "CaseOpened":
        return replace(game, case=CaseRef(*args["case"]))
    if event.name == "NodeDemanded":
        state = NodeState(Node(*args["node"]), args["demander"], args["due"])
        return replace(game, nodes=(*game.nodes, state))
    if event.name in ("NodeAnswered", "LeafAnswered"):
        return replace(game, nodes=tuple(_answered(state, event) for state in game.nodes))
    if event.name == "FaultCommitted":
        return replace(game, commitments=(*game.commitments, bytes(args["digest"])))
    if event.name == "FaultProven":
        return replace(game, refuter=args["refuter"])
    if event.name == "RewardOpen":
        return replace(game, open_until=args["open_until"])
    if event.name == "DemandSettled":
        return replace(game, settled=game.settled + 1)
    return game


def _answered(state: NodeState, event: Event) -> NodeState:
    args = event.args
    if state.node != Node(*args["node"]):
        return state
    if event.name == "LeafAnswered":
        return replace(state, answerer=args["answerer"], data=bytes(args["data"]))
    return replace(state, answerer=args["answerer"], kids=tuple(map(bytes, args["kids"])))
