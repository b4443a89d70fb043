"""What a registrant put under a model's roots, well-formed or not, convicts nobody."""

from dataclasses import replace

import numpy as np
import pytest

from headrace.graph.encoding import mirror
from headrace.graph2 import builders as ops
from headrace.graph2 import numpy_backend
from headrace.graph2.check import Judgement
from headrace.graph2.model import GraphBuilder, Model
from headrace.graph2.operators import Descriptor, Operator, Params
from tests.graph2.onchain.court import Court, twin
from tests.graph2.onchain.prover import Claimed, keccak

OFFSET = 1 << 31


class Forged(Operator):
    """An operator that has just one constant leaf, of bytes that are anybody's."""

    def with_leaf(self, data: bytes) -> "Forged":
        """The operator with this leaf."""
        object.__setattr__(self, "_data", data)
        return self

    @property
    def descriptor(self) -> Descriptor:  # type: ignore[override]
        """The descriptor with the leaf's root."""
        return super().descriptor._replace(constants=keccak(b"\x02" + self._data))

    @property
    def constant_leaves(self) -> tuple[bytes, ...]:
        """The leaf."""
        return (self._data,)

    def constant_leaf(self, number: int) -> bytes:
        """The leaf."""
        return self._data


def forge(court: Court, operator: Operator, tensor: np.ndarray, data: bytes) -> Claimed:
    """The honest claim of a model whose only operator has this constant leaf."""
    names = operator.__dataclass_fields__
    fields = {name: getattr(operator, name) for name in names}
    forged = Forged(**fields).with_leaf(data)
    graph = GraphBuilder(tensor.shape[0], tensor.shape[1], tensor.dtype.itemsize)
    honest = Model.of([replace(operator)], graph.input, 1)
    model = Model.of([forged], graph.input, 1)
    court.register(model)
    return Claimed.of(model, tensor, numpy_backend.run(honest, tensor))


def word(bias: int = 0, mult: int = 2, shift: int = 1, spare: int = 0) -> bytes:
    """A parameter word."""
    number = spare << 72 | (bias + OFFSET) << 40 | (mult + OFFSET) << 8 | shift
    return number.to_bytes(32, "big")


def row(width: int, *values: int, padding: int = 128) -> bytes:
    """A row of weights, mirrored."""
    data = bytes((v + 128) for v in values) + bytes([128]) * (width - len(values))
    return mirror(data + bytes([padding]) * (-len(data) % 32))


WORDS = [
    (word(spare=1), "graph: spare bits in a word"),
    (b"\xff" * 32, "graph: spare bits in a word"),
    (word(bias=(1 << 30) + 1), "graph: bias out of bounds"),
    (word(bias=-(1 << 30) - 1), "graph: bias out of bounds"),
    (word(mult=-(1 << 31)), "graph: mult out of bounds"),
    (word(shift=0), "graph: shift out of bounds"),
    (word(shift=63), "graph: shift out of bounds"),
    (word(shift=255), "graph: shift out of bounds"),
    (bytes(32), "graph: bias out of bounds"),
]


@pytest.mark.parametrize(("data", "reason"), WORDS)
def test_words_out_of_bounds(court: Court, data: bytes, reason: str):
    tensor = np.array([[3, -4, 5]], dtype=np.int8)
    view = GraphBuilder(1, 3, 1).input
    matmul = ops.matmul(view, [[1, 2, 3]], Params.of(2, 1))
    narrow = GraphBuilder(1, 1, 1).input
    affine = ops.affine(narrow, Params.of([2], [1]))
    affine = replace(affine, per_column=True)
    mul = replace(ops.mul(narrow, narrow, Params.of([2], [1])), per_column=True)
    context = ops.context(narrow, narrow, Params.of([2], [1]), heads=1, seq=1)
    context = replace(context, per_column=True)
    for operator, given, leaf in (
        (matmul, tensor, data + row(3, 1, 2, 3)),
        (affine, tensor[:, :1], data),
        (mul, tensor[:, :1], data),
        (context, tensor[:, :1], data),
    ):
        claim = forge(court, operator, given, leaf)
        proof = claim.element(0, 0, 0)
        assert court.judge(claim, [proof]) == [reason]
        assert twin(claim, proof) == reason


