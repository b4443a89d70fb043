"""Batches: many jobs under one signature, each a job of its own from then on."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from eth_utils import keccak

from headrace.terms import eip712, words
from headrace.terms.words import ZERO_HASH, Terms
from tests.harness import Reverted, reverts
from tests.models.job_money import matched, total
from tests.system import CANCELLED, MATCHED, SKIP_STATE, Attempt, System
from tests.unit.job_escrow.conftest import Books

INPUTS = [keccak(text=f"member {i}") for i in range(4)]


def batch(system: System, **changes: object) -> Terms:
    return system.terms(input_id=ZERO_HASH, **changes)


def members(terms: Terms, inputs: Sequence[bytes] = INPUTS) -> list[Terms]:
    return [replace(terms, input_id=input_id) for input_id in inputs]


def test_every_member_is_an_ordinary_job(system: System, books: Books) -> None:
    terms, ask = batch(system), system.ask(2)
    with system.chain.isolated():
        record = system.match_batch(terms, INPUTS, ask)[0].record
    with books(matched(record).times(len(INPUTS))):
        attempts = system.match_batch(terms, INPUTS, ask)
    receipt = attempts[0].receipt
    assert [a.terms for a in attempts] == members(terms)
    assert [a.job_id for a in attempts] == [system.job_id(t) for t in members(terms)]
    assert {a.record for a in attempts} == {record}
    for attempt in attempts:
        digest = words.record_hash(record)
        assert system.job(attempt) == (MATCHED, 1, attempt.ends, digest)
        known = system.dummy.claim_of(attempt.claim_id)
        assert known[:3] == (1, terms.program, attempt.terms.input_id)
    assert system.registry.provider_of(system.providers[2]).active == len(INPUTS)

    names = [event.name for event in receipt.events]
    assert names == ["BatchMatched", *["MemberMatched"] * len(INPUTS)]
    batch_id = eip712.batch_id(terms, INPUTS, system.domain)
    ask_hash = eip712.ask_hash(ask, system.token.address, system.domain)
    event = receipt.only("BatchMatched")
    assert event == (batch_id, ask.provider, ask_hash, terms.pack(), record.pack())
    assert [e.batch_id for e in receipt.named("MemberMatched")] == [batch_id] * len(INPUTS)


def test_the_longest_batch(system: System) -> None:
    inputs = [keccak(text=f"long {i}") for i in range(32)]
    attempts = system.match_batch(batch(system), inputs)
    assert len(attempts) == 32
    # The array of a 33rd does not decode.
    with pytest.raises((Reverted, ValueError)):
        system.match_batch(batch(system), [*inputs, keccak(text="one more")], bid=bytes(65))


def test_an_input_of_zero_is_a_member_like_any(system: System) -> None:
    attempts = system.match_batch(batch(system), [ZERO_HASH, INPUTS[0]])
    assert [a.terms.input_id for a in attempts] == [ZERO_HASH, INPUTS[0]]


def test_a_batch_has_no_input_of_its_own(system: System) -> None:
    with reverts("match: batch has an input"):
        system.match_batch(system.terms(), INPUTS, bid=bytes(65))


def spoil(system: System, terms: Terms, how: str) -> None:
    """Puts the job on record, in one of the ways there are."""
    if how == "cancelled":
        system.cancel(terms)
    elif how == "posted":
        system.post(terms)
    else:
        system.match(terms, system.ask(1))


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("how", ["cancelled", "posted", "matched"])
def test_a_member_on_record_is_skipped(system: System, books: Books, place: int, how: str) -> None:
    terms = batch(system)
    spoil(system, members(terms)[place], how)
    before = system.job(members(terms)[place])
    with system.chain.isolated():
        record = system.match_batch(terms, INPUTS)[0].record
    with books(matched(record).times(3)):
        attempts = system.match_batch(terms, INPUTS)
    left = [t for i, t in enumerate(members(terms)) if i != place]
    assert [a.terms for a in attempts] == left
    receipt = attempts[0].receipt
    assert receipt.only("Skipped") == (system.job_id(members(terms)[place]), SKIP_STATE)
    assert system.job(members(terms)[place]) == before
    assert system.registry.provider_of(system.providers[0]).active == 3


def test_the_same_input_twice_is_one_job(system: System) -> None:
    attempts = system.match_batch(batch(system), [INPUTS[0], INPUTS[1], INPUTS[0]])
    assert len(attempts) == 2
    assert attempts[0].receipt.only("Skipped") == (attempts[0].job_id, SKIP_STATE)


def test_a_batch_without_a_member_left(system: System) -> None:
    terms = batch(system)
    system.match_batch(terms, INPUTS)
    with reverts("match: nothing to match"):
        system.match_batch(terms, INPUTS)
    other = batch(system)
    for member in members(other):
        system.cancel(member)
    with reverts("match: nothing to match"):
        system.match_batch(other, INPUTS)


def test_the_signature_is_for_just_these_members(system: System) -> None:
    terms = batch(system)
    signature = system.sign_batch(terms, INPUTS)
    for inputs in (INPUTS[:3], INPUTS[::-1], [*INPUTS, INPUTS[0]], []):
        with reverts("match: wrong bid signature"):
            system.match_batch(terms, inputs, bid=signature)
    with reverts("match: wrong bid signature"):
        system.match_batch(replace(terms, price_start=5 * 10**6), INPUTS, bid=signature)
    single = system.sign_terms(terms)
    with reverts("match: wrong bid signature"):
        system.match_batch(terms, INPUTS, bid=single)
    with reverts("match: wrong bid signature"):
        system.match(members(terms)[0], bid=signature)
    with reverts("match: wrong bid signature"):
        system.match(terms, bid=signature)
    assert len(system.match_batch(terms, INPUTS, bid=signature)) == 4


def test_another_key_can_not_sign_a_batch(system: System) -> None:
    terms = batch(system)
    with reverts("match: wrong bid signature"):
        system.match_batch(terms, INPUTS, bid=system.sign_batch(terms, INPUTS, system.stranger))


def test_limits_hold_for_a_batch_too(system: System) -> None:
    with reverts("terms: bad max_attempts"):
        system.match_batch(batch(system, max_attempts=0))
    with reverts("match: too many units"):
        system.match_batch(batch(system), INPUTS, system.ask(max_units=16))
    with reverts("registry: wrong signer"):
        system.match_batch(batch(system), ask_signature=bytes(65))


@pytest.mark.parametrize("missing", [0, 1])
def test_wants_a_place_for_every_member(system: System, missing: int) -> None:
    spec = system.node(capacity=len(INPUTS) - missing).pack()
    system.registry.set_node(0, spec, sender=system.providers[1])
    terms = batch(system)
    if not missing:
        assert len(system.match_batch(terms, INPUTS, system.ask(1))) == 4
        return
    with reverts("registry: no place left"):
        system.match_batch(terms, INPUTS, system.ask(1))
    # All or nothing: no member got on record.
    assert {system.job(member).state for member in members(terms)} == {0}


@pytest.mark.parametrize("missing", [0, 1])
@pytest.mark.parametrize("who", ["requester", "provider"])
def test_wants_the_money_for_every_member(system: System, missing: int, who: str) -> None:
    terms, ask = batch(system, tip_share_bps=0), system.ask()
    quote = system.rules.quote(terms.pack(), ask.pack())
    account = system.requesters[0] if who == "requester" else system.providers[0]
    need = len(INPUTS) * (quote.total if who == "requester" else quote.lock)
    out = system.vault.free_of(account) - need + missing
    system.vault.withdraw(out, system.stranger, sender=account)
    if missing:
        with reverts(f"vault: not enough to {'pay' if who == 'requester' else 'lock'}"):
            system.match_batch(terms, INPUTS, ask)
    else:
        assert len(system.match_batch(terms, INPUTS, ask)) == 4
        assert system.vault.free_of(account) == 0


def test_a_member_fails_over_by_itself(system: System) -> None:
    first, second, *_ = system.match_batch(batch(system), INPUTS)
    system.expire(first)
    excluded = [first.exclusion]
    again = system.match(first.terms, system.ask(1), excluded=excluded)
    assert again.number == 2
    assert system.job(second).state == MATCHED
    with reverts("escrow: wrong match record"):
        system.claim(Attempt(first.terms, first.job_id, 1, first.record, first.receipt))
    system.claim(again)


def test_a_member_closes_by_itself(system: System) -> None:
    terms = batch(system)
    first, *rest = system.match_batch(terms, INPUTS)
    system.decline(first)
    system.cancel(first.terms, excluded=[first.exclusion])
    assert system.job(first).state == CANCELLED
    assert {system.job(attempt).state for attempt in rest} == {MATCHED}
    with reverts("match: nothing to match"):
        system.match_batch(terms, INPUTS)


def test_revoked_with_all_bids(system: System) -> None:
    terms = batch(system)
    system.escrow.revoke_bids(sender=system.requesters[0])
    with reverts("match: bid is revoked"):
        system.match_batch(terms, INPUTS)


def test_the_verifier_hears_of_it_when_the_money_is_in_its_place(system: System) -> None:
    """A hook may come back in: it must not find a job on record whose money isn't there yet."""
    data = system.vault.encode("reserved_of", system.providers[0], 0)
    system.dummy.set_probe(system.vault, data)
    first, *_ = system.match_batch(batch(system), INPUTS)
    lane = len(INPUTS) * (first.record.lock + total(first.record))
    assert [system.dummy.probed(i) for i in range(len(INPUTS))] == [lane] * len(INPUTS)
