"""Every lie is found where it begins, and its proof is what a second reader of the page makes.

`prover` (tests/graph2/onchain) shares no code with the package's trees, positions and openings.
"""

import numpy as np
import pytest

from headrace.graph.errors import InputError, TraceError
from headrace.graph2 import faults, game_tree, quads, reference
from headrace.graph2 import trace as traces
from headrace.graph2.check import Facts, check
from headrace.graph2.claimed import ClaimedTrace, leaf_count, tree_depth
from headrace.graph2.faults import FaultBuilder, FaultKind, Finding, examine
from headrace.graph2.game_tree import Learned, Unknown
from headrace.graph2.opcodes import Opcode
from headrace.graph2.quads import ZEROS
from tests.graph2.onchain import prover
from tests.graph2.planted_lies import KINDS, Liar
from tests.graph2.random_graphs import Case, case_of, random_case

OPCODES = list(Opcode)


def told(case: Case, claim: ClaimedTrace) -> Learned:
    """What a game for the first wrong byte brings to light, its claimant answering everything."""
    learned = Learned(traces.run(case.model, case.tensor), claim.root)
    for _ in range(20):
        found = learned.first()
        if not isinstance(found, Unknown):
            return learned
        if learned.shape.is_leaf(found.node):
            learned.learn_leaf(found.node, game_tree.leaf_of(claim, found.node))
        else:
            learned.learn_children(found.node, game_tree.children_of(claim, found.node))
    raise AssertionError("the game doesn't end")


def lied(case: Case, operator: int, row: int, column: int, *, consistent: bool) -> traces.Trace:
    """The right trace with one element changed, and maybe all that follows from it."""
    right = traces.run(case.model, case.tensor)
    tensor = right.tensors[operator].copy()
    view = case.model.operators[operator].out
    tensor[row, column] = view.low if tensor[row, column] != view.low else view.high
    changed = right.replace(operator, tensor)
    if consistent:
        return traces.continue_from(case.model, case.tensor, changed, operator)
    return changed


def shown(case: Case, commitment: bytes, proof: faults.Proof):
    """What the contract's twin makes of a proof."""
    input_id = quads.tensor_root(case.model.input, case.tensor)
    return check(Facts.of(case.model, case.units, input_id, commitment), proof)


def convicted(case: Case, claim, fault: faults.Fault) -> bool:
    """Whether the contract's twin says of a fault what the fault says."""
    told = (True, fault.kind, fault.claimed, fault.right)
    return shown(case, claim.root, fault.proof) == told


def second_reading(case: Case, trace: traces.Trace) -> prover.Claimed:
    """The same claim in the other encoder."""
    return prover.Claimed.of(case.model, case.tensor, trace.tensors)


@pytest.mark.parametrize("opcode", OPCODES, ids=lambda opcode: opcode.name.lower())
@pytest.mark.parametrize("seed", range(6))
def test_a_lie_is_found_where_it_begins_and_its_proof_is_the_second_readers(opcode, seed):
    case = case_of(opcode, seed, wide=seed == 5)
    rng = np.random.default_rng(seed)
    operator = case.model.op_count - 1 if seed % 2 else int(rng.integers(case.model.op_count))
    op = case.model.operators[operator]
    row, column = int(rng.integers(op.out.rows * case.units)), int(rng.integers(op.out.width))
    trace = lied(case, operator, row, column, consistent=bool(seed % 3))
    other = second_reading(case, trace)
    assert trace.root == other.commitment
    examined = examine(case.model, case.tensor, trace.root, trace)
    assert examined.finding is Finding.FAULT
    fault = examined.fault
    assert fault.op_index == operator
    right = int(examined.right.tensors[operator][row, column])
    if op.opcode == Opcode.ARGMAX:
        assert (fault.kind, fault.row) == (FaultKind.WITNESS, row * op.out.width + column)
        assert fault.proof == other.witness(operator, fault.row, right)
    else:
        assert (fault.kind, fault.row, fault.column) == (FaultKind.ELEMENT, row, column)
        assert fault.proof == other.element(operator, row, column)
    assert (fault.claimed, fault.right) == (int(trace.tensors[operator][row, column]), right)
    assert convicted(case, trace, fault)
    # What a game tells is enough for the same proof.
    learned = told(case, ClaimedTrace(trace))
    assert examine(case.model, case.tensor, trace.root, learned).fault == fault


@pytest.mark.parametrize("seed", range(12))
def test_every_element_of_an_honest_trace_can_be_shown(seed):
    case = random_case(500 + seed, steps=10, wide=seed % 4 == 0)
    trace = traces.run(case.model, case.tensor)
    other = second_reading(case, trace)
    builder = FaultBuilder(case.model, case.tensor, trace)
    rng = np.random.default_rng(seed)
    for operator, op in enumerate(case.model.operators):
        row, column = int(rng.integers(op.out.rows * case.units)), int(rng.integers(op.out.width))
        value = int(trace.tensors[operator][row, column])
        assert builder.value(op.out.at(operator + 1), row, column) == value
        assert builder.recompute(operator, row, column) == value
        if op.opcode == Opcode.ARGMAX:
            with pytest.raises(ValueError, match="witness"):
                builder.prove_at(operator, row, column)
        else:
            proof = builder.prove_at(operator, row, column)
            assert proof == other.element(operator, row, column)
            assert shown(case, trace.root, proof) == (False, FaultKind.ELEMENT, value, value)


