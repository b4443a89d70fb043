"""What is due or left over at a block: verdicts, fees of demands, what is kept for the sink.

Verdicts and fees are read at every block. They are few, a verdict depends on the block's time, and
what they rest on is the verifiers' own.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from headrace.chain.jobs import Job
from headrace.chain.rules import FaultProof
from headrace.chain.views import Dispute, DisputeStatus, Outcome, Verdict
from headrace.daemon.context import Context, View
from headrace.keeper.known import Known
from headrace.keeper.reads import account_key, read_at, try_at
from headrace.keeper.state import Fee, Kept, asks_verifier
from headrace.terms.words import Record

# Claims by id: the job, the attempt's number, the record.
Claims = Mapping[bytes, tuple[bytes, int, Record]]


class Endings:
    """Reads them."""

    def __init__(self, context: Context, known: Known) -> None:
        """`known` is what accounts and providers are taken from."""
        self._context = context
        self._known = known

    def outcomes(self, view: View, claimed: Iterable[Job]) -> dict[bytes, Outcome | None]:
        """The verifiers' answers about those of the claimed jobs whose end depends on them."""
        asked = [job for job in claimed if asks_verifier(job)]
        queries = []
        for job in asked:
            record = job.record
            assert record is not None  # noqa: S101 - a claimed job has one
            verifier = FaultProof(self._context.rpc, record.verifier)
            queries.append(verifier.query("outcome", job.claim_id, job.claimed_at, record.settings))
        answers = try_at(self._context.rpc, queries, view.head)
        return {
            job.id: None if answer is None else _outcome(answer)
            for job, answer in zip(asked, answers, strict=True)
        }

    def fees(self, view: View, claims: Claims) -> tuple[Fee, ...]:
        """The fees of FaultProof's demands of ended claims that are still to be sent on."""
        cases = [
            self._context.disputes.cases[claim]
            for claim in sorted(self._context.disputes.unsettled)
            if claim in claims
        ]
        ended = []
        for case in cases:
            job_id, number, record = claims[case.claim_id]
            job = self._context.jobs.jobs.get(job_id)
            # A job that is over may be forgotten.
            if job is None or not (job.state.is_claimed and job.attempt == number):
                ended.append((case, job_id, number, record))
        verifier = self._context.fault_proof
        queries = [verifier.query("dispute_of", case.claim_id) for case, *_ in ended]
        answers = read_at(self._context.rpc, queries, view.head)
        fees = []
        for (case, job_id, number, record), answer in zip(ended, answers, strict=True):
            dispute = Dispute(DisputeStatus(answer[0]), *answer[1:])
            if dispute.status != DisputeStatus.SETTLED and dispute.due:
                fees.append(
                    Fee(
                        claim_id=case.claim_id,
                        job_id=job_id,
                        record=record,
                        attempt=number,
                        since=dispute.due,
                    )
                )
        return tuple(fees)

    def kept(self, paid: Iterable[str]) -> tuple[Kept, ...]:
        """What is kept for the sink of the providers in `paid`."""
        names = sorted(paid)
        records = self._known.providers(names)
        accounts = self._known.words([account_key(name) for name in names])
        return tuple(
            Kept(
                provider=name,
                amount=account.reserved_registry - record.bond,
                completions=record.completions,
            )
            for name, record, account in zip(names, records, accounts, strict=True)
        )


def _outcome(answer: tuple[Any, ...]) -> Outcome | None:
    verdict, not_before, refuter, payouts = answer
    try:
        return Outcome(Verdict(verdict), not_before, refuter, tuple(map(tuple, payouts)))
    except ValueError:
        return None
