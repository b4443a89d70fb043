"""A model and claims about its runs, before GraphProof with a mock escrow and vault."""

import itertools
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from eth_abi import encode
from eth_utils import keccak

from headrace.chain.graph_rules import Node, fault_digest
from headrace.graph2 import builders as ops
from headrace.graph2.claimed import ClaimedTrace
from headrace.graph2.faults import Fault, FaultBuilder, Proof
from headrace.graph2.game_tree import GameNode, Shape, child_proof, children_of, leaf_of
from headrace.graph2.model import GraphBuilder, Model
from headrace.graph2.operators import Params
from headrace.graph2.quads import tensor_root
from headrace.graph2.trace import Trace, run
from tests.harness import Account, Chain, Contract, Receipt

WINDOW, REPLY, FOLLOW = 60, 20, 25
STEP = REPLY + FOLLOW
FEE = 5_000
BOUNDS = (10, 1_000, 5, 100)
"""Constructor arguments after the fee: window and reply, least and most."""

REQUESTER = 0xAA << 152
PROVIDER = 0xBB << 152
CLAIMED, FINAL, REFUTED, EXPIRED, CONTESTED = 3, 4, 5, 6, 8
"""States of a job."""
PENDING, STANDS, FALLS = 1, 2, 4
"""Verdicts."""
NO_OPERATOR = (0, 0, 0, 0, 0, 0, 0, bytes(32))
SALT = b"\x05" * 32


def settings(window: int = WINDOW, reply: int = REPLY, follow: int = FOLLOW) -> int:
    """The settings of a job."""
    return window << 56 | reply << 32 | follow << 8


def small_model(steps: int = 3) -> Model:
    """MATMULs of 40 columns on 80 rows a unit: at 3 units 30 leaves, so two levels of sixteen."""
    rng = np.random.default_rng(7)
    graph = GraphBuilder(80, 40, 1)
    view = graph.input
    for _ in range(steps):
        weights = rng.integers(-128, 128, (40, 40)).astype(np.int8)
        view = graph.add(ops.matmul(view, weights, Params.of(np.full(40, 2**13), 22)))
    return graph.build(20)


def deploy_rules(chain: Chain) -> Contract:
    """GraphRules and its parts."""
    names = ("GraphRowRules", "GraphElementRules", "GraphFormRules")
    return chain.deploy("GraphRules", *(chain.deploy(name) for name in names))


class Case(NamedTuple):
    """`IGraphProof.CaseRef`."""

    job_id: bytes
    claim_id: bytes
    commitment: bytes
    graph_root: bytes
    op_count: int
    units: int
    claimed_at: int
    settings: int


@dataclass(frozen=True)
class Claim:
    """A claim on the mock escrow's record, and the trace behind it."""

    terms: tuple[Any, ...]
    record: tuple[Any, ...]
    commitment: bytes
    job_id: bytes
    claim_id: bytes
    at: int
    attempt: int
    trace: ClaimedTrace
    case: Case

    @property
    def ref(self) -> tuple[Any, ...]:
        """The claim as the contract takes it."""
        return self.terms, self.record, self.commitment

    @property
    def provider(self) -> str:
        """Whose claim it is."""
        return f"0x{self.record[1] >> 96:040x}"

    @property
    def shape(self) -> Shape:
        """The layout of its trees."""
        return Shape(self.trace.model, self.trace.units)

    @property
    def root(self) -> GameNode:
        """Its first node."""
        return self.shape.commitment

    def edge(self, depth: int = 0, step: int = STEP, window: int = WINDOW) -> int:
        """The last second of a level."""
        return self.at + window + depth * step

    def node(self, node: GameNode) -> Node:
        """A node as the contract takes it."""
        node_hash = self.trace.node(*self.shape.quad(node))
        return Node(*self.shape.describe(node, node_hash))

    def index_of(self, node: GameNode) -> int:
        """Which child of its parent a node is."""
        is_tensor = self.shape.level(node) == self.shape.model.op_height
        return (node.operator if is_tensor else node.place) & 15

    def path(self, operator: int, leaf: int) -> list[GameNode]:
        """The nodes from the commitment down to a leaf."""
        shape = self.shape
        height = shape.model.operators[operator].out.height(shape.units)
        above = shape.model.op_height
        indices = [operator >> 4 * n & 15 for n in reversed(range(above))]
        indices += [leaf >> 4 * n & 15 for n in reversed(range(height))]
        nodes = [shape.commitment]
        for index in indices:
            nodes.append(shape.child(nodes[-1], index))
        return nodes


