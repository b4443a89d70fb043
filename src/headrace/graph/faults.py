"""Find the first wrong position of a claimed trace and build the proof that convicts it.

Kinds, order and arguments: docs/int8-graph.md, "Faults".
"""

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Any, NamedTuple

from headrace.graph import trace as traces
from headrace.graph.claimed import ClaimedTrace
from headrace.graph.encoding import LEAF_PREFIX, ZERO_BYTE, Int8, encode_rows, leaf, padded
from headrace.graph.merkle import ZEROS, Tree
from headrace.graph.model import Descriptor, Model, Opcode
from headrace.graph.trace import Trace

MAX_PREIMAGE = 2_049
"""Most bytes of a leaf's preimage that `prove_leaf_form` takes."""


class FaultKind(IntEnum):
    """What is wrong at the position (`IFaultProof.FaultProven.kind`)."""

    ELEMENT = 1
    WITNESS = 2
    PADDING = 3
    LEAF_FORM = 4
    PAD_NODE = 5


FUNCTIONS = {
    FaultKind.ELEMENT: "prove_matmul",
    FaultKind.WITNESS: "prove_argmax",
    FaultKind.PADDING: "prove_padding",
    FaultKind.LEAF_FORM: "prove_leaf_form",
    FaultKind.PAD_NODE: "prove_pad_node",
}


class OperatorRef(NamedTuple):
    """Which operator a proof is about (`IFaultProof.OperatorRef`)."""

    op_index: int
    operator: Descriptor
    proof: tuple[bytes, ...]


class RowProof(NamedTuple):
    """A row's padded bytes and its siblings (`IFaultProof.RowProof`)."""

    data: bytes
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """One provable lie. `arguments` follow the claim in the call of `function`, in its order."""

    kind: FaultKind
    op_index: int
    row: int
    column: int
    claimed: int
    right: int
    arguments: tuple[Any, ...]

    @property
    def function(self) -> str:
        """The function of FaultProof that takes this fault."""
        return FUNCTIONS[self.kind]


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
    model: Model, tensor: Int8, commitment: bytes, claimed: ClaimedTrace | None
) -> Examination:
    """Recompute a job and say what is wrong with a claim about it.

    WITHHELD: the claim isn't the right one, and `claimed` is missing or isn't what it commits to.
    Raises InputError when the model doesn't take the (T, input_width) int8 `tensor`.
    """
    right = traces.run(model, tensor)
    if right.root == commitment:
        return Examination(Finding.HONEST, None, right)
    if claimed is None or claimed.units != right.units or claimed.root != commitment:
        return Examination(Finding.WITHHELD, None, right)
    fault = FaultBuilder(model, tensor, claimed).first(right)
    finding = Finding.WITHHELD if fault is None else Finding.FAULT
    return Examination(finding, fault, right)


