"""The stake of a match: the verifier's floor, or what covers the damages."""

import pytest

from headrace.terms import money
from tests.system import System


@pytest.mark.parametrize("damage_cap", [0, 1, 14, 15, 149, 150, 151, 300_017, 2**80 - 1])
@pytest.mark.parametrize("floor", [0, 1_001, 10**7])
def test_covers_floor_and_damages(system: System, damage_cap: int, floor: int) -> None:
    system.dummy.set_price(0, floor, 0)
    terms = system.terms(damage_cap=damage_cap)
    lock = system.rules.lock_required(terms.pack(), system.ask().pack())
    assert lock == money.lock_required(floor, damage_cap, system.policy().keeper_fee)
    assert lock >= floor
    # The requester's share of it reaches the damages; with a unit less it would not.
    assert lock * 1_500 // 10_000 >= damage_cap
    if lock > max(floor, 8 * system.policy().keeper_fee):
        assert (lock - 1) * 1_500 // 10_000 < damage_cap


def test_is_what_the_match_locks(system: System) -> None:
    terms, ask = system.terms(damage_cap=1_234_567), system.ask()
    lock = system.rules.lock_required(terms.pack(), ask.pack())
    assert system.match(terms, ask).record.lock == lock
