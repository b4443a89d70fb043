"""What becomes of the claims that a watcher has looked at: for its log and its figures."""

import logging
from collections.abc import Iterable
from typing import Protocol

from headrace.chain.jobs import Job
from headrace.watch.decide import Verdict

log = logging.getLogger(__name__)


class Watched(Protocol):
    """An open claim: what is known of it, and which troubles with it were said."""

    verdict: Verdict
    said: set[str]


def unchecked(claims: Iterable[Watched]) -> int:
    """How many of the open `claims` aren't known to be good while something stands in the way."""
    return sum(bool(claim.said) and claim.verdict != Verdict.GOOD for claim in claims)


def say_ended(claim_id: bytes, claimed: Job, now: Job | None, verdict: Verdict, me: str) -> None:
    """
    Say how a claim that was known to be wrong has ended. `claimed` is its job as it was while the
    claim was open, `now` as it is; an error if it wasn't refuted.
    """
    if verdict != Verdict.BAD or now is None:
        return
    refuted = (
        attempt
        for attempt in now.attempts
        if attempt.outcome == "refuted" and attempt.commitment == claimed.commitment
    )
    ended = next(refuted, None)
    if ended is None:
        log.error("a wrong claim has ended otherwise", extra={"job": now.id, "claim": claim_id})
        return
    log.info(
        "refuted",
        extra={
            "job": now.id,
            "claim": claim_id,
            "refuter": ended.refuter,
            "is_mine": ended.refuter == me,
            "to_refuter": ended.to_refuter,
        },
    )
