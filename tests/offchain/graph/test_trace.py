"""Traces as bytes, and the packages of inputs and results."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.graph import reference
from headrace.graph import trace as traces
from headrace.graph.encoding import Int8, leaf
from headrace.graph.errors import InputError, TraceError
from headrace.graph.merkle import keccak
from headrace.graph.model import Model, Operator
from headrace.graph.tensors import (
    MAX_INPUT_BYTES,
    dump_input,
    dump_result,
    input_bytes,
    load_input,
    load_result,
    result_bytes,
    tensor_root,
)
from headrace.graph.trace import Trace
from tests.offchain.graph import randoms


def small() -> tuple[Model, Int8]:
    rng = np.random.default_rng(2)
    steps = [randoms.matmul(rng, 0, 3, 33), randoms.matmul(rng, 1, 33, 4), Operator.argmax(2, 4)]
    return Model.of(steps, 3, 8), randoms.int8s(rng, (5, 3))


def test_the_root_by_hand() -> None:
    model, tensor = small()
    trace = traces.run(model, tensor)
    roots = []
    for operator in range(3):
        rows = list(trace.rows[operator])
        at = [leaf(row) for row in rows] + [bytes(32)] * 3
        while len(at) > 1:
            at = [keccak(at[i] + at[i + 1]) for i in range(0, len(at), 2)]
        roots.append(at[0])
    assert trace.root == keccak(
        keccak(roots[0] + roots[1]) + keccak(roots[2] + bytes(32)),
    )


def test_bytes_are_the_rows_in_order() -> None:
    model, tensor = small()
    trace = traces.run(model, tensor)
    data = trace.to_bytes()
    assert len(data) == 5 * model.row_bytes == 5 * (64 + 32 + 32)
    assert data[:33] == bytes(x + 128 for x in trace.tensor(0)[0].tolist())
    assert data[33:64] == bytes([128] * 31)
    assert data[5 * 96] == 128 + int(trace.result[0, 0])
    again = Trace.from_bytes(model, 5, data)
    assert again.rows == trace.rows
    assert again.root == trace.root


@pytest.mark.parametrize("change", [-1, 1, -32, 32])
def test_a_trace_of_another_length(change: int) -> None:
    model, tensor = small()
    data = traces.run(model, tensor).to_bytes() + bytes(64)
    with pytest.raises(TraceError, match=r"bytes, not 640"):
        Trace.from_bytes(model, 5, data[: 640 + change])
    with pytest.raises(TraceError, match="the model takes 1 to 8"):
        Trace.from_bytes(model, 9, bytes(9 * model.row_bytes))
    with pytest.raises(TraceError, match="the model takes 1 to 8"):
        Trace.from_bytes(model, 0, b"")


def test_rows_of_another_shape() -> None:
    model, tensor = small()
    rows = traces.run(model, tensor).rows
    with pytest.raises(TraceError, match="2 tensors, not 3"):
        Trace(model, rows[:2])
    with pytest.raises(TraceError, match="tensor 2 isn't 5 rows of 32 bytes"):
        Trace(model, (rows[0], rows[1][:4], rows[2]))
    with pytest.raises(TraceError, match="tensor 2 isn't 5 rows of 32 bytes"):
        Trace(model, (rows[0], (*rows[1][:4], b""), rows[2]))
    with pytest.raises(TraceError, match="0 rows"):
        Trace(model, ((), (), ()))


def test_a_consistent_lie_changes_what_follows() -> None:
    model, tensor = small()
    trace = traces.run(model, tensor)
    changed = trace.replace(0, 1, 2, trace.rows[0][1][2] ^ 0x80)
    lie = traces.continue_from(model, tensor, changed, 0)
    assert lie.rows[0] == changed.rows[0] != trace.rows[0]
    expected = reference.apply(model.operators[1], changed.tensor(0).tolist())
    assert lie.tensor(1).tolist() == expected
    assert lie.result.tolist() == reference.apply(model.operators[2], expected)


def test_input_packages() -> None:
    tensor = randoms.int8s(np.random.default_rng(9), (5, 40))
    data = dump_input(tensor)
    assert len(data) == input_bytes(5, 40) == 16 + 5 * 64
    assert load_input(data, tensor_root(tensor), 5, 40).tolist() == tensor.tolist()
    assert input_bytes(256, 1024) == MAX_INPUT_BYTES
    for wrong in (tensor.astype(np.int16), tensor[0], tensor[:0], np.zeros((257, 1), np.int8)):
        with pytest.raises(InputError):
            dump_input(wrong)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: b"", "empty"),
        (lambda data: b"PK" + data[2:], "doesn't start as one"),
        (lambda data: data[:12], "cut short"),
        (lambda data: data[:-1], "335 bytes, not 336"),
        (lambda data: data + b"\x80", "337 bytes, not 336"),
        (lambda data: data[:11] + b"\x06" + data[12:], r"shape \(6, 40\), not \(5, 40\)"),
        (lambda data: data[:8] + b"\xff" * 8 + data[16:], "has shape"),
        (lambda data: data[:-1] + b"\x81", "padding isn't zero"),
        (lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:], "isn't the one its id names"),
    ],
)
def test_spoiled_inputs(spoil: object, message: str) -> None:
    tensor = randoms.int8s(np.random.default_rng(9), (5, 40))
    assert callable(spoil)
    with pytest.raises(InputError, match=message):
        load_input(spoil(dump_input(tensor)), tensor_root(tensor), 5, 40)


def test_result_packages() -> None:
    model, tensor = small()
    trace = traces.run(model, tensor)
    data = dump_result(trace)
    assert len(data) == result_bytes(model, 5) == 20 + 64 + 5 * 32
    assert load_result(data, model, 5, trace.root).tolist() == trace.result.tolist()
    with pytest.raises(TraceError, match="isn't the one that the claim commits to"):
        load_result(data, model, 5, keccak(b"another claim"))
    with pytest.raises(TraceError, match="shape and proof"):
        load_result(data, model, 4, trace.root)


def test_a_result_is_bound_to_the_last_operator() -> None:
    """The second operator's output, with its own true proof, isn't the result."""
    rng = np.random.default_rng(2)
    model = Model.of([randoms.matmul(rng, 0, 3, 3) for _ in range(3)], 3, 8)
    trace = traces.run(model, randoms.int8s(rng, (2, 3)))
    data = dump_result(trace)
    proof = b"".join(trace.tree.proof(1))
    moved = data[:20] + proof + b"".join(trace.rows[1])
    with pytest.raises(TraceError, match="isn't the one that the claim commits to"):
        load_result(moved, model, 2, trace.root)


def test_a_result_with_dirty_padding_is_refused() -> None:
    model, tensor = small()
    lie = traces.run(model, tensor).replace(2, 0, 31, 0)
    with pytest.raises(TraceError, match="padding isn't zero"):
        load_result(dump_result(lie), model, 5, lie.root)


MODEL, TENSOR = small()
TRACE = traces.run(MODEL, TENSOR)
RESULT = dump_result(TRACE)


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, len(RESULT) - 1), flip=st.integers(1, 255), cut=st.booleans())
def test_any_changed_byte_of_a_result_is_refused(at: int, flip: int, cut: bool) -> None:
    spoiled = RESULT[:at] if cut else RESULT[:at] + bytes([RESULT[at] ^ flip]) + RESULT[at + 1 :]
    with pytest.raises(TraceError):
        load_result(spoiled, MODEL, 5, TRACE.root)
