import pytest

from tests.harness import ZERO_ADDRESS, Chain, reverts
from tests.unit.fault_proof.court import BOUNDS, FEE, Court


def test_keeps_its_partners_and_bounds(court: Court):
    proof = court.proof
    assert proof.ESCROW() == court.escrow.address
    assert proof.VAULT() == court.vault.address
    assert proof.DEMAND_FEE() == FEE
    bounds = (proof.MIN_WINDOW(), proof.MAX_WINDOW(), proof.MIN_REPLY(), proof.MAX_REPLY())
    assert bounds == BOUNDS


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (0, ZERO_ADDRESS, "proof: escrow is zero"),
        (1, ZERO_ADDRESS, "proof: vault is zero"),
        (2, 0, "proof: bad demand_fee"),
        (2, 2**80, "proof: bad demand_fee"),
        (3, 0, "proof: bad window bounds"),
        (3, 1_001, "proof: bad window bounds"),
        (4, 2**32, "proof: bad window bounds"),
        (5, 0, "proof: bad reply bounds"),
        (5, 101, "proof: bad reply bounds"),
        (6, 2**24, "proof: bad reply bounds"),
    ],
)
def test_refuses_what_it_could_not_work_with(
    chain: Chain, court: Court, place: int, value: object, reason: str
):
    arguments = [court.escrow.address, court.vault.address, FEE, *BOUNDS]
    arguments[place] = value
    with reverts(reason):
        chain.deploy("FaultProof", *arguments)


def test_takes_the_widest_bounds(chain: Chain, court: Court):
    widest = (2**80 - 1, 1, 2**32 - 1, 1, 2**24 - 1)
    assert chain.deploy("FaultProof", court.escrow, court.vault, *widest).DEMAND_FEE() == 2**80 - 1
