from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.terms import money
from headrace.terms.words import Terms
from tests.harness import Chain, Contract
from tests.offchain.terms import strategies as words_of

amounts = words_of.uints(80) | st.integers(0, 10_000)


@pytest.fixture(scope="module")
def harness(chain: Chain) -> Contract:
    return chain.deploy("MoneyHarness")


@given(terms=words_of.sane_terms(), after=st.integers(0, 2**33) | st.integers(0, 200))
def test_ramp_is_the_twins(harness: Contract, terms: Terms, after: int) -> None:
    now = terms.valid_from + after
    assert harness.ramp(
        terms.price_start, terms.price_cap, terms.valid_from, terms.ramp_seconds, now
    ) == money.ramp(terms, now)


@given(terms=words_of.sane_terms(), saved=amounts, price=amounts)
def test_tip_is_the_twins(harness: Contract, terms: Terms, saved: int, price: int) -> None:
    found = harness.tip(saved, terms.tip_fixed, terms.tip_share_bps, terms.tip_max, price)
    assert found == money.tip_of(terms, saved, price)


@given(lock_min=amounts, damage_cap=amounts, fee=amounts)
def test_lock_is_the_twins(harness: Contract, lock_min: int, damage_cap: int, fee: int) -> None:
    found = harness.lock_required(lock_min, damage_cap, fee)
    assert found == money.lock_required(lock_min, damage_cap, fee)


@given(slash=amounts, damage_cap=amounts, keeper_fee=amounts)
def test_refuted_split_is_the_twins(
    harness: Contract, slash: int, damage_cap: int, keeper_fee: int
) -> None:
    split = money.split_refuted(slash, damage_cap, keeper_fee)
    assert tuple(harness.split_refuted(slash, damage_cap, keeper_fee)) == astuple(split)


@given(lock=amounts, price=amounts, bps=st.integers(0, 10_000), keeper_fee=amounts)
def test_no_show_is_the_twins(
    harness: Contract, lock: int, price: int, bps: int, keeper_fee: int
) -> None:
    slash = money.no_show_slash(lock, price, bps, keeper_fee)
    assert harness.no_show_slash(lock, price, bps, keeper_fee) == slash
    split = money.split_no_show(slash, keeper_fee)
    assert tuple(harness.split_no_show(slash, keeper_fee)) == astuple(split)
