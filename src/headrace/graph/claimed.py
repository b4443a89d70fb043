"""A trace as somebody claims it, malformed or not, and proofs of what it holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from headrace.graph.errors import TraceError
from headrace.graph.merkle import HASH_BYTES, Tree, depth, keccak
from headrace.graph.model import Model
from headrace.graph.trace import Trace, preimages

PadPlace = tuple[int, int, int]
"""(operator, level, index) of a node; operator = op_count means the trace's own tree."""


@dataclass(frozen=True, eq=False)
class ClaimedTrace:
    """What the leaves of a commitment are hashes of, and its padding nodes that aren't zero.

    `leaves[j][t]` is the preimage, prefix included, of row t of operator j: any bytes. `pads` holds
    the nodes that stand over no row (no operator) and yet aren't what they must be.
    """

    model: Model
    leaves: tuple[tuple[bytes, ...], ...]
    pads: Mapping[PadPlace, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that there is a leaf for each place and that `pads` covers only padding."""
        if len(self.leaves) != self.model.op_count:
            raise TraceError(f"the claim has {len(self.leaves)} tensors, not {self.model.op_count}")
        if any(len(tensor) != self.units for tensor in self.leaves):
            raise TraceError("the claim's tensors have different numbers of rows")
        if not 1 <= self.units <= self.model.max_units:
            raise TraceError(f"the claim has {self.units} rows, not 1 to {self.model.max_units}")
        for place in self.pads:
            self._check_pad(*place)

    def _check_pad(self, operator: int, level: int, index: int) -> None:
        node = self.pads[operator, level, index]
        if not 0 <= operator <= self.model.op_count or len(node) != HASH_BYTES:
            raise TraceError(f"no node ({operator}, {level}, {index})")
        count = self.model.op_count if operator == self.model.op_count else self.units
        if not 0 <= level <= depth(count) or index >> (depth(count) - level):
            raise TraceError(f"no node ({operator}, {level}, {index})")
        if index << level < count:
            raise TraceError(f"node ({operator}, {level}, {index}) isn't padding")
        for above in range(level + 1, depth(count)):
            if (operator, above, index >> (above - level)) in self.pads:
                raise TraceError(f"node ({operator}, {level}, {index}) is under another")

    @classmethod
    def of(cls, trace: Trace) -> "ClaimedTrace":
        """Take a trace of the right form."""
        return cls(trace.model, preimages(trace))

    @property
    def units(self) -> int:
        """Rows of each tensor."""
        return len(self.leaves[0])

    def _pads_of(self, operator: int) -> dict[tuple[int, int], bytes]:
        return {
            (level, index): node for (at, level, index), node in self.pads.items() if at == operator
        }

    @cached_property
    def tensor_trees(self) -> tuple[Tree, ...]:
        """The tree over each operator's leaves, wrong padding included."""
        return tuple(
            Tree([keccak(preimage) for preimage in tensor], self._pads_of(operator))
            for operator, tensor in enumerate(self.leaves)
        )

    @cached_property
    def tree(self) -> Tree:
        """The tree over the tensors' roots, wrong padding included."""
        return Tree([tree.root for tree in self.tensor_trees], self._pads_of(self.model.op_count))

    @property
    def root(self) -> bytes:
        """What the claim with these leaves commits to, 32 bytes."""
        return self.tree.root

    def row(self, operator: int, row: int) -> bytes:
        """Return the bytes of a well-formed leaf, without its prefix."""
        return self.leaves[operator][row][1:]

    def row_proof(self, operator: int, row: int) -> tuple[bytes, ...]:
        """Return the siblings from a leaf up to the commitment."""
        return self.node_proof(operator, 0, row)

    def node_proof(self, operator: int, level: int, index: int) -> tuple[bytes, ...]:
        """Return the siblings from a node up to the commitment; see `PadPlace` for the place."""
        if operator == self.model.op_count:
            return self.tree.proof(index, level)
        return self.tensor_trees[operator].proof(index, level) + self.tree.proof(operator)
