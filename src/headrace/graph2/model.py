"""A model of version 2: operators in order, the input, and the roots that stand for it on chain."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from headrace.graph.encoding import abi_words
from headrace.graph.errors import ModelError
from headrace.graph.merkle import Tree, keccak
from headrace.graph2.operators import Descriptor, Operator
from headrace.graph2.views import MAX_LEAVES, View, height

FORMAT_VERSION = 2
MAX_OPERATORS = 256
MAX_UNITS = 4_096
MAX_TRACE_BYTES = 1 << 31
MAX_LEVELS = height(MAX_OPERATORS) + height(MAX_LEAVES) + 1
"""Most moves in which a withheld byte of any model is forced out."""


@dataclass(frozen=True, eq=False)
class Model:
    """Operators in order, the view of the input, and the most units of one run.

    Raises ModelError when a bound of the format is broken, so every Model that exists can be run.
    """

    operators: tuple[Operator, ...]
    input: View
    max_units: int

    def __post_init__(self) -> None:
        """Check how the operators fit together."""
        if not 1 <= len(self.operators) <= MAX_OPERATORS:
            raise ModelError(
                f"a model has 1 to {MAX_OPERATORS} operators, not {len(self.operators)}"
            )
        if type(self.max_units) is not int or not 1 <= self.max_units <= MAX_UNITS:
            raise ModelError(f"max_units must be from 1 to {MAX_UNITS}, not {self.max_units!r}")
        if self.input.tensor != 0:
            raise ModelError("the input is tensor 0")
        for index, operator in enumerate(self.operators):
            for source in operator.sources:
                if source.tensor > index:
                    raise ModelError(f"operator {index} reads tensor {source.tensor}, made later")
                if source != self.view(source.tensor):
                    raise ModelError(f"operator {index} is wrong about tensor {source.tensor}")
        for tensor in range(self.op_count + 1):
            if self.view(tensor).leaves(self.max_units) > MAX_LEAVES:
                raise ModelError(f"tensor {tensor} has too many leaves at {self.max_units} units")
        if self.trace_bytes(self.max_units) > MAX_TRACE_BYTES:
            raise ModelError(f"the trace is too large at {self.max_units} units")

    @classmethod
    def of(cls, operators: Sequence[Operator], given: View, max_units: int) -> "Model":
        """Build a model from any sequence of operators."""
        return cls(tuple(operators), given, max_units)

    def view(self, tensor: int) -> View:
        """The view of tensor 0 (the input) or j + 1 (operator j's output)."""
        return self.input if tensor == 0 else self.operators[tensor - 1].out.at(tensor)

    @property
    def op_count(self) -> int:
        """How many operators there are."""
        return len(self.operators)

    @property
    def output(self) -> View:
        """The view of the result."""
        return self.view(self.op_count)

    @property
    def op_height(self) -> int:
        """Levels of sixteen in the trace's own tree."""
        return height(self.op_count)

    @cached_property
    def levels(self) -> int:
        """Most moves in which a withheld byte is forced out, that of the bytes included."""
        deepest = max(operator.out.height(self.max_units) for operator in self.operators)
        return self.op_height + deepest + 1

    def trace_bytes(self, units: int) -> int:
        """Bytes of all leaves of a trace of `units` units."""
        return sum(op.out.leaves(units) * op.out.leaf_bytes for op in self.operators)

    @cached_property
    def descriptors(self) -> tuple[Descriptor, ...]:
        """The operators as `register_model` takes them."""
        return tuple(operator.descriptor for operator in self.operators)

    @cached_property
    def graph_tree(self) -> Tree:
        """The binary tree over the descriptors."""
        return Tree([descriptor.leaf for descriptor in self.descriptors])

    @property
    def graph_root(self) -> bytes:
        """The root over the descriptors."""
        return self.graph_tree.root

    @cached_property
    def program(self) -> bytes:
        """The program id: the name under which the model is registered, 32 bytes."""
        return program_id(self.graph_root, self.op_count, self.input, self.max_units)


def program_id(graph_root: bytes, op_count: int, given: View, max_units: int) -> bytes:
    """Return the id of the model with these facts."""
    return keccak(abi_words(FORMAT_VERSION, graph_root, op_count, given.word, max_units))


class GraphBuilder:
    """Collects operators; `add` gives the view of what each makes, for the next ones to read."""

    def __init__(self, rows: int, width: int, size: int) -> None:
        """Begin with an input of `rows` rows per unit, `width` elements of `size` bytes."""
        self.input = View(0, rows, width, size)
        self.operators: list[Operator] = []

    def add(self, operator: Operator) -> View:
        """Append an operator; returns the view of its output."""
        self.operators.append(replace(operator))
        return operator.out.at(len(self.operators))

    def build(self, max_units: int) -> Model:
        """The model; ModelError when something doesn't fit."""
        return Model.of(self.operators, self.input, max_units)
