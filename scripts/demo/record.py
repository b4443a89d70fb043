"""What the chain says of the performance: every figure is read from events, receipts and state."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.chain.abi import Event, Log
from headrace.chain.contract import Contract
from headrace.chain.jobs import Attempt, Job
from headrace.chain.rpc import Rpc, to_int
from headrace.daemon.context import Context
from headrace.terms.words import claim_id

# The verifiers' kinds of faults, as in their events.
SILENCE = 6
KINDS = {
    1: "element",
    2: "witness",
    3: "padding",
    4: "leaf form",
    5: "pad node",
    SILENCE: "silence",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A conviction: what was wrong in which operator's output, and what proving it cost."""

    job_id: bytes
    kind: int
    operator: int
    row: int
    column: int
    claimed: int
    right: int
    gas: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Slash:
    """Where a slash went, in base units of the token; the parts add up to the amount."""

    job_id: bytes
    kind: str
    provider: str
    amount: int
    to_requester: int
    to_refuter: int
    to_keeper: int
    to_sink: int


@dataclass(frozen=True, slots=True)
class Money:
    """What an account has, in base units: free, reserved by JobEscrow and by the Registry."""

    free: int
    escrow: int
    registry: int
    verifier: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.free + self.escrow + self.registry + self.verifier


@dataclass(frozen=True, slots=True)
class Books:
    """The Vault at one block: everybody's account, the sink, and what the token says it holds."""

    accounts: Mapping[str, Money]
    sunk: int
    total_held: int
    balance: int

    @property
    def is_conserved(self) -> bool:
        """Whether all accounts and the sink are all that is held, and the token agrees."""
        owed = sum(money.total for money in self.accounts.values()) + self.sunk
        return owed == self.total_held == self.balance


@dataclass(slots=True)
class Record:
    """The performance, as it is on chain."""

    jobs: Mapping[bytes, Job]
    gas: Mapping[bytes, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    slashes: list[Slash] = field(default_factory=list)


def books(context: Context, people: Iterable[str]) -> Books:
    """The Vault now. `people` are all who ever paid in or were paid."""
    block = context.rpc.head().number
    vault = context.vault
    accounts = {}
    for person in people:
        account = vault.account_of(person, block)
        fees = sum(
            vault.reserved_of(person, book, block)
            for book in (vault.FAULT_PROOF_BOOK, vault.GRAPH_PROOF_BOOK)
        )
        accounts[person] = Money(
            account.free, account.reserved_escrow, account.reserved_registry, fees
        )
    return Books(
        accounts,
        vault.sunk(block),
        vault.total_held(block),
        context.token.balance_of(vault.address, block),
    )


def read(context: Context) -> Record:
    """Everything that the events and receipts say of the jobs."""
    jobs = dict(context.jobs.jobs)
    record = Record(jobs)
    claims = {
        claim_id(job.id, number, attempt.record.provider): job.id
        for job in jobs.values()
        for number, attempt in _numbered(job)
    }
    logs = list(context.db.logs())
    about = _transactions(logs, jobs, claims)
    used = _gas_used(context.rpc, {tx for txs in about.values() for tx in txs})
    shared = {tx: sum(tx in txs for txs in about.values()) for tx in used}
    record.gas = {
        job_id: sum(used[tx] // shared[tx] for tx in txs) for job_id, txs in about.items()
    }
    kinds = {}
    for event in _events(context, logs, "FaultProven"):
        fault = _fault(event, claims, used)
        record.faults.append(fault)
        kinds[(fault.job_id, event.log.tx_hash)] = fault.kind
    for event in _events(context, logs, "Refuted", "Expired"):
        record.slashes.append(_slash(event, kinds))
    return record


def _numbered(job: Job) -> Iterable[tuple[int, Attempt]]:
    number = 0
    for attempt in job.attempts:
        yield number + 1, attempt
        number += attempt.outcome != "declined"


def _transactions(
    logs: Iterable[Log], jobs: Mapping[bytes, Job], claims: Mapping[bytes, bytes]
) -> dict[bytes, set[bytes]]:
    about: defaultdict[bytes, set[bytes]] = defaultdict(set)
    for log in logs:
        subject = log.topics[1] if len(log.topics) > 1 else b""
        job_id = claims.get(subject, subject)
        if job_id in jobs:
            about[job_id].add(log.tx_hash)
    return about


def _gas_used(rpc: Rpc, txs: Iterable[bytes]) -> dict[bytes, int]:
    ordered = sorted(txs)
    receipts = rpc.batch([("eth_getTransactionReceipt", ("0x" + tx.hex(),)) for tx in ordered])
    return {tx: to_int(receipt["gasUsed"]) for tx, receipt in zip(ordered, receipts, strict=True)}


def _events(context: Context, logs: Iterable[Log], *names: str) -> Iterable[Event]:
    judges: list[Contract] = [context.escrow, context.fault_proof]
    if context.graph_proof is not None:
        judges.append(context.graph_proof)
    contracts = {contract.address: contract for contract in judges}
    for log in logs:
        event = contracts[log.address].event(log) if log.address in contracts else None
        if event is not None and event.name in names:
            yield event


def _fault(event: Event, claims: Mapping[bytes, bytes], used: Mapping[bytes, int]) -> Fault:
    args: Mapping[str, Any] = event.args
    return Fault(
        job_id=claims[args["claim_id"]],
        kind=args["kind"],
        operator=args["op_index"] if "op_index" in args else args["index"],
        row=args["row"],
        column=args["column"],
        claimed=args["claimed"],
        right=args["right"],
        gas=used[event.log.tx_hash],
    )


def _slash(event: Event, kinds: Mapping[tuple[bytes, bytes], int]) -> Slash:
    args: Mapping[str, Any] = event.args
    kind = "no_show"
    if event.name == "Refuted":
        # A demand past due is a verdict by itself: whoever carries it out proves nothing.
        proven = kinds.get((args["job_id"], event.log.tx_hash), SILENCE)
        kind = "silence" if proven == SILENCE else "lie"
    return Slash(
        job_id=args["job_id"],
        kind=kind,
        provider=args["account"],
        amount=args["slash"],
        to_requester=args["to_requester"],
        to_refuter=args.get("to_refuter", 0),
        to_keeper=args["to_keeper"],
        to_sink=args["to_sink"],
    )
