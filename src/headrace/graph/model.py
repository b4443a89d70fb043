"""A model: its operators, their bounds, and the roots that stand for it on chain."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.graph import encoding
from headrace.graph.encoding import Int8, padded
from headrace.graph.errors import ModelError
from headrace.graph.merkle import Tree, keccak

Int64 = npt.NDArray[np.int64]

FORMAT_VERSION = 1
MAX_OPERATORS = 32
MAX_WIDTH = 1024
MAX_UNITS = 256
MAX_ARGMAX_WIDTH = 128
MAX_BIAS = 1 << 30
MAX_MULT = (1 << 31) - 1
MAX_SHIFT = 62
MAX_PUBLISHED_TRACE = 24_576
"""Most bytes of a trace that fits into one `publish_trace`."""

ZERO_ROOT = bytes(32)


class Opcode(IntEnum):
    """What an operator does."""

    MATMUL = 1
    ARGMAX = 2


class Descriptor(NamedTuple):
    """An operator as `register_model` takes it (`IFaultProof.Operator`)."""

    opcode: int
    source: int
    width_in: int
    width_out: int
    clamp: int
    weight_root: bytes
    param_root: bytes

    @property
    def leaf(self) -> bytes:
        """The descriptor's leaf in the graph's tree."""
        return keccak(encoding.OPERATOR_PREFIX + encoding.abi_words(*self))


def _fixed(
    array: npt.ArrayLike, dtype: type[Any], what: str, low: int, high: int
) -> npt.NDArray[Any]:
    """Copy integers into a read-only array of `dtype`; ModelError when one is out of bounds."""
    try:
        given = np.asarray(array)
    except (ValueError, TypeError) as error:
        raise ModelError(f"{what} is no array") from error
    if given.dtype.kind not in "iu":
        raise ModelError(f"{what} must hold integers, not {given.dtype}")
    if given.size and (int(given.min()) < low or int(given.max()) > high):
        raise ModelError(f"{what} must be from {low} to {high}")
    fixed = np.array(given, dtype=dtype, order="C")
    fixed.setflags(write=False)
    return fixed


def _integer(value: object, what: str, low: int, high: int) -> None:
    if type(value) is not int:
        raise ModelError(f"{what} must be a whole number")
    if not low <= value <= high:
        raise ModelError(f"{what} must be from {low} to {high}, not {value}")


@dataclass(frozen=True, eq=False)
class Operator:
    """One step of a model. Reads tensor `source` (0: the input, j: the output of operator j - 1).

    MATMUL: `weights` (width_out, width_in) int8; `bias`, `mult`, `shift` (width_out,); `lo`, `hi`
    the clamp. ARGMAX: arrays empty, `lo = hi = 0`. Bounds are checked on creation.
    """

    opcode: int
    source: int
    width_in: int
    width_out: int
    lo: int
    hi: int
    weights: Int8
    bias: Int64
    mult: Int64
    shift: Int64

    @classmethod
    def matmul(
        cls,
        source: int,
        weights: npt.ArrayLike,
        bias: npt.ArrayLike,
        mult: npt.ArrayLike,
        shift: npt.ArrayLike,
        *,
        lo: int = -128,
        hi: int = 127,
    ) -> "Operator":
        """Build a MATMUL; its widths are those of `weights` (width_out, width_in)."""
        fixed = _fixed(weights, np.int8, "weights", -128, 127)
        if fixed.ndim != 2:
            raise ModelError("weights must have two dimensions, (width_out, width_in)")
        width_out, width_in = fixed.shape
        return cls(
            opcode=int(Opcode.MATMUL),
            source=source,
            width_in=width_in,
            width_out=width_out,
            lo=lo,
            hi=hi,
            weights=fixed,
            bias=_fixed(bias, np.int64, "bias", -MAX_BIAS, MAX_BIAS),
            mult=_fixed(mult, np.int64, "mult", 0, MAX_MULT),
            shift=_fixed(shift, np.int64, "shift", 1, MAX_SHIFT),
        )

    @classmethod
    def argmax(cls, source: int, width_in: int) -> "Operator":
        """Build an ARGMAX over `width_in` elements."""
        return cls(
            opcode=int(Opcode.ARGMAX),
            source=source,
            width_in=width_in,
            width_out=1,
            lo=0,
            hi=0,
            weights=np.zeros((0, 0), np.int8),
            bias=np.zeros(0, np.int64),
            mult=np.zeros(0, np.int64),
            shift=np.zeros(0, np.int64),
        )

    def __post_init__(self) -> None:
        """Check every bound that doesn't depend on the other operators."""
        if type(self.opcode) is not int or self.opcode not in (Opcode.MATMUL, Opcode.ARGMAX):
            raise ModelError(f"unknown opcode {self.opcode!r}")
        _integer(self.source, "source", 0, MAX_OPERATORS)
        _integer(self.width_in, "width_in", 1, MAX_WIDTH)
        _integer(self.width_out, "width_out", 1, MAX_WIDTH)
        _integer(self.lo, "lo", -128, 127)
        _integer(self.hi, "hi", -128, 127)
        if self.lo > self.hi:
            raise ModelError(f"lo {self.lo} is above hi {self.hi}")
        if self.opcode == Opcode.ARGMAX:
            self._check_argmax()
        else:
            self._check_matmul()

    def _check_argmax(self) -> None:
        _integer(self.width_in, "width_in of ARGMAX", 1, MAX_ARGMAX_WIDTH)
        _integer(self.width_out, "width_out of ARGMAX", 1, 1)
        if self.lo or self.hi:
            raise ModelError("ARGMAX has no clamp")
        if self.weights.size or self.bias.size or self.mult.size or self.shift.size:
            raise ModelError("ARGMAX has no weights or parameters")

    def _check_matmul(self) -> None:
        checked = (
            ("weights", np.int8, -128, 127, (self.width_out, self.width_in)),
            ("bias", np.int64, -MAX_BIAS, MAX_BIAS, (self.width_out,)),
            ("mult", np.int64, 0, MAX_MULT, (self.width_out,)),
            ("shift", np.int64, 1, MAX_SHIFT, (self.width_out,)),
        )
        for name, dtype, low, high, shape in checked:
            array = _fixed(getattr(self, name), dtype, name, low, high)
            if array.shape != shape:
                raise ModelError(f"{name} has shape {array.shape}, not {shape}")
            object.__setattr__(self, name, array)

    @property
    def clamp(self) -> int:
        """The clamp as the descriptor holds it; 0 for ARGMAX."""
        if self.opcode == Opcode.ARGMAX:
            return 0
        return (self.lo + 128) << 8 | (self.hi + 128)

    @cached_property
    def weight_rows(self) -> tuple[bytes, ...]:
        """The padded and mirrored row of each output column's weights."""
        return tuple(encoding.mirror(row) for row in encoding.encode_rows(self.weights))

    @cached_property
    def weight_tree(self) -> Tree:
        """The tree over the weight rows (MATMUL only)."""
        return Tree([encoding.leaf(row) for row in self.weight_rows])

    @cached_property
    def params(self) -> tuple[int, ...]:
        """The parameter word of each output column."""
        columns = zip(self.bias.tolist(), self.mult.tolist(), self.shift.tolist(), strict=True)
        return tuple(encoding.parameter_word(*column) for column in columns)

    @cached_property
    def param_tree(self) -> Tree:
        """The tree over the parameter words (MATMUL only)."""
        return Tree([encoding.parameter_leaf(word) for word in self.params])

    @cached_property
    def descriptor(self) -> Descriptor:
        """The operator as the chain knows it."""
        plain = self.opcode == Opcode.ARGMAX
        return Descriptor(
            opcode=int(self.opcode),
            source=self.source,
            width_in=self.width_in,
            width_out=self.width_out,
            clamp=self.clamp,
            weight_root=ZERO_ROOT if plain else self.weight_tree.root,
            param_root=ZERO_ROOT if plain else self.param_tree.root,
        )


