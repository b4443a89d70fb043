"""The bounds of terms, from both sides."""

from typing import Any

import pytest

from headrace.terms.words import ZERO_ADDRESS
from tests.harness import reverts
from tests.system import DAY, System

# Name of a field (or more), last good value, first bad value, reason.
BOUNDS: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("requester", {}, {"requester": ZERO_ADDRESS}, "terms: requester is zero"),
    ("no attempts", {"max_attempts": 1}, {"max_attempts": 0}, "terms: bad max_attempts"),
    ("attempts", {"max_attempts": 4}, {"max_attempts": 5}, "terms: bad max_attempts"),
    ("all attempts", {"max_attempts": 4}, {"max_attempts": 255}, "terms: bad max_attempts"),
    (
        "tip share",
        {"tip_share_bps": 10_000},
        {"tip_share_bps": 10_001},
        "terms: bad tip_share_bps",
    ),
    ("least no-show", {"no_show_bps": 1_000}, {"no_show_bps": 999}, "terms: bad no_show_bps"),
    ("most no-show", {"no_show_bps": 5_000}, {"no_show_bps": 5_001}, "terms: bad no_show_bps"),
    (
        "cap",
        {"price_start": 0, "price_cap": 1},
        {"price_start": 0, "price_cap": 0},
        "terms: price_cap is zero",
    ),
    (
        "start",
        {"price_start": 70, "price_cap": 70},
        {"price_start": 71, "price_cap": 70},
        "terms: start above cap",
    ),
    ("ramp", {"ramp_seconds": 1}, {"ramp_seconds": 0}, "terms: ramp is zero"),
    (
        "no time",
        {"attempt_seconds": 1, "ack_seconds": 1},
        {"attempt_seconds": 0, "ack_seconds": 0},
        "terms: bad attempt_seconds",
    ),
    (
        "attempt",
        {"attempt_seconds": DAY},
        {"attempt_seconds": DAY + 1},
        "terms: bad attempt_seconds",
    ),
    (
        "ack",
        {"attempt_seconds": 50, "ack_seconds": 50},
        {"attempt_seconds": 50, "ack_seconds": 51},
        "terms: bad ack_seconds",
    ),
    ("units", {"units": 1}, {"units": 0}, "terms: no units"),
]


@pytest.mark.parametrize(
    ("good", "bad", "reason"), [b[1:] for b in BOUNDS], ids=[b[0] for b in BOUNDS]
)
def test_bounds(system: System, good: dict[str, Any], bad: dict[str, Any], reason: str) -> None:
    assert system.rules.check_terms(system.terms(**good).pack()) is True
    terms = system.terms(**bad)
    with reverts(reason):
        system.rules.check_terms(terms.pack())
    # The same for a job that is posted, and for one that is only signed.
    if terms.requester != ZERO_ADDRESS:
        with reverts(reason):
            system.post(terms)
        with reverts(reason):
            system.match(terms)


def test_times(system: System) -> None:
    now = system.chain.now()

    def check(at: int, **changes: int) -> bool:
        return system.rules.check_terms(system.terms(**changes).pack(), timestamp=at)

    with reverts("terms: never valid"):
        check(now, valid_from=now + 11, final_deadline=now + 10)
    assert check(now, valid_from=now + 10, final_deadline=now + 10)
    assert check(now + 10, final_deadline=now + 10)
    with reverts("terms: deadline is over"):
        check(now + 11, final_deadline=now + 10)
    assert check(now, final_deadline=now + 30 * DAY)
    with reverts("terms: deadline too far"):
        check(now, final_deadline=now + 30 * DAY + 1)


@pytest.mark.parametrize("word", [0, 5])
@pytest.mark.parametrize("bit", [0, 15])
def test_spare_bits(system: System, word: int, bit: int) -> None:
    words = list(system.terms().pack())
    words[word] |= 1 << bit
    with reverts("terms: spare bits"):
        system.rules.check_terms(tuple(words))
