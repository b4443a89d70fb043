"""What is said of a model: where it comes from, under which licence, and how good it is.

A card is a statement of whoever built the model. Its hash goes on chain with the registration; that
it is true is nobody's promise.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.graph.errors import ModelError

MAX_TEXT = 1_000
"""Most characters of one field."""


@dataclass(frozen=True, slots=True)
class Card:
    """Name, licence, source, what goes in and comes out, hashes of its sources, accuracy.

    `sha256` has the hex hash of each file by its name, the tokenizer's included; `tokenizer` is the
    name of that file, "" if the input is no text. `accuracy` has plain numbers and lists of them.
    """

    name: str
    licence: str
    source: str
    input: str
    output: str
    sha256: Mapping[str, str] = field(default_factory=dict)
    tokenizer: str = ""
    accuracy: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the texts and hashes; ModelError for one that can't be."""
        for name in ("name", "licence", "source", "input", "output", "tokenizer"):
            value = getattr(self, name)
            if not isinstance(value, str) or len(value) > MAX_TEXT:
                raise ModelError(f"the card's {name} is a text of up to {MAX_TEXT} characters")
            if not value and name != "tokenizer":
                raise ModelError(f"the card has no {name}")
        for file, digest in self.sha256.items():
            if not isinstance(digest, str) or len(digest) != 64 or set(digest) - _HEX:
                raise ModelError(f"the card's hash of {file} isn't 64 hex digits")
        if self.tokenizer and self.tokenizer not in self.sha256:
            raise ModelError("the card names a tokenizer without its hash")

    def as_json(self) -> dict[str, Any]:
        """The card as a package holds it."""
        return {
            "accuracy": dict(self.accuracy),
            "input": self.input,
            "licence": self.licence,
            "name": self.name,
            "output": self.output,
            "sha256": dict(self.sha256),
            "source": self.source,
            "tokenizer": self.tokenizer,
        }

    @classmethod
    def from_json(cls, card: Mapping[str, Any]) -> "Card":
        """Read a package's card; ModelError when fields are missing, unknown or ill-formed."""
        names = {"accuracy", "input", "licence", "name", "output", "sha256", "source", "tokenizer"}
        if set(card) != names:
            raise ModelError(f"a card has exactly the fields {', '.join(sorted(names))}")
        if not isinstance(card["sha256"], Mapping) or not isinstance(card["accuracy"], Mapping):
            raise ModelError("the card's sha256 and accuracy are objects")
        return cls(**card)


_HEX = frozenset("0123456789abcdef")
