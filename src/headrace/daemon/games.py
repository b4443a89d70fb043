"""What GraphProof's events say of disputed claims, folded: nodes demanded and answered, verdicts.

As with disputes, the fold is pure and a reorganisation refolds what it touched. Answers are in the
events themselves, so whoever follows the chain has every byte that was forced out.
"""

from dataclasses import dataclass, replace

from headrace.chain.abi import Abi, Event
from headrace.chain.graph_rules import CaseRef, GraphProof, Node
from headrace.daemon.claim_book import ClaimBook


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
class Promise:
    """A commitment to a fault: the `number`th of its claim, from 1 on, and the block it is in."""

    digest: bytes
    number: int
    block: int


@dataclass(frozen=True, slots=True)
class Game:
    """
    A claim that somebody has moved against. `refuter` is who convicted it, None while nobody has;
    with commitments about, the first proof is in block `proven_in` (else 0), and until block
    `open_until` somebody with an earlier commitment may take the reward from `refuter`.
    """

    claim_id: bytes
    case: CaseRef | None = None
    nodes: tuple[NodeState, ...] = ()
    refuter: str | None = None
    proven_in: int = 0
    open_until: int = 0
    promises: tuple[Promise, ...] = ()
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

    def promise_of(self, digest: bytes) -> Promise | None:
        """The commitment with this digest, whoever sent it; None if there is none."""
        return next((made for made in self.promises if made.digest == digest), None)

    def state_of(self, node: Node) -> NodeState | None:
        """What is known of a node; None if nobody has demanded it."""
        return next((state for state in self.nodes if state.node == node), None)


class GameBook(ClaimBook[Game]):
    """All games by claim."""

    __slots__ = ()

    @property
    def games(self) -> dict[bytes, Game]:
        """The games by claim."""
        return self.claims

    def _abi(self) -> Abi:
        return GraphProof.abi()

    def _begun(self, claim_id: bytes) -> Game:
        return Game(claim_id)

    def _moved(self, known: Game, event: Event) -> Game:
        return _moved(known, event)

    def _owes(self, known: Game) -> bool:
        return known.has_fees


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
        made = Promise(bytes(args["digest"]), args["number"], event.log.block_number)
        return replace(game, promises=(*game.promises, made))
    if event.name == "FaultProven":
        return replace(game, refuter=args["refuter"])
    if event.name == "RewardOpen":
        proven_in = game.proven_in or event.log.block_number
        return replace(game, proven_in=proven_in, open_until=args["open_until"])
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
