"""What is in force for a verifier."""

from tests.system import System


def test_policies(system: System) -> None:
    p = system.parameters
    for verifier in (system.dummy, system.fault_proof):
        assert system.escrow.policy_of(verifier) == (True, p.charge_bps, p.keeper_fee)
    assert system.escrow.policy_of(system.stranger) == (False, 0, 0)
