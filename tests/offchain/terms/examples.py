"""One plain job and one plain offer that fit each other."""

from headrace.terms.words import (
    Ask,
    FaultProofSettings,
    Requirement,
    Terms,
    checked_address,
    verifier_terms,
)

T0 = 1_900_000_000
UNIT = 10**6


def address(number: int) -> str:
    """The checksummed address of this number."""
    return checked_address("address", f"0x{number:040x}")


REQUESTER, PROVIDER, KEEPER, VERIFIER = (address(0xA1 + i) for i in range(4))
PROGRAM = b"\x07" * 32
CODE_HASH = b"\x0c" * 32
SETTINGS = FaultProofSettings(window=600, reply=120, follow=60).pack()


def make_terms(**changes: object) -> Terms:
    """A job of 10 units for at most 20 tokens, from T0 on, with `changes`."""
    values: dict[str, object] = {
        "requester": REQUESTER,
        "verifier": VERIFIER,
        "settings": SETTINGS,
        "requirement": Requirement().pack(),
        "program": PROGRAM,
        "input_id": b"\x09" * 32,
        "price_start": 4 * UNIT,
        "price_cap": 20 * UNIT,
        "damage_cap": 9 * UNIT,
        "tip_fixed": UNIT // 50,
        "tip_max": UNIT,
        "tip_share_bps": 1_000,
        "no_show_bps": 5_000,
        "max_attempts": 3,
        "valid_from": T0,
        "ramp_seconds": 160,
        "final_deadline": T0 + 7_200,
        "ack_seconds": 60,
        "attempt_seconds": 600,
        "units": 10,
        "input_bytes": 640,
        "epoch": 0,
        "salt": 1,
    }
    return Terms(**(values | changes))  # type: ignore[arg-type]


def make_ask(**changes: object) -> Ask:
    """An offer of 2 tokens and 0.5 per unit, with `changes`."""
    values: dict[str, object] = {
        "provider": PROVIDER,
        "node": 0,
        "lane": 0,
        "epoch": 0,
        "expiry": T0 + 86_400,
        "price_base": 2 * UNIT,
        "price_per_unit": UNIT // 2,
        "max_lock": 100 * UNIT,
        "max_units": 100,
        "max_input_bytes": 65_536,
        "min_attempt_seconds": 60,
        "min_ack_seconds": 10,
        "max_delay": 3_600,
        "programs": PROGRAM,
        "verifier_terms": verifier_terms(VERIFIER, CODE_HASH, SETTINGS),
        "salt": 1,
    }
    return Ask(**(values | changes))  # type: ignore[arg-type]
