"""The rule of a match: each bit on its own, at both sides of its edge, and in words."""

from dataclasses import replace
from typing import Any

import pytest

from headrace.errors import Rejected
from headrace.terms import unmet as rule
from headrace.terms.money import CheckPrice, Policy
from headrace.terms.requirement import PROVIDER_BITS, REQUESTER_BITS
from headrace.terms.unmet import Context, ask_bits, check_form, check_terms, explain, unmet
from headrace.terms.words import Exclusion, excluded_hash, programs_proof, programs_root
from tests.offchain.terms.examples import (
    CODE_HASH,
    KEEPER,
    PROGRAM,
    PROVIDER,
    REQUESTER,
    T0,
    UNIT,
    address,
    make_ask,
    make_terms,
)

NOW = T0 + 100
MONTH = 30 * 86_400
OTHER = Exclusion(provider=address(0xEE), held=3 * UNIT)
SELF = Exclusion(provider=PROVIDER, held=3 * UNIT)
# 2 + 10 * 0.5 and 0.5 %; of 14 tokens on the ramp 6.965 are saved, a tenth of it and 0.02 is the
# tip.
TOTAL = 7_035_000 + 716_500
LOCK = 60 * UNIT


def make_context(**changes: Any) -> Context:
    """What makes the example job, only signed, and the example offer fit, with `changes`."""
    values: dict[str, Any] = {
        "now": NOW,
        "keeper": KEEPER,
        "job_state": 0,
        "job_digest": 0,
        "bid_epoch": 0,
        "registry_bits": 0,
        "ask_bits": 0,
        "policy": Policy(is_enabled=True, charge_bps=50, keeper_fee=UNIT // 4),
        "check": CheckPrice(levy=0, lock_min=21 * UNIT, window=600, delay=780),
        "code_hash": CODE_HASH,
        "requester_free": TOTAL,
        "provider_free": LOCK,
        "attempt_max": 3_600,
        "delay_max": 3_600,
    }
    return Context(**(values | changes))


def names(
    terms: dict[str, Any] | None = None,
    ask: dict[str, Any] | None = None,
    context: dict[str, Any] | None = None,
) -> list[str]:
    """What stands against the example pair after these changes."""
    bits = unmet(make_terms(**terms or {}), make_ask(**ask or {}), make_context(**context or {}))
    return [reason.name for reason in explain(*bits)]


def test_the_example_fits_to_the_unit() -> None:
    assert names() == []


# ---- the requester's side


@pytest.mark.parametrize(
    ("after", "found"),
    [(-1, ["too_early"]), (0, []), (100, [])],
)
def test_too_early(after: int, found: list[str]) -> None:
    start = {"valid_from": NOW - after, "price_start": 12 * UNIT, "tip_share_bps": 0}
    assert names(start) == found


def test_a_bids_deadline_is_at_most_a_month_away() -> None:
    assert names({"final_deadline": NOW + MONTH}) == []
    assert names({"final_deadline": NOW + MONTH + 1}) == ["too_early"]
    assert names({"final_deadline": NOW + MONTH + 1}, context={"job_state": 1}) == []


def test_too_late() -> None:
    assert names({"final_deadline": NOW}) == []
    assert names({"final_deadline": NOW - 1}) == ["too_late"]


def test_price() -> None:
    # Without a share the tip is 0.02: the ramp has to be at 7.055, which it is 31 seconds after the
    # start.
    plain = {"tip_share_bps": 0}
    assert names(plain, context={"now": T0 + 30}) == ["price"]
    assert names(plain, context={"now": T0 + 31}) == []


def test_excluded() -> None:
    for state in (0, 1):
        listed = {"job_state": state, "excluded": (OTHER,), "requester_free": 20 * UNIT}
        assert names(context=listed | {"job_digest": excluded_hash([OTHER])}) == []
        # The wrong list, the wrong order, a list for a job that excludes nobody, and its own name.
        assert names(context=listed | {"job_digest": excluded_hash([SELF])}) == ["excluded"]
        assert names(context=listed) == ["excluded"]
        listed["excluded"] = (OTHER, SELF)
        assert names(context=listed | {"job_digest": excluded_hash([OTHER, SELF])}) == ["excluded"]


def test_verifier_stopped_is_not_asked() -> None:
    stopped = {"policy": Policy(is_enabled=False, charge_bps=0, keeper_fee=0), "check": None}
    assert names(context=stopped) == ["verifier_stopped"]


def test_a_verifier_that_refuses() -> None:
    with pytest.raises(Rejected, match="the verifier refuses the job"):
        names(context={"check": None})


@pytest.mark.parametrize("state", range(2, 9))
def test_not_open(state: int) -> None:
    # What is excluded doesn't matter any more, and the requester's money is put aside.
    over = {"job_state": state, "job_digest": 12345, "requester_free": None}
    assert names(context=over) == ["not_open"]


def test_a_revoked_bid_is_not_open() -> None:
    assert names({"epoch": 1}) == ["not_open"]
    assert names({"epoch": 1}, context={"bid_epoch": 1}) == []
    assert names({"epoch": 1}, context={"job_state": 1}) == []


@pytest.mark.parametrize(
    ("state", "excluded", "free", "found"),
    [
        (0, (), TOTAL, []),
        (0, (), TOTAL - 1, ["funds"]),
        (0, (), None, ["funds"]),
        (1, (), None, []),  # the cap is put aside
        (1, (OTHER,), TOTAL - 3 * UNIT, []),
        (1, (OTHER,), TOTAL - 3 * UNIT - 1, ["funds"]),
        (1, (OTHER,), None, ["funds"]),
        (1, (replace(OTHER, held=TOTAL),), None, []),
    ],
)
def test_funds(state: int, excluded: Any, free: int | None, found: list[str]) -> None:
    assert (
        names(
            context={
                "job_state": state,
                "excluded": excluded,
                "job_digest": excluded_hash(excluded),
                "requester_free": free,
            }
        )
        == found
    )


# ---- the provider's side


@pytest.mark.parametrize(
    ("field", "good", "bad", "name"),
    [
        ("expiry", NOW, NOW - 1, "expired"),
        ("expiry", NOW + MONTH, NOW + MONTH + 1, "expired"),
        ("programs", PROGRAM, b"\x08" * 32, "program"),
        ("max_units", 10, 9, "units"),
        ("max_input_bytes", 640, 639, "input_bytes"),
        ("min_ack_seconds", 60, 61, "ack_seconds"),
        ("min_attempt_seconds", 600, 601, "attempt_seconds"),
        ("max_lock", LOCK, LOCK - 1, "lock"),
        ("max_delay", 780, 779, "delay"),
        ("counterparty", KEEPER, PROVIDER, "counterparty"),
        ("counterparty", REQUESTER, address(5), "counterparty"),
    ],
)
def test_limits_of_the_ask(field: str, good: Any, bad: Any, name: str) -> None:
    assert names(ask={field: good}) == []
    assert names(ask={field: bad}) == [name]


def test_delay_is_bounded_for_all_and_contains_the_window() -> None:
    assert names(context={"delay_max": 780}) == []
    assert names(context={"delay_max": 779}) == ["delay"]
    check = CheckPrice(levy=0, lock_min=0, window=780, delay=780)
    assert names(context={"check": check}) == []
    assert names(context={"check": replace(check, window=781)}) == ["delay"]


def test_program_by_proof() -> None:
    programs = [PROGRAM, b"\x01" * 32, b"\x02" * 32]
    ask = {"programs": programs_root(programs)}
    proof = programs_proof(programs, PROGRAM)
    assert names(ask=ask, context={"program_proof": proof}) == []
    assert names(ask=ask) == ["program"]
    assert names({"program": b"\x03" * 32}, ask, {"program_proof": proof}) == ["program"]


@pytest.mark.parametrize(
    "changes", [{"verifier": address(9)}, {"settings": make_terms().settings + (1 << 56)}]
)
def test_verifier_by_address_and_settings(changes: dict[str, Any]) -> None:
    assert names(changes) == ["verifier"]


def test_verifier_by_code() -> None:
    assert names(context={"code_hash": b"\x0d" * 32}) == ["verifier"]


def test_stake() -> None:
    assert names(context={"provider_free": LOCK - 1}) == ["stake"]
    assert names(context={"provider_free": None}) == ["stake"]


def test_who_serves_itself_needs_both() -> None:
    own = {"requester": PROVIDER}
    both = TOTAL + LOCK
    free = {"requester_free": both, "provider_free": both}
    assert names(own, context=free) == []
    free = {"requester_free": both - 1, "provider_free": both - 1}
    assert names(own, context=free) == ["stake"]


def test_a_batch_needs_it_for_each() -> None:
    free = {"requester_free": 3 * TOTAL, "provider_free": 3 * LOCK}
    assert names(context=free | {"count": 3}) == []
    assert names(context=free | {"count": 4}) == ["funds", "stake"]


@pytest.mark.parametrize(
    ("ask", "signer", "operator", "epoch", "revoked", "found"),
    [
        ({}, PROVIDER, KEEPER, 0, 0, []),
        ({}, KEEPER, KEEPER, 0, 0, []),
        ({}, REQUESTER, KEEPER, 0, 0, ["signer"]),
        ({"epoch": 1}, PROVIDER, KEEPER, 0, 0, ["epoch"]),
        ({"epoch": 0}, PROVIDER, KEEPER, 1, 0, ["epoch"]),
        ({"lane": 3}, PROVIDER, KEEPER, 0, 0b0111, []),
        ({"lane": 3}, PROVIDER, KEEPER, 0, 0b1000, ["lane"]),
        ({"lane": 15}, PROVIDER, KEEPER, 0, 0, []),
        ({"lane": 16}, PROVIDER, KEEPER, 0, 0, ["lane"]),
    ],
)
def test_ask_bits(
    ask: dict[str, Any], signer: str, operator: str, epoch: int, revoked: int, found: list[str]
) -> None:
    bits = ask_bits(make_ask(**ask), signer, operator, epoch, revoked)
    assert [reason.name for reason in explain(0, bits)] == found
    assert names(context={"ask_bits": bits}) == found


# ---- the terms' own form


@pytest.mark.parametrize(
    ("good", "bad", "reason"),
    [
        ({}, {"requester": address(0)}, "terms: requester is zero"),
        ({"max_attempts": 1}, {"max_attempts": 0}, "terms: bad max_attempts"),
        ({"max_attempts": 4}, {"max_attempts": 5}, "terms: bad max_attempts"),
        ({"tip_share_bps": 10_000}, {"tip_share_bps": 10_001}, "terms: bad tip_share_bps"),
        ({"no_show_bps": 1_000}, {"no_show_bps": 999}, "terms: bad no_show_bps"),
        ({"no_show_bps": 5_000}, {"no_show_bps": 5_001}, "terms: bad no_show_bps"),
        ({}, {"price_cap": 0, "price_start": 0}, "terms: price_cap is zero"),
        ({"price_start": 20 * UNIT}, {"price_start": 20 * UNIT + 1}, "terms: start above cap"),
        ({"ramp_seconds": 1}, {"ramp_seconds": 0}, "terms: ramp is zero"),
        ({"attempt_seconds": 3_600}, {"attempt_seconds": 3_601}, "terms: bad attempt_seconds"),
        ({}, {"attempt_seconds": 0, "ack_seconds": 0}, "terms: bad attempt_seconds"),
        ({"ack_seconds": 600}, {"ack_seconds": 601}, "terms: bad ack_seconds"),
        ({"units": 1}, {"units": 0}, "terms: no units"),
        ({"valid_from": T0 + 7_200}, {"valid_from": T0 + 7_201}, "terms: never valid"),
        ({"final_deadline": NOW}, {"final_deadline": NOW - 1}, "terms: deadline is over"),
        (
            {"final_deadline": NOW + MONTH},
            {"final_deadline": NOW + MONTH + 1},
            "terms: deadline too far",
        ),
    ],
)
def test_form_of_terms(good: dict[str, Any], bad: dict[str, Any], reason: str) -> None:
    check_terms(make_terms(**good), 3_600, NOW)
    with pytest.raises(Rejected, match=f"^{reason}$"):
        check_terms(make_terms(**bad), 3_600, NOW)
    if "deadline" in reason:
        check_form(make_terms(**bad), 3_600)
    else:
        with pytest.raises(Rejected, match=f"^{reason}$"):
            names(bad)


# ---- in words


def test_every_bit_has_a_sentence_with_what_to_do() -> None:
    every = explain(sum(1 << bit for bit in REQUESTER_BITS), sum(1 << bit for bit in PROVIDER_BITS))
    assert [reason.name for reason in every] == [*REQUESTER_BITS.values(), *PROVIDER_BITS.values()]
    assert {reason.side for reason in every} == {"requester", "provider"}
    assert len({reason.sentence for reason in every}) == len(every)
    assert all("this version" not in reason.sentence for reason in every)


def test_a_bit_of_a_later_version_is_said_to_be_unknown() -> None:
    (reason,) = explain(1 << 15, 0)
    assert (reason.side, reason.name) == ("requester", "bit_15")
    assert "this version doesn't know" in reason.sentence


def test_the_bits_are_those_of_the_page() -> None:
    # docs/encoding.md, written out once more.
    assert (rule.TOO_EARLY, rule.PRICE, rule.FUNDS) == (1 << 16, 1 << 18, 1 << 22)
    assert (rule.CAPACITY, rule.STAKE) == (1 << 14, 1 << 12)
