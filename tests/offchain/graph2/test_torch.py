"""The torch backend equals numpy byte for byte, wherever torch and a device are there."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from headrace.graph2 import numpy_backend, torch_backend
from headrace.graph2.opcodes import Opcode
from headrace.graph2.torch_backend import NoTorch, TorchPlan, WrongProduct
from tests.graph2.random_graphs import case_of, random_case


def missing(device: str | None) -> str | None:
    """Why tests on a device have to be skipped."""
    try:
        torch_backend.device_for(device)
    except NoTorch as error:
        return str(error)
    return None


def device(name: str | None):
    why = missing(name)
    return pytest.param(name, marks=pytest.mark.skipif(why is not None, reason=str(why)))


DEVICES = [device("cpu"), device(None)]


@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize("name", DEVICES)
def test_every_operator_is_the_same_on_a_device(name, verify):
    cases = [random_case(seed, steps=10, opcode=Opcode.MATMUL) for seed in range(6)]
    cases += [case_of(Opcode.MATMUL, seed) for seed in range(10)]
    for case in cases:
        plan = TorchPlan(case.model, device=name, verify=verify)
        made = plan.run(case.tensor)
        for one, other in zip(made, numpy_backend.run(case.model, case.tensor), strict=True):
            assert one.dtype == other.dtype
            assert np.array_equal(one, other)


@pytest.mark.parametrize("name", DEVICES)
def test_a_wrong_product_of_a_device_is_refused(name, monkeypatch):
    case = case_of(Opcode.MATMUL, 1)
    op = case.model.operators[-1]
    plan = TorchPlan(case.model, device=name, verify=True)
    a = np.ones((op.a.rows * case.units, op.a.width), dtype=np.int8)
    right = plan.accumulate(op, a)
    expected = a.astype(np.int64) @ op.weights.T.astype(np.int64)
    assert np.array_equal(right, expected)
    true_product = plan._torch._int_mm

    def off_by_one(left, other):
        sums = true_product(left, other)
        sums[0, 0] += 1
        return sums

    monkeypatch.setattr(plan._torch, "_int_mm", off_by_one)
    with pytest.raises(WrongProduct):
        plan.accumulate(op, a)


def test_what_is_missing_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(NoTorch, match="isn't installed"):
        torch_backend.device_for()
    with pytest.raises(NoTorch, match="isn't installed"):
        TorchPlan(case_of(Opcode.MATMUL).model)
    old = SimpleNamespace(__version__="1.0")
    monkeypatch.setitem(sys.modules, "torch", old)
    with pytest.raises(NoTorch, match="no int8 product"):
        torch_backend.device_for()
    blind = SimpleNamespace(_int_mm=None, cuda=SimpleNamespace(is_available=lambda: False))
    monkeypatch.setitem(sys.modules, "torch", blind)
    with pytest.raises(NoTorch, match="no GPU"):
        torch_backend.device_for()

    def no_device(name):
        raise RuntimeError(f"no such device {name}")

    blind.device = no_device
    with pytest.raises(NoTorch, match="can't use warp"):
        torch_backend.device_for("warp")
