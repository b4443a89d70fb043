"""What the contract checks of a proof, from the proof alone, in plain Python.

`check` convicts exactly when `FaultProof.prove_*` does; it shares no code with the executors.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from headrace.errors import HeadraceError
from headrace.graph.encoding import mirror, padded, parameter_leaf
from headrace.graph.faults import FUNCTIONS, FaultKind, OperatorRef, RowProof
from headrace.graph.merkle import ZEROS, climb, depth, keccak
from headrace.graph.model import Descriptor, Model


class NotProven(HeadraceError):
    """The proof convicts nobody: it is ill-formed, or the claim is right there."""


class Conviction(NamedTuple):
    """What a proof has shown (the arguments of `FaultProven`)."""

    kind: FaultKind
    op_index: int
    row: int
    column: int
    claimed: int
    right: int


@dataclass(frozen=True, slots=True)
class ClaimFacts:
    """What the contract knows of a claim before it sees a proof."""

    graph_root: bytes
    op_count: int
    input_width: int
    units: int
    input_id: bytes
    commitment: bytes

    @classmethod
    def of(cls, model: Model, units: int, input_id: bytes, commitment: bytes) -> "ClaimFacts":
        """Take the model's facts."""
        return cls(model.graph_root, model.op_count, model.input_width, units, input_id, commitment)

    @property
    def rows_depth(self) -> int:
        """Depth of a tensor's tree."""
        return depth(self.units)

    @property
    def ops_depth(self) -> int:
        """Depth of the trees over the operators."""
        return depth(self.op_count)


def check(facts: ClaimFacts, function: str, arguments: tuple[Any, ...]) -> Conviction:
    """Return what the proof shows; NotProven when it shows nothing."""
    checkers: dict[str, Callable[..., Conviction]] = {
        FUNCTIONS[FaultKind.ELEMENT]: _matmul,
        FUNCTIONS[FaultKind.WITNESS]: _argmax,
        FUNCTIONS[FaultKind.PADDING]: _padding,
        FUNCTIONS[FaultKind.LEAF_FORM]: _leaf_form,
        FUNCTIONS[FaultKind.PAD_NODE]: _pad_node,
    }
    return checkers[function](facts, *arguments)


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise NotProven(reason)


def _require_path(
    node: bytes, index: int, proof: tuple[bytes, ...], levels: int, root: bytes, what: str
) -> None:
    _require(len(proof) == levels, f"the proof of the {what} has the wrong depth")
    _require(index >> levels == 0, f"the {what} has no such place")
    _require(climb(node, index, proof) == root, f"the {what} isn't proven")


def _require_operator(facts: ClaimFacts, op: OperatorRef, opcode: int | None) -> Descriptor:
    descriptor = Descriptor(*op.operator)
    _require(op.op_index < facts.op_count, "no such operator")
    _require_path(
        descriptor.leaf, op.op_index, op.proof, facts.ops_depth, facts.graph_root, "operator"
    )
    _require(opcode is None or descriptor.opcode == opcode, "the operator has another opcode")
    return descriptor


def _require_row(
    facts: ClaimFacts, tensor: int, row: int, given: RowProof, width: int, what: str
) -> None:
    """Tensor 0 is the input, j the output of operator j - 1."""
    _require(row < facts.units, "no such row")
    _require(len(given.data) == padded(width), f"the {what} has the wrong length")
    node = keccak(b"\x00" + given.data)
    if tensor == 0:
        _require_path(node, row, given.proof, facts.rows_depth, facts.input_id, what)
    else:
        index = (tensor - 1) << facts.rows_depth | row
        levels = facts.rows_depth + facts.ops_depth
        _require_path(node, index, given.proof, levels, facts.commitment, what)


