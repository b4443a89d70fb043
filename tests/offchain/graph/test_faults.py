"""Every lie is convicted by its proof alone; nothing honest ever is."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.graph import trace as traces
from headrace.graph.check import ClaimFacts, NotProven, check
from headrace.graph.claimed import ClaimedTrace
from headrace.graph.encoding import Int8, padded
from headrace.graph.errors import InputError, TraceError
from headrace.graph.faults import (
    MAX_PREIMAGE,
    Examination,
    Fault,
    FaultBuilder,
    FaultKind,
    Finding,
    examine,
)
from headrace.graph.merkle import ZEROS, depth, keccak
from headrace.graph.model import Model, Opcode, Operator
from headrace.graph.tensors import tensor_root
from headrace.graph.trace import Trace
from tests.offchain.graph import randoms


def small_model() -> Model:
    """3 rows, 3 operators: pads in every tree; an ARGMAX in the middle that a MATMUL reads."""
    rng = np.random.default_rng(7)
    return Model.of(
        [
            randoms.matmul(rng, 0, 3, 33),
            Operator.argmax(1, 33),
            Operator.matmul(2, [[1], [-2]], [3, 4], [1 << 30] * 2, [30] * 2),
        ],
        3,
        3,
    )


def small_input() -> Int8:
    return np.array([[1, -2, 3], [-128, 127, 0], [5, 5, 5]], np.int8)


def facts(model: Model, tensor: Int8, commitment: bytes) -> ClaimFacts:
    return ClaimFacts.of(model, tensor.shape[0], tensor_root(tensor), commitment)


def convict(model: Model, tensor: Int8, claimed: ClaimedTrace) -> Fault:
    """Find the fault and let its own proof, and nothing else, convict."""
    found = examine(model, tensor, claimed.root, claimed)
    assert found.finding is Finding.FAULT
    assert found.fault is not None
    fault = found.fault
    shown = check(facts(model, tensor, claimed.root), fault.function, fault.arguments)
    assert shown == (
        fault.kind,
        fault.op_index,
        fault.row,
        fault.column,
        fault.claimed,
        fault.right,
    )
    return fault


def with_leaf(trace: Trace, operator: int, row: int, preimage: bytes) -> ClaimedTrace:
    leaves = [list(tensor) for tensor in traces.preimages(trace)]
    leaves[operator][row] = preimage
    return ClaimedTrace(trace.model, tuple(tuple(tensor) for tensor in leaves))


def honest_proofs(model: Model, tensor: Int8, trace: Trace) -> Iterator[Fault]:
    """Every proof that anybody could try against the trace."""
    builder = FaultBuilder(model, tensor, ClaimedTrace.of(trace))
    for index, operator in enumerate(model.operators):
        for row in range(trace.units):
            yield builder.leaf_form(index, row)
            for column in range(operator.width_out, padded(operator.width_out)):
                yield builder.padding(index, row, column)
            if operator.opcode == Opcode.ARGMAX:
                for witness in range(operator.width_in):
                    yield builder.witness(index, row, witness)
            else:
                for column in range(operator.width_out):
                    yield builder.element(index, row, column, 0)
    for index in range(model.op_count + 1):
        count = model.op_count if index == model.op_count else trace.units
        for level in range(depth(count) + 1):
            for place in range(1 << (depth(count) - level)):
                yield builder.pad_node(index, level, place)


def test_an_honest_trace_is_never_convicted() -> None:
    rng = np.random.default_rng(11)
    cases = [(small_model(), small_input())] + [randoms.case(rng, most_units=3) for _ in range(12)]
    tried = 0
    for model, tensor in cases:
        trace = traces.run(model, tensor)
        assert examine(model, tensor, trace.root, None).finding is Finding.HONEST
        known = facts(model, tensor, trace.root)
        for fault in honest_proofs(model, tensor, trace):
            with pytest.raises(NotProven):
                check(known, fault.function, fault.arguments)
            tried += 1
    assert tried > 2_000


def test_every_byte_of_a_trace_convicts_when_changed() -> None:
    model, tensor = small_model(), small_input()
    trace = traces.run(model, tensor)
    rng = np.random.default_rng(3)
    kinds: dict[FaultKind, int] = {}
    for operator, rows in enumerate(trace.rows):
        for row, data in enumerate(rows):
            for column, byte in enumerate(data):
                for other in {byte ^ 1, byte ^ 0x80, int(rng.integers(256))} - {byte}:
                    lie = ClaimedTrace.of(trace.replace(operator, row, column, other))
                    fault = convict(model, tensor, lie)
                    assert (fault.op_index, fault.row) == (operator, row)
                    assert fault.column == column
                    assert (fault.claimed, fault.right) == (other - 128, byte - 128)
                    kinds[fault.kind] = kinds.get(fault.kind, 0) + 1
    widths = [33, 1, 2]
    assert kinds[FaultKind.WITNESS] >= 3 * 2
    assert kinds[FaultKind.ELEMENT] >= 3 * 2 * (33 + 2)
    assert kinds[FaultKind.PADDING] >= 3 * 2 * sum(padded(width) - width for width in widths)


def test_random_lies_with_a_consistent_rest_convict_at_the_lie() -> None:
    rng = np.random.default_rng(5)
    for _ in range(150):
        model, tensor = randoms.case(rng)
        trace = traces.run(model, tensor)
        operator = int(rng.integers(model.op_count))
        row = int(rng.integers(trace.units))
        column = int(rng.integers(model.operators[operator].width_out))
        byte = (trace.rows[operator][row][column] + int(rng.integers(1, 256))) % 256
        changed = trace.replace(operator, row, column, byte)
        lie = traces.continue_from(model, tensor, changed, operator)
        fault = convict(model, tensor, ClaimedTrace.of(lie))
        assert (fault.op_index, fault.row, fault.column) == (operator, row, column)
        assert fault.right == trace.rows[operator][row][column] - 128


@pytest.mark.parametrize("claimed", [-128, -1, 33, 127])
def test_an_argmax_that_is_no_index(claimed: int) -> None:
    model, tensor = small_model(), small_input()
    trace = traces.run(model, tensor)
    lie = trace.replace(1, 2, 0, claimed + 128)
    fault = convict(model, tensor, ClaimedTrace.of(lie))
    assert (fault.kind, fault.claimed) == (FaultKind.WITNESS, claimed)


def test_a_tie_is_won_by_the_least_index_only() -> None:
    model = Model.of([Operator.argmax(0, 4)], 4, 1)
    tensor = np.array([[9, 1, 9, 9]], np.int8)
    lie = ClaimedTrace.of(traces.run(model, tensor).replace(0, 0, 0, 128 + 2))
    assert convict(model, tensor, lie).right == 0
    known = facts(model, tensor, lie.root)
    late = FaultBuilder(model, tensor, lie).witness(0, 0, 3)
    with pytest.raises(NotProven, match="no better"):
        check(known, late.function, late.arguments)
    beyond = FaultBuilder(model, tensor, lie).witness(0, 0, 4)
    with pytest.raises(NotProven, match="no such witness"):
        check(known, beyond.function, beyond.arguments)


def test_leaves_of_the_wrong_form() -> None:
    model, tensor = small_model(), small_input()
    trace = traces.run(model, tensor)
    right = b"\x00" + trace.rows[0][1]
    for preimage in (
        b"",
        b"\x00",
        right[:-1],
        right + b"\x80",
        right + bytes([128] * 32),
        b"\x01" + right[1:],
        right[1:],
        bytes(64),
        b"\x00" * MAX_PREIMAGE,
    ):
        fault = convict(model, tensor, with_leaf(trace, 0, 1, preimage))
        assert (fault.kind, fault.op_index, fault.row) == (FaultKind.LEAF_FORM, 0, 1)
        assert (fault.claimed, fault.right) == (len(preimage), 65)


def test_a_leaf_too_long_for_calldata_counts_as_withheld() -> None:
    model, tensor = small_model(), small_input()
    lie = with_leaf(traces.run(model, tensor), 0, 1, bytes(MAX_PREIMAGE + 1))
    found = examine(model, tensor, lie.root, lie)
    assert (found.finding, found.fault) == (Finding.WITHHELD, None)


@pytest.mark.parametrize("place", [(0, 0, 3), (2, 0, 3), (3, 0, 3)])
def test_pad_nodes_that_are_not_zero(place: tuple[int, int, int]) -> None:
    model, tensor = small_model(), small_input()
    leaves = traces.preimages(traces.run(model, tensor))
    fault = convict(model, tensor, ClaimedTrace(model, leaves, {place: keccak(b"junk")}))
    assert (fault.kind, fault.op_index) == (FaultKind.PAD_NODE, place[0])


def test_pad_nodes_on_higher_levels() -> None:
    model = Model.of([Operator.argmax(0, 3) for _ in range(9)], 3, 256)
    tensor = np.zeros((9, 3), np.int8)
    leaves = traces.preimages(traces.run(model, tensor))
    for place in ((4, 2, 3), (4, 1, 5), (4, 0, 9), (9, 2, 3), (9, 1, 5), (9, 0, 15)):
        fault = convict(model, tensor, ClaimedTrace(model, leaves, {place: keccak(b"junk")}))
        assert fault.arguments[:3] == place


def test_a_pad_override_that_changes_nothing_is_honest() -> None:
    model, tensor = small_model(), small_input()
    leaves = traces.preimages(traces.run(model, tensor))
    same = ClaimedTrace(model, leaves, {(0, 0, 3): ZEROS[0]})
    assert examine(model, tensor, same.root, same).finding is Finding.HONEST


@pytest.mark.parametrize(
    ("pads", "message"),
    [
        ({(0, 0, 2): bytes(32)}, "isn't padding"),
        ({(0, 1, 1): bytes(32)}, "isn't padding"),
        ({(0, 0, 4): bytes(32)}, "no node"),
        ({(4, 0, 3): bytes(32)}, "no node"),
        ({(0, 3, 0): bytes(32)}, "no node"),
        ({(0, 0, 3): b"short"}, "no node"),
    ],
)
def test_pads_that_cannot_be(pads: dict[tuple[int, int, int], bytes], message: str) -> None:
    model = small_model()
    leaves = traces.preimages(traces.run(model, small_input()))
    with pytest.raises(TraceError, match=message):
        ClaimedTrace(model, leaves, pads)


def test_a_pad_under_another_is_refused() -> None:
    model = Model.of([Operator.argmax(0, 3)], 3, 256)
    leaves = traces.preimages(traces.run(model, np.zeros((5, 3), np.int8)))
    with pytest.raises(TraceError, match="under another"):
        ClaimedTrace(model, leaves, {(0, 1, 3): bytes(32), (0, 0, 6): bytes(32)})


def test_withheld_when_nothing_or_something_else_is_shown() -> None:
    model, tensor = small_model(), small_input()
    trace = traces.run(model, tensor)
    lie = trace.replace(0, 0, 0, trace.rows[0][0][0] ^ 1)
    other = ClaimedTrace.of(trace.replace(0, 0, 1, trace.rows[0][0][1] ^ 1))
    fewer = ClaimedTrace.of(traces.run(model, tensor[:2]))
    for shown in (None, other, ClaimedTrace.of(trace), fewer):
        found = examine(model, tensor, lie.root, shown)
        assert (found.finding, found.fault) == (Finding.WITHHELD, None)
    assert examine(model, tensor, fewer.root, fewer).finding is Finding.WITHHELD


def test_an_input_of_the_wrong_width_is_the_requesters_fault() -> None:
    model = small_model()
    with pytest.raises(InputError):
        examine(model, np.zeros((1, 4), np.int8), bytes(32), None)


def lie_of(kind: FaultKind) -> tuple[Model, Int8, ClaimedTrace]:
    model, tensor = small_model(), small_input()
    trace = traces.run(model, tensor)
    leaves = traces.preimages(trace)
    if kind is FaultKind.PAD_NODE:
        return model, tensor, ClaimedTrace(model, leaves, {(1, 0, 3): keccak(b"junk")})
    if kind is FaultKind.LEAF_FORM:
        return model, tensor, with_leaf(trace, 1, 2, bytes(70))
    operator, column = {
        FaultKind.ELEMENT: (2, 1),
        FaultKind.WITNESS: (1, 0),
        FaultKind.PADDING: (0, 40),
    }[kind]
    byte = trace.rows[operator][2][column] ^ 1
    return model, tensor, ClaimedTrace.of(trace.replace(operator, 2, column, byte))


def tampered(value: object, data: st.DataObject) -> object:
    """Change one thing somewhere in nested arguments."""
    if isinstance(value, int):
        return data.draw(st.integers(0, 300).filter(lambda other: other != value))
    if isinstance(value, bytes):
        if not value:
            return b"\x00"
        at = data.draw(st.integers(0, len(value) - 1))
        flipped = bytes([value[at] ^ data.draw(st.integers(1, 255))])
        return data.draw(
            st.sampled_from([value[:at] + flipped + value[at + 1 :], value[:-1], value + b"\x80"])
        )
    assert isinstance(value, tuple)
    if not value:
        return (bytes(32),)
    if all(isinstance(item, bytes) and len(item) == 32 for item in value) and data.draw(
        st.booleans()
    ):
        return data.draw(st.sampled_from([value[:-1], (*value, bytes(32)), value[::-1]]))
    at = data.draw(st.integers(0, len(value) - 1))
    changed = (*value[:at], tampered(value[at], data), *value[at + 1 :])
    return type(value)(*changed) if hasattr(value, "_fields") else changed


@settings(max_examples=250, deadline=None)
@given(kind=st.sampled_from(FaultKind), data=st.data())
def test_a_proof_with_anything_changed_convicts_nothing_else(
    kind: FaultKind, data: st.DataObject
) -> None:
    """A changed proof fails, or shows the same lie with another witness."""
    model, tensor, lie = lie_of(kind)
    fault = convict(model, tensor, lie)
    arguments = tampered(fault.arguments, data)
    assert isinstance(arguments, tuple)
    if arguments == fault.arguments:
        return
    try:
        shown = check(facts(model, tensor, lie.root), fault.function, arguments)
    except NotProven:
        return
    assert kind is FaultKind.WITNESS
    assert (shown.op_index, shown.row, shown.claimed) == (1, 2, fault.claimed)


@pytest.mark.parametrize("kind", list(FaultKind))
@pytest.mark.parametrize("change", ["commitment", "graph_root", "input_id"])
def test_a_proof_against_another_claim_model_or_input(kind: FaultKind, change: str) -> None:
    model, tensor, lie = lie_of(kind)
    # so that the ARGMAX's and MATMUL's lies depend on the input: their source is an operator
    fault = convict(model, tensor, lie)
    known = facts(model, tensor, lie.root)
    other = {
        "commitment": known.commitment,
        "graph_root": known.graph_root,
        "input_id": known.input_id,
    }
    other[change] = keccak(other[change])
    changed = ClaimFacts(
        other["graph_root"],
        known.op_count,
        known.input_width,
        known.units,
        other["input_id"],
        other["commitment"],
    )
    reads_input = fault.kind is FaultKind.ELEMENT and model.operators[fault.op_index].source == 0
    free_of = {
        "commitment": False,
        "graph_root": kind is FaultKind.PAD_NODE,
        "input_id": not reads_input,
    }
    if free_of[change]:
        assert check(changed, fault.function, fault.arguments).kind is kind
    else:
        with pytest.raises(NotProven, match="isn't proven"):
            check(changed, fault.function, fault.arguments)


def test_an_element_of_the_first_operator_needs_the_real_input() -> None:
    model, tensor = small_model(), small_input()
    trace = traces.run(model, tensor)
    lie = ClaimedTrace.of(trace.replace(0, 1, 5, trace.rows[0][1][5] ^ 4))
    fault = convict(model, tensor, lie)
    assert fault.kind is FaultKind.ELEMENT
    known = ClaimFacts.of(model, 3, keccak(b"another input"), lie.root)
    with pytest.raises(NotProven, match="source isn't proven"):
        check(known, fault.function, fault.arguments)


def test_what_the_registrant_got_wrong_convicts_nobody() -> None:
    """Roots are committed blindly on chain: parameters or weights out of form make a proof fail."""
    model, tensor = small_model(), small_input()
    trace = traces.run(model, tensor)
    lie = ClaimedTrace.of(trace.replace(0, 0, 0, trace.rows[0][0][0] ^ 4))
    good = convict(model, tensor, lie)
    op, row, column, source, weights, params, params_proof, output = good.arguments
    dirty = bytearray(weights.data)
    dirty[16] ^= 1  # within the mirrored padding of a row of three

    def attempt(weight_data: bytes, word: int) -> str:
        # a model whose roots really hold these: single-leaf trees keep the example short
        step = op.operator._replace(
            width_out=1,
            weight_root=keccak(b"\x00" + weight_data),
            param_root=keccak(b"\x02" + word.to_bytes(32, "big")),
        )
        single = ClaimedTrace(
            Model.of([Operator.matmul(0, [[0, 0, 0]], [0], [0], [1])], 3, 3),
            (tuple(b"\x00" + bytes([5] * 32) for _ in range(3)),),
        )
        known = ClaimFacts(step.leaf, 1, 3, 3, tensor_root(tensor), single.root)
        arguments = (
            op._replace(operator=step, proof=()),
            0,
            0,
            source,
            weights._replace(data=weight_data, proof=()),
            word,
            (),
            output._replace(data=single.row(0, 0), proof=single.row_proof(0, 0)),
        )
        try:
            return check(known, "prove_matmul", arguments).kind.name
        except NotProven as error:
            return str(error)

    zero = 1 << 31
    assert attempt(weights.data, zero << 40 | 1 << 8 | 1) == "ELEMENT"
    assert attempt(bytes(dirty), zero << 40 | 1 << 8 | 1) == "the weights' padding isn't zero"
    for word in (
        zero << 40 | 1 << 8,
        zero << 40 | 1 << 8 | 63,
        zero << 40 | 1 << 39 | 1,
        (zero + (1 << 30) + 1) << 40 | 1,
        (zero - (1 << 30) - 1) << 40 | 1,
        1 << 200 | zero << 40 | 1,
    ):
        assert attempt(weights.data, word) == "parameters break bounds"
    assert len(params_proof) == 6
    assert (row, column) == (0, 0)
    assert params == model.operators[0].params[0]


def test_the_trace_of_an_examination_is_the_right_one() -> None:
    model, tensor = small_model(), small_input()
    found: Examination = examine(model, tensor, bytes(32), None)
    assert found.right.root == traces.run(model, tensor).root
