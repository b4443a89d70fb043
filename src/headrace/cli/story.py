"""A job in words: where it stands, who may do what until when, and how its attempts went. Pure."""

from dataclasses import dataclass

from headrace.chain.jobs import Attempt, Job
from headrace.chain.views import JobState
from headrace.cli.show import moment, short, when
from headrace.daemon.disputes import Case
from headrace.daemon.games import Game
from headrace.terms.amounts import Money
from headrace.terms.words import FaultProofSettings, Record, Terms

# Seconds after the longest delay from which a claim whose verifier answers nothing may be undone.
VOID_GRACE = 2 * 86_400


@dataclass(frozen=True, slots=True)
class Move:
    """
    Something that `who` may do now or later: from the second `since`, 0 for now, to `until`, 0 for
    no end.
    """

    who: str
    what: str
    since: int = 0
    until: int = 0

    def is_open(self, now: int) -> bool:
        """Whether it may be done now."""
        return self.since <= now and (self.until == 0 or now <= self.until)

    def line(self, now: int) -> str:
        """The move as a sentence."""
        text = f"{self.who} may {self.what}"
        if self.since > now:
            text += f" from {when(self.since, now)}"
        if self.until:
            text += f" until {when(self.until, now)}"
        return text


@dataclass(frozen=True, slots=True)
class Verifiers:
    """The addresses of FaultProof and, where it is deployed, GraphProof."""

    small: str
    large: str | None = None


def state_name(job: Job, now: int) -> str:
    """The state as people call it; open jobs that can't be matched any more say so."""
    if job.state == JobState.OPEN:
        if now < job.terms.valid_from:
            return "open, not valid yet"
        return "open" if now <= job.terms.final_deadline else "open, but over"
    if job.state == JobState.MATCHED:
        return "running" if now <= job.claim_until else "overdue"
    return job.state.name.lower()


def in_words(job: Job, case: Case | Game | None, now: int) -> str:
    """One sentence on where the job stands."""
    record = job.record
    if job.state == JobState.OPEN:
        if now > job.terms.final_deadline:
            return "its final deadline is over; the money waits for somebody to cancel it"
        if now < job.terms.valid_from:
            return "it waits for its beginning"
        if job.attempts:
            return f"it waits for another provider: the last one {_ended(job.attempts[-1])}"
        return "it waits for an offer that fits"
    if job.state == JobState.MATCHED and record is not None:
        late = "" if now <= job.claim_until else ", and is late"
        return f"{record.provider} works on it{late}"
    if job.state.is_claimed and isinstance(case, Game):
        if case.open_nodes:
            return "there is a result, and part of its trace is demanded"
        return "there is a result, and its trace is being looked into"
    if job.state.is_claimed and not isinstance(case, Game):
        if case is not None and case.is_demanded:
            return "there is a result, and its trace is demanded"
        if case is not None and case.publisher is not None:
            return "there is a result, and its trace is published for checking"
        return "there is a result; it isn't final yet"
    return {
        JobState.FINAL: "it is done, and paid",
        JobState.REFUTED: "the last result was proven wrong; the money went back",
        JobState.EXPIRED: _expired(job),
        JobState.CANCELLED: "it is cancelled; the money went back",
    }.get(job.state, job.state.name.lower())


def _expired(job: Job) -> str:
    if job.attempts and job.attempts[-1].outcome == "voided":
        return "its verifier failed; the money went back to both sides"
    return "nobody delivered in time; the money went back"


def moves(
    job: Job, case: Case | Game | None, now: int, *, verifiers: Verifiers, delay_max: int
) -> tuple[Move, ...]:
    """
    What may be done about a live job from `now` on, the next thing first. `delay_max` is the
    escrow's, in seconds.
    """
    terms, record = job.terms, job.record
    if job.state == JobState.OPEN:
        if now > terms.final_deadline:
            return (Move("anyone", "cancel it: the money goes back"),)
        return (
            Move("any keeper", "match it", terms.valid_from, terms.final_deadline),
            Move("its requester", "cancel it"),
            Move("anyone", "cancel it", terms.final_deadline + 1),
        )
    if record is None or not job.state.is_live:
        return ()
    if job.state == JobState.MATCHED:
        return _running(job, record, now)
    return _claimed(job, record, case, now, verifiers, delay_max)


