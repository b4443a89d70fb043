"""How amounts, times and ids look to people, and back."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, localcontext

from headrace.errors import UsageError

_AMOUNT = re.compile(r"\d{1,40}(\.\d{1,40})?")
_AMOUNT_BITS = 80
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


@dataclass(frozen=True, slots=True)
class Money:
    """The token: how many decimals it has, and its short name."""

    decimals: int
    symbol: str

    def text(self, units: int) -> str:
        """Base units as an amount in tokens: 1250000 of 6 decimals is 1.25."""
        sign, digits = ("-" if units < 0 else ""), str(abs(units)).rjust(self.decimals + 1, "0")
        whole = digits[: len(digits) - self.decimals]
        rest = digits[len(digits) - self.decimals :].rstrip("0")
        return f"{sign}{whole}.{rest}" if rest else f"{sign}{whole}"

    def of(self, units: int) -> str:
        """The same with the token's name."""
        return f"{self.text(units)} {self.symbol}"

    def parse(self, text: str, what: str) -> int:
        """
        Base units of an amount such as 1.25; UsageError, naming `what`, if it is none, is finer
        than the token, or is above 80 bits.
        """
        if not _AMOUNT.fullmatch(text.strip()):
            raise UsageError(f"{what}: expected an amount such as 1.25, got {text!r}")
        with localcontext() as exact:
            exact.prec = 120
            units = Decimal(text.strip()).scaleb(self.decimals)
            whole = int(units)
            if units != whole:
                raise UsageError(
                    f"{what}: {self.symbol} has {self.decimals} decimals, {text} has more"
                )
        if whole >> _AMOUNT_BITS:
            raise UsageError(f"{what}: {text} is too large")
        return whole


def span(seconds: int) -> str:
    """A duration in its two largest units: 3725 is 1h 2m."""
    parts, left = [], abs(seconds)
    for length, letter in _UNITS:
        if left >= length:
            parts.append(f"{left // length}{letter}")
            left %= length
    return " ".join(parts[:2]) or "0s"


def moment(at: int) -> str:
    """A time in UTC; `never` for what lies beyond calendars."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return "never"


def when(at: int, now: int) -> str:
    """A time, and how far it is from `now`, the chain's."""
    if at == now:
        return f"{moment(at)} (now)"
    distance = span(at - now)
    return f"{moment(at)} ({f'in {distance}' if at > now else f'{distance} ago'})"


def hexed(data: bytes) -> str:
    """Bytes as 0x and digits."""
    return "0x" + data.hex()


def short(data: bytes | str) -> str:
    """The beginning of an id, enough to name it among few."""
    text = hexed(data) if isinstance(data, bytes) else data
    return text[:10]


def percent(bps: int) -> str:
    """Basis points as a percentage."""
    return f"{bps // 100}.{bps % 100:02d}".rstrip("0").rstrip(".") + " %"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table with its columns aligned, without an end of spaces."""
    cells = [list(head), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def fields(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Lines of names and values, the values under one another."""
    listed = list(pairs)
    width = max((len(name) for name, _ in listed), default=0)
    return [f"{name.ljust(width)}  {value}".rstrip() for name, value in listed]


def wrapped(items: Iterable[str], mark: str = "- ") -> list[str]:
    """A list, one item a line."""
    return [f"{mark}{item}" for item in items]