@pytest.mark.parametrize(
    "data",
    [
        word(bias=1 << 30),
        word(bias=-(1 << 30)),
        word(mult=(1 << 31) - 1),
        word(mult=-(1 << 31) + 1),
        word(shift=62),
    ],
)
def test_words_at_their_bounds(court: Court, data: bytes):
    tensor = np.array([[3]], dtype=np.int8)
    affine = ops.affine(GraphBuilder(1, 1, 1).input, Params.of([2], [1]))
    claim = forge(court, replace(affine, per_column=True), tensor, data)
    proof = claim.element(0, 0, 0)
    [judged] = court.judge(claim, [proof])
    assert isinstance(judged, Judgement)
    assert judged == twin(claim, proof)


@pytest.mark.parametrize("width", [1, 4, 5, 31, 32, 33, 40])
def test_padding_of_weights(court: Court, width: int):
    tensor = np.arange(width, dtype=np.int8)[None]
    operator = ops.matmul(
        GraphBuilder(1, width, 1).input, np.ones((1, width)).astype(int), Params.of(2, 1)
    )
    right = word() + mirror(bytes([129]) * width + bytes([128]) * (-width % 32))
    for place in range(len(right) - 32):
        plain = bytearray(mirror(right[32:]))
        plain[place] ^= 1 << place % 8
        claim = forge(court, operator, tensor, word() + mirror(bytes(plain)))
        proof = claim.element(0, 0, 0)
        [judged] = court.judge(claim, [proof])
        assert judged == twin(claim, proof)
        # A weight is anything; padding is zero.
        assert isinstance(judged, Judgement) == (place < width)
        assert place < width or judged == "graph: ill-formed weights"


@pytest.mark.parametrize("change", [-32, -1, 1, 32])
def test_lengths_of_constants(court: Court, change: int):
    narrow = GraphBuilder(1, 3, 1).input
    short = GraphBuilder(1, 3, 2).input
    table8, table16 = np.zeros(256, dtype=int), np.zeros(257, dtype=int)
    rows = np.zeros((1, 3), dtype=int)
    for operator, length in (
        (ops.matmul(narrow, [[1, 2, 3]], Params.of(2, 1)), 64),
        (ops.lut8(narrow, table8), 256),
        (ops.lut8(narrow, table8, size=2), 512),
        (ops.lut16(short, table16), 514),
        (ops.gather(narrow, rows, size=2), 64),
        (ops.add_constant(narrow, rows, constant_size=4, mult_a=1, mult_b=1, shift=1), 128),
    ):
        tensor = np.zeros((1, 3), dtype=operator.a.dtype)
        claim = forge(court, operator, tensor, bytes([128]) * (length + change))
        proof = claim.element(0, 0, 0)
        assert court.judge(claim, [proof]) == ["graph: openings of wrong length"]
        assert twin(claim, proof) == "graph: openings of wrong length"
        # The openings cut or filled to the length that is right don't hash to the root.
        fitted = (proof.openings + bytes(32))[: len(proof.openings) - change]
        proof = proof._replace(openings=fitted)
        [judged] = court.judge(claim, [proof])
        assert judged == twin(claim, proof)
        assert judged in ("graph: not the model's constant", "graph: ill-formed weights")


def test_junk_in_the_input_s_padding_counts_for_nothing(court: Court):
    # A requester's input may have any padding; what it gives depends on its elements alone.
    rng = np.random.default_rng(4)
    graph = GraphBuilder(2, 33, 1)
    view = graph.input
    graph.add(ops.matmul(view, rng.integers(-128, 128, (2, 33)), Params.of(2, 1), size=4))
    graph.add(ops.scores(view, view, Params.of(2, 1), heads=1, seq=2, size=4))
    graph.add(ops.context(view, view, Params.of(2, 1), heads=1, seq=1, size=4))
    graph.add(ops.rowsum(view, Params.of(2, 1)))
    graph.add(ops.rowdot(view, Params.of(2, 1)))
    model = graph.build(1)
    court.register(model)
    tensor = rng.integers(-128, 128, (2, 33)).astype(np.int8)
    claim = Claimed.of(model, tensor, numpy_backend.run(model, tensor))
    data = bytearray(claim.leaves[0][0])
    for place in range(len(data)):
        if place >= 128 or place % 64 >= 33:
            data[place] = int(rng.integers(256))
    claim.put_leaf(0, 0, bytes(data))
    for index in range(5):
        proof = claim.element(index, 1, 0)
        [judged] = court.judge(claim, [proof])
        assert isinstance(judged, Judgement)
        assert not judged.is_fault
        assert judged == twin(claim, proof)
