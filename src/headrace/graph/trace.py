"""A run's trace: every operator's whole output, its roots, and its published bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from headrace.graph import numpy_backend
from headrace.graph.encoding import (
    LEAF_PREFIX,
    Int8,
    decode_rows,
    encode_rows,
    leaf,
    padded,
    split_rows,
)
from headrace.graph.errors import TraceError
from headrace.graph.merkle import Tree
from headrace.graph.model import Model


@dataclass(frozen=True, eq=False)
class Trace:
    """Every operator's output as padded rows: `rows[j][t]` is row t of operator j.

    The shape is the model's, the bytes are anybody's: a wrong trace has the same form.
    """

    model: Model
    rows: tuple[tuple[bytes, ...], ...]

    def __post_init__(self) -> None:
        """Check that the rows have the model's shape; TraceError if not."""
        if len(self.rows) != self.model.op_count:
            raise TraceError(f"the trace has {len(self.rows)} tensors, not {self.model.op_count}")
        if not 1 <= self.units <= self.model.max_units:
            raise TraceError(f"the trace has {self.units} rows, not 1 to {self.model.max_units}")
        for index, (operator, rows) in enumerate(zip(self.model.operators, self.rows, strict=True)):
            size = padded(operator.width_out)
            if len(rows) != self.units or any(len(row) != size for row in rows):
                raise TraceError(f"tensor {index + 1} isn't {self.units} rows of {size} bytes")

    @classmethod
    def of(cls, model: Model, tensors: Sequence[Int8]) -> "Trace":
        """Make the trace of these outputs, each (T, width_out) int8."""
        return cls(model, tuple(encode_rows(tensor) for tensor in tensors))

    @classmethod
    def from_bytes(cls, model: Model, units: int, data: bytes) -> "Trace":
        """Read a published trace of `units` rows; TraceError when it hasn't the exact length."""
        if not 1 <= units <= model.max_units:
            raise TraceError(f"a trace of {units} rows; the model takes 1 to {model.max_units}")
        if len(data) != units * model.row_bytes:
            raise TraceError(f"the trace has {len(data)} bytes, not {units * model.row_bytes}")
        tensors = []
        start = 0
        for operator in model.operators:
            end = start + units * padded(operator.width_out)
            tensors.append(split_rows(data[start:end], padded(operator.width_out)))
            start = end
        return cls(model, tuple(tensors))

    def to_bytes(self) -> bytes:
        """Return the trace as it is published."""
        return b"".join(b"".join(rows) for rows in self.rows)

    @property
    def units(self) -> int:
        """Rows of each tensor."""
        return len(self.rows[0])

    @cached_property
    def tensor_trees(self) -> tuple[Tree, ...]:
        """The tree over the rows of each operator's output."""
        return tuple(Tree([leaf(row) for row in rows]) for rows in self.rows)

    @cached_property
    def tree(self) -> Tree:
        """The tree over the tensors' roots."""
        return Tree([tree.root for tree in self.tensor_trees])

    @property
    def root(self) -> bytes:
        """The trace root: what a claim commits to, 32 bytes."""
        return self.tree.root

    def tensor(self, operator: int) -> Int8:
        """Return the operator's output, (T, width_out) int8."""
        return decode_rows(self.rows[operator], self.model.operators[operator].width_out)

    @property
    def result(self) -> Int8:
        """The last operator's output, (T, output_width) int8."""
        return self.tensor(self.model.op_count - 1)

    def replace(self, operator: int, row: int, column: int, byte: int) -> "Trace":
        """Return the trace with one byte changed and nothing recomputed after it."""
        rows = [list(tensor) for tensor in self.rows]
        changed = bytearray(rows[operator][row])
        changed[column] = byte
        rows[operator][row] = bytes(changed)
        return Trace(self.model, tuple(tuple(tensor) for tensor in rows))


def run(model: Model, tensor: Int8) -> Trace:
    """Run the model on a (T, input_width) int8 input; InputError when it doesn't take it."""
    return Trace.of(model, numpy_backend.run(model, tensor))


def continue_from(model: Model, tensor: Int8, changed: Trace, operator: int) -> Trace:
    """Recompute everything after `operator` from `changed`: a lie that is consistent downstream."""
    tensors: list[Int8] = [tensor]
    for index, step in enumerate(model.operators):
        made = (
            changed.tensor(index)
            if index <= operator
            else numpy_backend.apply(step, tensors[step.source])
        )
        tensors.append(np.asarray(made, dtype=np.int8))
    return Trace.of(model, tensors[1:])


def preimages(trace: Trace) -> tuple[tuple[bytes, ...], ...]:
    """Return what each leaf of the trace is the hash of."""
    return tuple(tuple(LEAF_PREFIX + row for row in rows) for rows in trace.rows)
