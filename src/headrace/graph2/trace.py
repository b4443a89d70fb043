"""A run's trace: every operator's whole output, and the trees over it.

The numbers are kept, the leaves are not: they are encoded when they are hashed or asked for. The
trees hold 32 bytes a leaf and a third more.
"""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.graph.errors import TraceError
from headrace.graph2 import batches, numpy_backend, quads
from headrace.graph2.encoding import Bytes, encode, leaf_of_tensor
from headrace.graph2.model import Model
from headrace.graph2.quads import Quads

Array = npt.NDArray[Any]

_SMALL = 1 << 16
"""Bytes of a tensor below which handing it to another thread costs more than hashing it."""


@dataclass(frozen=True, eq=False)
class Trace:
    """Every operator's output: `tensors[j]` is (rows * units, width) of operator j's type.

    The shape is the model's, the numbers are anybody's: a wrong trace has the same form. `made` may
    hold the tensors' trees if they have been computed already.
    """

    model: Model
    units: int
    tensors: tuple[Array, ...]
    made: tuple[Quads, ...] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check that the tensors have the model's shape; TraceError if not."""
        if len(self.tensors) != self.model.op_count:
            raise TraceError(f"the trace has {len(self.tensors)} tensors")
        if not 1 <= self.units <= self.model.max_units:
            raise TraceError(f"the trace has {self.units} units, not 1 to {self.model.max_units}")
        for index, (op, tensor) in enumerate(zip(self.model.operators, self.tensors, strict=True)):
            shape = (op.out.rows * self.units, op.out.width)
            if tensor.shape != shape or tensor.dtype != op.out.dtype:
                raise TraceError(f"tensor {index + 1} isn't {op.out.dtype} of {shape}")

    def leaves(self, operator: int) -> Bytes:
        """Return the leaves of an operator's output, (leaves, leaf_bytes) uint8."""
        return encode(self.model.operators[operator].out, self.tensors[operator])

    def leaf(self, operator: int, number: int) -> bytes:
        """Return the bytes of one leaf, without its prefix."""
        return leaf_of_tensor(self.model.operators[operator].out, self.tensors[operator], number)

    @cached_property
    def tensor_trees(self) -> tuple[Quads, ...]:
        """The tree over the leaves of each operator's output."""
        if self.made is not None:
            return self.made
        return tuple(
            quads.tensor_tree(op.out, tensor)
            for op, tensor in zip(self.model.operators, self.tensors, strict=True)
        )

    @cached_property
    def tree(self) -> Quads:
        """The tree over the tensors' roots."""
        return Quads([tree.root for tree in self.tensor_trees])

    @property
    def root(self) -> bytes:
        """The trace root: what a claim commits to, 32 bytes."""
        return self.tree.root

    def tree_of(self, operator: int) -> Quads:
        """The tree over an operator's output; with `op_count` the trace's own."""
        return self.tree if operator == self.model.op_count else self.tensor_trees[operator]

    def node(self, operator: int, level: int, index: int) -> bytes:
        """Return a node of `tree_of(operator)`."""
        return self.tree_of(operator).node(level, index)

    def preimage(self, operator: int, number: int) -> bytes:
        """Return what a leaf is the hash of."""
        return batches.PREFIX + self.leaf(operator, number)

    def tensor_proof(self, operator: int) -> tuple[bytes, ...]:
        """Return the siblings from an operator's tensor root up to the trace's root."""
        return self.tree.proof(operator)

    def replace(self, operator: int, tensor: Array) -> "Trace":
        """Return the trace with one tensor changed and nothing recomputed after it."""
        changed = list(self.tensors)
        changed[operator] = np.asarray(tensor)
        made = None
        if "tensor_trees" in self.__dict__:
            trees = list(self.tensor_trees)
            trees[operator] = quads.tensor_tree(self.model.operators[operator].out, tensor)
            made = tuple(trees)
        return replace(self, tensors=tuple(changed), made=made)


def run(model: Model, tensor: Array, plan: numpy_backend.Plan | None = None) -> Trace:
    """Run the model on an input of (input.rows * units, input.width); InputError if it won't.

    While an operator runs, the output of the one before it is hashed on another core.
    """
    units = numpy_backend.check_input(model, tensor)
    plan = plan or numpy_backend.Plan(model)
    tensors: list[Array] = [tensor]
    trees: list[Quads | Future[Quads]] = []
    for operator in model.operators:
        made = plan.apply(operator, tensors, units)
        tensors.append(made)
        if made.nbytes < _SMALL:
            trees.append(quads.tensor_tree(operator.out, made))
        else:
            trees.append(batches.beside(quads.tensor_tree, operator.out, made))
    whole = tuple(tree if isinstance(tree, Quads) else tree.result() for tree in trees)
    return Trace(model, units, tuple(tensors[1:]), whole)


def continue_from(model: Model, given: Array, changed: Trace, operator: int) -> Trace:
    """Recompute everything after `operator` from `changed`: a lie that is consistent downstream."""
    plan = numpy_backend.Plan(model)
    tensors: list[Array] = [given]
    for index, step in enumerate(model.operators):
        kept: Sequence[Array] = changed.tensors
        made = kept[index] if index <= operator else plan.apply(step, tensors, changed.units)
        tensors.append(made)
    return Trace(model, changed.units, tuple(tensors[1:]))
