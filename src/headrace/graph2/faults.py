"""Find the first wrong position of a claimed trace and build the proof that convicts it.

Kinds, order and openings: docs/int8-graph-2.md, "Faults".
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Any, NamedTuple

import numpy.typing as npt

from headrace.graph.errors import TraceError
from headrace.graph2 import batches, quads, reference
from headrace.graph2 import trace as traces
from headrace.graph2.claimed import Claim, ClaimedTrace, Place, node_proof
from headrace.graph2.encoding import element_of_leaf, leaf_of_tensor, position_in_leaf
from headrace.graph2.game_tree import Learned, WrongLeaf, WrongPad
from headrace.graph2.model import Model
from headrace.graph2.numpy_backend import Plan
from headrace.graph2.opcodes import Opcode
from headrace.graph2.operands import ReadConstant, ReadElement, operands
from headrace.graph2.operators import Descriptor, Operator
from headrace.graph2.quads import ZEROS
from headrace.graph2.trace import Trace
from headrace.graph2.views import View

Array = npt.NDArray[Any]

MAX_PREIMAGE = 2_049
"""Most bytes of a leaf's preimage that a proof of its form takes."""
FUNCTION = "prove"
"""The function of GraphProof that takes every proof."""


class FaultKind(IntEnum):
    """What is wrong at the position (`IGraphProof.FaultProven.kind`)."""

    ELEMENT = 1
    WITNESS = 2
    PADDING = 3
    LEAF_FORM = 4
    PAD_NODE = 5


class ModelFacts(NamedTuple):
    """What a program id is the hash of (`IGraphRules.ModelFacts`), in the order of its struct."""

    graph_root: bytes
    op_count: int
    input: int
    max_units: int

    @classmethod
    def of(cls, model: Model) -> "ModelFacts":
        """Take them of a model."""
        return cls(model.graph_root, model.op_count, model.input.word, model.max_units)


class Proof(NamedTuple):
    """A proof as the contract takes it (`IGraphRules.Proof`), in the order of its struct.

    `openings`: the bytes of each opening and its siblings, one opening after the other.
    """

    kind: int
    index: int  # type: ignore[assignment]  # as the struct has it, over tuple.index
    model: ModelFacts
    operator: Descriptor
    operator_proof: tuple[bytes, ...]
    row: int
    column: int
    openings: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """One provable lie: what `FaultProven` will say, and the proof."""

    kind: FaultKind
    op_index: int
    row: int
    column: int
    claimed: int
    right: int
    proof: Proof

    @property
    def function(self) -> str:
        """The function of GraphProof that takes this fault."""
        return FUNCTION

    @property
    def arguments(self) -> tuple[Proof]:
        """What follows the claim in its call."""
        return (self.proof,)


class Finding(Enum):
    """What a recomputation says of a claim."""

    HONEST = "honest"
    FAULT = "fault"
    WITHHELD = "withheld"


@dataclass(frozen=True, slots=True)
class Examination:
    """`fault` is set exactly when `finding` is FAULT; `right` is the recomputed trace."""

    finding: Finding
    fault: Fault | None
    right: Trace


def examine(
    model: Model,
    tensor: Array,
    commitment: bytes,
    claimed: ClaimedTrace | Learned | Trace | None,
    *,
    plan: Plan | None = None,
    right: Trace | None = None,
) -> Examination:
    """Recompute a job and say what is wrong with a claim about it.

    WITHHELD: the claim isn't the right one, and `claimed` is missing, isn't what it commits to, or
    (`Learned`) hasn't been told enough. `right` saves the run if it is done already. Raises
    InputError when the model doesn't take the (input.rows * units, input.width) `tensor`.
    """
    right = right or traces.run(model, tensor, plan)
    if right.root == commitment:
        return Examination(Finding.HONEST, None, right)
    claim = ClaimedTrace(claimed) if isinstance(claimed, Trace) else claimed
    if claim is None or claim.units != right.units or claim.root != commitment:
        return Examination(Finding.WITHHELD, None, right)
    fault = FaultBuilder(model, tensor, claim).first(right)
    finding = Finding.WITHHELD if fault is None else Finding.FAULT
    return Examination(finding, fault, right)


