"""What a model may be: the contract's conditions and Python's are the same."""

from typing import Any

import numpy as np
import pytest

from headrace.graph.errors import ModelError
from headrace.graph2 import builders as ops
from headrace.graph2.model import GraphBuilder, Model
from headrace.graph2.opcodes import Opcode
from headrace.graph2.operators import Descriptor, Operator, Params
from headrace.graph2.views import View
from tests.graph2.random_graphs import case_of, random_case
from tests.harness import Account, Chain, Contract, Reverted, reverts
from tests.unit.graph_models.conftest import register
from tests.unit.graph_models.descriptors import AFFINE, ROOT, extra, post, refused, view, word


def test_keeps_what_the_model_is(chain: Chain, models: Contract, model: Model):
    card = b"\x07" * 32
    receipt = models.register_model(
        model.descriptors, model.input.word, model.max_units, card, sender=chain.accounts[3]
    )
    program = model.program
    event = receipt.only("ModelRegistered")
    assert event == (program, chain.accounts[3].address, model.graph_root, card)
    kept = (model.graph_root, model.op_count, model.levels, model.max_units, 0)
    assert models.model_of(program) == kept
    head = model.op_count << 48 | model.levels << 40 | model.max_units << 24
    assert tuple(models.facts(program)) == (model.graph_root, head)
    assert tuple(models.limits(program)) == (model.max_units, model.levels, False)


def test_twice_is_once(models: Contract, model: Model, mirror: Account):
    program = register(models, model)
    models.list_mirror(program, "https://a.example", sender=mirror)
    assert register(models, model, sender=mirror) == program
    assert models.model_of(program).mirrors == 1


def test_unknown(models: Contract):
    assert models.model_of(bytes(32)) == (bytes(32), 0, 0, 0, 0)
    assert tuple(models.facts(bytes(32))) == (bytes(32), 0)
    with reverts("graph: model not registered"):
        models.limits(bytes(32))
    assert not models.is_eligible(bytes(32))


@pytest.mark.parametrize("opcode", list(Opcode))
def test_every_opcode_as_python_says(models: Contract, opcode: Opcode):
    for seed, wide in ((0, False), (1, False), (2, True)):
        model = case_of(opcode, seed, wide=wide).model
        assert register(models, model) == model.program
        assert models.model_of(model.program).levels == model.levels


@pytest.mark.parametrize("seed", range(6))
def test_whole_models_as_python_says(models: Contract, seed: int):
    model = random_case(seed, steps=20).model
    assert register(models, model) == model.program


def test_many_operators(models: Contract):
    graph = GraphBuilder(4, 8, 1)
    for _ in range(256):
        graph.add(ops.affine(graph.input))
    model = graph.build(4096)
    assert register(models, model, gas=29_000_000) == model.program
    assert models.model_of(model.program).levels == model.levels == 2 + 3 + 1


def test_any_changed_bit_of_a_descriptor(models: Contract):
    """Flipping a bit gives another model that both accept, or one that neither does."""
    rng = np.random.default_rng(5)
    agreed = [0, 0]
    for opcode in Opcode:
        model = case_of(opcode, 4).model
        last = model.op_count - 1
        for _ in range(20):
            place = int(rng.integers(1, 7))
            words = list(model.descriptors[last])
            bits = {5: 6 * 32, 6: (72, 256)[int(rng.integers(0, 2))]}.get(place, 56)
            words[place] ^= 1 << int(rng.integers(0, bits))
            changed = [*model.descriptors[:last], Descriptor(*words)]
            reason = ""
            try:
                models.simulate.register_model(
                    changed, model.input.word, model.max_units, bytes(32)
                )
                accepted = True
            except Reverted as error:
                reason, accepted = error.reason, False
            assert accepted or reason.startswith("models: "), reason
            agreed[accepted] += 1
            assert accepted == _stands(model, changed[last]), (opcode, place)
    assert agreed[0] > 100
    assert agreed[1] > 5


def _stands(model: Model, last: Descriptor) -> bool:
    """Whether Python makes a model with another last descriptor, constants aside."""
    old = model.operators[-1]
    try:
        views = [View.unpack(w) if w else None for w in (last.a, last.b, last.s)]
        out = View.unpack(last.out)
        numbers = tuple(last.extra >> 32 * n & 0xFFFFFFFF for n in range(8))
        lo, hi = (last.post >> 224) - 2**31, (last.post >> 192 & 0xFFFFFFFF) - 2**31
        per_column = last.post >> 184 & 0xFF
        rest = last.post & (1 << 184) - 1
        clamped = last.post != 0 or old.lo != 0 or old.hi != 0 or old.params is not None
        if per_column not in (0, 1) or rest >> 72 or (views[0] is None):
            return False
        params = None
        if old.params is not None or rest:
            if per_column:
                if rest:
                    return False
                params = _spread(old.params, out.width)
            else:
                bias, mult = (rest >> 40) - 2**31, (rest >> 8 & 0xFFFFFFFF) - 2**31
                params = Params.of(mult, rest & 0xFF, bias)
        weights = old.weights
        if weights is not None:
            weights = np.zeros((out.width, views[0].width), np.int8)
        operator = Operator(
            old.opcode,
            views[0],
            out,
            views[1],
            views[2],
            numbers,
            lo if clamped else 0,
            hi if clamped else 0,
            bool(per_column),
            params,
            weights,
            _table(old, numbers, out),
        )
        Model.of([*model.operators[:-1], operator], model.input, model.max_units)
    except (ModelError, MemoryError, OverflowError):
        return False
    has = bool(operator.constant_count)
    return has == bool(old.constant_count)


