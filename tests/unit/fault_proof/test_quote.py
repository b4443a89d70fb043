import pytest

from tests.harness import reverts
from tests.unit.fault_proof.court import BOUNDS, FOLLOW, REPLY, WINDOW, Court, settings
from tests.unit.fault_proof.test_register_model import matmul, program_of

MIN_WINDOW, MAX_WINDOW, MIN_REPLY, MAX_REPLY = BOUNDS


def test_levy_lock_and_delay(court: Court):
    quote = court.proof.quote(court.model.program, 3, settings(), 1_234)
    assert quote == (0, 3 * 1_234, WINDOW, WINDOW + REPLY + FOLLOW)


@pytest.mark.parametrize(
    "words",
    [
        settings(window=MIN_WINDOW, reply=MIN_REPLY, follow=MIN_REPLY),
        settings(window=MAX_WINDOW, reply=MAX_REPLY, follow=MAX_REPLY),
    ],
)
def test_bounds_are_inclusive(court: Court, words: int):
    assert court.proof.quote(court.model.program, 1, words, 0)[3] in (
        MIN_WINDOW + 2 * MIN_REPLY,
        MAX_WINDOW + 2 * MAX_REPLY,
    )


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (settings(window=MIN_WINDOW - 1), "proof: window out of bounds"),
        (settings(window=MAX_WINDOW + 1), "proof: window out of bounds"),
        (settings(reply=MIN_REPLY - 1), "proof: reply out of bounds"),
        (settings(reply=MAX_REPLY + 1), "proof: reply out of bounds"),
        (settings(follow=MIN_REPLY - 1), "proof: follow out of bounds"),
        (settings(follow=MAX_REPLY + 1), "proof: follow out of bounds"),
        (settings() | 1, "proof: spare bits in settings"),
        (settings() | 128, "proof: spare bits in settings"),
        (settings() | 1 << 88, "proof: hooks are not offered"),
        (settings() | 1 << 89, "proof: hooks are not offered"),
        (settings() | 1 << 96, "proof: hooks are not offered"),
    ],
)
def test_settings(court: Court, words: int, reason: str):
    with reverts(reason):
        court.proof.quote(court.model.program, 1, words, 100)


def test_unknown_model(court: Court):
    with reverts("model: not registered"):
        court.proof.quote(b"\x05" * 32, 1, settings(), 100)


def test_units(court: Court):
    program = court.model.program
    assert court.proof.quote(program, 1, settings(), 1)[0] == 0
    with reverts("proof: units out of range"):
        court.proof.quote(program, 0, settings(), 1)
    # 128 bytes a row: 192 rows fill the longest trace, the model itself takes 200.
    assert court.model.row_bytes == 128
    assert court.proof.quote(program, 192, settings(), 1)[0] == 0
    with reverts("proof: trace too large"):
        court.proof.quote(program, 193, settings(), 1)
    with reverts("proof: trace too large"):
        court.proof.quote(program, 200, settings(), 1)
    with reverts("proof: units out of range"):
        court.proof.quote(program, 201, settings(), 1)


def test_a_model_whose_one_row_is_too_large(court: Court):
    operators = [matmul(0, 8, 1_024)] * 25
    court.proof.register_model(operators, 8, 1, bytes(32))
    with reverts("proof: trace too large"):
        court.proof.quote(program_of(operators, 8, 1), 1, settings(), 1)
