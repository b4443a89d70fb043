"""Whether a verifier's ruling can be carried out now. How JobEscrow uses it: test_void_claim.py."""

import pytest
from eth_utils import keccak

from tests.harness import Reverted, reverts
from tests.system import FALLS, NEVER_DUE, PENDING, REVERTS, STANDS, System

CLAIM = keccak(text="a claim")


def has_verdict(system: System, at: int | None = None) -> bool:
    return system.rules.has_verdict(system.dummy, CLAIM, 5, 7, timestamp=at)


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [(PENDING, False), (STANDS, True), (FALLS, True), (STANDS | FALLS, False), (7, False)],
)
def test_verdicts(system: System, verdict: int, expected: bool) -> None:
    system.dummy.rule(CLAIM, verdict, 0, system.stranger)
    assert has_verdict(system) is expected


def test_the_window_of_a_claim_that_stands(system: System) -> None:
    edge = system.chain.now() + 50
    system.dummy.rule(CLAIM, STANDS, edge, system.stranger)
    assert has_verdict(system, edge) is False
    assert has_verdict(system, edge + 1) is True
    system.dummy.rule(CLAIM, FALLS, edge, system.stranger)
    assert has_verdict(system, edge - 10) is True


def test_a_verifier_that_fails(system: System) -> None:
    system.dummy.set_mode(NEVER_DUE)
    assert has_verdict(system) is False
    system.dummy.set_mode(REVERTS)
    with reverts("dummy: broken"):
        has_verdict(system)
    with pytest.raises(Reverted):
        system.rules.has_verdict(system.stranger, CLAIM, 5, 7)
