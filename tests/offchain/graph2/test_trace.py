"""Traces: what they hold, how their roots come about, and lies made for tests."""

import numpy as np
import pytest

from headrace.graph.errors import InputError, TraceError
from headrace.graph2 import batches, numpy_backend, quads
from headrace.graph2 import trace as traces
from headrace.graph2.opcodes import Opcode
from headrace.graph2.quads import Quads, climb
from headrace.graph2.trace import Trace
from tests.graph2.random_graphs import case_of, random_case


@pytest.mark.parametrize("seed", range(6))
def test_a_run_is_the_backends_numbers_and_the_roots_over_them(seed, monkeypatch):
    if seed % 2:  # some on the other thread, whatever their size
        monkeypatch.setattr(traces, "_SMALL", 0)
    case = random_case(seed, steps=10, wide=seed == 4)
    trace = traces.run(case.model, case.tensor)
    tensors = numpy_backend.run(case.model, case.tensor)
    for one, other in zip(trace.tensors, tensors, strict=True):
        assert np.array_equal(one, other)
    assert trace.units == case.units
    again = Trace(case.model, case.units, tensors)
    roots = []
    for operator, op in enumerate(case.model.operators):
        tree = Quads(batches.plain_hashes(again.leaves(operator), b"\0"))
        assert trace.tensor_trees[operator].root == again.tensor_trees[operator].root == tree.root
        assert quads.tensor_root(op.out, tensors[operator]) == tree.root
        assert climb(tree.root, operator, trace.tensor_proof(operator)) == trace.root
        roots.append(tree.root)
        last = op.out.leaves(case.units) - 1
        assert trace.leaf(operator, last) == again.leaves(operator)[last].tobytes()
        assert trace.preimage(operator, last) == b"\0" + trace.leaf(operator, last)
        assert trace.node(operator, 0, last) == tree.node(0, last)
    assert trace.root == again.root == Quads(roots).root
    assert trace.node(case.model.op_count, 0, 0) == roots[0]


def test_one_plan_serves_many_runs():
    case = random_case(3, steps=8)
    plan = numpy_backend.Plan(case.model)
    roots = {traces.run(case.model, case.tensor, plan).root for _ in range(3)}
    assert roots == {traces.run(case.model, case.tensor).root}


def test_a_run_on_something_else_is_refused():
    case = case_of(Opcode.MATMUL)
    with pytest.raises(InputError):
        traces.run(case.model, case.tensor[:, :0])


@pytest.mark.parametrize("hashed", [False, True])
def test_replacing_a_tensor_changes_its_root_alone(hashed):
    case = random_case(7, steps=8)
    trace = Trace(case.model, case.units, numpy_backend.run(case.model, case.tensor))
    if hashed:
        assert trace.root
    changed = trace.tensors[2].copy()
    changed[0, 0] ^= 1
    lie = trace.replace(2, changed)
    same = [a.root == b.root for a, b in zip(lie.tensor_trees, trace.tensor_trees, strict=True)]
    assert same == [operator != 2 for operator in range(case.model.op_count)]
    assert lie.root == Trace(case.model, case.units, lie.tensors).root != trace.root
    assert trace.tensors[2][0, 0] != changed[0, 0]


def test_a_lie_can_be_carried_on():
    case = case_of(Opcode.AFFINE, 2)
    right = traces.run(case.model, case.tensor)
    assert traces.continue_from(case.model, case.tensor, right, 0).root == right.root
    changed = right.tensors[0].copy()
    changed[0, :] = np.where(changed[0] == 0, 1, 0)
    lie = traces.continue_from(case.model, case.tensor, right.replace(0, changed), 0)
    assert np.array_equal(lie.tensors[0], changed)
    tensors = [case.tensor, changed]
    plan = numpy_backend.Plan(case.model)
    for op in case.model.operators[1:]:
        tensors.append(plan.apply(op, tensors, case.units))
    for one, other in zip(lie.tensors[1:], tensors[2:], strict=True):
        assert np.array_equal(one, other)


def test_tensors_of_another_shape_are_no_trace():
    case = case_of(Opcode.MATMUL)
    good = traces.run(case.model, case.tensor)
    tensors = good.tensors
    with pytest.raises(TraceError, match="tensors"):
        Trace(case.model, case.units, tensors[:-1])
    for units in (0, case.model.max_units + 1):
        with pytest.raises(TraceError, match="units"):
            Trace(case.model, units, tensors)
    for bad in (tensors[-1][1:], tensors[-1].astype(np.int64), tensors[-1].ravel()):
        with pytest.raises(TraceError, match="isn't"):
            Trace(case.model, case.units, (*tensors[:-1], bad))
    with pytest.raises(IndexError):
        good.leaf(0, case.model.operators[0].out.leaves(case.units))
