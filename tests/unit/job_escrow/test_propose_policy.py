"""Proposing: the owner says how new matches may use a verifier; it waits."""

import pytest

from tests.harness import ZERO_ADDRESS, reverts
from tests.system import System


def test_waits(system: System) -> None:
    before = system.policy()
    receipt = system.escrow.propose_policy(system.dummy, 200, 2**80 - 1, sender=system.owner)
    due = receipt.timestamp + system.parameters.timelock
    event = receipt.only("PolicyProposed")
    assert event == (system.dummy.address, 200, 2**80 - 1, due)
    assert system.policy() == before


def test_only_the_owner(system: System) -> None:
    with reverts("ownable: caller is not the owner"):
        system.escrow.propose_policy(system.dummy, 0, 0, sender=system.stranger)


@pytest.mark.parametrize(
    ("charge_bps", "keeper_fee", "reason"),
    [
        (201, 0, "policy: charge above maximum"),
        (2**256 - 1, 0, "policy: charge above maximum"),
        (0, 2**80, "policy: fee above maximum"),
    ],
)
def test_bounds(system: System, charge_bps: int, keeper_fee: int, reason: str) -> None:
    with reverts(reason):
        system.escrow.propose_policy(system.dummy, charge_bps, keeper_fee, sender=system.owner)


@pytest.mark.parametrize("verifier", ["zero", "key"])
def test_a_verifier_has_code(system: System, verifier: str) -> None:
    address = ZERO_ADDRESS if verifier == "zero" else system.stranger.address
    with reverts("policy: verifier has no code"):
        system.escrow.propose_policy(address, 0, 0, sender=system.owner)


def test_a_later_proposal_replaces_the_earlier_one(system: System) -> None:
    system.escrow.propose_policy(system.dummy, 10, 20, sender=system.owner)
    system.chain.travel(system.parameters.timelock - 10)
    system.escrow.propose_policy(system.dummy, 30, 40, sender=system.owner)
    system.chain.travel(20)
    # The clock of the first has run out, that of the second has not.
    with reverts("policy: too early"):
        system.escrow.enact_policy(system.dummy)
    system.chain.travel(system.parameters.timelock)
    system.escrow.enact_policy(system.dummy)
    assert (system.policy().charge_bps, system.policy().keeper_fee) == (30, 40)
