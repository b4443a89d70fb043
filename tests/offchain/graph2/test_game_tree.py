"""The game's nodes: one tree of sixteen children from the commitment down to every leaf."""

import numpy as np
import pytest

from headrace.graph.errors import TraceError
from headrace.graph2 import builders as ops
from headrace.graph2 import game_tree, quads
from headrace.graph2 import trace as traces
from headrace.graph2.claimed import ClaimedTrace
from headrace.graph2.game_tree import GameNode, Learned, Shape, Unknown, WrongLeaf, WrongPad
from headrace.graph2.model import GraphBuilder, Model
from headrace.graph2.opcodes import Opcode
from headrace.graph2.quads import ZEROS
from tests.graph2.random_graphs import Case, case_of


def chain(steps: int, rows: int) -> Model:
    """A model of `steps` AFFINEs on `rows` rows of 100 int16: two rows to a leaf."""
    graph = GraphBuilder(rows, 100, 2)
    x = graph.input
    for _ in range(steps):
        x = graph.add(ops.affine(x, size=2))
    return graph.build(4)


def case(steps: int, rows: int, units: int = 1) -> Case:
    model = chain(steps, rows)
    rng = np.random.default_rng(steps)
    tensor = rng.integers(-(1 << 15), 1 << 15, (rows * units, 100)).astype(np.int16)
    return Case(model, tensor, units)


def used_below(shape: Shape, node: GameNode) -> list[GameNode]:
    """All used nodes below one, and itself."""
    found = [node]
    if not node.remaining:
        return found
    for index in range(16):
        child = shape.child(node, index)
        if shape.is_used(child):
            found += used_below(shape, child)
    return found


@pytest.mark.parametrize(
    ("steps", "rows", "levels"), [(1, 1, 0), (1, 40, 2), (2, 1, 1), (3, 40, 3), (17, 34, 4)]
)
def test_every_leaf_is_reached_once_and_everything_folds(steps, rows, levels):
    one = case(steps, rows)
    trace = traces.run(one.model, one.tensor)
    shape = Shape(one.model, one.units)
    nodes = used_below(shape, shape.commitment)
    leaves = [node for node in nodes if shape.is_leaf(node)]
    count = one.model.operators[0].out.leaves(1)
    assert sorted((node.operator, node.place) for node in leaves) == [
        (operator, number) for operator in range(steps) for number in range(count)
    ]
    assert {shape.level(node) for node in leaves} == {levels}
    assert game_tree.hash_of(trace, shape.commitment) == trace.root
    assert shape.level(shape.commitment) == 0
    for node in nodes:
        if shape.is_leaf(node):
            assert game_tree.leaf_of(trace, node) == trace.leaf(node.operator, node.place)
            continue
        children = game_tree.children_of(trace, node)
        assert quads.fold(children) == game_tree.hash_of(trace, node)
        for index in range(16):
            child = shape.child(node, index)
            assert shape.level(child) == shape.level(node) + 1
            assert children[index] == game_tree.hash_of(trace, child)
            proof = game_tree.child_proof(children, index)
            assert quads.climb(children[index], index, proof) == game_tree.hash_of(trace, node)
            if not shape.is_used(child):
                assert children[index] == ZEROS[2 * child.remaining]


def test_most_moves_are_the_models_levels():
    for steps, rows, units in ((1, 1, 1), (3, 40, 4), (17, 34, 2)):
        one = case(steps, rows, units)
        shape = Shape(one.model, one.units)
        deepest = max(
            shape.level(node) for node in used_below(shape, shape.commitment) if shape.is_leaf(node)
        )
        # the leaf's bytes are one move more
        assert deepest + 1 <= one.model.levels
    full = Shape(chain(3, 40), 4)
    nodes = used_below(full, full.commitment)
    assert max(full.level(node) for node in nodes) + 1 == full.model.levels


def test_nodes_as_the_contract_takes_them():
    one = case(17, 34)
    trace = traces.run(one.model, one.tensor)
    shape = Shape(one.model, one.units)
    leaf_bytes = one.model.operators[0].out.leaf_bytes
    top = shape.commitment
    assert shape.describe(top, trace.root) == (0, 17, 0, 2, 17, 0, trace.root)
    group = shape.child(top, 1)
    assert shape.describe(group, b"g") == (1, 17, 1, 1, 17, 0, b"g")
    tensor = shape.child(group, 0)
    assert shape.describe(tensor, b"t") == (2, 16, 0, 2, 17, leaf_bytes, b"t")
    unused = shape.child(group, 1)
    assert shape.describe(unused, b"u") == (2, 17, 17, 0, 17, 0, b"u")
    assert not shape.is_used(unused)
    assert not shape.is_leaf(unused)
    leaf = shape.child(shape.child(tensor, 1), 0)
    assert shape.describe(leaf, b"l") == (4, 16, 16, 0, 17, leaf_bytes, b"l")
    assert shape.is_leaf(leaf)
    for node in (leaf, unused):
        with pytest.raises(TraceError, match="no children"):
            shape.child(node, 0)
    with pytest.raises(TraceError, match="isn't a leaf"):
        game_tree.leaf_of(trace, tensor)


