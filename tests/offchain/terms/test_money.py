"""Money: every split conserves, no share exceeds its bound, the ramp and the tip behave."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.terms import money
from headrace.terms.money import CheckPrice, Policy
from headrace.terms.words import Terms
from tests.offchain.terms import strategies as words_of
from tests.offchain.terms.examples import T0, UNIT, make_ask, make_terms

amounts = words_of.uints(80)
POLICY = Policy(is_enabled=True, charge_bps=50, keeper_fee=0)
FREE = Policy(is_enabled=True, charge_bps=0, keeper_fee=0)
checks = st.builds(
    CheckPrice,
    levy=st.one_of(st.just(0), st.integers(0, 1000), amounts),
    lock_min=amounts,
    window=words_of.uints(32),
    delay=words_of.uints(32),
)


# ---- the ramp


@pytest.mark.parametrize(
    ("after", "limit"),
    [(-1, 4.0), (0, 4.0), (1, 4.1), (80, 12.0), (159, 19.9), (160, 20.0), (10_000, 20.0)],
)
def test_ramp_rises_in_a_straight_line(after: int, limit: float) -> None:
    assert money.ramp(make_terms(), T0 + after) == round(limit * UNIT)


@given(words_of.sane_terms(), st.integers(-10, 2**33), st.integers(0, 2**33))
def test_ramp_never_falls_and_stays_in_bounds(terms: Terms, since: int, more: int) -> None:
    early = money.ramp(terms, terms.valid_from + since)
    late = money.ramp(terms, terms.valid_from + since + more)
    assert terms.price_start <= early <= late <= terms.price_cap


@given(words_of.sane_terms(), amounts)
def test_ramp_reaches_names_the_first_second(terms: Terms, amount: int) -> None:
    first = money.ramp_reaches(terms, amount)
    if first is None:
        assert amount > terms.price_cap
        return
    assert money.ramp(terms, first) >= amount
    assert first == terms.valid_from or money.ramp(terms, first - 1) < amount
    assert first <= terms.valid_from + terms.ramp_seconds


@pytest.mark.parametrize("changes", [{"ramp_seconds": 0}, {"price_start": 20 * UNIT + 1}])
def test_no_ramp_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="ramp_seconds: the ramp must rise"):
        money.ramp(make_terms(**changes), T0)


# ---- tip and quote


@given(words_of.sane_terms(), amounts, amounts, amounts)
def test_tip_is_monotone_and_bounded(terms: Terms, saved: int, more: int, price: int) -> None:
    low, high = money.tip_of(terms, saved, price), money.tip_of(terms, saved + more, price)
    assert low <= high <= terms.tip_max
    # A price of nothing tips nothing: the tip is never what the lock doesn't cover.
    assert high <= price
    # The requester keeps at least as much of a larger saving: undercutting never costs it.
    assert saved - low <= saved + more - high


@given(words_of.sane_terms(), amounts)
def test_least_saving_is_least(terms: Terms, price: int) -> None:
    least = money.least_saving(terms, price)
    assert money.tip_of(terms, least, price) <= least
    assert least == 0 or money.tip_of(terms, least - 1, price) > least - 1


@given(words_of.sane_terms(), st.integers(0, 2**33), st.integers(0, 2**33))
def test_a_decline_starts_the_ramp_anew(terms: Terms, after: int, later: int) -> None:
    declined_at = terms.valid_from + after
    assert money.ramp(terms, declined_at, declined_at) == terms.price_start
    moved = money.ramp(terms, declined_at + later, declined_at)
    assert moved == money.ramp(terms, terms.valid_from + later)
    first = money.ramp_reaches(terms, terms.price_cap, declined_at)
    assert first is not None
    assert money.ramp(terms, first, declined_at) >= terms.price_cap


def test_quote_to_the_unit() -> None:
    # 2 + 10 * 0.5 = 7; charge 0.5 %; 40 s up the ramp it allows 8.
    found = money.quote(
        make_terms(),
        make_ask(),
        CheckPrice(levy=100_000, lock_min=21 * UNIT, window=600, delay=780),
        POLICY,
        T0 + 40,
    )
    assert (found.price, found.levy, found.charge) == (7_000_000, 100_000, 35_000)
    assert found.limit == 8_000_000
    assert found.tip == 20_000 + (8_000_000 - 7_135_000) // 10
    assert found.total == 7_135_000 + found.tip
    assert found.fits
    assert found.lock == 60 * UNIT  # 9 tokens of damages are 15 % of it
    assert found.latest_end == T0 + 7_200 + 600 + 780


def test_quote_above_the_ramp_has_no_tip_and_does_not_fit() -> None:
    found = money.quote(
        make_terms(), make_ask(), CheckPrice(levy=0, lock_min=0, window=0, delay=0), POLICY, T0
    )
    assert found.tip == 0
    assert found.total == 7_035_000 > found.limit == 4_000_000
    assert not found.fits


def test_a_tip_that_the_saving_cannot_pay_does_not_fit() -> None:
    terms = make_terms(price_start=7_000_000, price_cap=7_019_999)
    free = CheckPrice(levy=0, lock_min=0, window=0, delay=0)
    assert not money.quote(terms, make_ask(), free, FREE, T0 + 160).fits
    terms = make_terms(price_start=7_000_000, price_cap=7_022_222)
    assert money.quote(terms, make_ask(), free, FREE, T0 + 160).fits


@given(
    words_of.sane_terms(),
    words_of.asks,
    checks,
    st.integers(0, 200),
    amounts,
    st.integers(0, 2**41),
)
def test_what_fits_is_within_the_ramp_and_adds_up(
    terms: Terms, ask: object, check: CheckPrice, charge_bps: int, fee: int, now: int
) -> None:
    policy = Policy(is_enabled=True, charge_bps=charge_bps, keeper_fee=fee)
    found = money.quote(terms, ask, check, policy, now)  # type: ignore[arg-type]
    assert found.total == found.price + found.tip + found.levy + found.charge
    if found.fits:
        assert found.total <= found.limit <= terms.price_cap
        assert found.tip <= terms.tip_max


@given(words_of.sane_terms(), st.integers(0, 2**24), st.integers(0, 2**24), st.integers(0, 2**34))
def test_a_cheaper_offer_never_costs_more_and_never_tips_less(
    terms: Terms, base: int, more: int, after: int
) -> None:
    free = CheckPrice(levy=0, lock_min=0, window=0, delay=0)
    now = terms.valid_from + after
    cheap = money.quote(terms, make_ask(price_base=base, price_per_unit=0), free, POLICY, now)
    dear = money.quote(terms, make_ask(price_base=base + more, price_per_unit=0), free, POLICY, now)
    if dear.fits:
        assert cheap.fits
        assert cheap.total <= dear.total
        assert cheap.tip >= min(dear.tip, cheap.price)


# ---- the lock


@given(amounts, amounts)
def test_lock_leaves_the_refuter_more_than_the_keeper(lock_min: int, fee: int) -> None:
    lock = money.lock_required(lock_min, 0, fee)
    split = money.split_refuted(lock, 0, fee)
    assert split.to_keeper == fee
    assert 10 * split.to_refuter >= 18 * fee - 10


@given(amounts, amounts)
def test_lock_covers_the_floor_and_the_damages(lock_min: int, damage_cap: int) -> None:
    lock = money.lock_required(lock_min, damage_cap, 0)
    assert lock >= lock_min
    assert money.split_refuted(lock, damage_cap, 0).to_requester == damage_cap
    # and not a unit more than it takes
    if lock > lock_min:
        assert money.split_refuted(lock - 1, damage_cap, 0).to_requester < damage_cap


# ---- splits


@given(amounts, amounts, amounts)
def test_refuted_split_conserves_and_keeps_its_bounds(
    slash: int, damage_cap: int, keeper_fee: int
) -> None:
    split = money.split_refuted(slash, damage_cap, keeper_fee)
    parts = (split.to_requester, split.to_refuter, split.to_keeper, split.to_sink)
    assert sum(parts) == slash
    assert min(parts) >= 0
    assert 2 * split.to_sink >= slash
    assert split.to_requester <= damage_cap
    assert split.to_requester * 10_000 <= slash * 1_500
    assert (split.to_refuter + split.to_keeper) * 10_000 <= slash * 3_500
    assert split.to_keeper <= keeper_fee


def test_refuted_split_to_the_unit() -> None:
    split = money.split_refuted(60_000_001, 9_000_000, 250_000)
    assert (split.to_requester, split.to_refuter, split.to_keeper, split.to_sink) == (
        9_000_000,
        20_750_000,
        250_000,
        30_000_001,
    )


@given(amounts, amounts, st.integers(1_000, 5_000), amounts)
def test_no_show_split_conserves_and_keeps_its_bounds(
    lock: int, price: int, no_show_bps: int, keeper_fee: int
) -> None:
    slash = money.no_show_slash(lock, price, no_show_bps, keeper_fee)
    split = money.split_no_show(slash, keeper_fee)
    parts = (split.to_requester, split.to_keeper, split.to_sink)
    assert slash <= lock
    assert slash * 2 <= max(price, 8 * keeper_fee)
    # However little the price, the keeper who ends it gets its fee, if the lock has it.
    assert split.to_keeper == min(keeper_fee, lock // 4) or split.to_keeper == keeper_fee
    assert sum(parts) == slash
    assert min(parts) >= 0
    assert 2 * split.to_sink >= slash
    assert split.to_requester * 4 <= slash
    assert split.to_keeper <= keeper_fee
    assert split.to_keeper * 4 <= slash


def test_no_show_split_to_the_unit() -> None:
    slash = money.no_show_slash(60_000_000, 7_000_001, 5_000, 250_000)
    assert slash == 3_500_000
    split = money.split_no_show(slash + 3, 250_000)
    assert (split.to_requester, split.to_keeper, split.to_sink) == (875_000, 250_000, 2_375_003)
    assert money.no_show_slash(1_000, 7_000_000, 5_000, 0) == 1_000
    assert money.no_show_slash(60_000_000, 0, 5_000, 250_000) == 1_000_000


@given(amounts, amounts, amounts)
def test_convicting_oneself_loses_half_the_lock_or_more(
    lock: int, damage_cap: int, keeper_fee: int
) -> None:
    # Requester, refuter and keeper may all be the provider's own.
    split = money.split_refuted(lock, damage_cap, keeper_fee)
    assert 2 * (lock - split.to_sink) <= lock


def test_price_counts_units() -> None:
    terms = make_terms(units=3)
    assert money.price_of(make_ask(), terms.units) == 3_500_000
    assert money.price_of(make_ask(), replace(terms, units=0).units) == 2_000_000
