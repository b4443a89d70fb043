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

ONE = Params.of(1, 1)
WORD = 1 << 31 << 40 | ((1 << 31) + 1) << 8 | 1


def post(lo: int = -128, hi: int = 127, per_column: int = 0, word: int = WORD) -> int:
    """A descriptor's post word."""
    return (lo + 2**31) << 224 | (hi + 2**31) << 192 | per_column << 184 | word


def word(bias: int = 0, mult: int = 1, shift: int = 1) -> int:
    """A parameter word."""
    return (bias + 2**31) << 40 | (mult + 2**31) << 8 | shift


def extra(*fields: int) -> int:
    """Small numbers, packed."""
    return sum(value << 32 * number for number, value in enumerate(fields))


def view(tensor: int, rows: int, width: int, size: int) -> int:
    """A packed view, in bounds or not."""
    return tensor << 56 | rows << 24 | width << 8 | size


def only(op: Operator, given: View, *before: Operator) -> Model:
    """A model of `op` after some others."""
    graph = GraphBuilder(given.rows, given.width, given.size)
    for operator in before:
        graph.add(operator)
    graph.add(op)
    return graph.build(4)


def refused(
    models: Contract,
    operators: list[Any],
    reason: str,
    given: int = view(0, 4, 8, 1),
    max_units: int = 4,
) -> None:
    """These operators are refused for that reason."""
    with reverts(reason):
        models.simulate.register_model(operators, given, max_units, bytes(32))


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
            try:
                models.simulate.register_model(
                    changed, model.input.word, model.max_units, bytes(32)
                )
                accepted = True
            except Reverted as error:
                assert error.reason.startswith("models: "), error.reason
                accepted = False
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


AFFINE = Descriptor(5, view(0, 4, 8, 1), 0, 0, view(0, 4, 8, 1), 0, post(), bytes(32))
ROOT = b"\x01" * 32


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


def plain(opcode: int, a: int, out: int, *numbers: int, b: int = 0, s: int = 0, **more: Any):
    """A descriptor with a post word where the opcode has one."""
    given: dict[str, Any] = {"post": 0, "constants": bytes(32)} | more
    return Descriptor(opcode, a, b, s, out, extra(*numbers), *given.values())


A1, A2, A4 = view(0, 4, 8, 1), view(0, 4, 8, 2), view(0, 4, 8, 4)
MADE = {"post": post(per_column=1, word=0), "constants": ROOT}
HALF = 2**31