def _running(job: Job, record: Record, now: int) -> tuple[Move, ...]:
    found = [
        Move(f"the provider {short(record.provider)}", "decline it", 0, job.decline_until),
        Move(f"the provider {short(record.provider)}", "claim its result", 0, job.claim_until),
        Move("anyone", "expire the attempt", job.claim_until + 1),
    ]
    return tuple(move for move in found if not move.until or now <= move.until)


def _claimed(
    job: Job,
    record: Record,
    case: Case | Game | None,
    now: int,
    verifiers: Verifiers,
    delay_max: int,
) -> tuple[Move, ...]:
    if record.verifier == verifiers.large:
        found = _in_game(job, record, case if isinstance(case, Game) else None)
    elif record.verifier == verifiers.small:
        found = _in_dispute(job, record, case if isinstance(case, Case) else None)
    else:
        end = job.claimed_at + record.window
        found = [Move("anyone", "finalise it, once its verifier agrees", end + 1)]
    void = job.claimed_at + delay_max + VOID_GRACE + 1
    found.append(Move("anyone", "undo the claim if its verifier fails", void))
    return tuple(move for move in found if not move.until or now <= move.until)


def _in_dispute(job: Job, record: Record, case: Case | None) -> list[Move]:
    """What FaultProof allows."""
    end = job.claimed_at + record.window
    if case is not None and case.refuter is not None:
        return [Move("anyone", "carry out the verdict: the claim falls")]
    if case is not None and case.is_demanded:
        return [
            Move("anyone who has it", "publish the trace", 0, case.due),
            Move("anyone", "convict the claim by silence", case.due + 1),
        ]
    if case is not None:
        end = job.claimed_at + FaultProofSettings.unpack(record.settings).delay
    found = [
        Move("anyone", "prove a wrong element", 0, end),
        Move("anyone", "finalise it: the provider is paid", end + 1),
    ]
    if case is None:
        found.insert(1, Move("anyone", "demand its trace, for a fee", 0, end))
    return found


def _in_game(job: Job, record: Record, game: Game | None) -> list[Move]:
    """What GraphProof allows."""
    settings = FaultProofSettings.unpack(record.settings)
    depth = 0 if game is None else game.depth
    end = job.claimed_at + settings.delay_over(depth)
    if game is not None and game.refuter is not None:
        return [Move("anyone", "carry out the verdict: the claim falls")]
    found = []
    for state in () if game is None else game.open_nodes:
        what = f"level {state.node.level} of the trace"
        found += [
            Move("anyone who has it", f"answer the demand of {what}", 0, state.due),
            Move("anyone", f"convict the claim by silence on {what}", state.due + 1),
        ]
    found.append(Move("anyone", "prove a wrong element", 0, end))
    if game is None:
        found.append(Move("anyone", "demand its trace, level by level, for fees", 0, end))
    if game is None or not game.open_nodes:
        found.append(Move("anyone", "finalise it: the provider is paid", end + 1))
    return found


def next_deadline(found: tuple[Move, ...], now: int) -> int | None:
    """The next second at which what may be done changes."""
    edges = {move.until for move in found if move.until >= now}
    edges |= {move.since - 1 for move in found if move.since > now}
    return min(edges, default=None)


def latest_end(terms: Terms, settings_delay: int) -> int:
    """The second after which the job has ended whatever happens, unless its verifier fails."""
    return terms.final_deadline + terms.attempt_seconds + settings_delay


def history(job: Job, money: Money) -> list[str]:
    """The attempts, a line each."""
    lines = []
    for number, attempt in enumerate(job.attempts, 1):
        record = attempt.record
        line = (
            f"{number}. {record.provider} node {record.node} at {money.of(record.price)}, "
            f"matched {moment(record.matched_at)}: {_ended(attempt)}"
        )
        if attempt.slash:
            line += f"; slashed {money.of(attempt.slash)}"
        lines.append(line)
    return lines


def _ended(attempt: Attempt) -> str:
    return {
        "running": "works on it",
        "claimed": "claimed a result",
        "final": "was right, and paid",
        "refuted": "was proven wrong",
        "expired": "didn't deliver",
        "declined": "declined",
        "voided": "was left without a verdict",
    }.get(attempt.outcome, attempt.outcome)
