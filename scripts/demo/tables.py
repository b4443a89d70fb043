"""What is shown: plain tables, amounts in tokens."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from headrace.chain.jobs import Job
from headrace.chain.views import Provider
from scripts.demo.acts import ACTS
from scripts.demo.record import KINDS, SILENCE, Books, Record
from scripts.demo.verdict import Check, outcome_of, served_by

Amount = Callable[[int], str]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table with columns as wide as they need be; numbers to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    lines = [head, ["-" * width for width in widths], *cells]
    return "\n".join(
        "  "
        + "  ".join(_set(cell, width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _set(cell: str, width: int) -> str:
    is_number = cell.replace(".", "").replace(",", "").replace("-", "").isdigit()
    return cell.rjust(width) if is_number else cell.ljust(width)


def jobs_table(
    jobs: Sequence[Job], record: Record, names: Mapping[str, str], amount: Amount
) -> str:
    """A row for each job."""
    rows = []
    for index, (act, job) in enumerate(zip(ACTS, jobs, strict=True), start=1):
        tried = [names[attempt.record.provider] for attempt in job.attempts]
        is_final = served_by(job, names) is not None and job.record is not None
        rows.append(
            (
                index,
                act.title,
                act.needs.strip("{}"),
                " > ".join(tried) or "-",
                amount(job.record.price) if is_final and job.record else "-",
                job.attempt,
                outcome_of(job),
                record.gas.get(job.id, 0),
            )
        )
    return table(("#", "job", "needs", "provider", "price", "attempts", "outcome", "gas"), rows)


def faults_table(record: Record, jobs: Sequence[Job]) -> str:
    """A row for each conviction."""
    places = {job.id: index for index, job in enumerate(jobs, start=1)}
    rows = []
    for fault in record.faults:
        if fault.kind == SILENCE:
            shown: tuple[object, ...] = ("-", "-", "no answer", "-")
        else:
            shown = (fault.operator, f"({fault.row}, {fault.column})", fault.claimed, fault.right)
        rows.append((places[fault.job_id], KINDS[fault.kind], *shown, fault.gas))
    return table(("job", "fault", "operator", "element", "claimed", "right", "gas"), rows)


def slashes_table(
    record: Record, jobs: Sequence[Job], names: Mapping[str, str], amount: Amount
) -> str:
    """Where every unit of every slash went."""
    places = {job.id: index for index, job in enumerate(jobs, start=1)}
    rows = [
        (
            places[slash.job_id],
            names[slash.provider],
            slash.kind,
            amount(slash.amount),
            amount(slash.to_requester),
            amount(slash.to_refuter),
            amount(slash.to_keeper),
            amount(slash.to_sink),
        )
        for slash in record.slashes
    ]
    head = ("job", "provider", "kind", "slash", "requester", "refuter", "keeper", "sink")
    return table(head, rows)


def balances_table(before: Books, after: Books, names: Mapping[str, str], amount: Amount) -> str:
    """Everybody's money in the Vault before and after, and the sum of it."""
    rows: list[Sequence[object]] = [
        (
            names[person],
            amount(before.accounts[person].total),
            amount(money.total),
            amount(money.total - before.accounts[person].total),
        )
        for person, money in after.accounts.items()
    ]
    rows.append(("sink", amount(before.sunk), amount(after.sunk), amount(after.sunk - before.sunk)))
    held = (amount(before.total_held), amount(after.total_held))
    rows.append(("all together", *held, amount(after.total_held - before.total_held)))
    return table(("account", "before", "after", "change"), rows)


def records_table(providers: Mapping[str, tuple[Provider, Provider]], amount: Amount) -> str:
    """Each provider's reputation before and after."""
    rows = [
        (
            name,
            f"{old.completions} > {new.completions}",
            f"{old.faults} > {new.faults}",
            f"{old.no_shows} > {new.no_shows}",
            f"{old.declines} > {new.declines}",
            amount(new.good_weight),
            amount(new.bad_weight),
        )
        for name, (old, new) in providers.items()
    ]
    head = (
        "provider",
        "completions",
        "faults",
        "no-shows",
        "declines",
        "good weight",
        "bad weight",
    )
    return table(head, rows)


def checks_list(checks: Sequence[Check]) -> str:
    """What failed; or that nothing did."""
    failed = [check.text for check in checks if not check.holds]
    if not failed:
        return f"  all {len(checks)} expectations hold"
    return "\n".join(f"  FAILED  {text}" for text in failed)