@pytest.mark.parametrize(
    ("op", "given", "reason"),
    [
        (plain(1, A2, A1, **MADE), A2, "models: matmul reads int8"),
        (plain(1, A1, view(0, 3, 8, 1), **MADE), A1, "models: matmul keeps the rows"),
        (plain(2, A1, A1, 0, 4, 8, b=A1, post=post()), A1, "models: heads, seq or channels 0"),
        (plain(2, A2, A1, 1, 4, 8, b=A2, post=post()), A2, "models: scores reads int8"),
        (plain(2, A1, A1, 1, 4, 9, b=A1, post=post()), A1, "models: scores width not heads"),
        (plain(2, A1, A1, 2, 4, 4, b=A1, post=post()), A1, "models: heads of broken words"),
        (plain(2, A1, A1, 1, 3, 8, b=A1, post=post()), A1, "models: scores of part of a seq"),
        (plain(2, A1, A1, 1, 4, 8, b=A1, post=post()), A1, "models: scores out"),
        (
            plain(2, A1, view(0, 4, 4, 1), 1, 4, 8, b=A1, s=A1, post=post()),
            A1,
            "models: scores mask",
        ),
        (plain(3, A2, A1, 1, 4, 4, b=A2, post=post()), A2, "models: context operands too big"),
        (plain(3, A1, A1, 3, 4, 4, b=A1, post=post()), A1, "models: context of part groups"),
        (plain(3, A1, A1, 1, 4, 5, b=A1, post=post()), A1, "models: context rows of b"),
        (plain(3, A1, A1, 1, 4, 4, b=A1, post=post()), A1, "models: context out"),
        (
            plain(3, A1, view(0, 4, 4, 1), 1, 4, 4, 1, b=A1, post=post()),
            A1,
            "models: context shift but no s",
        ),
        (
            plain(3, A1, view(0, 4, 4, 1), 1, 4, 4, 1, b=A1, s=A1, post=post()),
            A1,
            "models: context s",
        ),
        (
            plain(3, A1, view(0, 4, 4, 1), 1, 4, 4, 63, b=A1, s=A1, post=post()),
            A1,
            "models: context shift too big",
        ),
        (plain(4, A1, A1, 1, 4), A1, "models: transpose block"),
        (plain(4, A1, A1, 0, 0), A1, "models: transpose block"),
        (plain(4, A1, A1, 0, 3), A1, "models: transpose of part blocks"),
        (plain(4, A1, A1, 0, 4), A1, "models: transpose out"),
        (plain(4, A1, view(0, 8, 4, 2), 0, 4), A1, "models: out has another size"),
        (plain(6, A1, view(0, 4, 7, 1), b=A1, post=post()), A1, "models: out has another shape"),
        (plain(6, A1, A1, 63, b=A1, post=post()), A1, "models: mul shift too big"),
        (plain(6, A1, A1, 0, 2, b=A1, post=post()), A1, "models: unknown second operand"),
        (plain(6, A1, A1, 0, 1, b=A1, post=post()), A1, "models: b is no stat of a"),
        (
            plain(7, A1, A1, 1, 0, 0, 0, HALF, b=A1, post=post()),
            A1,
            "models: add has a spare field",
        ),
        (
            plain(7, A1, A1, 0, 0, 0, 0, HALF + 2**30 + 1, b=A1, post=post()),
            A1,
            "models: factor out of bounds",
        ),
        (
            plain(7, A1, A1, 0, 0, 0, 0, HALF - 2**30 - 1, b=A1, post=post()),
            A1,
            "models: factor out of bounds",
        ),
        (
            plain(7, A1, A1, 0, 0, 1, 0, HALF, b=A1, post=post()),
            A1,
            "models: add without a table",
        ),
        (
            plain(7, A1, A1, 0, 2, 0, 1, HALF, post=post(), constants=ROOT),
            A1,
            "models: add table rows",
        ),
        (
            plain(7, A1, A1, 0, 2, 65_536, 1, HALF, post=post(), constants=ROOT),
            A1,
            "models: add table rows",
        ),
        (
            plain(7, A1, A1, 0, 2, 5, 3, HALF, post=post(), constants=ROOT),
            A1,
            "models: add table size",
        ),
        (
            plain(7, A1, A1, 0, 0, 0, 0, HALF, b=A1, post=post(word=word(bias=1))),
            A1,
            "models: add has no bias",
        ),
        (
            plain(7, A1, A1, 0, 0, 0, 0, HALF, b=A1, post=post(word=word(mult=2**30 + 1))),
            A1,
            "models: mult out of bounds",
        ),
        (plain(8, A2, A1, constants=ROOT), A2, "models: lut8 reads int8"),
        (plain(8, A1, A4, constants=ROOT), A1, "models: lut8 makes int32"),
        (plain(9, A1, A1, post=post(word=0), constants=ROOT), A1, "models: lut16 reads int16"),
        (plain(9, A2, A4, post=post(word=0), constants=ROOT), A2, "models: lut16 makes int32"),
        (plain(9, A2, A1, s=A2, post=post(word=0), constants=ROOT), A2, "models: lut16 stat"),
        (plain(10, A1, A1, post=post()), A1, "models: out is no fold of a"),
        (plain(10, A4, view(0, 1, 4, 1), post=post()), A4, "models: sum of int32"),
        (plain(11, A1, view(0, 1, 4, 1), 63, post=post()), A1, "models: rowdot shift too big"),
        (plain(13, A1, A1, 63, post=post(word=0)), A1, "models: recip power too big"),
        (plain(14, A1, view(0, 1, 4, 4)), A1, "models: argmax index too long"),
        (
            plain(14, view(0, 4, 129, 1), view(0, 1, 4, 1)),
            view(0, 4, 129, 1),
            "models: argmax index too long",
        ),
        (plain(15, A1, view(0, 1, 4, 1), b=A1), A1, "models: pick index"),
        (
            plain(16, A1, view(0, 32, 5, 1), 65_535, constants=ROOT),
            A1,
            "models: gather table too long",
        ),
        (plain(16, A1, view(0, 31, 5, 1), 9, constants=ROOT), A1, "models: gather out"),
        (plain(17, A1, view(0, 4, 9, 1)), A1, "models: reshape out"),
        (plain(18, A1, view(0, 4, 15, 1), b=A1), A1, "models: concat out"),
        (plain(19, A1, A1, 2, 2, 0, 1, 1, 0), A1, "models: im2col has a zero"),
        (plain(19, A1, A1, 2, 2, 2, 1, 17, 0), A1, "models: im2col stride"),
        (plain(19, A1, A1, 2, 2, 2, 1, 0, 0), A1, "models: im2col stride"),
        (plain(19, A1, A1, 2, 2, 2, 1, 1, 16), A1, "models: im2col padding"),
        (plain(19, A1, A1, 2, 3, 2, 1, 1, 0), A1, "models: im2col image"),
        (plain(19, A1, A1, 2, 2, 2, 5, 1, 1), A1, "models: im2col kernel"),
        (plain(19, A1, A1, 2, 2, 2, 1, 1, 0), A1, "models: im2col out"),
    ],
)
def test_refuses_a_kind(models: Contract, op: Descriptor, given: int, reason: str):
    refused(models, [op], reason, given=given)


