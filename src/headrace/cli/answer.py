"""What a command answers, and how it is put out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from enum import Enum
from typing import Any

import click


@dataclass(frozen=True, slots=True)
class Answer:
    """
    `data` is the JSON document, `lines` are for people. Amounts in `data` are strings of whole
    tokens, times unix seconds; bytes are put out as 0x and digits. `code` is what the program ends
    with.
    """

    data: Mapping[str, Any]
    lines: Sequence[str] = field(default=())
    code: int = 0

    def emit(self, is_json: bool) -> None:
        """Put it out on stdout."""
        if is_json:
            click.echo(json.dumps(plain(self.data), indent=2, ensure_ascii=False))
        elif self.lines:
            click.echo("\n".join(self.lines))


def plain(value: Any) -> Any:
    """`value` as JSON has it. Integers that a reader may round become strings."""
    if value is None or isinstance(value, bool | float | str):
        return value
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, int):
        return value if abs(value) < 1 << 53 else str(value)
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, Sequence | set | frozenset):
        return [plain(part) for part in value]
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    return str(value)
