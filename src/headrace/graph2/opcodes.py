"""What an operator of version 2 may do."""

from enum import IntEnum


class Opcode(IntEnum):
    """The operators of docs/int8-graph-2.md, "Descriptors"."""

    MATMUL = 1
    SCORES = 2
    CONTEXT = 3
    TRANSPOSE = 4
    AFFINE = 5
    MUL = 6
    ADD = 7
    LUT8 = 8
    LUT16 = 9
    ROWSUM = 10
    ROWDOT = 11
    ISQRT = 12
    RECIP = 13
    ARGMAX = 14
    PICK = 15
    GATHER = 16
    RESHAPE = 17
    CONCAT = 18
    IM2COL = 19


SAME, STAT, CONSTANT = 0, 1, 2
"""Where MUL and ADD take their second operand from (field x1)."""

SCALED = frozenset(
    {
        Opcode.MATMUL,
        Opcode.SCORES,
        Opcode.CONTEXT,
        Opcode.AFFINE,
        Opcode.MUL,
        Opcode.ROWSUM,
        Opcode.ROWDOT,
    }
)
"""Those that end in Q: they have parameters and a clamp."""

PER_COLUMN = frozenset({Opcode.MATMUL, Opcode.CONTEXT, Opcode.AFFINE, Opcode.MUL})
"""Those whose parameters may differ from column to column."""

CLAMPED = frozenset({Opcode.LUT16, Opcode.ISQRT, Opcode.RECIP, Opcode.ADD}) | SCALED
"""Those that have `lo` and `hi`."""