class FaultBuilder:
    """Builds the proofs about one claim for the (input.rows * units, input.width) input `tensor`.

    TraceError when a proof needs what the claim doesn't know.
    """

    def __init__(self, model: Model, tensor: Array, claim: Claim) -> None:
        """Hash the input once; whatever else is hashed when a proof needs it."""
        self.model = model
        self.claim = claim
        self._input = tensor
        self._input_tree = quads.tensor_tree(model.input, tensor)

    # ---- the first fault

    def first(self, right: Trace) -> Fault | None:
        """Return the first wrong position; None when there is none that a proof could show."""
        if isinstance(self.claim, Learned):
            found = self.claim.first()
            if isinstance(found, WrongLeaf):
                return self._at(right, found.operator, found.number)
            return self.pad_node(*found.place) if isinstance(found, WrongPad) else None
        if not isinstance(self.claim, ClaimedTrace):
            raise TypeError("the claim can't be searched")
        for operator in range(self.model.op_count):
            mine, true = self.claim.tree_of(operator), right.tree_of(operator)
            if mine.root == true.root:
                continue
            count = len(true.level(0))
            different = (mine.level(0)[:count] != true.level(0)).any(axis=1)
            if different.any():
                return self._at(right, operator, int(different.argmax()))
            return self._first_pad(self.claim, operator)
        return self._first_pad(self.claim, self.model.op_count)

    def _first_pad(self, claim: ClaimedTrace, operator: int) -> Fault | None:
        wrong = (
            place
            for place, node in sorted(claim.pads.items())
            if place[0] == operator and node != ZEROS[place[1]]
        )
        place = next(wrong, None)
        return None if place is None else self.pad_node(*place)

    def _at(self, right: Trace, operator: int, number: int) -> Fault | None:
        preimage = self.claim.preimage(operator, number)
        expected = right.preimage(operator, number)
        if preimage[:1] != batches.PREFIX or len(preimage) != len(expected):
            return self.leaf_form(operator, number) if len(preimage) <= MAX_PREIMAGE else None
        pairs = zip(preimage[1:], expected[1:], strict=True)
        byte = next(at for at, (mine, true) in enumerate(pairs) if mine != true)
        op = self.model.operators[operator]
        row, column = position_in_leaf(op.out, number, byte)
        if column >= op.out.width or row >= op.out.rows * right.units:
            return self.padding(operator, number, byte)
        value = int(right.tensors[operator][row, column])
        if op.opcode == Opcode.ARGMAX:
            return self.witness(operator, row * op.out.width + column, value)
        return self.element(operator, row, column, value)

    # ---- what is claimed

    def value(self, view: View, row: int, column: int) -> int:
        """Return the claimed element of a tensor, or the input's."""
        leaf = self._leaf_bytes(view, view.leaf_of(row, column))
        return element_of_leaf(view, leaf, row, column)

    def recompute(self, operator: int, row: int, column: int) -> int:
        """Return what an element has to be, by the elements that are claimed before it."""
        op = self.model.operators[operator]
        tensors = [_ClaimedRows(self, self.model.view(number)) for number in range(operator + 1)]
        return reference.element(op, tensors, row, column)

    def _leaf_bytes(self, view: View, number: int) -> bytes:
        if view.tensor == 0:
            return leaf_of_tensor(view, self._input, number)
        preimage = self.claim.preimage(view.tensor - 1, number)
        if preimage[:1] != batches.PREFIX or len(preimage) != 1 + view.leaf_bytes:
            raise TraceError(f"leaf ({view.tensor - 1}, {number}) has another form")
        return preimage[1:]

    # ---- openings

    def _siblings(self, tensor: int, level: int, index: int) -> bytes:
        if tensor == 0:
            return b"".join(self._input_tree.proof(index, level))
        return b"".join(node_proof(self.claim, tensor - 1, level, index))

    def _open_leaf(self, view: View, row: int, column: int) -> bytes:
        number = view.leaf_of(row, column)
        return self._leaf_bytes(view, number) + self._siblings(view.tensor, 0, number)

    def _open_row(self, view: View, row: int) -> bytes:
        if view.split == 1:
            return self._open_leaf(view, row, 0)
        first = row * view.split
        parts = [self._leaf_bytes(view, first + part) for part in range(view.split)]
        level = 1 if view.split == 4 else 2
        return b"".join(parts) + self._siblings(view.tensor, level, row)

    def _open_constant(self, op: Operator, number: int) -> bytes:
        return op.constant_leaf(number) + b"".join(op.constant_tree.proof(number))

    def _openings(self, operator: int, row: int, column: int) -> Iterator[bytes]:
        op = self.model.operators[operator]
        yield self._open_leaf(op.out.at(operator + 1), row, column)
        for read in operands(op, row, column, self.value):
            if isinstance(read, ReadConstant):
                yield self._open_constant(op, read.number)
            elif isinstance(read, ReadElement):
                yield self._open_leaf(read.view, read.row, read.column)
            else:
                yield self._open_row(read.view, read.row)

    def _proof(self, kind: FaultKind, index: int, row: int, column: int, openings: bytes) -> Proof:
        # the trace's own tree belongs to no operator; the last one stands in its place
        named = min(index, self.model.op_count - 1)
        return Proof(
            int(kind),
            index,
            ModelFacts.of(self.model),
            self.model.descriptors[named],
            self.model.graph_tree.proof(named),
            row,
            column,
            openings,
        )

    # ---- proofs

    def prove_at(self, operator: int, row: int, column: int) -> Proof:
        """Build the proof of what an element is, right or wrong; ValueError for an ARGMAX."""
        openings = b"".join(self._openings(operator, row, column))
        return self._proof(FaultKind.ELEMENT, operator, row, column, openings)

    def element(self, operator: int, row: int, column: int, right: int) -> Fault:
        """Build the proof that an element should be `right`."""
        view = self.model.view(operator + 1)
        return Fault(
            FaultKind.ELEMENT,
            operator,
            row,
            column,
            self.value(view, row, column),
            right,
            self.prove_at(operator, row, column),
        )

    def witness(self, operator: int, row: int, witness: int) -> Fault:
        """Build the proof that `witness` beats an ARGMAX's claimed index for row `row` of a."""
        op = self.model.operators[operator]
        out = op.out.at(operator + 1)
        at = divmod(row, out.width)
        claimed = self.value(out, *at)
        openings = self._open_leaf(out, *at)
        if 0 <= claimed < op.a.width:
            openings += self._open_leaf(op.a, row, claimed)
        openings += self._open_leaf(op.a, row, witness)
        proof = self._proof(FaultKind.WITNESS, operator, row, witness, openings)
        return Fault(FaultKind.WITNESS, operator, row, witness, claimed, witness, proof)

    def padding(self, operator: int, number: int, byte: int) -> Fault:
        """Build the proof that a padding byte of a leaf isn't what it must be."""
        view = self.model.view(operator + 1)
        data = self._leaf_bytes(view, number)
        right = 128 if byte % view.row_part < view.block else 0
        openings = data + self._siblings(operator + 1, 0, number)
        proof = self._proof(FaultKind.PADDING, operator, number, byte, openings)
        return Fault(FaultKind.PADDING, operator, number, byte, data[byte], right, proof)

    def leaf_form(self, operator: int, number: int) -> Fault:
        """Build the proof that a leaf isn't the hash of what a leaf is."""
        preimage = self.claim.preimage(operator, number)
        openings = preimage + self._siblings(operator + 1, 0, number)
        proof = self._proof(FaultKind.LEAF_FORM, operator, number, 0, openings)
        right = 1 + self.model.operators[operator].out.leaf_bytes
        return Fault(FaultKind.LEAF_FORM, operator, number, 0, len(preimage), right, proof)

    def pad_node(self, operator: int, level: int, index: int) -> Fault:
        """Build the proof that a node over nothing isn't the zero subtree."""
        place: Place = (operator, level, index)
        openings = self.claim.node(*place) + b"".join(node_proof(self.claim, *place))
        proof = self._proof(FaultKind.PAD_NODE, operator, index, level, openings)
        return Fault(FaultKind.PAD_NODE, operator, index, level, 0, 0, proof)


class _ClaimedRow(Sequence[int]):
    """One row of a claimed tensor, read element by element."""

    def __init__(self, builder: FaultBuilder, view: View, row: int) -> None:
        self._builder, self._view, self._row = builder, view, row

    def __len__(self) -> int:
        return self._view.width

    def __getitem__(self, column: Any) -> Any:
        if not 0 <= column < self._view.width:
            raise IndexError(column)
        return self._builder.value(self._view, self._row, int(column))


class _ClaimedRows(Sequence[Sequence[int]]):
    """A claimed tensor, of which only what is asked for is read."""

    def __init__(self, builder: FaultBuilder, view: View) -> None:
        self._builder, self._view = builder, view

    def __len__(self) -> int:
        return self._view.rows * self._builder.claim.units

    def __getitem__(self, row: Any) -> Any:
        return _ClaimedRow(self._builder, self._view, int(row))
