"""What the constructor fixes and refuses."""

from typing import Any

import pytest

from tests.harness import ZERO_ADDRESS, Contract, reverts
from tests.system import DAY, System


def deploy(system: System, **changes: Any) -> Contract:
    arguments = {
        "vault": system.vault,
        "registry": system.registry,
        "rules": system.rules,
        "owner": system.stranger,
        "delay_max": 7,
        "timelock": 30 * DAY,
    } | changes
    return system.chain.deploy("JobEscrow", *arguments.values())


def test_fixes_partners_and_bounds(system: System) -> None:
    escrow = deploy(system)
    assert escrow.VAULT() == system.vault.address
    assert escrow.REGISTRY() == system.registry.address
    assert escrow.RULES() == system.rules.address
    assert escrow.owner() == system.stranger.address
    assert (escrow.DELAY_MAX(), escrow.TIMELOCK()) == (7, 30 * DAY)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"owner": ZERO_ADDRESS}, "escrow: owner is zero"),
        ({"timelock": 30 * DAY + 1}, "escrow: timelock too long"),
        ({"vault": "0x" + "11" * 20}, "escrow: partner has no code"),
        ({"registry": "0x" + "11" * 20}, "escrow: partner has no code"),
    ],
)
def test_refuses(system: System, changes: dict[str, Any], reason: str) -> None:
    with reverts(reason):
        deploy(system, **changes)


def test_ownership_moves_in_two_steps(system: System) -> None:
    escrow = system.escrow
    escrow.transfer_ownership(system.stranger, sender=system.owner)
    assert escrow.owner() == system.owner.address
    assert escrow.pending_owner() == system.stranger.address
    escrow.accept_ownership(sender=system.stranger)
    assert escrow.owner() == system.stranger.address
    with reverts("ownable: caller is not the owner"):
        escrow.stop_verifier(system.dummy, sender=system.owner)
    escrow.stop_verifier(system.dummy, sender=system.stranger)
