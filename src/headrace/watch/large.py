"""Checks a claim on a model of version 2: recomputes it, and makes sure before money is spent."""

import random
from dataclasses import dataclass

import numpy as np

from headrace.chain.graph_rules import Node
from headrace.daemon.games import Game, NodeState
from headrace.graph.errors import InputError
from headrace.graph2 import reference
from headrace.graph2.faults import Fault, FaultBuilder, Finding, examine
from headrace.graph2.game_tree import GameNode, Learned, Unknown, child_proof, children_of, hash_of
from headrace.graph2.model import Model
from headrace.graph2.numpy_backend import Plan
from headrace.graph2.operators import Descriptor
from headrace.graph2.trace import Trace
from headrace.input_forms import Array, GraphInput
from headrace.store.blobs import BlobStore
from headrace.store.errors import BlobError
from headrace.terms.words import Terms
from headrace.watch.checks import Kept, Unchecked

# Elements of the second opinion that plain Python recomputes, drawn over all operators.
_DRAWN = 64
_MAX_MODELS = 4
# What stands where the contract reads no operator.
NO_OPERATOR = Descriptor(0, 0, 0, 0, 0, 0, 0, bytes(32))


@dataclass(frozen=True, eq=False)
class LargeReport:
    """
    What a check has found: `right` is what the claim should stand for, with the input `tensor`
    that it follows from; `fault` the proof, if the claim is another and its trace is at hand.
    """

    right: Trace
    tensor: Array
    is_good: bool
    fault: Fault | None = None

    @property
    def right_root(self) -> bytes:
        """What the claim should be."""
        return self.right.root


@dataclass(frozen=True, slots=True)
class Demand:
    """
    The next node to ask for. `parent` is None for the commitment itself; `node` is what the
    contract will know it as.
    """

    node: Node
    parent: Node | None = None
    index: int = 0
    siblings: tuple[bytes, ...] = ()
    operator: Descriptor = NO_OPERATOR
    operator_proof: tuple[bytes, ...] = ()


class LargeChecker:
    """Checks claims against the models and inputs of a store. May be used by several threads."""

    def __init__(self, store: BlobStore, *, max_trace: int) -> None:
        """Nothing is loaded yet. No trace of more than `max_trace` bytes is computed."""
        self._store = store
        self._max_trace = max_trace
        self._plans: Kept[bytes, Plan] = Kept(_MAX_MODELS)
        self._exact: Kept[bytes, Plan] = Kept(1)

    def check(self, terms: Terms, commitment: bytes, *, has_second: bool = False) -> LargeReport:
        """
        Recompute a job and compare it with a claim about it, whose trace is looked for in the
        store. Unchecked if the model or the input can't be had, or two engines don't agree;
        `has_second` says that both were heard about this claim before.
        """
        try:
            plan = self._plans.get(terms.program, lambda: Plan(self._model(terms.program)))
        except BlobError as error:
            raise Unchecked(f"no model: {error}") from error
        model = plan.model
        size = model.trace_bytes(terms.units)
        if size > self._max_trace:
            raise Unchecked(
                f"its trace of {size} bytes is more than this watcher makes (HEADRACE_MAX_TRACE_MB)"
            )
        try:
            tensor = self._store.get_input(terms.input_id, GraphInput(model.input), terms.units)
            claimed = self._stored(model, terms.units, commitment)
            found = examine(model, tensor, commitment, claimed, plan=plan)
        except (BlobError, InputError) as error:
            raise Unchecked(f"no input: {error}") from error
        if found.finding == Finding.HONEST:
            return LargeReport(found.right, tensor, is_good=True)
        if not has_second:
            self._require_second(model, tensor, found.right)
        return LargeReport(found.right, tensor, is_good=False, fault=found.fault)

    def _model(self, program: bytes) -> Model:
        model = self._store.get_model(program)
        if not isinstance(model, Model):
            raise Unchecked("the model is of another format than the claim's verifier judges")
        return model

    def _stored(self, model: Model, units: int, commitment: bytes) -> Trace | None:
        try:
            found = self._store.get_trace(commitment, model, units)
        except BlobError:
            return None
        return found if isinstance(found, Trace) else None

    def _require_second(self, model: Model, tensor: Array, right: Trace) -> None:
        """
        Unchecked unless a run in whole numbers, without any float, gives the same, and plain Python
        the same for elements drawn at random.
        """
        exact = self._exact.get(model.program, lambda: Plan(model, exact=True))
        for index, other in enumerate(exact.run(tensor)):
            if not np.array_equal(other, right.tensors[index]):
                raise Unchecked(f"the backends disagree on operator {index}")
        draw = random.SystemRandom()
        tensors = (tensor, *right.tensors)
        for _ in range(_DRAWN):
            index = draw.randrange(model.op_count)
            made = right.tensors[index]
            row, column = draw.randrange(made.shape[0]), draw.randrange(made.shape[1])
            expected = reference.element(model.operators[index], tensors, row, column)
            if expected != int(made[row, column]):
                raise Unchecked(f"plain Python disagrees on operator {index}, {row}, {column}")


