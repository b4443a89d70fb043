"""What has happened on chain, as this home has read it: jobs, disputes, providers, models.

One file per chain and deployment under `<home>/cli`, read on from where the last command stopped.
Commands that run at the same time take turns at it.
"""

import time
from collections import defaultdict
from dataclasses import dataclass, field

from headrace.chain.abi import Event, Log
from headrace.chain.contract import Contract
from headrace.chain.db import ChainDb
from headrace.chain.follower import Follower
from headrace.chain.jobs import Job, JobBook
from headrace.chain.rpc import Header
from headrace.cli.names import as_id
from headrace.cli.session import Session
from headrace.cli.show import hexed
from headrace.daemon.disputes import Case, DisputeBook
from headrace.daemon.games import Game, GameBook
from headrace.errors import UsageError
from headrace.market.book import OpenJob
from headrace.market.postings import BadPosting, read_bid
from headrace.terms.words import claim_id

_PATIENCE = 15.0
_LEAST_PREFIX = 4


@dataclass(slots=True)
class Ledger:
    """Everything up to the block `head`."""

    head: Header
    jobs: JobBook
    disputes: DisputeBook
    games: GameBook
    providers: list[str]
    models: dict[bytes, bytes]  # program -> the card of its first registration
    _session: Session
    _logs: list[Log]
    _bids: dict[bytes, OpenJob] | None = None
    _by_job: defaultdict[bytes, list[Log]] = field(default_factory=lambda: defaultdict(list))

    @property
    def now(self) -> int:
        """The time of that block: the chain's clock."""
        return self.head.timestamp

    def bids(self) -> dict[bytes, OpenJob]:
        """Signed jobs and batches on the board, by id; what is no bid is passed over."""
        if self._bids is None:
            self._bids = {}
            for offer in self._session.board.list("bid"):
                try:
                    bid = read_bid(offer.payload, self._session.domain)
                except BadPosting:
                    continue
                self._bids[bid.job_id] = bid
        return self._bids

    def find(self, reference: str) -> bytes:
        """
        The id of the job that `reference` is, or begins: on chain or on the board. UsageError if
        there is none, or several.
        """
        digits = reference.lower().removeprefix("0x")
        known: set[bytes] = {*self.jobs.jobs, *self.jobs.revoked, *self.bids()}
        exact = as_id("0x" + digits)
        if exact is not None and exact in known:
            return exact
        if len(digits) < _LEAST_PREFIX or any(
            letter not in "0123456789abcdef" for letter in digits
        ):
            raise UsageError(
                f"{reference!r} is no job: give its id, or at least {_LEAST_PREFIX} of its digits"
            )
        found = sorted(job_id for job_id in known if job_id.hex().startswith(digits))
        if not found:
            raise UsageError(
                f"no job {reference} in this deployment: `headrace status --all` lists them"
            )
        if len(found) > 1:
            listed = ", ".join(hexed(job_id)[:18] for job_id in found[:4])
            raise UsageError(f"{reference} is the beginning of {len(found)} jobs: {listed}")
        return found[0]

    def job(self, job_id: bytes) -> Job | None:
        """The job as events tell it; None if it isn't on chain."""
        return self.jobs.jobs.get(job_id)

    def case(self, job: Job, number: int | None = None) -> Case | None:
        """The dispute about a job's claim in its attempt `number`, by default the running one."""
        record = job.record
        if record is None:
            return None
        return self.disputes.cases.get(claim_id(job.id, number or job.attempt, record.provider))

    def dispute(self, job: Job) -> Case | Game | None:
        """What has been moved against a job's running claim, whoever judges it."""
        game = None if job.claim_id is None else self.games.games.get(job.claim_id)
        return self.case(job) if game is None else game

    def events(self, job_id: bytes) -> list[Event]:
        """What JobEscrow has logged about a job, in order."""
        if not self._by_job:
            escrow = self._session.escrow.address
            for log in self._logs:
                if log.address == escrow and len(log.topics) > 1:
                    self._by_job[log.topics[1]].append(log)
        abi = self._session.escrow.abi()
        return [event for log in self._by_job[job_id] if (event := abi.event(log)) is not None]


def read_ledger(session: Session) -> Ledger:
    """Read the chain to its head. UsageError, Unreachable, RetryLater as a follower."""
    deployment = session.deployment
    with session.step("reading the chain"):
        db = _open(session)
        try:
            contracts: list[Contract] = [session.escrow, session.fault_proof, session.registry]
            if session.has_graphs:
                contracts += [session.graph_proof, session.graph_models]
            addresses = [contract.address for contract in contracts]
            follower = Follower(session.rpc, db, addresses, start=deployment.start_block)
            while not (step := follower.step()).is_caught_up:
                pass
            logs = list(db.logs())
        finally:
            db.close()
        jobs, disputes = JobBook(), DisputeBook()
        jobs.fold(log for log in logs if log.address == session.escrow.address)
        disputes.fold(log for log in logs if log.address == session.fault_proof.address)
        games = GameBook()
        if session.has_graphs:
            games.fold(log for log in logs if log.address == session.graph_proof.address)
        return Ledger(
            head=step.head,
            jobs=jobs,
            disputes=disputes,
            games=games,
            providers=_providers(session, logs),
            models=_models(session, logs),
            _session=session,
            _logs=logs,
        )


def _open(session: Session) -> ChainDb:
    deployment = session.deployment
    chain = f"{deployment.chain_id}-{deployment.genesis[:4].hex()}"
    path = session.settings.home / "cli" / f"{chain}-{session.escrow.address[2:10].lower()}.db"
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            return ChainDb(
                path,
                chain_id=deployment.chain_id,
                genesis=deployment.genesis,
                escrow=session.escrow.address,
            )
        except UsageError as error:
            if "another process" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.05)


def _providers(session: Session, logs: list[Log]) -> list[str]:
    kind = session.registry.abi().events["Registered"]
    return [
        str(kind.decode(log).args["account"])
        for log in logs
        if log.address == session.registry.address and log.topics[:1] == (kind.topic,)
    ]


def _models(session: Session, logs: list[Log]) -> dict[bytes, bytes]:
    registries: list[Contract] = [session.fault_proof]
    if session.has_graphs:
        registries.append(session.graph_models)
    found: dict[bytes, bytes] = {}
    for registry in registries:
        kind = registry.abi().events["ModelRegistered"]
        for log in logs:
            if log.address == registry.address and log.topics[:1] == (kind.topic,):
                args = kind.decode(log).args
                found.setdefault(bytes(args["program"]), bytes(args["card_id"]))
    return found
