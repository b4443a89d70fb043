"""How claims end that a watcher has looked at, in its log."""

import logging

from headrace.chain.jobs import Job
from headrace.watch.decide import Verdict

log = logging.getLogger(__name__)


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
