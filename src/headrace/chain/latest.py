"""Who has done what last, of jobs that have ended: what is still asked of them when they are gone.

A keeper that starts wants to know every provider that was ever paid (something may wait for the
sink there) and when each other keeper matched last. One ended job for each of these is enough. It
has to be a final one, for a later one may be taken back: what is above the final block waits.
"""

from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from headrace.chain.job import Job
from headrace.chain.views import JobState

# What a party is, and its address.
Party = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Ended:
    block: int
    party: Party
    matched_at: int
    job_id: bytes


@dataclass(slots=True)
class Latest:
    """For each party the job that it was matched at last, of those that have ended."""

    _final: dict[Party, _Ended] = field(default_factory=dict)
    _recent: deque[_Ended] = field(default_factory=deque)

    def ended(self, job: Job, block: int) -> None:
        """A job has ended in a block; later blocks come later."""
        record = job.record
        if record is None:
            return
        parties = [("keeper", record.keeper)]
        if job.state == JobState.FINAL:
            parties.append(("provider", record.provider))
        for party in parties:
            self._recent.append(_Ended(block, party, record.matched_at, job.id))

    def undo(self, job_ids: Collection[bytes]) -> None:
        """The ends of these jobs are folded again."""
        self._recent = deque(item for item in self._recent if item.job_id not in job_ids)
        for party in [p for p, item in self._final.items() if item.job_id in job_ids]:
            del self._final[party]

    def settle(self, final: int) -> None:
        """What is in blocks up to `final` can't be taken back."""
        while self._recent and self._recent[0].block <= final:
            item = self._recent.popleft()
            before = self._final.get(item.party)
            if before is None or before.matched_at <= item.matched_at:
                self._final[item.party] = item

    def jobs(self) -> Iterator[bytes]:
        """The ids of the jobs that have to be kept for it, some of them more than once."""
        for item in (*self._final.values(), *self._recent):
            yield item.job_id