def learned(right: Trace, commitment: bytes, game: Game | None) -> Learned:
    """What a game's answers have told about a claim, beside the right trace."""
    known = Learned(right, commitment)
    states = () if game is None else game.nodes
    for state in sorted(states, key=lambda state: state.node.level):
        node = GameNode(state.node.operator, state.node.remaining, state.node.place)
        try:
            if state.kids:
                known.learn_children(node, state.kids)
            elif state.data is not None:
                known.learn_leaf(node, state.data)
        except ValueError:
            # Of a branch that isn't known from the top: nothing that we are after.
            continue
    return known


def fault_in(report: LargeReport, known: Learned) -> Fault | None:
    """The proof of the first wrong place, if the answers have laid it open."""
    return FaultBuilder(report.right.model, report.tensor, known).first(report.right)


def next_demand(known: Learned, game: Game | None) -> Demand | None:
    """
    What to ask for next, on the way to the first wrong byte; None if that is asked for already, or
    there is nothing more to ask.
    """
    found = known.first()
    if not isinstance(found, Unknown):
        return None
    node = _described(known, found.node)
    if game is not None and game.state_of(node) is not None:
        return None
    if found.node == known.shape.commitment:
        return _with_operator(known, Demand(node), is_root=known.model.op_count == 1)
    parent, index = _parent(known, found.node)
    children = children_of(known, parent)
    return _with_operator(
        known,
        Demand(
            node,
            parent=_described(known, parent),
            index=index,
            siblings=child_proof(children, index),
        ),
        is_root=parent.operator != found.node.operator,
    )


def overdue(game: Game, now: int) -> NodeState | None:
    """A demand whose answer did not come in time."""
    late = [state for state in game.open_nodes if now > state.due]
    return min(late, key=lambda state: (state.due, state.node.level), default=None)


def _described(known: Learned, node: GameNode) -> Node:
    return Node(*known.shape.describe(node, hash_of(known, node)))


def _parent(known: Learned, node: GameNode) -> tuple[GameNode, int]:
    """The node above, and which of its children this is."""
    model = known.model
    tensor_root = known.right.tree_of(node.operator).depth == 2 * node.remaining
    if node.operator < model.op_count and tensor_root:
        place, index = divmod(node.operator, 16)
        return GameNode(model.op_count, 1, place), index
    place, index = divmod(node.place, 16)
    return GameNode(node.operator, node.remaining + 1, place), index


def _with_operator(known: Learned, demand: Demand, *, is_root: bool) -> Demand:
    """The demand with the descriptor of the operator, where it is of a tensor's root."""
    if not is_root:
        return demand
    model, operator = known.model, demand.node.operator
    return Demand(
        demand.node,
        parent=demand.parent,
        index=demand.index,
        siblings=demand.siblings,
        operator=model.descriptors[operator],
        operator_proof=model.graph_tree.proof(operator),
    )
