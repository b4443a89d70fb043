"""One ended job for each party: the last it was matched at that can't be taken back."""

from dataclasses import replace

from headrace.chain.job import Attempt, Job
from headrace.chain.latest import Latest
from headrace.chain.views import JobState
from tests.offchain.daemon.histories import KEEPERS, PROVIDERS, template
from tests.offchain.terms.examples import T0


def ended(salt: int, at: int, *, keeper: int = 0, provider: int = 0, is_final: bool = True) -> Job:
    terms, record = template()
    record = replace(
        record, keeper=KEEPERS[keeper], provider=PROVIDERS[provider], matched_at=T0 + at
    )
    state = JobState.FINAL if is_final else JobState.EXPIRED
    attempts = (Attempt(record, b""),)
    return Job(salt.to_bytes(32), terms, 1, state=state, attempts=attempts)


def ids(latest: Latest) -> set[int]:
    return {int.from_bytes(job_id) for job_id in latest.jobs()}


def test_the_last_match_of_each_party_counts_and_not_the_last_end():
    latest = Latest()
    latest.ended(ended(1, at=9), 1)
    latest.ended(ended(2, at=4), 2)
    latest.ended(ended(3, at=4, provider=1), 3)
    assert ids(latest) == {1, 2, 3}
    latest.settle(3)
    assert ids(latest) == {1, 3}


def test_only_who_was_paid_is_a_provider_here():
    latest = Latest()
    latest.ended(ended(1, at=1), 1)
    latest.ended(ended(2, at=2, is_final=False), 2)
    latest.settle(2)
    assert ids(latest) == {1, 2}
    latest.ended(replace(ended(3, at=3), attempts=()), 3)
    assert ids(latest) == {1, 2}


def test_what_may_be_taken_back_replaces_nothing():
    latest = Latest()
    latest.ended(ended(1, at=1), 1)
    latest.ended(ended(2, at=2), 2)
    latest.settle(1)
    assert ids(latest) == {1, 2}
    latest.undo({(2).to_bytes(32)})
    latest.settle(9)
    assert ids(latest) == {1}


def test_what_is_folded_again_is_counted_once():
    latest = Latest()
    latest.ended(ended(1, at=1), 1)
    latest.settle(1)
    latest.undo({(1).to_bytes(32)})
    assert ids(latest) == set()
    latest.ended(ended(1, at=1), 1)
    latest.settle(1)
    assert (ids(latest), len(latest._recent)) == ({1}, 0)