@dataclass(frozen=True, eq=False)
class Model:
    """Operators in order, the width of the input, and the most rows (`units`) of one run.

    Raises ModelError when a bound of the format is broken, so every Model that exists is valid.
    """

    operators: tuple[Operator, ...]
    input_width: int
    max_units: int

    def __post_init__(self) -> None:
        """Check how the operators fit together."""
        if not 1 <= len(self.operators) <= MAX_OPERATORS:
            raise ModelError(
                f"a model has 1 to {MAX_OPERATORS} operators, not {len(self.operators)}"
            )
        _integer(self.input_width, "input_width", 1, MAX_WIDTH)
        _integer(self.max_units, "max_units", 1, MAX_UNITS)
        for index, operator in enumerate(self.operators):
            if operator.source > index:
                raise ModelError(f"operator {index} reads tensor {operator.source}, made later")
            width = self.width_of(operator.source)
            if operator.width_in != width:
                raise ModelError(
                    f"operator {index} takes rows of {operator.width_in}, its source has {width}"
                )

    @classmethod
    def of(cls, operators: Sequence[Operator], input_width: int, max_units: int) -> "Model":
        """Build a model from any sequence of operators."""
        return cls(tuple(operators), input_width, max_units)

    def width_of(self, tensor: int) -> int:
        """Return the elements in a row of tensor 0 (the input) or j (operator j - 1's output)."""
        return self.input_width if tensor == 0 else self.operators[tensor - 1].width_out

    @property
    def op_count(self) -> int:
        """How many operators there are."""
        return len(self.operators)

    @property
    def output_width(self) -> int:
        """Elements in a row of the result."""
        return self.operators[-1].width_out

    @property
    def row_bytes(self) -> int:
        """Bytes that one unit adds to the published trace."""
        return sum(padded(operator.width_out) for operator in self.operators)

    @property
    def publishable_units(self) -> int:
        """Most units whose trace can be published in one move; 0 when not even one can."""
        return min(self.max_units, MAX_PUBLISHED_TRACE // self.row_bytes)

    @cached_property
    def descriptors(self) -> tuple[Descriptor, ...]:
        """The operators as `register_model` takes them."""
        return tuple(operator.descriptor for operator in self.operators)

    @cached_property
    def graph_tree(self) -> Tree:
        """The tree over the descriptors."""
        return Tree([descriptor.leaf for descriptor in self.descriptors])

    @property
    def graph_root(self) -> bytes:
        """The root over the descriptors."""
        return self.graph_tree.root

    @cached_property
    def program(self) -> bytes:
        """The program id: the name under which the model is registered, 32 bytes."""
        return program_id(self.graph_root, self.op_count, self.input_width, self.max_units)


def program_id(graph_root: bytes, op_count: int, input_width: int, max_units: int) -> bytes:
    """Return the id of the model with these facts."""
    return keccak(encoding.abi_words(FORMAT_VERSION, graph_root, op_count, input_width, max_units))