def lie_at(one: Case, operator: int, row: int) -> traces.Trace:
    right = traces.run(one.model, one.tensor)
    changed = right.tensors[operator].copy()
    changed[row, 7] ^= 1
    return traces.continue_from(one.model, one.tensor, right.replace(operator, changed), operator)


def test_a_game_leads_to_the_first_wrong_leaf_by_one_node_a_level():
    one = case(17, 34)
    right = traces.run(one.model, one.tensor)
    lie = lie_at(one, 3, 33)
    learned = Learned(right, lie.root)
    asked = []
    while isinstance(found := learned.first(), Unknown):
        asked.append(learned.shape.level(found.node))
        if learned.shape.is_leaf(found.node):
            learned.learn_leaf(found.node, game_tree.leaf_of(lie, found.node))
        else:
            learned.learn_children(found.node, game_tree.children_of(lie, found.node))
    assert asked == [0, 1, 2, 3, 4]
    assert found == WrongLeaf(3, 16)
    assert learned.preimage(3, 16) == lie.preimage(3, 16)
    # Whatever comes before it is the right trace's, on every level of four.
    for operator in range(4):
        for level in range(5):
            assert learned.node(operator, level, 0) == lie.node(operator, level, 0)
    assert learned.preimage(3, 15) == right.preimage(3, 15)
    # What comes after it is only known as far as it was told.
    assert learned.node(17, 0, 4) == lie.node(17, 0, 4)
    with pytest.raises(TraceError, match="isn't known"):
        learned.node(4, 0, 16)
    with pytest.raises(TraceError, match="isn't known"):
        learned.preimage(4, 16)


def test_an_honest_commitment_leads_nowhere():
    one = case(3, 40)
    right = traces.run(one.model, one.tensor)
    learned = Learned(right, right.root)
    assert learned.first() is None
    assert learned.preimage(2, 19) == right.preimage(2, 19)


def test_answers_that_are_none_are_refused():
    one = case(3, 40)
    right = traces.run(one.model, one.tensor)
    lie = lie_at(one, 1, 20)
    learned = Learned(right, lie.root)
    top = learned.shape.commitment
    children = game_tree.children_of(lie, top)
    for bad in (children[:15], (*children, bytes(32)), (children[1], *children[1:])):
        with pytest.raises(ValueError, match="children"):
            learned.learn_children(top, bad)
    # below a node that nobody has told of yet
    tensor = learned.shape.child(top, 1)
    with pytest.raises(ValueError, match="children"):
        learned.learn_children(tensor, game_tree.children_of(lie, tensor))
    learned.learn_children(top, children)
    learned.learn_children(tensor, game_tree.children_of(lie, tensor))
    branch = learned.shape.child(tensor, 0)
    learned.learn_children(branch, game_tree.children_of(lie, branch))
    leaf = learned.shape.child(branch, 10)
    assert learned.first() == Unknown(leaf)
    with pytest.raises(ValueError, match="bytes"):
        learned.learn_leaf(leaf, right.leaf(1, 10))
    with pytest.raises(ValueError, match="bytes"):
        learned.learn_leaf(branch, lie.leaf(1, 10))
    learned.learn_leaf(leaf, lie.leaf(1, 10))
    assert learned.first() == WrongLeaf(1, 10)


@pytest.mark.parametrize(
    ("place", "met"),
    [
        ((17, 0, 17), (17, 0, 17)),
        ((17, 2, 2), (17, 2, 2)),
        ((2, 0, 17), (2, 0, 17)),
        ((2, 2, 15), (2, 2, 15)),
        ((2, 0, 255), (2, 2, 15)),
    ],
)
def test_padding_is_met_where_the_game_comes_upon_it(place, met):
    one = case(17, 34)
    right = traces.run(one.model, one.tensor)
    claim = ClaimedTrace(right, pads={place: b"\3" * 32})
    learned = Learned(right, claim.root)
    while isinstance(found := learned.first(), Unknown):
        learned.learn_children(found.node, game_tree.children_of(claim, found.node))
    assert found == WrongPad(met)


def test_a_commitment_that_is_no_tree_at_all_stays_unknown():
    one = case_of(Opcode.AFFINE, 4)
    learned = Learned(traces.run(one.model, one.tensor), b"\1" * 32)
    assert learned.first() == Unknown(learned.shape.commitment)
    with pytest.raises(TraceError):
        learned.preimage(0, 0)