class FaultBuilder:
    """Builds the proofs about one claimed trace for the (T, input_width) int8 input `tensor`."""

    def __init__(self, model: Model, tensor: Int8, claimed: ClaimedTrace) -> None:
        """Hash the input once; the claim's trees are hashed when a proof needs them."""
        self.model = model
        self.claimed = claimed
        self._input_rows = encode_rows(tensor)
        self._input_tree = Tree([leaf(row) for row in self._input_rows])

    def first(self, right: Trace) -> Fault | None:
        """Return the first wrong position; None when there is none that calldata could hold."""
        for operator, rows in enumerate(right.rows):
            for row, expected in enumerate(rows):
                if self.claimed.leaves[operator][row] != LEAF_PREFIX + expected:
                    return self._at(operator, row, expected)
            if fault := self._first_pad(operator):
                return fault
        return self._first_pad(self.model.op_count)

    def _at(self, operator: int, row: int, expected: bytes) -> Fault | None:
        preimage = self.claimed.leaves[operator][row]
        if preimage[:1] != LEAF_PREFIX or len(preimage) != 1 + len(expected):
            return self.leaf_form(operator, row) if len(preimage) <= MAX_PREIMAGE else None
        claimed = self.claimed.row(operator, row)
        pairs = zip(claimed, expected, strict=True)
        column = next(at for at, (byte, true) in enumerate(pairs) if byte != true)
        step = self.model.operators[operator]
        if column >= step.width_out:
            return self.padding(operator, row, column)
        value = expected[column] - ZERO_BYTE
        if step.opcode == Opcode.ARGMAX:
            return self.witness(operator, row, value)
        return self.element(operator, row, column, value)

    def _first_pad(self, operator: int) -> Fault | None:
        for at, level, index in sorted(self.claimed.pads):
            if at == operator and self.claimed.pads[at, level, index] != ZEROS[level]:
                return self.pad_node(at, level, index)
        return None

    def operator_ref(self, operator: int) -> OperatorRef:
        """Return the operator with its proof to the graph's root."""
        descriptor = self.model.descriptors[operator]
        return OperatorRef(operator, descriptor, self.model.graph_tree.proof(operator))

    def output_row(self, operator: int, row: int) -> RowProof:
        """Return a claimed row with its proof to the commitment."""
        return RowProof(self.claimed.row(operator, row), self.claimed.row_proof(operator, row))

    def source_row(self, operator: int, row: int) -> RowProof:
        """Return the row that an operator reads, of the input or of the claim."""
        source = self.model.operators[operator].source
        if source:
            return self.output_row(source - 1, row)
        return RowProof(self._input_rows[row], self._input_tree.proof(row))

    def _element_of(self, operator: int, row: int, column: int) -> int:
        return self.claimed.row(operator, row)[column] - ZERO_BYTE

    def element(self, operator: int, row: int, column: int, right: int) -> Fault:
        """Build the proof that a MATMUL's element should be `right`."""
        step = self.model.operators[operator]
        return Fault(
            FaultKind.ELEMENT,
            operator,
            row,
            column,
            self._element_of(operator, row, column),
            right,
            (
                self.operator_ref(operator),
                row,
                column,
                self.source_row(operator, row),
                RowProof(step.weight_rows[column], step.weight_tree.proof(column)),
                step.params[column],
                step.param_tree.proof(column),
                self.output_row(operator, row),
            ),
        )

    def witness(self, operator: int, row: int, witness: int) -> Fault:
        """Build the proof that `witness` is a better index than an ARGMAX's claimed one."""
        return Fault(
            FaultKind.WITNESS,
            operator,
            row,
            0,
            self._element_of(operator, row, 0),
            witness,
            (
                self.operator_ref(operator),
                row,
                witness,
                self.source_row(operator, row),
                self.output_row(operator, row),
            ),
        )

    def padding(self, operator: int, row: int, column: int) -> Fault:
        """Build the proof that a padding byte isn't zero."""
        return Fault(
            FaultKind.PADDING,
            operator,
            row,
            column,
            self._element_of(operator, row, column),
            0,
            (self.operator_ref(operator), row, column, self.output_row(operator, row)),
        )

    def leaf_form(self, operator: int, row: int) -> Fault:
        """Build the proof that a leaf isn't the hash of a row."""
        preimage = self.claimed.leaves[operator][row]
        return Fault(
            FaultKind.LEAF_FORM,
            operator,
            row,
            0,
            len(preimage),
            1 + padded(self.model.operators[operator].width_out),
            (
                self.operator_ref(operator),
                row,
                preimage,
                self.claimed.row_proof(operator, row),
            ),
        )

    def pad_node(self, operator: int, level: int, index: int) -> Fault:
        """Build the proof that a node over no row isn't the zero subtree."""
        tree = (
            self.claimed.tree
            if operator == self.model.op_count
            else self.claimed.tensor_trees[operator]
        )
        return Fault(
            FaultKind.PAD_NODE,
            operator,
            0,
            0,
            0,
            0,
            (
                operator,
                level,
                index,
                tree.node(level, index),
                self.claimed.node_proof(operator, level, index),
            ),
        )
