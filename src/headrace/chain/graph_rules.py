"""Typed clients of version 2 of policy `exact`: its models, its rules and its verifier."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from enum import IntEnum
from typing import Any, NamedTuple

from eth_utils.crypto import keccak

from headrace.chain.abi import Call
from headrace.chain.contract import LATEST, Contract
from headrace.chain.rpc import BlockTag
from headrace.chain.views import ClaimRef, Outcome, Verdict
from headrace.graph.encoding import abi_words
from headrace.terms.words import Record

# A struct of IGraphRules.vyi: a tuple of its members, or an object whose `pack` gives it.
Struct = Any

FANOUT = 16
"""Children of a node of the game."""

REWARD_BLOCKS = 20
"""Blocks in which an earlier commitment may be opened after a proof, or after the last one."""


@dataclass(frozen=True, slots=True)
class GraphModelFacts:
    """A registered model of version 2; `levels` is how many moves force a withheld byte out."""

    graph_root: bytes
    op_count: int
    levels: int
    max_units: int
    mirrors: int


@dataclass(frozen=True, slots=True)
class CaseRef:
    """A claim whose data was demanded, as later moves bring it back (`IGraphProof.CaseRef`)."""

    job_id: bytes
    claim_id: bytes
    commitment: bytes
    graph_root: bytes
    op_count: int
    units: int
    claimed_at: int
    settings: int

    def pack(self) -> tuple[Any, ...]:
        """The struct as calldata wants it."""
        return astuple(self)


class Node(NamedTuple):
    """
    A node of a claim's tree (`IGraphProof.Node`). `operator` is op_count in the trace's own tree;
    `remaining` levels of sixteen lead down to the leaves of its tree, which are `leaves` of
    `leaf_bytes` bytes (0 in the trace's own tree).
    """

    level: int
    operator: int
    place: int
    remaining: int
    leaves: int
    leaf_bytes: int
    node_hash: bytes

    @property
    def is_leaf(self) -> bool:
        """Whether it is answered with bytes."""
        return self.remaining == 0 and self.leaf_bytes != 0


class DemandStatus(IntEnum):
    """Where a node's demand is."""

    NONE = 0
    DEMANDED = 1
    ANSWERED = 2
    SETTLED = 3


class CaseStatus(IntEnum):
    """Where a claim's case is."""

    OPEN = 0
    PROVEN = 1
    REFUTED = 2


@dataclass(frozen=True, slots=True)
class GraphCase:
    """What is on record of a claim; all zero if nobody has moved against it."""

    status: CaseStatus
    depth: int
    open_demands: int
    last_due: int
    party: str
    commitments: int


@dataclass(frozen=True, slots=True)
class GraphDemand:
    """What is on record of a node; due and demander only while it is demanded."""

    status: DemandStatus
    due: int
    demander: str


def fault_digest(
    claim_id: bytes, index: int, row: int, column: int, prover: str, salt: bytes
) -> bytes:
    """Return the commitment to a fault at that place of a claim, for `commit_fault`."""
    return keccak(abi_words(claim_id, index, row, column, int(prover, 16), salt))


class GraphModels(Contract):
    """The models of version 2, and who keeps copies of them."""

    ARTIFACT = "GraphModels"

    def model_of(self, program: bytes, block: BlockTag = LATEST) -> GraphModelFacts | None:
        """A registered model; None if nobody has registered it."""
        facts = GraphModelFacts(*self.read("model_of", program, block=block))
        return facts if facts.op_count else None

    def is_eligible(self, program: bytes, block: BlockTag = LATEST) -> bool:
        """Whether enough mirrors are listed for jobs to name it."""
        return bool(self.read("is_eligible", program, block=block))

    def is_mirror(self, program: bytes, account: str, block: BlockTag = LATEST) -> bool:
        """Whether an account is listed."""
        return bool(self.read("is_mirror", program, account, block=block))

    def min_mirrors(self, block: BlockTag = LATEST) -> int:
        """How many accounts have to be listed before a job can name a model."""
        return int(self.read("MIN_MIRRORS", block=block))

    def register_model(
        self, operators: Sequence[Struct], given: int, max_units: int, card_id: bytes
    ) -> Call:
        """Put a model on record; `given` is the packed view of its input."""
        return self.call("register_model", list(operators), given, max_units, card_id)

    def list_mirror(self, program: bytes, url: str) -> Call:
        """Say that the model's package is at `url`."""
        return self.call("list_mirror", program, url)

    def unlist_mirror(self, program: bytes) -> Call:
        """Take that back."""
        return self.call("unlist_mirror", program)


class GraphRules(Contract):
    """Recomputes one byte of a trace from a proof; reverts on a proof that isn't well-formed."""

    ARTIFACT = "GraphRules"

    def prove(
        self, claim: ClaimRef, proof: Struct, block: BlockTag = LATEST
    ) -> tuple[bool, int, int, int]:
        """Whether it is a fault, its kind, what was claimed and what would have been right."""
        is_fault, kind, claimed, right = self.read("prove", claim, proof, block=block)
        return bool(is_fault), int(kind), int(claimed), int(right)


class GraphProof(Contract):
    """The verifier: a wrong byte is proven by recomputing it, withheld data is forced out."""

    ARTIFACT = "GraphProof"

    def case_of(self, claim_id: bytes, block: BlockTag = LATEST) -> GraphCase:
        """What is on record of a claim."""
        status, *rest = self.read("case_of", claim_id, block=block)
        return GraphCase(CaseStatus(status), *rest)

    def demand_of(self, claim_id: bytes, node: Node, block: BlockTag = LATEST) -> GraphDemand:
        """What is on record of a node."""
        status, due, demander = self.read("demand_of", claim_id, node, block=block)
        return GraphDemand(DemandStatus(status), due, demander)

    def commitment_of(
        self, claim_id: bytes, digest: bytes, block: BlockTag = LATEST
    ) -> tuple[int, int]:
        """The number of a commitment to a fault (0 if there is none), and its block."""
        number, height = self.read("commitment_of", claim_id, digest, block=block)
        return int(number), int(height)

    def demand_fee(self, block: BlockTag = LATEST) -> int:
        """What a demand of one node costs, in token units."""
        return int(self.read("DEMAND_FEE", block=block))

    def outcome(
        self, claim_id: bytes, claimed_at: int, settings: int, block: BlockTag = LATEST
    ) -> Outcome:
        """Whether a claim stands."""
        verdict, not_before, refuter, payouts = self.read(
            "outcome", claim_id, claimed_at, settings, block=block
        )
        return Outcome(Verdict(verdict), not_before, refuter, tuple(map(tuple, payouts)))

    def open(self, claim: ClaimRef, operator: Struct, operator_proof: Sequence[bytes]) -> Call:
        """Demand the node at the root, for the fee."""
        return self.call("open", claim, operator, list(operator_proof))

    def demand(
        self,
        case: CaseRef,
        parent: Node,
        index: int,
        child: bytes,
        siblings: Sequence[bytes],
        operator: Struct,
        operator_proof: Sequence[bytes],
    ) -> Call:
        """Demand a child of an answered node, for the fee."""
        return self.call(
            "demand", case, parent, index, child, list(siblings), operator, list(operator_proof)
        )

    def answer(self, claim_id: bytes, node: Node, kids: Sequence[bytes]) -> Call:
        """Answer a demand with the node's sixteen children."""
        return self.call("answer", claim_id, node, list(kids))

    def answer_leaf(self, claim_id: bytes, node: Node, data: bytes) -> Call:
        """Answer a demand with a leaf's bytes."""
        return self.call("answer_leaf", claim_id, node, data)

    def silence(self, case: CaseRef, node: Node, record: Record) -> Call:
        """Convict a claim one of whose nodes was not answered in time."""
        return self.call("silence", case, node, record)

    def prove(self, claim: ClaimRef, proof: Struct) -> Call:
        """Convict a claim by one wrong byte."""
        return self.call("prove", claim, proof)

    def audit(self, claim: ClaimRef, proof: Struct) -> Call:
        """Show that one element is right."""
        return self.call("audit", claim, proof)

    def commit_fault(self, claim: ClaimRef, digest: bytes) -> Call:
        """Lay claim to the reward for a fault before it is shown."""
        return self.call("commit_fault", claim, digest)

    def claim_reward(self, claim: ClaimRef, proof: Struct, salt: bytes) -> Call:
        """Open a commitment, for the reward of a fault that is proven."""
        return self.call("claim_reward", claim, proof, salt)

    def settle_demand(
        self,
        job_id: bytes,
        attempt: int,
        provider: str,
        node: Node,
        demander: str,
        answerer: str,
    ) -> Call:
        """Send a node's fee where it belongs once the claim has ended."""
        return self.call("settle_demand", job_id, attempt, provider, node, demander, answerer)