@dataclass
class Court:
    """GraphProof, its partners, and a model that is registered."""

    chain: Chain
    escrow: Contract
    vault: Contract
    models: Contract
    rules: Contract
    proof: Contract
    model: Model
    tensor: Any
    salts: Any = field(default_factory=itertools.count)

    @classmethod
    def of(cls, chain: Chain, model: Model, tensor: Any) -> "Court":
        """Deploy everything and register the model."""
        escrow, vault = chain.deploy("MockEscrow"), chain.deploy("MockVault")
        models = chain.deploy("GraphModels", 0)
        rules = deploy_rules(chain)
        proof = chain.deploy("GraphProof", escrow, vault, models, rules, FEE, *BOUNDS)
        court = cls(chain, escrow, vault, models, rules, proof, model, tensor)
        court.register(model)
        return court

    def register(self, model: Model) -> None:
        """Register one more model."""
        self.models.register_model(model.descriptors, model.input.word, model.max_units, bytes(32))

    def right(self, model: Model | None = None) -> Trace:
        """The right trace."""
        return run(model or self.model, self.tensor)

    def claim(
        self,
        trace: Trace | ClaimedTrace,
        *,
        attempt: int = 1,
        at: int | None = None,
        verifier: Any = None,
        config: int | None = None,
    ) -> Claim:
        """Put a claim of this trace on record, made in the latest block."""
        claimed = ClaimedTrace(trace) if isinstance(trace, Trace) else trace
        model, units = claimed.model, claimed.units
        address = int((verifier or self.proof).address, 16)
        agreed = address << 96 | (settings() if config is None else config)
        input_id = tensor_root(model.input, self.tensor)
        words = REQUESTER << 96, agreed, 0, model.program, input_id
        terms = (*words, 0, 0, units << 160 | next(self.salts))
        record = 0, PROVIDER << 96, 0, agreed, 0, 0, 0, 0
        at = self.chain.now() if at is None else at
        root = claimed.root
        self.escrow.open_claim(terms, record, root, attempt, at)
        job_id = keccak(encode(["uint256"] * 3 + ["bytes32"] * 2 + ["uint256"] * 3, terms))
        claim_id = keccak(encode(["bytes32", "uint256", "uint256"], (job_id, attempt, PROVIDER)))
        config = agreed & (1 << 96) - 1
        facts = model.graph_root, model.op_count, units
        case = Case(job_id, claim_id, root, *facts, at, config)
        return Claim(terms, record, root, job_id, claim_id, at, attempt, claimed, case)

    def fund(self, account: Account, amount: int = FEE) -> Account:
        """Give an account money in the vault."""
        self.vault.mint(account, amount)
        return account

    # -- moves --

    def open(self, claim: Claim, demander: Account, **options: Any) -> Receipt:
        """Demand the commitment's children, with money that the demander is given."""
        self.fund(demander)
        operator, way = self.operator_of(claim, claim.root)
        return self.proof.open(claim.ref, operator, way, sender=demander, **options)

    def operator_of(self, claim: Claim, node: GameNode) -> tuple[Any, list[bytes]]:
        """The descriptor that a demand of the node wants, and its way."""
        model = claim.trace.model
        tensor = node.operator < model.op_count and claim.shape.level(node) == model.op_height
        if not tensor:
            return NO_OPERATOR, []
        return model.descriptors[node.operator], list(model.graph_tree.proof(node.operator))

    def arguments(self, claim: Claim, parent: GameNode, index: int) -> list[Any]:
        """The arguments of the demand of a child."""
        kids = children_of(claim.trace, parent)
        child = claim.shape.child(parent, index)
        operator, way = self.operator_of(claim, child)
        siblings = list(child_proof(kids, index))
        return [claim.case, claim.node(parent), index, kids[index], siblings, operator, way]

    def demand(
        self, claim: Claim, parent: GameNode, index: int, demander: Account, **options: Any
    ) -> Receipt:
        """Demand a child."""
        self.fund(demander)
        return self.proof.demand(*self.arguments(claim, parent, index), sender=demander, **options)

    def answer(self, claim: Claim, node: GameNode, **options: Any) -> Receipt:
        """Answer a demand, with children or bytes."""
        if claim.shape.is_leaf(node):
            data = leaf_of(claim.trace, node)
            return self.proof.answer_leaf(claim.claim_id, claim.node(node), data, **options)
        kids = list(children_of(claim.trace, node))
        return self.proof.answer(claim.claim_id, claim.node(node), kids, **options)

    def silence(self, claim: Claim, node: GameNode, **options: Any) -> Receipt:
        """Call an overdue demand out."""
        return self.proof.silence(claim.case, claim.node(node), claim.record, **options)

    def settle(
        self, claim: Claim, node: GameNode, demander: Account, answerer: Any, **options: Any
    ) -> Receipt:
        """Settle a demand's fee."""
        return self.proof.settle_demand(
            claim.job_id,
            claim.attempt,
            claim.provider,
            claim.node(node),
            demander,
            answerer,
            **options,
        )

    def descend(self, claim: Claim, path: list[GameNode], demander: Account) -> None:
        """Open a claim and go down a path, everything but its last node answered."""
        self.open(claim, demander)
        for parent, node in itertools.pairwise(path):
            self.answer(claim, parent)
            self.demand(claim, parent, claim.index_of(node), demander)

    # -- proofs --

    def builder(self, claim: Claim) -> FaultBuilder:
        """What builds proofs about a claim."""
        return FaultBuilder(claim.trace.model, self.tensor, claim.trace)

    def fault(self, claim: Claim, right: Trace) -> Fault:
        """The first fault of a claim."""
        found = self.builder(claim).first(right)
        assert found is not None
        return found

    def commit(self, claim: Claim, proof: Proof, prover: Account, **options: Any) -> Receipt:
        """Commit to a fault."""
        digest = self.digest(claim, proof, prover)
        return self.proof.commit_fault(claim.ref, digest, sender=prover, **options)

    def digest(self, claim: Claim, proof: Proof, prover: Account) -> bytes:
        """What a prover commits to."""
        place = (proof.index, proof.row, proof.column)
        return fault_digest(claim.claim_id, *place, prover.address, SALT)

    def outcome(self, claim: Claim, **options: Any) -> Any:
        """What GraphProof says of a claim."""
        return self.proof.call(
            "outcome", (claim.claim_id, claim.at, claim.case.settings), **options
        )


def lie(trace: Trace, operator: int = 1, row: int = 5, column: int = 7) -> Trace:
    """The trace with one element changed."""
    tensor = trace.tensors[operator].copy()
    tensor[row, column] ^= 1
    return trace.replace(operator, tensor)
