"""What has to hold at the end; a performance counts only if all of it does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headrace.chain.jobs import Job
from headrace.chain.views import JobState
from headrace.graph.importer import Accuracy
from headrace.terms import money
from scripts.demo.acts import ACTS, IMAGES, RIVALS, Act
from scripts.demo.cast import HONEST
from scripts.demo.record import SILENCE, Books, Record, Slash

OUTCOMES = {
    JobState.FINAL: "final",
    JobState.REFUTED: "refuted",
    JobState.EXPIRED: "expired",
    JobState.CANCELLED: "cancelled",
}


@dataclass(frozen=True, slots=True)
class Check:
    """An expectation, and whether it holds."""

    text: str
    holds: bool


def outcome_of(job: Job) -> str:
    """The job's end; its state's name while it has none."""
    return OUTCOMES.get(job.state, job.state.name.lower())


def served_by(job: Job, names: Mapping[str, str]) -> str | None:
    """The name of whoever was paid for the job."""
    if job.state != JobState.FINAL or job.record is None:
        return None
    return names[job.record.provider]


def checks(
    jobs: Sequence[Job],
    record: Record,
    names: Mapping[str, str],
    before: Books,
    after: Books,
    accuracy: Accuracy,
    right_answers: tuple[int, int],
    same_neighbours: tuple[int, int],
    why: str,
) -> list[Check]:
    """Every expectation of the story. `names` are the accounts', `jobs` in the acts' order."""
    found = [
        Check(
            "at least 12 jobs over at least 300 held-out images", len(jobs) >= 12 and IMAGES >= 300
        ),
        Check(
            "int8 is within a point of float on the held-out images",
            abs(accuracy.float_accuracy - accuracy.int8_accuracy) <= 0.01,
        ),
    ]
    for index, (act, job) in enumerate(zip(ACTS, jobs, strict=True)):
        found += _act(index, act, job, record, names)
    honest = {address for address, name in names.items() if name in HONEST}
    found += [
        Check(
            "no honest provider was slashed", all(s.provider not in honest for s in record.slashes)
        ),
        Check("a lie was proven element by element", any(f.kind != SILENCE for f in record.faults)),
        Check("a withheld trace fell by silence", any(s.kind == "silence" for s in record.slashes)),
        Check(
            "the proven element differs from the right one",
            all(f.claimed != f.right for f in record.faults if f.kind != SILENCE),
        ),
        Check(
            "every slash adds up, and half or more of it went to the sink",
            all(_adds_up(s) for s in record.slashes),
        ),
        Check(
            "the misfit served nothing, and was asked by nobody",
            not _was_matched(jobs, names, "misfit"),
        ),
        Check(
            "the results that were paid for are the model's",
            right_answers[0] > 0 and right_answers[0] * 100 >= right_answers[1] * 94,
        ),
        Check(
            "search works on the embeddings that were paid for",
            same_neighbours[1] > 0 and same_neighbours[0] * 100 >= same_neighbours[1] * 98,
        ),
        Check("the chain says why the last job can't be served", bool(why)),
        Check(
            "nothing is left in the lanes of jobs",
            all(m.escrow == 0 and m.verifier == 0 for m in after.accounts.values()),
        ),
        Check("the Vault was conserved before", before.is_conserved),
        Check("the Vault is conserved after", after.is_conserved),
    ]
    return found


def _act(index: int, act: Act, job: Job, record: Record, names: Mapping[str, str]) -> list[Check]:
    label = f"{index + 1}. {act.title}"
    found = [Check(f"{label}: {act.outcome}", outcome_of(job) == act.outcome)]
    if act.served_by is not None:
        found.append(
            Check(f"{label}: served by {act.served_by}", served_by(job, names) == act.served_by)
        )
        found.append(Check(f"{label}: in {act.tries} attempt(s)", job.attempt == act.tries))
        charged = job.record is not None and money.total_of(job.record) <= job.terms.price_cap
        found.append(Check(f"{label}: within the price cap", charged))
    kinds = tuple(s.kind for s in record.slashes if s.job_id == job.id)
    found.append(Check(f"{label}: slashes {', '.join(act.fails) or 'none'}", kinds == act.fails))
    if index == RIVALS:
        keeper = names[job.attempts[0].record.keeper] if job.attempts else "nobody"
        found.append(Check(f"{label}: not the dearer one's keeper", keeper == "keeper"))
    return found


def _adds_up(slash: Slash) -> bool:
    parts = slash.to_requester + slash.to_refuter + slash.to_keeper + slash.to_sink
    return parts == slash.amount and 2 * slash.to_sink >= slash.amount


def _was_matched(jobs: Sequence[Job], names: Mapping[str, str], name: str) -> bool:
    return any(names[a.record.provider] == name for job in jobs for a in job.attempts)
