"""Offers stay under their caps, and what is to replace another is dear enough for every node."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.chain.fees import (
    GWEI,
    Fees,
    Kind,
    Offer,
    eighth_more,
    first_offer,
    gas_limit,
    raised,
)
from headrace.daemon.actions import DONE
from headrace.daemon.kinds import KINDS, kind_of
from headrace.errors import Rejected

wei = st.integers(0, 10**14)
ORDINARY = Kind(gas_ceiling=100_000)
SAFETY = Kind(gas_ceiling=100_000, is_safety=True)


@given(wei)
def test_an_eighth_more_is_what_geth_wants_and_a_wei_to_spare_at_zero(fee):
    more = eighth_more(fee)
    assert more > fee
    assert more * 1_000 >= fee * 1_125
    assert more <= fee * 9 // 8 + 1


@given(wei, wei, wei)
def test_a_first_offer_lasts_while_the_base_fee_doubles_or_stops_at_the_cap(base, tip, cap):
    offer = first_offer(base, tip, cap)
    if base + tip > cap:
        assert offer is None
    else:
        assert offer == Offer(min(2 * base + tip, cap), tip)
        assert base + offer.priority_fee <= offer.max_fee <= cap


@given(wei, wei, wei, wei)
def test_a_raised_offer_replaces_the_other_and_keeps_to_the_cap(max_fee, tip, base, cap):
    before = Offer(max(max_fee, tip), tip)
    after = raised(before, base, cap)
    if after is None:
        assert eighth_more(before.max_fee) > cap or eighth_more(before.priority_fee) > cap
    else:
        assert after.max_fee * 1_000 >= before.max_fee * 1_125
        assert after.priority_fee * 1_000 >= before.priority_fee * 1_125
        assert after.priority_fee <= after.max_fee <= cap
        assert after.max_fee >= min(2 * base, cap)


def test_at_the_cap_an_offer_is_not_raised_by_less_than_an_eighth():
    before = Offer(80, 8)
    assert raised(before, base_fee=1, cap=89) is None
    assert raised(before, base_fee=1, cap=90) == Offer(90, 9)
    assert raised(before, base_fee=50, cap=95) == Offer(95, 9)


def test_ordinary_actions_leave_room_for_those_that_may_not_wait():
    fees = Fees.unattended(100 * GWEI, lambda what: ORDINARY, reserve=1, daily_budget=2)
    assert fees.cap_of(ORDINARY) == 50 * GWEI
    assert fees.cap_of(SAFETY) == 100 * GWEI
    assert Fees(cap=7).cap_of(ORDINARY) == 7


def test_a_limit_has_a_fifth_to_spare_up_to_the_ceiling():
    assert gas_limit(50_000, ORDINARY, "a") == 80_000
    assert gas_limit(66_666, ORDINARY, "a") == 99_999
    assert gas_limit(66_667, ORDINARY, "a") == 100_000
    assert gas_limit(100_000, ORDINARY, "a") == 100_000
    with pytest.raises(Rejected, match=r"gas: Vault\.deposit takes 100001, the ceiling is 100000"):
        gas_limit(100_001, ORDINARY, "Vault.deposit")


def test_every_move_of_the_daemons_has_a_kind():
    assert set(DONE) <= set(KINDS)
    for what in ("FaultProof.prove_matmul", "FaultProof.publish_trace", "JobEscrow.submit_claim"):
        assert kind_of(what).is_safety
    for what in ("JobEscrow.match", "JobEscrow.finalise", "ProviderRegistry.sweep"):
        assert not kind_of(what).is_safety


def test_a_function_that_is_not_in_the_table_is_judged_by_its_verb():
    assert kind_of("GraphProof.prove_softmax").is_safety
    assert kind_of("GraphProof.answer").is_safety
    assert not kind_of("Somewhere.harvest").is_safety
