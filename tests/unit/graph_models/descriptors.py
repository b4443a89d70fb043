"""Descriptors by hand, in bounds or not."""

from typing import Any

from headrace.graph2.operators import Descriptor
from tests.harness import Contract, reverts

WORD = 1 << 31 << 40 | ((1 << 31) + 1) << 8 | 1


def post(lo: int = -128, hi: int = 127, per_column: int = 0, word: int = WORD) -> int:
    """A descriptor's post word."""
    return (lo + 2**31) << 224 | (hi + 2**31) << 192 | per_column << 184 | word


def word(bias: int = 0, mult: int = 1, shift: int = 1) -> int:
    """A parameter word."""
    return (bias + 2**31) << 40 | (mult + 2**31) << 8 | shift


def extra(*fields: int) -> int:
    """Small numbers, packed."""
    return sum(value << 32 * number for number, value in enumerate(fields))


def view(tensor: int, rows: int, width: int, size: int) -> int:
    """A packed view, in bounds or not."""
    return tensor << 56 | rows << 24 | width << 8 | size


def refused(
    models: Contract,
    operators: list[Any],
    reason: str,
    given: int = view(0, 4, 8, 1),
    max_units: int = 4,
) -> None:
    """These operators are refused for that reason."""
    with reverts(reason):
        models.simulate.register_model(operators, given, max_units, bytes(32))


AFFINE = Descriptor(5, view(0, 4, 8, 1), 0, 0, view(0, 4, 8, 1), 0, post(), bytes(32))
ROOT = b"\x01" * 32
