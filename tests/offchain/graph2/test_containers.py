"""Packages of models, inputs, traces and results: whole ones are read, anything else is refused."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.graph.errors import InputError, ModelError, TraceError
from headrace.graph2 import builders as ops
from headrace.graph2 import containers, model_file, quads
from headrace.graph2 import trace as traces
from headrace.graph2.model import GraphBuilder, Model
from headrace.graph2.opcodes import Opcode
from headrace.graph2.operators import Params
from headrace.graph2.views import View
from tests.graph2.random_graphs import case_of, random_case

CARD = {"name": "small", "licence": "MIT", "accuracy": 0.97, "source": {"tokenizer": None}}


def two_steps() -> Model:
    """MATMUL 4 -> 3, then AFFINE."""
    graph = GraphBuilder(1, 4, 1)
    x = graph.add(ops.matmul(graph.input, np.arange(12).reshape(3, 4) - 6, Params.of(1 << 20, 20)))
    graph.add(ops.affine(x, Params.of(3, 2)))
    return graph.build(8)


MODEL = two_steps()
PACKAGE = model_file.dump_package(MODEL, CARD)
HEADER_AT = 12
BODY_AT = HEADER_AT + int.from_bytes(PACKAGE[8:12], "big")


def repacked(change, body: bytes | None = None) -> bytes:
    """The package with its header changed by a function, in canonical form."""
    header = json.loads(PACKAGE[HEADER_AT:BODY_AT])
    change(header)
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    body = PACKAGE[BODY_AT:] if body is None else body
    return PACKAGE[:8] + len(text).to_bytes(4, "big") + text + body


def raw(text: bytes) -> bytes:
    """The package with this text as its header."""
    return PACKAGE[:8] + len(text).to_bytes(4, "big") + text + PACKAGE[BODY_AT:]


# ---- models


@pytest.mark.parametrize("seed", range(8))
def test_a_model_package_gives_the_same_model_and_the_same_bytes(seed):
    case = random_case(seed, steps=14)
    data = model_file.dump_package(case.model, CARD)
    package = model_file.load_package(data, case.model.program)
    assert package.model.program == case.model.program
    assert dict(package.card) == CARD
    assert model_file.dump_package(package.model, package.card) == data
    made, expected = (traces.run(model, case.tensor) for model in (package.model, case.model))
    assert made.root == expected.root


def test_nothing_but_the_whole_package_is_read():
    for cut in range(len(PACKAGE)):
        with pytest.raises(ModelError):
            model_file.load_package(PACKAGE[:cut])
    with pytest.raises(ModelError, match="too many"):
        model_file.load_package(PACKAGE + b"\0")
    with pytest.raises(ModelError, match="start"):
        model_file.load_package(b"HRMODEL1" + PACKAGE[8:])


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(PACKAGE) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_another_program(at, by):
    changed = bytearray(PACKAGE)
    changed[at] ^= by
    try:
        package = model_file.load_package(bytes(changed), MODEL.program)
    except ModelError:
        return
    # The card isn't part of the program; nothing else may be different.
    assert dict(package.card) != CARD


def set_in(path, value):
    """A change of one place of the header."""

    def change(header):
        for key in path[:-1]:
            header = header[key]
        header[path[-1]] = value

    return change


FIRST, SECOND = ("operators", 0), ("operators", 1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_in((*FIRST, "opcode"), 20), "unknown opcode"),
        (set_in((*FIRST, "opcode"), 0), "unknown opcode"),
        (set_in((*FIRST, "opcode"), True), "unknown opcode"),
        (set_in((*FIRST, "opcode"), "1"), "unknown opcode"),
        (set_in((*FIRST, "a"), [2, 1, 4, 1]), "reads tensor 2, made later"),
        (set_in((*FIRST, "a"), [1, 1, 4, 1]), "reads tensor 1, made later"),
        (set_in((*SECOND, "a"), [2, 1, 3, 1]), "reads tensor 2, made later"),
        (set_in((*SECOND, "a"), [0, 1, 3, 1]), "wrong about tensor 0"),
        (set_in((*SECOND, "a"), [1, 1, 3, 2]), "wrong about tensor 1"),
        (set_in((*SECOND, "a"), [1, 1, 3]), "4 whole numbers"),
        (set_in((*SECOND, "a"), None), "4 whole numbers"),
        (set_in((*SECOND, "a"), [1, 1, 4_097, 1]), "width"),
        (set_in((*SECOND, "a"), [1, 65_536, 3, 1]), "rows"),
        (set_in((*SECOND, "a"), [1, 1, 3, 3]), "1, 2 or 4 bytes"),
        (set_in((*SECOND, "a"), [1, 1, 3.0, 1]), "whole numbers"),
        (set_in((*SECOND, "a"), [1, True, 3, 1]), "whole numbers"),
        (set_in((*SECOND, "b"), [0, 1, 4, 1]), "second tensor"),
        (set_in((*SECOND, "s"), [0, 1, 4, 1]), "third tensor"),
        (set_in((*SECOND, "out"), [2, 1, 1]), "width|rows|AFFINE"),
        (set_in((*SECOND, "out"), [1, 4, 1]), "columns past the end"),
        (set_in((*SECOND, "extra"), [4, 0, 0, 0, 0, 0, 0, 0]), "columns past the end"),
        (set_in((*SECOND, "extra"), [0, 1, 0, 0, 0, 0, 0, 0]), "uses only"),
        (set_in((*SECOND, "extra"), [0] * 7), "8 whole numbers"),
        (set_in((*SECOND, "extra"), [1 << 32] + [0] * 7), "out of range"),
        (set_in((*SECOND, "lo"), -129), "clamp"),
        (set_in((*SECOND, "hi"), 128), "clamp"),
        (set_in((*SECOND, "lo"), 127.0), "clamp"),
        (set_in((*SECOND, "per_column"), 1), "true or false"),
        (set_in((*FIRST, "per_column"), False), "operator 0"),
        (set_in(("max_units",), 0), "max_units"),
        (set_in(("max_units",), 4_097), "max_units"),
        (set_in(("max_units",), "8"), "max_units"),
        (set_in(("max_units",), True), "max_units"),
        (set_in(("input",), [1, 5, 1]), "wrong about tensor 0"),
        (set_in(("input",), [1, 4]), "3 whole numbers"),
        (set_in(("operators",), []), "1 to 256"),
        (set_in(("operators",), {}), "1 to 256"),
        (set_in(("operators",), [None] * 257), "1 to 256"),
        (set_in(("operators",), [None]), "exactly the keys"),
        (set_in((*FIRST, "name"), "x"), "exactly the keys"),
        (set_in(("version",), 2), "exactly the keys"),
        (set_in(("card",), None), "no JSON object"),
        (set_in(("card",), {"a": {"b": {"c": {"d": {"e": 1}}}}}), "nested too deeply"),
    ],
)
def test_a_header_that_describes_no_model_is_refused(change, reason):
    with pytest.raises(ModelError, match=reason):
        model_file.load_package(repacked(change))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"max_units":' + b"9" * 5_000 + b"}",
        b'{"card":NaN,"input":[1,4,1],"max_units":8,"operators":[]}',
        PACKAGE[HEADER_AT:BODY_AT].replace(b":", b": ", 1),
        PACKAGE[HEADER_AT:BODY_AT].replace(b'"max_units":8', b'"max_units":8,"max_units":8'),
        PACKAGE[HEADER_AT:BODY_AT].replace(b"0.97", b"0.970"),
        PACKAGE[HEADER_AT:BODY_AT].replace(b"small", b"\\u0073mall"),
        b" " + PACKAGE[HEADER_AT:BODY_AT],
    ],
    ids=range(14),
)
def test_a_header_that_is_no_canonical_json_is_refused(text):
    with pytest.raises(ModelError):
        model_file.load_package(raw(text))


def test_headers_and_packages_have_a_greatest_length(monkeypatch):
    longest = model_file.MAX_HEADER
    claims_more = PACKAGE[:8] + (longest + 1).to_bytes(4, "big") + bytes(longest + 1)
    with pytest.raises(ModelError, match="too long"):
        model_file.load_package(claims_more)
    with pytest.raises(ModelError, match="more than"):
        model_file.dump_package(MODEL, {"text": "x" * longest})
    monkeypatch.setattr(model_file, "MAX_MODEL_BYTES", len(PACKAGE))
    assert model_file.load_package(PACKAGE).model.program == MODEL.program
    monkeypatch.setattr(model_file, "MAX_MODEL_BYTES", len(PACKAGE) - 1)
    with pytest.raises(ModelError, match="more than"):
        model_file.load_package(PACKAGE)
    with pytest.raises(ModelError, match="more than"):
        model_file.dump_package(MODEL, CARD)


def test_a_small_file_cannot_ask_for_a_large_table():
    def change(header):
        header["operators"] = [
            {
                **header["operators"][1],
                "opcode": int(Opcode.GATHER),
                "a": [0, 1, 4, 1],
                "out": [4, 4_096, 4],
                "extra": [65_533, 0, 0, 0, 0, 0, 0, 0],
                "lo": 0,
                "hi": 0,
            }
        ]

    with pytest.raises(ModelError, match="cut short"):
        model_file.load_package(repacked(change))


def body(*, weight: int = 0, bias: int = 0, mult: int = 1, shift: int = 1) -> bytes:
    """The arrays of the two steps: weights, then bias, mult and shift of both."""
    first = np.full(12, weight, np.int8).tobytes()
    for count in (3, 1):
        first += np.full(count, bias, "<i4").tobytes() + np.full(count, mult, "<i4").tobytes()
        first += bytes([shift]) * count
    return first


@pytest.mark.parametrize("weight", [-128, 127])
@pytest.mark.parametrize("bias", [-(1 << 30), 1 << 30])
@pytest.mark.parametrize("mult", [-(1 << 31) + 1, (1 << 31) - 1])
@pytest.mark.parametrize("shift", [1, 62])
def test_weights_at_extremes_are_a_model(weight, bias, mult, shift):
    data = repacked(lambda _: None, body(weight=weight, bias=bias, mult=mult, shift=shift))
    package = model_file.load_package(data)
    tensor = np.full((2, 4), -128, dtype=np.int8)
    assert traces.run(package.model, tensor).tensors[-1].shape == (2, 3)


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ({"bias": (1 << 30) + 1}, "bias"),
        ({"bias": -(1 << 30) - 1}, "bias"),
        ({"mult": -(1 << 31)}, "mult"),
        ({"shift": 0}, "shift"),
        ({"shift": 63}, "shift"),
        ({"shift": 255}, "shift"),
    ],
)
def test_parameters_past_the_extremes_are_refused(numbers, reason):
    with pytest.raises(ModelError, match=f"operator 0: {reason}"):
        model_file.load_package(repacked(lambda _: None, body(**numbers)))


def test_the_package_of_another_program_is_refused():
    other = case_of(Opcode.LUT8).model
    with pytest.raises(ModelError, match="holds program"):
        model_file.load_package(PACKAGE, other.program)


@pytest.mark.parametrize("card", [{"a": float("nan")}, {"a": object()}, {1: "a"}, {"a": b"x"}])
def test_a_card_is_plain_json(card):
    with pytest.raises(ModelError, match="card"):
        model_file.dump_package(MODEL, card)


# ---- inputs, traces, results

CASE = random_case(11, steps=7)
TRACE = traces.run(CASE.model, CASE.tensor)
INPUT = containers.dump_input(CASE.model.input, CASE.tensor)
INPUT_ID = quads.tensor_root(CASE.model.input, CASE.tensor)


def read_input(data: bytes, view: View | None = None, units: int = CASE.units):
    return containers.load_input(data, INPUT_ID, view or CASE.model.input, units)


def read_trace(data: bytes, units: int = CASE.units):
    return containers.load_trace(data, CASE.model, units, TRACE.root)


def read_result(data: bytes, units: int = CASE.units):
    return containers.load_result(data, CASE.model, units, TRACE.root)


def test_packages_give_back_what_they_hold():
    made = read_input(INPUT)
    assert made.dtype == CASE.tensor.dtype
    assert np.array_equal(made, CASE.tensor)
    assert len(INPUT) == containers.input_bytes(CASE.model.input, CASE.units)
    assert containers.input_shape(INPUT) == (CASE.units, CASE.model.input)
    trace = containers.dump_trace(TRACE)
    assert len(trace) == containers.trace_bytes(CASE.model, CASE.units)
    assert read_trace(trace).root == TRACE.root
    result = containers.dump_result(TRACE)
    assert len(result) == containers.result_bytes(CASE.model, CASE.units)
    assert np.array_equal(read_result(result), TRACE.tensors[-1])


KINDS = [
    (INPUT, read_input, InputError),
    (containers.dump_trace(TRACE), read_trace, TraceError),
    (containers.dump_result(TRACE), read_result, TraceError),
]


@pytest.mark.parametrize(("data", "read", "error"), KINDS, ids=["input", "trace", "result"])
def test_any_other_bytes_are_refused(data, read, error):
    for cut in {0, 1, 7, 8, 11, 12, 23, len(data) // 2, len(data) - 1}:
        with pytest.raises(error):
            read(data[:cut])
    with pytest.raises(error):
        read(data + b"\0")
    rng = np.random.default_rng(1)
    for at in {*range(24), *rng.integers(0, len(data), 40).tolist(), len(data) - 1}:
        changed = bytearray(data)
        changed[at] ^= 1 << int(rng.integers(8))
        with pytest.raises(error):
            read(bytes(changed))
    for units in (0, CASE.units + 1, CASE.model.max_units + 1):
        with pytest.raises(error):
            read(data, units=units)


def test_a_header_of_immense_numbers_costs_nothing():
    huge = INPUT[:8] + b"\xff" * 16
    with pytest.raises(InputError, match="no tensor"):
        read_input(huge)
    many = INPUT[:8] + b"\xff" * 4 + INPUT[12:]
    with pytest.raises(InputError, match="4294967295"):
        read_input(many)


def test_an_input_of_another_shape_or_root_is_refused():
    view = CASE.model.input
    with pytest.raises(InputError, match="not"):
        read_input(INPUT, View(0, view.rows, view.width + 1, view.size))
    with pytest.raises(InputError, match="its id"):
        containers.load_input(INPUT, bytes(32), view, CASE.units)
    with pytest.raises(InputError, match="empty"):
        read_input(b"")
    for bad in (CASE.tensor[:, 1:], CASE.tensor.astype(np.float32), CASE.tensor[:0]):
        with pytest.raises(InputError):
            containers.dump_input(view, bad)
    odd = View(0, 2, 4, 1)
    with pytest.raises(InputError, match="rows aren't"):
        containers.dump_input(odd, np.zeros((3, 4), dtype=np.int8))


def test_a_trace_of_another_root_is_only_read_if_no_root_is_asked_for():
    wrong = TRACE.tensors[0].copy()
    wrong[0, 0] ^= 1
    lie = TRACE.replace(0, wrong)
    data = containers.dump_trace(lie)
    assert containers.load_trace(data, CASE.model, CASE.units).root == lie.root
    with pytest.raises(TraceError, match="another root"):
        read_trace(data)
