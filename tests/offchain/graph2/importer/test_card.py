"""Cards: what they must say, and the way through a package."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from headrace.graph.errors import ModelError
from headrace.graph2 import builders
from headrace.graph2.importer.card import MAX_TEXT, Card
from headrace.graph2.model import GraphBuilder
from headrace.graph2.model_file import dump_package, load_package

CARD = Card(
    name="n",
    licence="MIT",
    source="here",
    input="i",
    output="o",
    sha256={"t.json": "0" * 64},
    tokenizer="t.json",
    accuracy={"cosine_mean": 0.99, "layers": [0.5, 0.25]},
)


def test_a_card_survives_its_package() -> None:
    graph = GraphBuilder(1, 4, 1)
    graph.add(builders.lut8(graph.input, np.arange(-128, 128)))
    package = load_package(dump_package(graph.build(1), CARD.as_json()))
    assert Card.from_json(package.card) == CARD


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "no name"),
        ({"licence": ""}, "no licence"),
        ({"source": "s" * (MAX_TEXT + 1)}, "source"),
        ({"sha256": {"t.json": "0" * 63}}, "hex"),
        ({"sha256": {"t.json": "G" * 64}}, "hex"),
        ({"tokenizer": "other.json"}, "without its hash"),
    ],
)
def test_cards_that_say_too_little(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        replace(CARD, **change)


def test_unknown_or_missing_fields() -> None:
    plain = CARD.as_json()
    for other in ({**plain, "more": 1}, {k: v for k, v in plain.items() if k != "input"}):
        with pytest.raises(ModelError, match="exactly"):
            Card.from_json(other)
    with pytest.raises(ModelError, match="objects"):
        Card.from_json({**plain, "sha256": []})
