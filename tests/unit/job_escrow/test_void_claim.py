"""Voiding: when a verifier has failed, everybody gets back what was put aside."""

import pytest
from eth_utils import keccak

from tests.harness import reverts
from tests.models.job_money import undone
from tests.system import (
    BURNS_GAS,
    CLAIMED,
    DEAR,
    EXPIRED,
    FALLS,
    NEVER_DUE,
    PENDING,
    REVERTS,
    SOUND,
    STANDS,
    VOID_GRACE,
    Attempt,
    System,
)
from tests.unit.job_escrow.conftest import Books


def edge(system: System, attempt: Attempt) -> int:
    """The last second in which the claim can't be voided."""
    return system.job(attempt).time + system.parameters.delay_max + VOID_GRACE


def code(*words: int | str) -> str:
    """Code of a contract that returns these words whatever it is asked."""
    data = b"".join(
        int(word, 16).to_bytes(32) if isinstance(word, str) else word.to_bytes(32) for word in words
    )
    size = len(data)
    # Copies what comes after these 12 bytes to memory and returns it.
    return (bytes.fromhex(f"61{size:04x}600c5f3961{size:04x}5ff3") + data).hex()


def test_undoes_the_match(system: System, books: Books) -> None:
    attempt = system.claimed(system.terms(max_attempts=4), system.ask(1))
    before = system.registry.provider_of(system.providers[1])
    with books(undone(attempt.record)):
        receipt = system.void(attempt, timestamp=edge(system, attempt) + 1)
    assert system.job(attempt) == (EXPIRED, 1, 0, 0)
    assert receipt.only("Voided") == (attempt.job_id, attempt.record.provider)
    after = system.registry.provider_of(system.providers[1])
    # Nobody's fault: the place is free again, and nothing else is written down.
    assert after.active == before.active - 1 == 0
    assert after[9:15] == before[9:15]


def test_two_days_after_the_longest_delay(system: System) -> None:
    attempt = system.claimed()
    last = edge(system, attempt)
    with system.chain.isolated(), reverts("void: too early"):
        system.void(attempt, timestamp=last)
    system.void(attempt, timestamp=last + 1)


@pytest.mark.parametrize("mode", [SOUND, REVERTS, BURNS_GAS, NEVER_DUE, DEAR])
def test_a_verifier_without_a_verdict(system: System, books: Books, mode: int) -> None:
    attempt = system.claimed()
    if mode == DEAR:
        # A verdict that takes more gas than JobEscrow gives is none.
        system.rule(attempt, STANDS)
    system.dummy.set_mode(mode)
    with books(undone(attempt.record)):
        system.void(attempt, timestamp=edge(system, attempt) + 1)


# Head of an Outcome: offset, verdict, not_before, refuter, offset of the payouts, their number.
GARBAGE = {
    "nothing": "00",
    "invalid": "fe",
    "one word": code(32),
    "a verdict alone": code(32, STANDS),
    "no payouts": code(32, STANDS, 0, 0, 0x80),
    "an unknown verdict": code(32, 8, 0, 0, 0x80, 0),
    "two verdicts": code(32, STANDS | FALLS, 0, 0, 0x80, 0),
    "pending": code(32, PENDING, 0, 0, 0x80, 0),
    "nine payouts": code(32, STANDS, 0, 0, 0x80, 9, *range(1, 19)),
    "payouts cut short": code(32, STANDS, 0, 0, 0x80, 2, 1, 1),
    "payouts elsewhere": code(32, STANDS, 0, 0, 2**255, 0),
    "a refuter of 21 bytes": code(32, FALLS, 0, 2**160, 0x80, 0),
    "a payee of 21 bytes": code(32, FALLS, 0, 1, 0x80, 1, 2**160, 1),
    "a window without end": code(32, STANDS, 2**256 - 1, 0, 0x80, 0),
}


@pytest.mark.parametrize("answer", GARBAGE)
def test_a_verifier_that_answers_garbage(system: System, books: Books, answer: str) -> None:
    """What looks like a verdict but can't be carried out must not keep the money in here."""
    attempt = system.claimed()
    system.chain.rpc("anvil_setCode", system.dummy.address, "0x" + GARBAGE[answer])
    with books(undone(attempt.record)):
        system.void(attempt, timestamp=edge(system, attempt) + 1)