def _spread(params: Params | None, count: int) -> Params:
    return (
        Params.of(np.ones(count, np.int64), 1)
        if params is None
        else Params.of(np.full(count, params.mult[0]), np.full(count, params.shift[0]))
    )


def _table(old: Operator, numbers: tuple[int, ...], out: View) -> Any:
    """A table of the shape that the changed operator wants."""
    if old.opcode == Opcode.LUT8:
        return np.zeros(256, f"i{out.size}")
    if old.opcode == Opcode.LUT16:
        return np.zeros(257, np.int16)
    if old.opcode == Opcode.GATHER:
        return np.zeros((min(numbers[0] + 1, 70_000), out.width), f"i{out.size}")
    if old.opcode == Opcode.ADD and numbers[1] == 2 and numbers[3] in (1, 2, 4):
        return np.zeros((min(numbers[2], 70_000), out.width), f"i{numbers[3]}")
    return None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"opcode": 0}, "models: unknown opcode"),
        ({"opcode": 20}, "models: unknown opcode"),
        ({"a": 0}, "models: a is missing"),
        ({"a": view(1, 4, 8, 1)}, "models: reads what comes later"),
        ({"a": view(0, 4, 7, 1)}, "models: wrong about a tensor"),
        ({"b": view(0, 4, 8, 1)}, "models: b missing or not wanted"),
        ({"s": view(0, 4, 8, 1)}, "models: s is not wanted"),
        ({"out": view(1, 4, 8, 1)}, "models: view has a tensor"),
        ({"out": view(0, 0, 8, 1)}, "models: bad rows"),
        ({"out": view(0, 65_536, 8, 1)}, "models: bad rows"),
        ({"out": view(0, 4, 0, 1)}, "models: bad width"),
        ({"out": view(0, 4, 4_097, 1)}, "models: bad width"),
        ({"out": view(0, 4, 8, 3)}, "models: bad size"),
        ({"out": view(0, 3, 8, 1)}, "models: affine keeps the rows"),
        ({"extra": extra(1)}, "models: affine past the end"),
        ({"extra": extra(0, 1)}, "models: spare bits in extra"),
        ({"post": post(lo=1, hi=0)}, "models: bad clamp"),
        ({"post": post(lo=-129)}, "models: bad clamp"),
        ({"post": post(hi=128)}, "models: bad clamp"),
        ({"post": post(per_column=2)}, "models: bad per_column"),
        ({"post": post(per_column=1)}, "models: word is not wanted"),
        ({"post": post(word=word(shift=0))}, "models: shift out of bounds"),
        ({"post": post(word=word(shift=63))}, "models: shift out of bounds"),
        ({"post": post(word=word(bias=2**30 + 1))}, "models: bias out of bounds"),
        ({"post": post(word=word(bias=-(2**30) - 1))}, "models: bias out of bounds"),
        ({"post": post(word=word() | 1 << 72)}, "models: bias out of bounds"),
        ({"post": post(word=word(mult=-(2**31)))}, "models: mult is too negative"),
        ({"constants": ROOT}, "models: constants not as it has"),
        ({"post": post(per_column=1, word=0)}, "models: constants not as it has"),
        ({"opcode": 1}, "models: matmul needs words"),
        ({"opcode": 12, "post": post()}, "models: word of a wordless"),
        ({"opcode": 18}, "models: b missing or not wanted"),
        ({"opcode": 17}, "models: post is not wanted"),
    ],
)
def test_refuses(models: Contract, change: dict[str, Any], reason: str):
    refused(models, [AFFINE._replace(**change)], reason)


@pytest.mark.parametrize(
    "good",
    [
        post(word=word(bias=2**30, mult=2**31 - 1, shift=62)),
        post(word=word(bias=-(2**30), mult=-(2**31) + 1, shift=1)),
        post(lo=5, hi=5),
    ],
)
def test_the_edges_are_good(models: Contract, good: int):
    models.simulate.register_model([AFFINE._replace(post=good)], view(0, 4, 8, 1), 4096, bytes(32))