@pytest.mark.parametrize(
    ("op", "reason"),
    [
        (
            plain(2, A1, A1, 1, 4, 8, b=view(1, 4, 7, 1), post=post()),
            "models: scores of unlike tensors",
        ),
        (
            plain(3, A1, A1, 1, 4, 4, b=view(1, 4, 7, 1), post=post()),
            "models: context of unlike widths",
        ),
        (plain(6, A1, A1, b=view(1, 4, 7, 1), post=post()), "models: b has another shape"),
    ],
)
def test_refuses_two_unlike_tensors(models: Contract, op: Descriptor, reason: str):
    refused(models, [AFFINE._replace(out=view(0, 4, 7, 1)), op], reason)


def test_refuses_a_context_that_is_too_wide(models: Contract):
    wide = view(0, 4, 257, 2)
    narrow = AFFINE._replace(a=wide, out=view(0, 4, 257, 1))
    op = plain(3, wide, view(0, 4, 4, 1), 1, 4, 4, b=view(1, 4, 257, 1), post=post())
    refused(models, [narrow, op], "models: context too wide", given=wide)


def test_refuses_a_concat_of_unlike_tensors(models: Contract):
    op = plain(18, A1, view(0, 4, 16, 1), b=view(1, 4, 8, 2))
    refused(models, [AFFINE._replace(out=A2), op], "models: concat of unlike tensors")


def test_bounds_of_a_model(models: Contract):
    refused(models, [], "models: no operators")
    for units in (0, 4_097):
        refused(models, [AFFINE], "models: bad max_units", max_units=units)
    # 65,535 rows of 4,096 units in leaves of 16 rows: 2^24 leaves.
    large = view(0, 65_535, 8, 1)
    refused(models, [AFFINE], "models: input too large", given=large, max_units=4_096)
    gather = plain(16, A1, view(0, 32, 4_096, 4), 9, constants=ROOT)
    refused(models, [gather], "models: too many leaves", max_units=4_096)
    # 32 rows of 16 KiB at 512 units are 2^28 bytes: eight of them are the most.
    models.simulate.register_model([gather] * 8, A1, 512, bytes(32))
    refused(models, [gather] * 9, "models: trace too large", max_units=512)
