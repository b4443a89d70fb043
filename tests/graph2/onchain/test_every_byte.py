"""Every byte of every leaf of a trace, padding included, is provable when it is wrong.

A tenth of the positions by default; all of them, with several wrong values each, when
HEADRACE_EXHAUSTIVE is set.
"""

import os

import numpy as np
import pytest

from headrace.graph2 import builders as ops
from headrace.graph2 import numpy_backend
from headrace.graph2.check import Judgement
from headrace.graph2.model import GraphBuilder, Model
from headrace.graph2.opcodes import Opcode
from headrace.graph2.operators import Params
from headrace.graph2.views import View
from tests.graph2.onchain.court import Court, reference
from tests.graph2.onchain.prover import ELEMENT, PADDING, WITNESS, Claimed, Proof, shape_of

ALL = bool(os.environ.get("HEADRACE_EXHAUSTIVE"))
SHARE = 1 if ALL else 10
UNITS = 3


def every_opcode() -> Model:
    """A small graph of all nineteen opcodes."""
    rng = np.random.default_rng(19)

    def params(count: int = 1) -> Params:
        return Params.of(rng.integers(1 << 20, 1 << 21, count), 28, rng.integers(-99, 99, count))

    graph = GraphBuilder(2, 5, 1)
    x = graph.add(ops.matmul(graph.input, rng.integers(-128, 128, (32, 5)), params(32)))
    mask = graph.add(ops.affine(graph.input, params(), start=3, width=2, lo=0, hi=1))
    mask = graph.add(ops.reshape(mask, 4))
    mask = graph.add(ops.affine(mask, params(), start=1, width=2, lo=0, hi=1))
    scores = graph.add(ops.scores(x, x, params(), heads=1, seq=2, mask=mask, size=2, lo=-9_000))
    best = graph.add(ops.argmax(scores, fold=2))
    top = graph.add(ops.pick(scores, best))
    table = np.sort(rng.integers(0, 1 << 15, 257))
    weights = graph.add(ops.lut16(scores, table, stat=top))
    total = graph.add(ops.rowsum(weights, fold=2))
    inverse = graph.add(ops.recip(total, power=44))
    turned = graph.add(ops.transpose(x, seq=2))
    mixed = graph.add(
        ops.context(weights, turned, params(32), heads=1, seq=2, scale=inverse, scale_shift=30)
    )
    squares = graph.add(ops.rowdot(mixed, fold=2))
    root = graph.add(ops.isqrt(squares, size=2))
    scaled = graph.add(ops.mul(mixed, root, params(), stat=True, shift=4, size=2))
    added = graph.add(ops.add(scaled, x, mult_a=3, mult_b=-5, shift=2, size=4))
    rows = rng.integers(-(1 << 15), 1 << 15, (3, 32))
    placed = graph.add(ops.add_constant(added, rows, constant_size=2, mult_a=1, mult_b=2, shift=3))
    looked = graph.add(ops.lut8(placed, rng.integers(-128, 128, 256)))
    joined = graph.add(ops.concat(looked, mixed))
    patches = graph.add(
        ops.im2col(joined, height=4, width=4, channels=4, kernel=2, stride=2, padding=1)
    )
    graph.add(ops.gather(graph.add(ops.reshape(patches, 1)), rows, size=2))
    return graph.build(UNITS)


def split_rows() -> Model:
    """Rows of 4 and of 16 leaves, the last of which have no columns."""
    graph = GraphBuilder(1, 1_025, 1)
    wide = graph.add(ops.affine(graph.input, Params.of(2, 1), size=4))
    graph.add(ops.affine(wide, Params.of(2, 1), size=2, start=20, width=600))
    return graph.build(UNITS)


def claim_of(model: Model) -> Claimed:
    rng = np.random.default_rng(1)
    shape = model.input.rows * UNITS, model.input.width
    tensor = rng.integers(model.input.low, model.input.high, shape).astype(model.input.dtype)
    return Claimed.of(model, tensor, numpy_backend.run(model, tensor))


def position(view: View, units: int, leaf: int, place: int) -> tuple[int, int] | None:
    """The element that a byte belongs to; None for padding."""
    split, block, pack = shape_of(view)
    part = view.size * block
    row = leaf // split * pack + place // part
    column = leaf % split * block + place % part % block
    return (row, column) if row < view.rows * units and column < view.width else None


def proof_of(claim: Claimed, index: int, leaf: int, place: int, right: bytes) -> Proof:
    """The proof of a wrong byte; `right` is the leaf as it should be."""
    op = claim.model.operators[index]
    view = op.out.at(index + 1)
    where = position(view, claim.units, leaf, place)
    if where is None:
        return claim.padding(index, leaf, place)
    row, column = where
    if op.opcode != Opcode.ARGMAX:
        return claim.element(index, row, column)
    start = claim.place(view, row, column)[1]
    block = shape_of(view)[1]
    best = int.from_bytes(bytes(right[start + i * block] for i in range(view.size)), "big")
    return claim.witness(index, row * view.width + column, best - (1 << (8 * view.size - 1)))


@pytest.mark.parametrize("model", [every_opcode(), split_rows()], ids=["opcodes", "splits"])
def test_every_wrong_byte_is_provable(court: Court, model: Model):
    claim = claim_of(model)
    court.register(model)
    rng = np.random.default_rng(2)
    calls, kinds = [], []
    for index in range(model.op_count):
        for leaf, right in enumerate(claim.leaves[index + 1]):
            for place in range(int(rng.integers(SHARE)), len(right), SHARE):
                wrong = {right[place] ^ 1, right[place] ^ 0x80, int(rng.integers(256))}
                for byte in sorted(wrong if ALL else {right[place] ^ 1 << int(rng.integers(8))}):
                    if byte == right[place]:
                        continue
                    changed = right[:place] + bytes([byte]) + right[place + 1 :]
                    claim.put_leaf(index + 1, leaf, changed)
                    proof = proof_of(claim, index, leaf, place, right)
                    calls.append(court.rules.encode("prove", reference(claim), proof))
                    kinds.append(proof.kind)
                    claim.put_leaf(index + 1, leaf, right)
    found = court.call(calls)
    for judged, kind in zip(found, kinds, strict=True):
        assert isinstance(judged, Judgement), judged
        assert judged.is_fault
        assert judged.kind == kind
    assert {ELEMENT, PADDING} <= set(kinds)
    assert len(calls) > 1_000
    assert WITNESS in kinds or model.op_count < 5