@pytest.mark.parametrize("verdict", [STANDS, FALLS])
def test_the_encoding_of_the_garbage_is_right(system: System, verdict: int) -> None:
    """Well-formed answers of the same kind are verdicts, so the garbage is what it says."""
    attempt = system.claimed()
    answer = code(32, verdict, 0, system.stranger.address, 0x80, 1, system.stranger.address, 5)
    system.chain.rpc("anvil_setCode", system.dummy.address, "0x" + answer)
    with reverts("void: there is a verdict"):
        system.void(attempt, timestamp=edge(system, attempt) + 1)
    system.finalise(attempt) if verdict == STANDS else system.refute(attempt)


@pytest.mark.parametrize("verdict", [STANDS, FALLS])
def test_a_verdict_is_carried_out_however_late(system: System, verdict: int) -> None:
    attempt = system.claimed()
    system.rule(attempt, verdict, system.watchers[0])
    with reverts("void: there is a verdict"):
        system.void(attempt, timestamp=edge(system, attempt) + 1)
    system.finalise(attempt) if verdict == STANDS else system.refute(attempt)


@pytest.mark.parametrize("late", [0, 1])
def test_a_window_that_is_still_open_is_no_verdict(system: System, late: int) -> None:
    attempt = system.claimed()
    at = edge(system, attempt) + 10
    system.rule(attempt, STANDS, not_before=at - late)
    if late:
        with reverts("void: there is a verdict"):
            system.void(attempt, timestamp=at)
    else:
        system.void(attempt, timestamp=at)


def test_little_gas_does_not_void_a_good_claim(system: System) -> None:
    """
    The verdict takes just less gas than JobEscrow gives. Whatever gas the caller brings, the
    verifier is asked with all of it or not at all.
    """
    attempt = system.claimed()
    system.rule(attempt, STANDS)
    system.chain.travel(edge(system, attempt) + 10 - system.chain.now())
    call = (attempt.job_id, attempt.record.pack(), attempt.commitment)
    seen = set()
    for gas in [*range(200_000, 1_400_000, 50_000), *range(1_020_000, 1_060_000, 2_000)]:
        try:
            with reverts("void: there is a verdict"):
                system.escrow.simulate.void_claim(*call, sender=system.stranger, gas=gas)
            seen.add("verdict")
        except AssertionError:
            with reverts("void: not enough gas"):
                system.escrow.simulate.void_claim(*call, sender=system.stranger, gas=gas)
            seen.add("gas")
    assert seen == {"verdict", "gas"}
    # The same guard for a verifier that would fail for want of a little.
    system.dummy.set_mode(BURNS_GAS)
    with reverts("void: not enough gas"):
        system.void(attempt, gas=1_000_000)
    system.void(attempt, gas=1_400_000)


def test_only_what_is_claimed(system: System) -> None:
    attempt = system.match()
    late = attempt.ends + system.parameters.delay_max + VOID_GRACE + 1
    with reverts("escrow: no claim"):
        system.void(attempt, timestamp=late)
    voided = system.claimed()
    system.void(voided, timestamp=edge(system, voided) + 1)
    with reverts("escrow: no claim"):
        system.void(voided)
    with reverts("escrow: no claim"):
        system.finalise(voided)


def test_wants_record_and_commitment_of_the_claim(system: System) -> None:
    attempt = system.claimed()
    at = edge(system, attempt) + 1
    for lie in (
        {"price_cap": 10**12},
        {"lock": 10**12},
        {"requester": system.stranger.address},
        {"verifier": system.stranger.address},
    ):
        with system.chain.isolated(), reverts("escrow: wrong record"):
            system.void(attempt.lied(**lie), attempt.commitment, timestamp=at)
    with reverts("escrow: wrong record"):
        system.void(attempt, keccak(text="another"), timestamp=at)
    assert system.job(attempt).state == CLAIMED
