"""`quote` is what a final claim costs, to the unit; the Python twin says the same."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.terms import money
from tests.system import HOOKS, STANDS, UNIT, System

amounts = st.integers(0, 2**80 - 1)
small = st.integers(0, 10**7)


def twin(system: System, terms: object, ask: object, levy: int, lock: int, now: int) -> object:
    delay = (terms.settings & 0xFFFFFFFF) + ((terms.settings >> 32) & 0xFFFFFFFF)
    check = money.CheckPrice(levy=levy, lock_min=lock, window=600, delay=delay)
    return money.quote(terms, ask, check, system.policy(), now)


@given(
    price_start=small,
    rise=small,
    damage_cap=amounts,
    tip_fixed=amounts,
    tip_max=amounts,
    tip_share_bps=st.integers(0, 10_000),
    price_base=small,
    price_per_unit=small,
    units=st.integers(1, 2**32 - 1),
    levy=small,
    floor=amounts,
    factor=st.integers(0, 4),
    age=st.integers(-100, 3_000),
    ramp_seconds=st.integers(1, 2_000),
    extra=st.integers(0, 1_000),
)
@settings(max_examples=100)
def test_equals_the_twin(
    system: System,
    price_start: int,
    rise: int,
    damage_cap: int,
    tip_fixed: int,
    tip_max: int,
    tip_share_bps: int,
    price_base: int,
    price_per_unit: int,
    units: int,
    levy: int,
    floor: int,
    factor: int,
    age: int,
    ramp_seconds: int,
    extra: int,
) -> None:
    with system.chain.isolated():
        system.dummy.set_price(levy, floor, factor)
        now = system.chain.now() + 10
        terms = system.terms(
            settings=HOOKS | extra << 32 | 600,
            price_start=price_start,
            price_cap=price_start + rise,
            damage_cap=damage_cap,
            tip_fixed=tip_fixed,
            tip_max=tip_max,
            tip_share_bps=tip_share_bps,
            valid_from=now - age,
            ramp_seconds=ramp_seconds,
            units=units,
        )
        ask = system.ask(price_base=price_base, price_per_unit=price_per_unit)
        found = system.rules.quote(terms.pack(), ask.pack(), timestamp=now)
        lock = max(floor, factor * money.price_of(ask, units))
        expected = twin(system, terms, ask, levy, lock, now)
        for name in ("price", "tip", "levy", "charge", "total", "lock", "delay", "latest_end"):
            assert getattr(found, name) == getattr(expected, name), name


@pytest.mark.parametrize("late", [0, 1, 250, 999, 1_000, 5_000])
def test_is_what_final_charges(system: System, late: int) -> None:
    """All along the ramp, with every share rounded."""
    terms, ask = system.terms(), system.ask()
    at = terms.valid_from + 10 + late
    quote = system.rules.quote(terms.pack(), ask.pack(), timestamp=at)
    attempt = system.match(terms, ask, timestamp=at)
    keeper = system.vault.free_of(system.keepers[0])
    system.claim(attempt)
    system.rule(attempt, STANDS)
    system.finalise(attempt)
    paid = system.parameters.funds - system.vault.free_of(terms.requester)
    assert paid == quote.total == quote.price + quote.tip + quote.levy + quote.charge
    assert system.vault.free_of(system.keepers[0]) - keeper == quote.tip
    limit = (
        terms.price_start + (terms.price_cap - terms.price_start) * min(1_000, 10 + late) // 1_000
    )
    saved = limit - quote.price - quote.levy - quote.charge
    assert quote.tip == min(terms.tip_max, terms.tip_fixed + saved * terms.tip_share_bps // 10_000)


def test_says_what_it_would_cost_above_the_ramp(system: System) -> None:
    terms, ask = system.terms(), system.ask(price_base=100 * UNIT)
    quote = system.rules.quote(terms.pack(), ask.pack())
    assert quote.price == 100 * UNIT + 17 * 100_003
    assert quote.tip == 0
    assert quote.total > terms.price_cap


def test_of_a_stopped_verifier_is_of_no_check(system: System) -> None:
    """It isn't called, so there is no levy and no delay; `unmet` says why there is no match."""
    system.escrow.stop_verifier(system.dummy, sender=system.owner)
    quote = system.rules.quote(system.terms().pack(), system.ask().pack())
    assert (quote.levy, quote.charge, quote.delay) == (0, 0, 0)
