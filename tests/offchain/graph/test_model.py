"""Bounds of a model, its roots, and its file read from hostile bytes."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from eth_abi.abi import encode
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.graph.encoding import mirror
from headrace.graph.errors import ModelError
from headrace.graph.merkle import climb, keccak
from headrace.graph.model import MAX_BIAS, MAX_MULT, Model, Operator
from headrace.graph.model_file import MAGIC, MAX_HEADER, dump_model, load_model
from tests.offchain.graph import randoms


def good() -> Operator:
    return Operator.matmul(0, [[1, 2, 3], [4, 5, 6]], [7, 8], [9, 10], [11, 12], lo=-5, hi=5)


def model() -> Model:
    return Model.of([good(), Operator.argmax(1, 2)], 3, 16)


def test_roots_are_those_of_the_format() -> None:
    step = good()
    rows = [bytes([x + 128 for x in row] + [128] * 29) for row in ([1, 2, 3], [4, 5, 6])]
    leaves = [keccak(b"\x00" + mirror(row)) for row in rows]
    assert step.descriptor.weight_root == keccak(leaves[0] + leaves[1])
    words = [
        b"\x02" + ((bias + 2**31) * 2**40 + mult * 2**8 + shift).to_bytes(32, "big")
        for bias, mult, shift in ((7, 9, 11), (8, 10, 12))
    ]
    assert step.descriptor.param_root == keccak(keccak(words[0]) + keccak(words[1]))
    assert step.descriptor.clamp == (123 << 8) + 133
    argmax = Operator.argmax(1, 2).descriptor
    assert argmax == (2, 1, 2, 1, 0, bytes(32), bytes(32))


def test_program_id_equals_the_abi_encoding() -> None:
    made = model()
    kinds = ["uint256"] * 5 + ["bytes32"] * 2
    leaves = [keccak(b"\x01" + encode(kinds, list(descriptor))) for descriptor in made.descriptors]
    assert made.graph_root == keccak(leaves[0] + leaves[1])
    facts = [1, made.graph_root, 2, 3, 16]
    packed = encode(["uint256", "bytes32", "uint256", "uint256", "uint256"], facts)
    assert made.program == keccak(packed)
    assert climb(leaves[1], 1, made.graph_tree.proof(1)) == made.graph_root


def test_sizes() -> None:
    made = model()
    assert (made.row_bytes, made.output_width, made.op_count) == (64, 1, 2)
    assert made.publishable_units == 16
    assert replace(made, max_units=256).publishable_units == 256
    wide = Model.of([Operator.matmul(0, np.zeros((1024, 3), int), *[[1] * 1024] * 3)], 3, 256)
    assert wide.publishable_units == 24
    heavy = Model.of([replace(wide.operators[0])] * 25, 3, 256)
    assert heavy.publishable_units == 0


def test_arrays_are_copied_and_frozen() -> None:
    weights = np.ones((2, 3), np.int8)
    step = Operator.matmul(0, weights, [0, 0], [1, 1], [1, 1])
    root = step.descriptor.weight_root
    weights[0, 0] = 9
    assert step.weights[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        step.weights[0, 0] = 5
    assert replace(step).descriptor.weight_root == root


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": [[1, 2, 128], [0, 0, 0]]}, "weights must be from -128 to 127"),
        ({"weights": [[1, 2, -129], [0, 0, 0]]}, "weights must be from -128 to 127"),
        ({"weights": [1, 2, 3]}, "two dimensions"),
        ({"weights": [[1, 2], [3]]}, "no array"),
        ({"weights": [[0.5]]}, "must hold integers, not float64"),
        ({"weights": [[2**80]]}, "must hold integers, not object"),
        ({"weights": [[True, False, True]] * 2}, "must hold integers, not bool"),
        ({"weights": np.zeros((1025, 3), np.int8)}, "width_out must be from 1 to 1024"),
        ({"weights": np.zeros((2, 1025), np.int8)}, "width_in must be from 1 to 1024"),
        ({"weights": np.zeros((0, 3), np.int8)}, "width_out must be from 1 to 1024"),
        ({"bias": [0]}, r"bias has shape \(1,\), not \(2,\)"),
        ({"mult": [[0, 0]]}, r"mult has shape \(1, 2\)"),
        ({"bias": [0, MAX_BIAS + 1]}, "bias must be from"),
        ({"bias": [0, -MAX_BIAS - 1]}, "bias must be from"),
        ({"mult": [-1, 0]}, "mult must be from 0"),
        ({"mult": [0, MAX_MULT + 1]}, "mult must be from 0"),
        ({"shift": [0, 1]}, "shift must be from 1 to 62"),
        ({"shift": [1, 63]}, "shift must be from 1 to 62"),
        ({"source": -1}, "source must be from 0"),
        ({"source": "0"}, "source must be a whole number"),
        ({"source": True}, "source must be a whole number"),
        ({"lo": -129}, "lo must be from -128"),
        ({"hi": 128}, "hi must be from -128"),
        ({"lo": 3, "hi": 2}, "lo 3 is above hi 2"),
    ],
)
def test_matmul_bounds(change: dict[str, Any], message: str) -> None:
    given_values: dict[str, Any] = {
        "source": 0,
        "weights": [[1, 2, 3], [4, 5, 6]],
        "bias": [0, 0],
        "mult": [0, 0],
        "shift": [1, 1],
        "lo": -128,
        "hi": 127,
    } | change
    with pytest.raises(ModelError, match=message):
        Operator.matmul(**given_values)


def test_matmul_extremes_are_allowed() -> None:
    Operator.matmul(
        0, [[-128], [127]], [-MAX_BIAS, MAX_BIAS], [0, MAX_MULT], [1, 62], lo=-128, hi=-128
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Operator.argmax(0, 129), "ARGMAX must be from 1 to 128"),
        (lambda: Operator.argmax(0, 0), "width_in must be from 1"),
        (lambda: replace(Operator.argmax(0, 3), width_out=2), "width_out of ARGMAX"),
        (lambda: replace(Operator.argmax(0, 3), hi=1), "ARGMAX has no clamp"),
        (lambda: replace(Operator.argmax(0, 3), bias=np.zeros(1, int)), "no weights or parameters"),
        (lambda: replace(good(), opcode=3), "unknown opcode 3"),
        (lambda: replace(good(), opcode=True), "unknown opcode True"),
        (lambda: Model.of([], 3, 1), "1 to 32 operators, not 0"),
        (lambda: Model.of([Operator.argmax(0, 1)] * 33, 1, 1), "1 to 32 operators, not 33"),
        (lambda: Model.of([good()], 4, 1), "takes rows of 3, its source has 4"),
        (lambda: Model.of([replace(good(), source=1)], 3, 1), "operator 0 reads tensor 1"),
        (lambda: Model.of([good(), Operator.argmax(2, 2)], 3, 1), "operator 1 reads tensor 2"),
        (lambda: Model.of([good(), Operator.argmax(1, 3)], 3, 1), "its source has 2"),
        (lambda: Model.of([good()], 0, 1), "input_width must be from 1"),
        (lambda: Model.of([good()], 1025, 1), "input_width must be from 1 to 1024"),
        (lambda: Model.of([good()], 3, 0), "max_units must be from 1"),
        (lambda: Model.of([good()], 3, 257), "max_units must be from 1 to 256"),
    ],
)
def test_model_bounds(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make()


def test_a_file_gives_the_same_model() -> None:
    rng = np.random.default_rng(4)
    for _ in range(30):
        made = randoms.model(rng)
        data = dump_model(made)
        read = load_model(data, made.program)
        assert read.program == made.program
        assert dump_model(read) == data


def test_the_wrong_program() -> None:
    with pytest.raises(ModelError, match="the file holds program"):
        load_model(dump_model(model()), bytes(32))


def file_of(header: object, body: bytes = b"") -> bytes:
    raw = header if isinstance(header, bytes) else canonical(header)
    return MAGIC + len(raw).to_bytes(4, "big") + raw + body


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def header_with(**change: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {"opcode": 2, "source": 0, "width_in": 3} | change
    return {"input_width": 3, "max_units": 1, "operators": [entry]}


MATMUL = {"opcode": 1, "source": 0, "width_in": 3, "width_out": 1, "lo": -128, "hi": 127}
MATMUL_BODY = bytes(3) + bytes(4) + bytes(4) + b"\x01"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"HRMODEL2" + bytes(9), "doesn't start as one"),
        (MAGIC, "cut short"),
        (MAGIC + b"\xff\xff\xff\xff", "cut short or its header is too long"),
        (file_of(b" " * (MAX_HEADER + 1)), "its header is too long"),
        (file_of(b"\xff\xfe"), "no JSON"),
        (file_of(b"[" * MAX_HEADER), "no JSON"),
        (file_of(b"1" * 5000), "no JSON"),
        (file_of([1]), "no JSON object"),
        (file_of({"operators": []}), "must have exactly the keys"),
        (file_of(header_with() | {"operators": 3}), "list of 1 to 32"),
        (file_of(header_with() | {"operators": []}), "list of 1 to 32"),
        (file_of(header_with() | {"operators": [{}] * 33}), "list of 1 to 32"),
        (file_of(header_with() | {"operators": [3]}), "unknown opcode None"),
        (file_of(header_with(opcode=7)), "unknown opcode 7"),
        (file_of(header_with(opcode=[])), r"unknown opcode \[\]"),
        (file_of(header_with(width_out=1)), "must have exactly the keys"),
        (file_of(header_with(source=1)), "operator 0 reads tensor 1, made later"),
        (file_of(header_with(source=None)), "source must be a whole number"),
        (file_of(header_with(width_in=4)), "takes rows of 4, its source has 3"),
        (file_of(header_with(width_in=0)), "width_in of operator 0"),
        (file_of(header_with(width_in=1e308)), "width_in of operator 0"),
        (file_of(header_with() | {"max_units": 1.5}), "max_units must be a whole number"),
        (file_of(header_with() | {"max_units": float("nan")}), "max_units must be a whole"),
        (file_of(header_with() | {"input_width": "3"}), "input_width must be a whole number"),
        (file_of(header_with()) + b"\x00", "1 bytes too many"),
        (file_of(json.dumps(header_with()).encode()), "canonical form"),
        (file_of(header_with(opcode=2.0)), "canonical form"),
        (file_of(header_with(**MATMUL), MATMUL_BODY[:-1]), "cut short"),
        (file_of(header_with(**MATMUL), MATMUL_BODY + b"\x00"), "1 bytes too many"),
        (file_of(header_with(**MATMUL), MATMUL_BODY[:-1] + b"\x00"), "shift must be from 1"),
        (
            file_of(header_with(**MATMUL), bytes(3) + b"\xff\xff\xff\x7f" + MATMUL_BODY[7:]),
            "bias must be from",
        ),
        (
            file_of(header_with(**MATMUL), bytes(7) + b"\xff\xff\xff\xff\x01"),
            "mult must be from 0",
        ),
        (file_of(header_with(**MATMUL | {"lo": 5, "hi": 4}), MATMUL_BODY), "lo 5 is above hi 4"),
        (file_of(header_with(**MATMUL | {"width_out": 1 << 62}), MATMUL_BODY), "width_out of"),
    ],
)
def test_hostile_files(data: bytes, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_model(data)


def test_an_oversized_file(monkeypatch: pytest.MonkeyPatch) -> None:
    data = dump_model(model())
    monkeypatch.setattr("headrace.graph.model_file.MAX_MODEL_BYTES", len(data) - 1)
    with pytest.raises(ModelError, match="more than"):
        load_model(data)


def test_the_greatest_model_fits_the_bound() -> None:
    operator = Operator.matmul(0, np.zeros((1, 1), int), [-MAX_BIAS], [MAX_MULT], [62])
    widest = dump_model(Model.of([replace(operator, lo=-128, hi=-127)] * 32, 1, 256))
    # the longest header of any model, with four digits a width and two a source
    assert len(widest) + 32 * 8 < MAX_HEADER


DATA = dump_model(Model.of([good(), Operator.argmax(1, 2)], 3, 16))


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, len(DATA) - 1), flip=st.integers(1, 255), cut=st.booleans())
def test_any_changed_byte_is_another_program_or_an_error(at: int, flip: int, cut: bool) -> None:
    changed = DATA[:at] if cut else DATA[:at] + bytes([DATA[at] ^ flip]) + DATA[at + 1 :]
    with pytest.raises(ModelError):
        load_model(changed, model().program)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_noise_is_never_more_than_a_model_error(noise: bytes) -> None:
    with pytest.raises(ModelError):
        load_model(MAGIC + noise)
