"""Texts as inputs: what is refused, where it stands, and that the ids are the tokenizer's."""

from pathlib import Path

import pytest

from headrace.cli.texts import read_texts
from headrace.errors import UsageError

pytest.importorskip("tokenizers")
minilm_float = pytest.importorskip("headrace.graph2.importer.minilm_float")

CARD = {
    "tokenizer": "tokenizer.json",
    "sha256": {"tokenizer.json": minilm_float.TOKENIZER_SHA256},
}


def write(folder: Path, data: bytes) -> Path:
    path = folder / "texts.txt"
    path.write_bytes(data)
    return path


def test_one_text_a_line(tmp_path: Path) -> None:
    path = write(tmp_path, b"A wheel turns.\r\nWater drives it.\n\n")
    ids = read_texts(path, CARD, 16, None)
    expected = minilm_float.load_tokenizer().encode(["A wheel turns.", "Water drives it."], 16)
    assert ids.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "holds no text"),
        (b"\n \n", "holds no text"),
        (b"fine\n\nalso fine\n", "line 2 is empty"),
        (b"fine\n\xff\xfe\n", "line 2 is no UTF-8"),
        (b"fine\n" + b"word " * 40, "line 2 has 42 tokens, the model takes 16"),
        (b"a" * 70_000, "line 1 has 70000 bytes"),
        (b"x\n" * 5_000, "holds 5000 texts"),
        (b"y" * (1 << 23), "is larger than"),
    ],
)
def test_what_is_no_input(tmp_path: Path, data: bytes, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        read_texts(write(tmp_path, data), CARD, 16, None)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be read"):
        read_texts(tmp_path / "nowhere.txt", CARD, 16, None)


def test_a_model_that_takes_no_texts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names no tokenizer"):
        read_texts(write(tmp_path, b"text"), {}, 16, None)


def test_another_tokenizer_than_the_cards(tmp_path: Path) -> None:
    other = tmp_path / "tokenizer.json"
    other.write_text("{}")
    with pytest.raises(UsageError, match="the tokenizer has the hash"):
        read_texts(write(tmp_path, b"text"), CARD, 16, other)
    strange = {"tokenizer": "tokenizer.json", "sha256": {"tokenizer.json": "00" * 32}}
    with pytest.raises(UsageError, match="which file"):
        read_texts(write(tmp_path, b"text"), strange, 16, None)
