"""The slot of a job, unpacked, through its life."""

from eth_utils import keccak

from headrace.terms import words
from tests.system import CLAIMED, FINAL, MATCHED, OPEN, STANDS, System


def test_nothing_is_on_record(system: System) -> None:
    assert system.escrow.job(keccak(text="unknown")) == (0, 0, 0, 0)


def test_through_its_life(system: System) -> None:
    terms = system.post()
    assert system.job(terms) == (OPEN, 0, 0, 0)
    first = system.match(terms)
    declined_at = system.decline(first).timestamp
    excluded = [first.exclusion]
    # One decline, in the low two bits, and when it was.
    assert system.job(terms) == (OPEN, 0, declined_at << 2 | 1, words.excluded_hash(excluded))
    second = system.match(terms, system.ask(1), excluded=excluded)
    digest = words.record_hash(second.record)
    assert system.job(terms) == (MATCHED, 1, second.ends, digest)
    claimed_at = system.claim(second).timestamp
    digest = words.claim_digest(second.record, second.commitment)
    assert system.job(terms) == (CLAIMED, 1, claimed_at, digest)
    system.rule(second, STANDS)
    system.finalise(second)
    assert system.job(terms) == (FINAL, 1, 0, 0)
