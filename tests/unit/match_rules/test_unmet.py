"""`unmet` and `match` are one rule: both bitmasks are zero exactly when the match succeeds."""

from dataclasses import replace
from functools import reduce
from operator import or_

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness import Reverted, reverts
from tests.system import MATCHED, System
from tests.unit.match_rules.cases import BY_NAME, CASES, PLAIN, Case, Setup, bring_about

NO_NODE = 1 << 3
NODE_BITS = sum(1 << bit for bit in range(4, 11))
NAMES = [case.name for case in CASES]


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_one_thing_stands_against_it(system: System, case: Case) -> None:
    setup = bring_about(system, (case, True))
    assert setup.unmet(system) == case.bits
    with reverts(case.reason):
        setup.match(system)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_the_last_good_value(system: System, case: Case) -> None:
    setup = bring_about(system, (case, False))
    assert setup.unmet(system) == (0, 0)
    assert system.job(setup.match(system)).state == MATCHED


def test_every_bit_has_a_case() -> None:
    """All bits of docs/encoding.md but the signer's, which only a signature can set."""
    ours = {bit for case in CASES for bit in case.requester_bits}
    theirs = {bit for case in CASES for bit in case.provider_bits}
    assert ours == {*range(15), *range(16, 23)}
    assert theirs == {*range(1, 14)}


def succeeds(system: System, setup: Setup) -> bool:
    try:
        setup.match(system)
    except Reverted:
        return False
    return True


@given(
    chosen=st.lists(st.sampled_from(PLAIN), max_size=6, unique_by=lambda case: case.name),
    data=st.data(),
)
@settings(max_examples=150)
def test_any_mixture(system: System, chosen: list[Case], data: st.DataObject) -> None:
    """
    Whatever is good or bad at once: the bits are those of the bad, and the match succeeds if and
    only if there are none.
    """
    picks = [(case, data.draw(st.booleans(), label=case.name)) for case in chosen]
    with system.chain.isolated():
        setup = bring_about(system, *picks)
        try:
            found = setup.unmet(system)
        except Reverted as error:
            # Terms that contradict themselves: no time will come at which they match.
            with reverts(error.reason):
                setup.match(system)
            return
        assert succeeds(system, setup) == (found == (0, 0))
        # Two cases may want the same field: then the later one has its way.
        fields = [{*case.terms(0, True), *case.ask(0, True)} for case, _ in picks]
        if sum(map(len, fields)) == len(set().union(*fields)):
            bad = [case.bits for case, is_bad in picks if is_bad]
            ours, theirs = (reduce(or_, side, 0) for side in zip((0, 0), *bad, strict=True))
            # A node that isn't there has nothing of what may be asked of it.
            ignored = NODE_BITS if ours & NO_NODE else 0
            assert (found[0] & ~ignored, found[1]) == (ours & ~ignored, theirs)


numbers = st.integers(0, 2**16)


@given(
    price_base=numbers,
    price_per_unit=numbers,
    units=st.integers(1, 2**10),
    damage_cap=numbers,
    levy=numbers,
    lock_factor=st.integers(0, 5),
    tip=st.tuples(numbers, numbers, st.integers(0, 10_000)),
    start=st.integers(0, 2**26),
    rise=st.integers(0, 2**26),
    ramp=st.tuples(st.integers(0, 2_000), st.integers(1, 2_000)),
    max_lock=st.integers(0, 2**28),
)
@settings(max_examples=100)
def test_any_figures(
    system: System,
    price_base: int,
    price_per_unit: int,
    units: int,
    damage_cap: int,
    levy: int,
    lock_factor: int,
    tip: tuple[int, int, int],
    start: int,
    rise: int,
    ramp: tuple[int, int],
    max_lock: int,
) -> None:
    """Prices, tips and locks at random: match and `unmet` agree, and nobody pays above the ramp."""
    with system.chain.isolated():
        system.dummy.set_price(levy, 0, lock_factor)
        now = system.chain.now() + 5
        terms = system.terms(
            price_start=start,
            price_cap=max(1, start + rise),
            damage_cap=damage_cap,
            tip_fixed=tip[0],
            tip_max=tip[1],
            tip_share_bps=tip[2],
            valid_from=now - ramp[0],
            ramp_seconds=ramp[1],
            units=units,
        )
        ask = system.ask(
            price_base=price_base, price_per_unit=price_per_unit, max_lock=max_lock, max_units=2**31
        )
        setup = Setup(terms, ask, now)
        found = setup.unmet(system)
        quote = system.rules.quote(terms.pack(), ask.pack(), timestamp=now)
        limit = start + (terms.price_cap - start) * min(ramp) // ramp[1]
        assert (found[0] >> 18) & 1 == (quote.total > limit)
        assert (found[1] >> 9) & 1 == (quote.lock > max_lock)
        try:
            record = setup.match(system).record
        except Reverted:
            assert found != (0, 0)
            return
        assert found == (0, 0)
        assert (record.price, record.tip, record.levy) == (quote.price, quote.tip, quote.levy)
        assert record.lock == quote.lock <= max_lock
        assert quote.total <= limit <= terms.price_cap


@pytest.mark.parametrize("who", ["requester", "keeper", "nobody"])
def test_an_ask_for_one_requester_or_keeper(system: System, who: str) -> None:
    terms = system.terms()
    one = {
        "requester": terms.requester,
        "keeper": system.keepers[1].address,
        "nobody": system.requesters[1].address,
    }[who]
    for keeper in (0, 1):
        setup = Setup(terms, system.ask(counterparty=one), system.chain.now() + 1, keeper=keeper)
        is_met = who == "requester" or (who == "keeper" and keeper == 1)
        assert setup.unmet(system) == ((0, 0) if is_met else (0, 1 << 11))


def test_terms_that_could_never_be_matched(system: System) -> None:
    terms, ask = system.terms(), system.ask()
    now = system.chain.now() + 1
    with reverts("terms: bad max_attempts"):
        Setup(replace(terms, max_attempts=0), ask, now).unmet(system)
    bent = list(ask.pack())
    bent[0] |= 1
    with reverts("match: spare bits in ask"):
        system.rules.unmet(terms.pack(), tuple(bent), [], [], system.keepers[0])
    with reverts("dummy: not its hooks"):
        Setup(replace(terms, settings=600), ask, now).unmet(system)


def test_a_verifier_that_is_not_enabled_is_not_called(system: System) -> None:
    """It may have no code at all, or do anything."""
    terms = system.terms(verifier=system.stranger.address)
    setup = Setup(terms, system.ask(), system.chain.now() + 1)
    assert setup.unmet(system) == (1 << 20, 1 << 8)


def test_the_view_is_no_promise_for_a_batch(system: System) -> None:
    """It speaks of one job: what all members need together is checked at the match."""
    setup = bring_about(system, (BY_NAME["provider's money"], False))
    assert setup.unmet(system) == (0, 0)
    system.chain.next_time(setup.now)
    with reverts("vault: not enough to lock"):
        system.match_batch(replace(setup.terms, input_id=bytes(32)), ask=setup.ask)