def _matmul(
    facts: ClaimFacts,
    op: OperatorRef,
    row: int,
    column: int,
    source: RowProof,
    weights: RowProof,
    params: int,
    params_proof: tuple[bytes, ...],
    output: RowProof,
) -> Conviction:
    step = _require_operator(facts, op, 1)
    _require(column < step.width_out, "no such column")
    _require_row(facts, op.op_index + 1, row, output, step.width_out, "output")
    _require_row(facts, step.source, row, source, step.width_in, "source")
    levels = depth(step.width_out)
    _require(len(weights.data) == padded(step.width_in), "the weights have the wrong length")
    weight_leaf = keccak(b"\x00" + weights.data)
    _require_path(weight_leaf, column, weights.proof, levels, step.weight_root, "weights")
    _require_path(
        parameter_leaf(params), column, params_proof, levels, step.param_root, "parameters"
    )
    bias = (params >> 40) - (1 << 31)
    mult = params >> 8 & 0xFFFFFFFF
    shift = params & 0xFF
    _require(
        abs(bias) <= 1 << 30 and mult < 1 << 31 and 1 <= shift <= 62, "parameters break bounds"
    )
    plain = mirror(weights.data)
    _require(set(plain[step.width_in :]) <= {128}, "the weights' padding isn't zero")
    acc = bias + sum((x - 128) * (w - 128) for x, w in zip(source.data, plain, strict=True))
    low, high = (step.clamp >> 8) - 128, (step.clamp & 0xFF) - 128
    right = max(low, min(high, (acc * mult + (1 << (shift - 1))) >> shift))
    claimed = output.data[column] - 128
    _require(claimed != right, "the element is right")
    return Conviction(FaultKind.ELEMENT, op.op_index, row, column, claimed, right)


def _argmax(
    facts: ClaimFacts,
    op: OperatorRef,
    row: int,
    witness: int,
    source: RowProof,
    output: RowProof,
) -> Conviction:
    step = _require_operator(facts, op, 2)
    _require(witness < step.width_in, "no such witness")
    _require_row(facts, op.op_index + 1, row, output, step.width_out, "output")
    _require_row(facts, step.source, row, source, step.width_in, "source")
    claimed = output.data[0] - 128
    if 0 <= claimed < step.width_in:
        best, other = source.data[claimed], source.data[witness]
        _require(other > best or (other == best and witness < claimed), "the witness is no better")
    return Conviction(FaultKind.WITNESS, op.op_index, row, 0, claimed, witness)


def _padding(
    facts: ClaimFacts, op: OperatorRef, row: int, column: int, output: RowProof
) -> Conviction:
    step = _require_operator(facts, op, None)
    _require(step.width_out <= column < padded(step.width_out), "the column isn't padding")
    _require_row(facts, op.op_index + 1, row, output, step.width_out, "output")
    claimed = output.data[column] - 128
    _require(claimed != 0, "the padding is zero")
    return Conviction(FaultKind.PADDING, op.op_index, row, column, claimed, 0)


def _leaf_form(
    facts: ClaimFacts, op: OperatorRef, row: int, preimage: bytes, proof: tuple[bytes, ...]
) -> Conviction:
    step = _require_operator(facts, op, None)
    _require(row < facts.units, "no such row")
    _require_path(
        keccak(preimage),
        op.op_index << facts.rows_depth | row,
        proof,
        facts.rows_depth + facts.ops_depth,
        facts.commitment,
        "leaf",
    )
    right = 1 + padded(step.width_out)
    _require(preimage[:1] != b"\x00" or len(preimage) != right, "the leaf has the right form")
    return Conviction(FaultKind.LEAF_FORM, op.op_index, row, 0, len(preimage), right)


def _pad_node(
    facts: ClaimFacts,
    op_index: int,
    level: int,
    index: int,
    node: bytes,
    proof: tuple[bytes, ...],
) -> Conviction:
    _require(op_index <= facts.op_count, "no such operator")
    own = op_index == facts.op_count
    count, height = (facts.op_count, facts.ops_depth) if own else (facts.units, facts.rows_depth)
    _require(level <= height and index >> (height - level) == 0, "no such node")
    _require(index << level >= count, "the node isn't padding")
    place = index if own else op_index << (height - level) | index
    levels = height - level + (0 if own else facts.ops_depth)
    _require_path(node, place, proof, levels, facts.commitment, "node")
    _require(node != ZEROS[level], "the node is zero")
    return Conviction(FaultKind.PAD_NODE, op_index, 0, 0, 0, 0)
