from typing import Any

import pytest

from tests.harness import ZERO_ADDRESS, reverts
from tests.unit.graph_proof.court import BOUNDS, FEE, Court


def arguments(court: Court, **changes: Any) -> list[Any]:
    """The constructor's arguments."""
    fields = {
        "escrow": court.escrow,
        "vault": court.vault,
        "models": court.models,
        "rules": court.rules,
        "demand_fee": FEE,
        "min_window": BOUNDS[0],
        "max_window": BOUNDS[1],
        "min_reply": BOUNDS[2],
        "max_reply": BOUNDS[3],
    }
    return list((fields | changes).values())


def test_keeps_what_it_is_given(court: Court):
    proof = court.chain.deploy("GraphProof", *arguments(court))
    partners = (proof.ESCROW(), proof.VAULT(), proof.MODELS(), proof.RULES())
    expected = (court.escrow, court.vault, court.models, court.rules)
    assert partners == tuple(contract.address for contract in expected)
    bounds = (proof.MIN_WINDOW(), proof.MAX_WINDOW(), proof.MIN_REPLY(), proof.MAX_REPLY())
    assert (proof.DEMAND_FEE(), *bounds) == (FEE, *BOUNDS)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"escrow": ZERO_ADDRESS}, "graph: escrow is zero"),
        ({"vault": ZERO_ADDRESS}, "graph: vault is zero"),
        ({"models": ZERO_ADDRESS}, "graph: model registry is zero"),
        ({"rules": ZERO_ADDRESS}, "graph: rules is zero"),
        ({"demand_fee": 0}, "graph: bad demand_fee"),
        ({"demand_fee": 2**80}, "graph: bad demand_fee"),
        ({"min_window": 0}, "graph: bad window bounds"),
        ({"min_window": 1_001}, "graph: bad window bounds"),
        ({"max_window": 2**32}, "graph: bad window bounds"),
        ({"min_reply": 0}, "graph: bad reply bounds"),
        ({"min_reply": 101}, "graph: bad reply bounds"),
        ({"max_reply": 2**24}, "graph: bad reply bounds"),
    ],
)
def test_refuses(court: Court, changes: dict[str, Any], reason: str):
    with reverts(reason):
        court.chain.deploy("GraphProof", *arguments(court, **changes))


def test_the_edges_are_good(court: Court):
    changes = {"demand_fee": 2**80 - 1, "max_window": 2**32 - 1, "max_reply": 2**24 - 1}
    court.chain.deploy("GraphProof", *arguments(court, **changes))
    court.chain.deploy("GraphProof", *arguments(court, min_window=1_000, min_reply=100))
