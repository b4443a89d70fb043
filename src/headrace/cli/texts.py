"""Texts as people have them (a .txt, one a line) as the token ids that a model takes."""

from pathlib import Path

from headrace.errors import UsageError
from headrace.formats import Card
from headrace.graph.errors import InputError
from headrace.input_forms import Array

# The suffix of such files.
TEXTS = ".txt"
_MOST_BYTES = 1 << 22
_MOST_TEXTS = 4_096


def read_texts(path: Path, card: Card, length: int, tokenizer: Path | None) -> Array:
    """
    The (texts, `length`) token ids of a file of texts, by the tokenizer that the model's `card`
    names: the file `tokenizer`, or that of an installed package. UsageError, naming the file and
    the line, for what can't be an input: nothing is cut off.
    """
    name = str(card.get("tokenizer", ""))
    digest = dict(card.get("sha256", {})).get(name)
    if not name or digest is None:
        raise UsageError(f"{path}: the model's card names no tokenizer, so it takes no texts")
    lines = _lines(path)
    from headrace.graph2.importer import minilm_float
    from headrace.graph2.importer.tokenizer import SentenceTokenizer

    try:
        if tokenizer is None and digest != minilm_float.TOKENIZER_SHA256:
            raise UsageError(f"--tokenizer: which file is the {name} with the hash {digest}?")
        found = (
            minilm_float.load_tokenizer()
            if tokenizer is None
            else SentenceTokenizer.load(tokenizer, digest)
        )
        rows: Array = found.encode([text for _, text in lines], length)
    except InputError as error:
        raise UsageError(f"{path}: {_named(str(error), lines)}") from None
    return rows


def _lines(path: Path) -> list[tuple[int, bytes]]:
    """The lines with their numbers; blank ones at the end don't count."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"{path} is larger than {_MOST_BYTES} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None
    lines = list(enumerate(data.rstrip().split(b"\n"), 1)) if data.strip() else []
    if not lines:
        raise UsageError(f"{path} holds no text")
    if len(lines) > _MOST_TEXTS:
        raise UsageError(f"{path} holds {len(lines)} texts; a job takes at most {_MOST_TEXTS}")
    return [(number, line.rstrip(b"\r")) for number, line in lines]


def _named(problem: str, lines: list[tuple[int, bytes]]) -> str:
    """`text 3 ...` as `line 4 ...`: people count lines, from 1."""
    word, _, rest = problem.partition(" ")
    place, _, what = rest.partition(" ")
    if word != "text" or not place.isdigit():
        return problem
    return f"line {lines[int(place)][0]} {what}"
