"""Names that a person gave to models and inputs: `<home>/names.json`."""

import json
import os
import re
from pathlib import Path
from typing import Literal

from headrace.errors import UsageError

Kind = Literal["models", "inputs"]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ID = re.compile(r"0x[0-9a-fA-F]{64}")


class Names:
    """Names by kind; a name stands for 32 bytes. Nothing is read before it is needed."""

    def __init__(self, path: Path) -> None:
        """The file at `path`; it needn't exist."""
        self.path = path

    def all(self, kind: Kind) -> dict[str, bytes]:
        """Every name of a kind. UsageError if the file is damaged."""
        try:
            content = json.loads(self.path.read_text())
            return {
                str(name): bytes.fromhex(written[2:])
                for name, written in content.get(kind, {}).items()
                if _ID.fullmatch(written)
            }
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, TypeError):
            raise UsageError(f"{self.path} is damaged: correct it or remove it") from None

    def name_of(self, kind: Kind, value: bytes) -> str | None:
        """What somebody called `value`."""
        return next((name for name, known in self.all(kind).items() if known == value), None)

    def put(self, kind: Kind, name: str, value: bytes) -> None:
        """Let `name` stand for `value`, whatever it stood for. UsageError if it can't be a name."""
        if not _NAME.fullmatch(name) or _ID.fullmatch(name):
            raise UsageError(f"{name!r} can't be a name: letters, digits, dots, dashes, up to 64")
        kinds: tuple[Kind, Kind] = ("models", "inputs")
        content = {
            each: {known: "0x" + data.hex() for known, data in self.all(each).items()}
            for each in kinds
        }
        content[kind][name] = "0x" + value.hex()
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        partial.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
        partial.replace(self.path)


def as_id(text: str) -> bytes | None:
    """The 32 bytes of 0x and 64 digits; None for any other text."""
    return bytes.fromhex(text[2:]) if _ID.fullmatch(text) else None
