"""One operator of a model: its descriptor and its constants (builders.py makes each kind).

Every bound that doesn't depend on other operators is checked when an Operator is made, so that each
one that exists can be run by every implementation without overflow.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.graph.encoding import OPERATOR_PREFIX, PARAMETER_PREFIX, abi_words, mirror
from headrace.graph.errors import ModelError
from headrace.graph.merkle import Tree, keccak
from headrace.graph2.conditions import check_operator
from headrace.graph2.opcodes import CLAMPED, CONSTANT, Opcode
from headrace.graph2.views import View, pad

Array = npt.NDArray[Any]
Int64 = npt.NDArray[np.int64]

FIELDS = 8
MAX_BIAS = 1 << 30
MAX_MULT = (1 << 31) - 1
MAX_SHIFT = 62
SATURATED = 1 << 30
"""Sums are clamped to this magnitude before they are scaled."""

ZERO_ROOT = bytes(32)
_OFFSET = 1 << 31


@dataclass(frozen=True, eq=False)
class Params:
    """(bias, mult, shift) of Q: one for the whole operator, or one for each output column."""

    bias: Int64
    mult: Int64
    shift: Int64

    @classmethod
    def of(cls, mult: npt.ArrayLike, shift: npt.ArrayLike, bias: npt.ArrayLike = 0) -> "Params":
        """Broadcast the three to one length; ModelError when one is out of bounds."""
        given = [np.atleast_1d(np.asarray(value)) for value in (bias, mult, shift)]
        if any(value.dtype.kind not in "iu" for value in given):
            raise ModelError("parameters must be integers")
        try:
            arrays = np.broadcast_arrays(*given)
        except ValueError as error:
            raise ModelError("bias, mult and shift have different lengths") from error
        if arrays[0].ndim != 1:
            raise ModelError("parameters have one dimension")
        bounds = ((-MAX_BIAS, MAX_BIAS), (-MAX_MULT, MAX_MULT), (1, MAX_SHIFT))
        fixed = []
        for name, array, (low, high) in zip(("bias", "mult", "shift"), arrays, bounds, strict=True):
            if array.size == 0 or int(array.min()) < low or int(array.max()) > high:
                raise ModelError(f"{name} must be from {low} to {high}")
            copy = np.array(array, dtype=np.int64)
            copy.setflags(write=False)
            fixed.append(copy)
        return cls(*fixed)

    def __len__(self) -> int:
        """How many words there are."""
        return len(self.bias)

    def word(self, column: int = 0) -> int:
        """The packed word of a column."""
        return (
            (int(self.bias[column]) + _OFFSET) << 40
            | (int(self.mult[column]) + _OFFSET) << 8
            | int(self.shift[column])
        )

    def at(self, column: int) -> tuple[int, int, int]:
        """(bias, mult, shift) of a column; of the operator when it has just one."""
        index = column if len(self) > 1 else 0
        return int(self.bias[index]), int(self.mult[index]), int(self.shift[index])


IDENTITY = Params.of(mult=2, shift=1)
"""Q that changes nothing but what the clamp cuts."""


class Descriptor(NamedTuple):
    """An operator as `register_model` takes it (`IGraphRules.Operator`)."""

    opcode: int
    a: int
    b: int
    s: int
    out: int
    extra: int
    post: int
    constants: bytes

    @property
    def leaf(self) -> bytes:
        """The descriptor's leaf in the graph's tree."""
        return keccak(OPERATOR_PREFIX + abi_words(*self))


@dataclass(frozen=True, eq=False)
class Operator:
    """One step. `out.tensor` is 0; `a`, `b`, `s` say which tensors are read.

    `extra` has 8 small numbers. `params` belong to operators that end in Q, and to ADD (mult and
    shift). `weights`: MATMUL's (out.width, a.width) int8. `table`: LUT8's 256 values, LUT16's 257,
    GATHER's and ADD's constant rows (n, out.width). ModelError when a condition is broken.
    """

    opcode: int
    a: View
    out: View
    b: View | None = None
    s: View | None = None
    extra: tuple[int, ...] = (0,) * FIELDS
    lo: int = 0
    hi: int = 0
    per_column: bool = False
    params: Params | None = None
    weights: Array | None = field(default=None, repr=False)
    table: Array | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check every condition that doesn't depend on other operators."""
        check_operator(self)

    @property
    def sources(self) -> tuple[View, ...]:
        """The tensors that it reads."""
        return tuple(view for view in (self.a, self.b, self.s) if view is not None)

    def x(self, number: int) -> int:
        """Field `number` of `extra`."""
        return self.extra[number]

    @property
    def constant_count(self) -> int:
        """How many constant leaves it has."""
        if self.opcode in (Opcode.LUT8, Opcode.LUT16):
            return 1
        if self.opcode == Opcode.GATHER:
            return self.x(0) + 1
        if self.opcode == Opcode.ADD and self.x(1) == CONSTANT:
            return self.x(2)
        return self.out.width if self.per_column else 0

    def constant_leaf(self, number: int) -> bytes:
        """The bytes of a constant leaf, without its prefix."""
        if self.opcode in (Opcode.LUT8, Opcode.LUT16):
            return self._entries
        if self.table is not None:
            return self._table_rows[number]
        if self.params is None:
            raise IndexError("the operator has no constants")
        word = self.params.word(number).to_bytes(32, "big")
        return word if self.weights is None else word + self._weight_rows[number]

    @cached_property
    def _entries(self) -> bytes:
        if self.table is None:
            raise IndexError("the operator has no table")
        size = self.out.size if self.opcode == Opcode.LUT8 else 2
        unsigned = self.table.astype(np.int64).ravel() + (1 << (8 * size - 1))
        return unsigned.astype(f">u{size}").tobytes()

    @cached_property
    def _table_rows(self) -> tuple[bytes, ...]:
        if self.table is None:
            raise IndexError("the operator has no table")
        size = self.x(3) if self.opcode == Opcode.ADD else self.out.size
        return constant_rows(self.table, size)

    @cached_property
    def _weight_rows(self) -> tuple[bytes, ...]:
        if self.weights is None:
            raise IndexError("the operator has no weights")
        return tuple(mirror(row) for row in constant_rows(self.weights, 1))

    @property
    def constant_leaves(self) -> tuple[bytes, ...]:
        """The bytes of every constant leaf, without prefixes."""
        return tuple(self.constant_leaf(number) for number in range(self.constant_count))

    @cached_property
    def constant_tree(self) -> Tree:
        """The binary tree over the constant leaves (only where there are any)."""
        return Tree([keccak(PARAMETER_PREFIX + leaf) for leaf in self.constant_leaves])

    @property
    def post(self) -> int:
        """Clamp and parameters as the descriptor holds them."""
        if self.opcode not in CLAMPED:
            return 0
        word = 0
        if self.params is not None and not self.per_column:
            word = self.params.word()
        return (
            (self.lo + _OFFSET) << 224
            | (self.hi + _OFFSET) << 192
            | int(self.per_column) << 184
            | word
        )

    @cached_property
    def descriptor(self) -> Descriptor:
        """The operator as the chain knows it."""
        return Descriptor(
            opcode=int(self.opcode),
            a=self.a.word,
            b=0 if self.b is None else self.b.word,
            s=0 if self.s is None else self.s.word,
            out=self.out.word,
            extra=sum(value << 32 * number for number, value in enumerate(self.extra)),
            post=self.post,
            constants=self.constant_tree.root if self.constant_count else ZERO_ROOT,
        )


def constant_rows(table: Array, size: int) -> tuple[bytes, ...]:
    """Encode rows of constants: the planes of each, `size * pad(width)` bytes."""
    rows, width = table.shape
    out = np.zeros((rows, size, pad(width)), dtype=np.uint8)
    out[:, 0, width:] = 128
    unsigned = table.astype(np.int64) + (1 << (8 * size - 1))
    for plane in range(size):
        out[:, plane, :width] = (unsigned >> 8 * (size - 1 - plane)) & 0xFF
    return tuple(row.tobytes() for row in out)
