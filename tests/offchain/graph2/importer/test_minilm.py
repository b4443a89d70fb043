"""MiniLM in integers: how near it is, that it is always the same program, and what it ignores."""

from pathlib import Path

import numpy as np
import pytest

from headrace.graph.errors import ModelError
from headrace.graph2 import numpy_backend, reference
from headrace.graph2.importer import standard
from headrace.graph2.importer.calibrate import (
    calibration_sentences,
    evaluation_sentences,
    measure,
    other_sentences,
)
from headrace.graph2.importer.card import Card
from headrace.graph2.importer.minilm import EMBEDDING_ONE, build
from headrace.graph2.importer.minilm_float import (
    WEIGHTS_SHA256,
    float_forward,
    load_tokenizer,
    load_weights,
    read_pinned,
)
from headrace.graph2.importer.report import compare, cosines, embed, neighbours
from headrace.graph2.model import MAX_OPERATORS
from headrace.graph2.model_file import dump_package, load_package

PROGRAM = "5ba66d26a4a23022a1eb8889771591d3980c5c78fc83e559dfdac3a8ac411730"
"""The standard encoder's program id: the same on every machine, thread count and BLAS kernel."""


def ids(*texts: str, length: int = standard.LENGTH) -> np.ndarray:
    return load_tokenizer().encode(texts, length)


def test_the_program_is_always_the_same() -> None:
    assert standard.minilm().model.program.hex() == PROGRAM
    parts = [build(load_weights(), standard.minilm_ranges(), layers=1, length=16) for _ in range(2)]
    for first, second in zip(*(part.model.operators[2:] for part in parts), strict=True):
        assert first.descriptor == second.descriptor


def test_ranges_do_not_depend_on_the_order_of_sentences() -> None:
    rows = ids(*calibration_sentences()[:40])
    first, second = (measure(load_weights(), part, layers=1) for part in (rows, rows[::-1]))
    assert first.deviation == second.deviation
    for name, found in first.by_channel.items():
        np.testing.assert_array_equal(found, second.by_channel[name])


def test_accuracy_on_sentences_that_calibration_never_saw() -> None:
    known, asked = set(calibration_sentences()), evaluation_sentences() + other_sentences()
    assert not known & set(asked)
    assert len(set(asked)) == len(asked)
    found = standard.minilm_accuracy()
    assert found.sentences >= 50
    assert found.cosine_mean >= 0.998
    assert found.cosine_min >= 0.99
    assert found.same_neighbour >= 0.98
    assert found.same_neighbour_with_others >= 0.95
    assert len(found.layers) == 6
    assert min(found.layers) >= 0.997
    assert standard.evaluate()["minilm_cosine_mean"] == found.cosine_mean


def test_it_fits_the_format_with_room() -> None:
    model = standard.minilm().model
    assert model.op_count <= MAX_OPERATORS
    assert model.levels == 6
    assert model.trace_bytes(1) < 4_000_000


def test_embeddings_have_length_one() -> None:
    made = embed(standard.minilm(), ids("short", "a somewhat longer sentence, with a comma in it"))
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1.0, atol=0.003)


def test_the_batch_changes_nothing() -> None:
    encoder = standard.minilm()
    rows = ids(*evaluation_sentences()[:3])
    together = numpy_backend.run(encoder.model, rows)[-1]
    for row, expected in zip(rows, together, strict=True):
        alone = numpy_backend.run(encoder.model, row[None])[-1]
        np.testing.assert_array_equal(alone[0], expected)


def test_padding_says_almost_nothing() -> None:
    length = 16
    other = build(load_weights(), standard.minilm_ranges(), length=length)
    text = "the keeper settles what is due"
    near = cosines(embed(standard.minilm(), ids(text)), embed(other, ids(text, length=length)))
    assert near.min() > 0.9999


def test_float_padding_says_nothing() -> None:
    rows = ids("one", "one and two and three")
    alone = float_forward(load_weights(), rows[:1, :3])
    np.testing.assert_allclose(float_forward(load_weights(), rows)[:1], alone, atol=1e-5)


def test_ids_that_no_tokenizer_makes_still_run() -> None:
    model = standard.minilm().model
    rows = np.zeros((3, standard.LENGTH), dtype=np.int16)
    rows[1] = 32_767  # beyond the vocabulary: the last word
    rows[2] = -32_768  # below it: the padding
    made = numpy_backend.run(model, rows)[-1]
    np.testing.assert_array_equal(made[0], made[2])
    rows[1] = 30_521
    np.testing.assert_array_equal(numpy_backend.run(model, rows)[-1][1], made[1])


def test_spots_of_every_operator_equal_the_reference() -> None:
    model = standard.minilm().model
    rows = ids(*evaluation_sentences()[:2])
    tensors = [rows, *numpy_backend.run(model, rows)]
    rng = np.random.default_rng(5)
    for number, operator in enumerate(model.operators):
        made = tensors[number + 1]
        row, column = (int(rng.integers(0, size)) for size in made.shape)
        found = reference.element(operator, tensors, row, column)
        assert found == made[row, column], f"operator {number}"


def test_fewer_layers_and_other_lengths() -> None:
    weights, ranges = load_weights(), standard.minilm_ranges()
    rows = ids(*evaluation_sentences()[:6])
    one = build(weights, ranges, layers=1)
    assert one.model.op_count < 60
    found = compare(one, weights, rows)
    assert len(found.layers) == 1
    assert found.cosine_min > 0.99
    for length, layers in ((17, 6), (256, 6), (32, 0), (32, 7)):
        with pytest.raises(ModelError):
            build(weights, ranges, length=length, layers=layers)


def test_neighbours_leave_oneself_out() -> None:
    points = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    assert neighbours(points).tolist() == [1, 0, 1]


def test_the_card_goes_with_the_package() -> None:
    card = standard.minilm_card()
    assert card.sha256["model.safetensors"] == WEIGHTS_SHA256
    model = build(load_weights(), standard.minilm_ranges(), layers=1, length=16).model
    package = load_package(dump_package(model, card.as_json()))
    assert Card.from_json(package.card) == card
    assert "32,768" in card.output
    assert EMBEDDING_ONE == 32_768


def test_other_weights_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    with pytest.raises(ModelError, match="can't be read"):
        read_pinned(file, WEIGHTS_SHA256, 100)
    file.write_bytes(b"x" * 100)
    with pytest.raises(ModelError, match="hash"):
        read_pinned(file, WEIGHTS_SHA256, 100)
    file.write_bytes(b"x" * 101)
    with pytest.raises(ModelError, match="more than 100"):
        read_pinned(file, WEIGHTS_SHA256, 100)
