"""Texts that can't be an input are refused before anything is built from them."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from headrace.graph.errors import InputError
from headrace.graph2.importer.minilm_float import TOKENIZER_SHA256, load_tokenizer, model_folder
from headrace.graph2.importer.tokenizer import MAX_TEXT_BYTES, SentenceTokenizer


def test_ids_stand_between_marks_and_padding() -> None:
    ids = load_tokenizer().encode(["hello", b"Hello, world"], 8)
    assert ids.dtype == np.int16
    assert ids[0].tolist() == [101, 7592, 102, 0, 0, 0, 0, 0]
    assert ids[1].tolist() == [101, 7592, 1010, 2088, 102, 0, 0, 0]


def test_a_text_may_fill_the_length_but_not_pass_it() -> None:
    tokenizer = load_tokenizer()
    assert (tokenizer.encode(["one two three"], 5) != 0).all()
    with pytest.raises(InputError, match="text 1 has 6 tokens, the model takes 5"):
        tokenizer.encode(["one", "one two three four"], 5)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "no text"),
        ([""], "text 0 is empty"),
        (["fine", " \n\t"], "text 1 is empty"),
        ([b"\xff\xfe"], "text 0 is no UTF-8"),
        ([b"caf\xc3"], "text 0 is no UTF-8"),  # cut in the middle of a character
        (["\ud800"], "text 0 is no UTF-8"),
        (["a" * (MAX_TEXT_BYTES + 1)], "more than"),
        (["é" * (MAX_TEXT_BYTES // 2 + 1)], "more than"),
    ],
)
def test_bad_texts(texts: list[str | bytes], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_tokenizer().encode(texts, 32)


def test_a_long_text_within_the_bytes_is_refused_for_its_tokens() -> None:
    with pytest.raises(InputError, match="tokens"):
        load_tokenizer().encode(["a " * (MAX_TEXT_BYTES // 2)], 32)


def test_another_tokenizer_is_refused(tmp_path: Path) -> None:
    data = (model_folder() / "tokenizer.json").read_bytes()
    with pytest.raises(InputError, match="hash"):
        SentenceTokenizer(data[:-1], TOKENIZER_SHA256)
    with pytest.raises(InputError, match="can't be read"):
        SentenceTokenizer.load(tmp_path / "none.json", TOKENIZER_SHA256)
    assert hashlib.sha256(data).hexdigest() == TOKENIZER_SHA256
