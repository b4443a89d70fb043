"""The published vectors are what the code gives, and cover every operator."""

import json

from headrace.graph2 import numpy_backend
from headrace.graph2.opcodes import Opcode
from scripts.graph_vectors import PATH, Draw, model, vectors


def test_the_published_vectors_are_current() -> None:
    assert json.loads(PATH.read_text()) == vectors()


def test_every_opcode_has_a_vector() -> None:
    found = {entry["name"] for entry in json.loads(PATH.read_text())["operators"]}
    assert found == {opcode.name for opcode in Opcode}


def test_numpy_gives_the_vectors() -> None:
    published = json.loads(PATH.read_text())
    made = model(Draw())
    ids = made.input.dtype.type(published["input"])
    outputs = numpy_backend.run(made, ids)
    assert [tensor.tolist() for tensor in outputs] == [
        entry["output"] for entry in published["operators"]
    ]
