"""`agree` on its own: what JobEscrow passes in decides whether a signature is wanted at all.

That the limits hold is in test_unmet.py, whose signatures count in tests/unit/job_escrow.
"""

from typing import Any

from headrace.terms import eip712
from headrace.terms.words import ZERO_HASH, Record
from tests.harness import reverts
from tests.system import System

ENABLED = 1 << 255


def agree(system: System, terms: Any, ask: Any, **changes: Any) -> Any:
    arguments = {
        "terms": terms.pack(),
        "digest": ZERO_HASH,
        "epoch": 0,
        "bid_signature": b"",
        "packed_ask": ask.pack(),
        "ask_signature": system.sign_ask(ask),
        "program_proof": [],
        "policy": ENABLED | 57 << 80 | 150_001,
        "keeper": system.keepers[0],
        "opening": 0,
        "excluded": 0,
    } | changes
    return system.rules.agree(*arguments.values())


def test_says_who_agreed_and_on_what(system: System) -> None:
    terms, ask = system.terms(), system.ask(2)
    ask_hash, signer, record = agree(system, terms, ask, opening=2, excluded=2**204 - 1)
    assert ask_hash == eip712.ask_hash(ask, system.token.address, system.domain)
    assert signer == system.operators[2].address
    record = Record.unpack(record)
    assert (record.declines, record.excluded) == (2, 2**204 - 1)
    assert (record.charge_bps, record.keeper_fee) == (57, 150_001)
    assert (record.operator, record.window) == (signer, 600)
    assert record.matched_at == system.chain.now()


def test_the_policy_is_the_one_passed_in(system: System) -> None:
    terms, ask = system.terms(), system.ask(max_lock=2**80 - 1)
    fee = 2**77 - 1  # eight of them are the least lock
    *_, record = agree(system, terms, ask, policy=ENABLED | 200 << 80 | fee)
    record = Record.unpack(record)
    assert (record.charge_bps, record.keeper_fee, record.lock) == (200, fee, 8 * fee)
    with reverts("match: lock above ask"):
        agree(system, terms, ask, policy=ENABLED | 200 << 80 | (2**80 - 1))
    with reverts("match: verifier is stopped"):
        agree(system, terms, ask, policy=57 << 80 | 150_001)


def test_a_digest_wants_a_signature(system: System) -> None:
    terms, ask = system.terms(), system.ask()
    digest = system.job_id(terms)
    with reverts("signature: not 65 bytes"):
        agree(system, terms, ask, digest=digest)
    with reverts("match: bid is revoked"):
        agree(system, terms, ask, digest=digest, epoch=1)
    signature = system.sign_terms(terms)
    agree(system, terms, ask, digest=digest, bid_signature=signature)


def test_spare_bits_in_the_ask(system: System) -> None:
    """They aren't signed, so nobody may set them."""
    terms, ask = system.terms(), system.ask()
    for word, bits in ((0, 16), (1, 16), (5, 96)):
        for bit in (0, bits - 1):
            bent = list(ask.pack())
            bent[word] |= 1 << bit
            with reverts("match: spare bits in ask"):
                agree(system, terms, ask, packed_ask=tuple(bent))


def test_the_signer_may_be_anyone_here(system: System) -> None:
    """Whether it may sign for the provider is the Registry's to say, at the match."""
    terms, ask = system.terms(), system.ask(2)
    signature = system.sign_ask(ask, system.stranger)
    _, signer, record = agree(system, terms, ask, ask_signature=signature)
    assert signer == Record.unpack(record).operator == system.stranger.address
