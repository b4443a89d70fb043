"""One meaning: the plain Python reference, numpy with floats where they are exact, and without."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.graph2 import numpy_backend, reference
from headrace.graph2.opcodes import CONSTANT, Opcode
from headrace.graph2.operators import Operator, Params
from tests.graph2.random_graphs import MAX_UNITS, Case, case_of, random_case, random_input


def agree(case: Case) -> None:
    """Every tensor is the same by each of the three, and of its view's type."""
    expected = reference.run(case.model, case.tensor.tolist())
    for exact in (False, True):
        made = numpy_backend.Plan(case.model, exact=exact).run(case.tensor)
        for op, one, other in zip(case.model.operators, made, expected, strict=True):
            assert one.dtype == op.out.dtype
            assert one.tolist() == other, (op, exact)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(2, 14), st.booleans())
def test_random_graphs(seed, steps, wide):
    agree(random_case(seed, steps=steps, wide=wide))


@pytest.mark.parametrize("opcode", list(Opcode), ids=lambda opcode: opcode.name.lower())
def test_every_opcode(opcode):
    for seed in range(12):
        agree(case_of(opcode, seed, wide=seed % 6 == 5))


@pytest.mark.parametrize("opcode", list(Opcode), ids=lambda opcode: opcode.name.lower())
def test_every_opcode_on_the_ends_of_the_inputs_range(opcode):
    for seed in range(4):
        case = case_of(opcode, 50 + seed)
        for value in (case.model.input.low, case.model.input.high):
            agree(Case(case.model, np.full_like(case.tensor, value), case.units))


def cycles(op: Operator) -> bool:
    """Whether ADD's constant rows don't begin anew with each unit: they are counted over all."""
    return op.opcode == Opcode.ADD and op.x(1) == CONSTANT and op.out.rows % op.x(2) != 0


def test_units_do_not_touch_each_other():
    for seed in range(20):
        case = random_case(seed, steps=8)
        if any(cycles(op) for op in case.model.operators):
            continue
        rng = np.random.default_rng(seed)
        tensor = random_input(rng, case.model.input, MAX_UNITS)
        together = numpy_backend.run(case.model, tensor)
        rows = case.model.input.rows
        for unit in range(MAX_UNITS):
            alone = numpy_backend.run(case.model, tensor[unit * rows : (unit + 1) * rows])
            for op, one, all_of_them in zip(case.model.operators, alone, together, strict=True):
                first = unit * op.out.rows
                assert np.array_equal(one, all_of_them[first : first + op.out.rows])


def test_the_generator_draws_every_opcode_shape_and_extreme():
    cases = [random_case(seed, steps=12, wide=seed % 5 == 0) for seed in range(80)]
    operators = [op for case in cases for op in case.model.operators]
    assert {op.opcode for op in operators} == set(Opcode)
    assert {op.out.split for op in operators} >= {1, 4}
    assert {op.out.size for op in operators} == {1, 2, 4}
    assert {op.out.height(1) for op in operators} >= {0, 1, 2}
    params = [op.params for op in operators if isinstance(op.params, Params)]
    shifts = {int(shift) for one in params for shift in one.shift}
    assert {1, 62} <= shifts
    mults = {int(mult) for one in params for mult in one.mult}
    assert {0, 1, -1, (1 << 31) - 1, 1 - (1 << 31)} <= mults
    again = random_case(7, steps=12)
    assert again.model.program == random_case(7, steps=12).model.program
    assert np.array_equal(again.tensor, random_case(7, steps=12).tensor)
