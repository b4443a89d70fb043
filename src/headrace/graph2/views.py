"""How a tensor lies in rows, leaves and trees (docs/int8-graph-2.md, "Tensors" and "Trees")."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.graph.errors import ModelError

MAX_ROWS = 65_535
MAX_WIDTH = 4_096
MAX_LEAF_BYTES = 1_024
MAX_LEAVES = 65_536 * 16
SIZES = (1, 2, 4)
_SMALL_ROW = 1_024
_MIDDLE_ROW = 4_096
_PACKED_LEAF = 512


def pad(count: int) -> int:
    """Return the next multiple of 32."""
    return -(-count // 32) * 32


def height(leaves: int) -> int:
    """Return h(n): levels of sixteen above `leaves` >= 1 leaves."""
    levels = 0
    while 16**levels < leaves:
        levels += 1
    return levels


@dataclass(frozen=True, slots=True)
class View:
    """A tensor of `rows` rows per unit, `width` elements in a row, `size` bytes in an element.

    `tensor` says which: 0 the input, j + 1 the output of operator j. ModelError when a bound of the
    format is broken.
    """

    tensor: int
    rows: int
    width: int
    size: int

    def __post_init__(self) -> None:
        """Check the bounds."""
        for name, low, high in (
            ("tensor", 0, MAX_ROWS),
            ("rows", 1, MAX_ROWS),
            ("width", 1, MAX_WIDTH),
        ):
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise ModelError(f"{name} must be from {low} to {high}, not {value!r}")
        if type(self.size) is not int or self.size not in SIZES:
            raise ModelError(f"an element has 1, 2 or 4 bytes, not {self.size!r}")

    @property
    def word(self) -> int:
        """The view as a descriptor holds it."""
        return self.tensor << 56 | self.rows << 24 | self.width << 8 | self.size

    @classmethod
    def unpack(cls, word: int) -> "View":
        """Return the view that a descriptor holds."""
        return cls(word >> 56, word >> 24 & 0xFFFFFFFF, word >> 8 & 0xFFFF, word & 0xFF)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The elements' type: int8, int16 or int32."""
        return np.dtype(f"i{self.size}")

    @property
    def low(self) -> int:
        """The least value of an element."""
        return -(1 << (8 * self.size - 1))

    @property
    def high(self) -> int:
        """The greatest value of an element."""
        return (1 << (8 * self.size - 1)) - 1

    @property
    def split(self) -> int:
        """Leaves in a row: 1, 4 or 16."""
        total = self.size * pad(self.width)
        if total <= _SMALL_ROW:
            return 1
        return 4 if total <= _MIDDLE_ROW else 16

    @property
    def block(self) -> int:
        """Columns in a leaf, padding included."""
        return pad(-(-self.width // self.split))

    @property
    def row_part(self) -> int:
        """Bytes that one row has in one leaf."""
        return self.size * self.block

    @property
    def pack(self) -> int:
        """Rows in a leaf."""
        rows = 1
        while self.split == 1 and 2 * rows * self.row_part <= _PACKED_LEAF:
            rows *= 2
        return rows

    @property
    def leaf_bytes(self) -> int:
        """Bytes in a leaf, at most 1,024."""
        return self.pack * self.row_part

    def leaves(self, units: int) -> int:
        """How many leaves the tensor has at `units` units."""
        return -(-self.rows * units // self.pack) * self.split

    def height(self, units: int) -> int:
        """Levels of sixteen in the tensor's tree at `units` units."""
        return height(self.leaves(units))

    def leaf_of(self, row: int, column: int) -> int:
        """The number of the leaf that holds element (row, column)."""
        return row // self.pack * self.split + column // self.block

    def place_of(self, row: int, column: int, plane: int = 0) -> int:
        """Where in its leaf the element's byte of that plane is."""
        return (row % self.pack) * self.row_part + plane * self.block + column % self.block

    def at(self, tensor: int) -> "View":
        """The same shape as another tensor."""
        return View(tensor, self.rows, self.width, self.size)
