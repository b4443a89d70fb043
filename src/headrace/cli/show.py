"""How amounts, times and ids look to people, and back."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


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
