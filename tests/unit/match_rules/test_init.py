"""What the constructor fixes and refuses."""

from typing import Any

import pytest

from tests.harness import Contract, reverts
from tests.system import DAY, System


def deploy(system: System, **changes: Any) -> Contract:
    arguments = {
        "escrow": system.escrow,
        "vault": system.vault,
        "registry": system.registry,
        "token": system.token,
        "attempt_max": 30 * DAY,
        "delay_max": 30 * DAY,
    } | changes
    return system.chain.deploy("MatchRules", *arguments.values())


def test_fixes_partners_and_bounds(system: System) -> None:
    rules = deploy(system, attempt_max=1, delay_max=2)
    assert rules.ESCROW() == system.escrow.address
    assert rules.VAULT() == system.vault.address
    assert rules.REGISTRY() == system.registry.address
    assert rules.TOKEN() == system.token.address
    assert (rules.ATTEMPT_MAX(), rules.DELAY_MAX()) == (1, 2)


@pytest.mark.parametrize("name", ["attempt_max", "delay_max"])
@pytest.mark.parametrize("value", [0, 30 * DAY + 1])
def test_bounds(system: System, name: str, value: int) -> None:
    with reverts(f"rules: bad {name}"):
        deploy(system, **{name: value})
    assert deploy(system, **{name: 30 * DAY if value else 1})