@pytest.mark.parametrize("seed", range(8))
def test_no_witness_beats_the_right_index(seed):
    case = case_of(Opcode.ARGMAX, seed)
    operator = case.model.op_count - 1
    op = case.model.operators[operator]
    trace = traces.run(case.model, case.tensor)
    builder = FaultBuilder(case.model, case.tensor, trace)
    for row in {0, op.a.rows * case.units - 1}:
        for witness in {0, op.a.width // 2, op.a.width - 1}:
            fault = builder.witness(operator, row, witness)
            assert not shown(case, trace.root, fault.proof).is_fault


def test_what_is_recomputed_is_computed_from_the_claimed_elements():
    case = case_of(Opcode.LUT8, 3)
    operator = case.model.op_count - 1
    op = case.model.operators[operator]
    trace = traces.run(case.model, case.tensor)
    source = op.a.tensor - 1
    assert source >= 0
    values = trace.tensors[source].copy()
    values[0, 0] ^= 0x55
    claim = ClaimedTrace(trace.replace(source, values))
    made = FaultBuilder(case.model, case.tensor, claim).recompute(operator, 0, 0)
    tensors = [case.tensor.tolist(), *(tensor.tolist() for tensor in claim.base.tensors)]
    assert made == reference.element(op, tensors, 0, 0) == int(op.table[int(values[0, 0]) + 128])


@pytest.mark.parametrize("seed", range(4))
def test_every_changed_byte_of_every_leaf_is_provable(seed):
    case = random_case(900 + seed, steps=3)
    right = traces.run(case.model, case.tensor)
    kinds = set()
    for operator, op in enumerate(case.model.operators):
        for number in range(min(op.out.leaves(case.units), 6)):
            leaf = right.leaf(operator, number)
            for byte in range(0, len(leaf), 7):
                changed = bytearray(leaf)
                changed[byte] ^= 1 << byte % 8
                claim = ClaimedTrace(right, {(operator, number): b"\0" + bytes(changed)})
                examined = examine(case.model, case.tensor, claim.root, claim, right=right)
                fault = examined.fault
                assert fault.op_index == operator
                other = second_reading(case, right)
                other.put_leaf(operator + 1, number, bytes(changed))
                assert other.commitment == claim.root
                assert convicted(case, claim, fault)
                kinds.add(fault.kind)
                if fault.kind is FaultKind.PADDING:
                    assert (fault.row, fault.column) == (number, byte)
                    assert (fault.claimed, fault.right) == (changed[byte], leaf[byte])
                    assert fault.proof == other.padding(operator, number, byte)
                elif fault.kind is FaultKind.ELEMENT:
                    assert op.out.leaf_of(fault.row, fault.column) == number
                    assert fault.claimed != fault.right
                    assert fault.proof == other.element(operator, fault.row, fault.column)
                else:
                    better = fault.proof.column
                    assert fault.proof == other.witness(operator, fault.row, better)
    assert FaultKind.PADDING in kinds


@pytest.mark.parametrize(
    "preimage",
    [b"", b"\0", b"\1" + bytes(63), b"\0" * 2_049],
    ids=["empty", "short", "other prefix", "longest that can be shown"],
)
def test_a_leaf_of_another_form_is_provable(preimage):
    case = case_of(Opcode.AFFINE, 1)
    right = traces.run(case.model, case.tensor)
    claim = ClaimedTrace(right, {(1, 0): preimage})
    fault = examine(case.model, case.tensor, claim.root, claim).fault
    assert (fault.kind, fault.op_index, fault.row) == (FaultKind.LEAF_FORM, 1, 0)
    assert fault.claimed == len(preimage)
    assert fault.right == 1 + case.model.operators[1].out.leaf_bytes
    other = second_reading(case, right)
    other.put_leaf(2, 0, preimage[1:], prefix=preimage[:1])
    assert fault.proof == other.leaf_form(1, 0, preimage)
    assert convicted(case, claim, fault)
    # Nobody can answer with such bytes: it falls by silence.
    learned = Learned(right, claim.root)
    while not learned.shape.is_leaf(learned.first().node):
        node = learned.first().node
        learned.learn_children(node, game_tree.children_of(claim, node))
    with pytest.raises(TraceError, match="form"):
        game_tree.leaf_of(claim, learned.first().node)


def test_a_preimage_too_long_to_be_shown_is_withheld_data():
    case = case_of(Opcode.AFFINE, 1)
    right = traces.run(case.model, case.tensor)
    claim = ClaimedTrace(right, {(1, 0): bytes(2_050)})
    examined = examine(case.model, case.tensor, claim.root, claim)
    assert (examined.finding, examined.fault) == (Finding.WITHHELD, None)


def pad_places(case: Case):
    """A padding node of every tree and level that has one."""
    model = case.model
    for operator in range(model.op_count + 1):
        depth = tree_depth(model, case.units, operator)
        count = leaf_count(model, case.units, operator)
        for level in range(depth):
            first = -(-count // 4**level)
            for index in {first, 4 ** (depth - level) - 1}:
                if index < 4 ** (depth - level) and index * 4**level >= count:
                    yield operator, level, index


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_a_wrong_padding_node_is_provable(seed):
    case = random_case(seed, steps=6)
    right = traces.run(case.model, case.tensor)
    levels = set()
    for operator, level, index in pad_places(case):
        levels.add((operator == case.model.op_count, level))
        node = b"\7" * 32
        claim = ClaimedTrace(right, pads={(operator, level, index): node})
        fault = examine(case.model, case.tensor, claim.root, claim, right=right).fault
        assert (fault.kind, fault.op_index) == (FaultKind.PAD_NODE, operator)
        assert (fault.row, fault.column) == (index, level)
        other = second_reading(case, right)
        if operator == case.model.op_count:
            other.top.put(level, index, node)
        else:
            other.put_node(operator + 1, level, index, node)
        assert (other.commitment, fault.proof) == (
            claim.root,
            other.pad_node(operator, level, index),
        )
        assert convicted(case, claim, fault)
        if level % 2:
            continue
        # The game may come upon it from above, by a larger node that is padding as a whole.
        met = examine(case.model, case.tensor, claim.root, told(case, claim)).fault
        assert (met.kind, met.op_index) == (FaultKind.PAD_NODE, operator)
        assert convicted(case, claim, met)
        assert index >> 2 * (met.column - level) == met.row
    assert (True, 0) in levels
    assert (False, 0) in levels


def test_zero_padding_put_by_hand_is_no_fault():
    case = random_case(1, steps=6)
    right = traces.run(case.model, case.tensor)
    places = {place: ZEROS[place[1]] for place in list(pad_places(case))[:1]}
    claim = ClaimedTrace(right, pads=places)
    assert examine(case.model, case.tensor, claim.root, claim).finding is Finding.HONEST


def test_honest_missing_and_foreign_claims():
    case = case_of(Opcode.MATMUL, 0)
    right = traces.run(case.model, case.tensor)
    wrong = lied(case, 0, 0, 0, consistent=True)
    look = faults.examine
    assert look(case.model, case.tensor, right.root, None).finding is Finding.HONEST
    assert look(case.model, case.tensor, right.root, wrong).finding is Finding.HONEST
    assert look(case.model, case.tensor, wrong.root, None).finding is Finding.WITHHELD
    assert look(case.model, case.tensor, wrong.root, right).finding is Finding.WITHHELD
    assert look(case.model, case.tensor, b"\1" * 32, wrong).finding is Finding.WITHHELD
    started = Learned(right, wrong.root)
    assert look(case.model, case.tensor, wrong.root, started).finding is Finding.WITHHELD
    units = 1 if case.units > 1 else 2
    fewer = np.resize(case.tensor, (case.model.input.rows * units, case.model.input.width))
    foreign = traces.run(case.model, fewer.astype(case.tensor.dtype))
    assert look(case.model, case.tensor, foreign.root, foreign).finding is Finding.WITHHELD
    with pytest.raises(InputError):
        look(case.model, case.tensor[:, :0], right.root, None)


def test_claims_of_impossible_places_are_refused():
    case = case_of(Opcode.MATMUL, 0)
    right = traces.run(case.model, case.tensor)
    count = case.model.op_count
    depth = tree_depth(case.model, case.units, count)
    leaves = case.model.operators[0].out.leaves(case.units)
    for bad in ({(count, 0): b""}, {(0, leaves): b""}, {(-1, 0): b""}, {(0, -1): b""}):
        with pytest.raises(TraceError, match="no leaf"):
            ClaimedTrace(right, bad)
    for place, text in (
        ((count, 0, 4**depth), "no node"),
        ((count, 0, count - 1), "isn't padding"),
        ((count + 1, 0, 0), "no node"),
        ((count, depth + 1, 0), "no node"),
    ):
        with pytest.raises(TraceError, match=text):
            ClaimedTrace(right, pads={place: bytes(32)})
    with pytest.raises(TraceError, match="no node"):
        ClaimedTrace(right, pads={(count, 0, count): bytes(31)})
    with pytest.raises(TraceError, match="under another"):
        ClaimedTrace(right, pads={(count, 0, 15): bytes(32), (count, 1, 3): bytes(32)})


@pytest.mark.parametrize("kind", KINDS)
def test_planted_lies_of_every_kind_fall(kind):
    planted = 0
    for seed in range(12):
        case = random_case(2_000 + seed, steps=9)
        right = traces.run(case.model, case.tensor)
        liar = Liar(case.model, case.tensor, right, seed)
        for operator in range(0, case.model.op_count, 2):
            lie = liar.tell(kind, operator, consistent=bool(operator % 4))
            if lie.root == right.root:  # by chance the truth
                continue
            planted += 1
            fault = examine(case.model, case.tensor, lie.root, lie, right=right).fault
            assert kind == "other_input" or fault.op_index == operator
            assert convicted(case, lie, fault)
    assert planted > 20
