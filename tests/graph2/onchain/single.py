"""Models of a few operators on one input, and what the contract makes of their elements."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from headrace.graph2 import numpy_backend, reference
from headrace.graph2.check import Judgement
from headrace.graph2.model import GraphBuilder
from headrace.graph2.opcodes import Opcode
from headrace.graph2.operators import Operator
from headrace.graph2.views import View
from tests.graph2.onchain.court import Court, twin
from tests.graph2.onchain.prover import Claimed

Place = tuple[int, int]


def claim_of(
    court: Court,
    rows: Any,
    *makers: Callable[..., Operator],
    units: int = 1,
    size: int = 1,
) -> Claimed:
    """An honest claim of a model whose operators get the input and the outputs so far."""
    tensor = np.asarray(rows, dtype=f"i{size}")
    graph = GraphBuilder(tensor.shape[0] // units, tensor.shape[1], size)
    views: list[View] = [graph.input]
    for maker in makers:
        views.append(graph.add(maker(*views)))
    model = graph.build(units)
    court.register(model)
    return Claimed.of(model, tensor, numpy_backend.run(model, tensor))


def values(claim: Claimed, tensor: int) -> list[list[int]]:
    """A tensor's numbers, as they are claimed."""
    view = claim.model.view(tensor)
    rows = range(view.rows * claim.units)
    return [[claim.value(view, row, column) for column in range(view.width)] for row in rows]


def agree(court: Court, claim: Claimed, index: int, places: Iterable[Place]) -> list[int]:
    """The elements of operator `index`, on which contract, twin, reference and claim agree."""
    op = claim.model.operators[index]
    tensors: list[Any] = [None] * (index + 1)
    for source in op.sources:
        tensors[source.tensor] = values(claim, source.tensor)
    found = []
    proofs = [claim.element(index, row, column) for row, column in places]
    for proof, judged in zip(proofs, court.judge(claim, proofs), strict=True):
        right = reference.element(op, tensors, proof.row, proof.column)
        assert judged == Judgement(False, 1, right, right), (Opcode(op.opcode), judged, right)
        assert twin(claim, proof) == judged
        found.append(right)
    return found
