"""Texts to token ids, outside the graph: the input of a job is ids, so no verdict depends on this.

The tokenizer is named in a model's card by the hash of its file.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.errors import UsageError
from headrace.graph.errors import InputError

MAX_TEXT_BYTES = 1 << 16
"""Most bytes of one text."""

MAX_TOKENIZER_BYTES = 1 << 24

Ids = npt.NDArray[np.int16]


class SentenceTokenizer:
    """Makes rows of token ids out of texts; 0 is the padding."""

    def __init__(self, data: bytes, sha256: str) -> None:
        """Read a tokenizer.json; InputError unless it has this hash (hex)."""
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise UsageError("texts need tokenizers: install headrace[models]") from error
        if len(data) > MAX_TOKENIZER_BYTES:
            raise InputError(
                f"the tokenizer has {len(data)} bytes, more than {MAX_TOKENIZER_BYTES}"
            )
        found = hashlib.sha256(data).hexdigest()
        if found != sha256:
            raise InputError(f"the tokenizer has the hash {found}, not {sha256}")
        self.sha256 = sha256
        self._tokenizer: Any = Tokenizer.from_str(data.decode("utf-8"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    @classmethod
    def load(cls, path: Path, sha256: str) -> "SentenceTokenizer":
        """Read a tokenizer.json from disk; InputError when it is missing or another one."""
        try:
            with path.open("rb") as file:
                return cls(file.read(MAX_TOKENIZER_BYTES + 1), sha256)
        except OSError as error:
            raise InputError(
                f"the tokenizer {path.name} can't be read: {error.strerror}"
            ) from error

    def encode(self, texts: Sequence[str | bytes], length: int) -> Ids:
        """Return (len(texts), length) int16 ids, each row padded with 0.

        InputError, naming the text by its place, for one that is empty, no UTF-8, over
        MAX_TEXT_BYTES, or longer than `length` tokens with both marks: nothing is cut off.
        """
        if not texts:
            raise InputError("there is no text")
        rows = np.zeros((len(texts), length), dtype=np.int16)
        for place, text in enumerate(texts):
            ids = self._tokenizer.encode(_checked(text, place)).ids
            if len(ids) > length:
                raise InputError(f"text {place} has {len(ids)} tokens, the model takes {length}")
            if not ids or max(ids) > np.iinfo(np.int16).max:
                raise InputError(f"text {place} has a token that the model can't take")
            rows[place, : len(ids)] = ids
        return rows


def _checked(text: str | bytes, place: int) -> str:
    try:
        data = text if isinstance(text, bytes) else text.encode("utf-8")
        if len(data) > MAX_TEXT_BYTES:
            raise InputError(f"text {place} has {len(data)} bytes, more than {MAX_TEXT_BYTES}")
        decoded = data.decode("utf-8")
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise InputError(f"text {place} is no UTF-8: {error.reason}") from error
    if not decoded.strip():
        raise InputError(f"text {place} is empty")
    return decoded
