"""Which words the contracts may have written, by their events: a table of all of them.

Every write to a word that `keeper.reads` has a key for is told by an event that leads to its owner:

* the Registry's own events name the provider; places are taken and given back by JobEscrow alone,
  whose events of matches and endings name the provider, and the job's record the node;
* the Vault's events name whose money they move, except that `pledge` and `settle` tell nothing:
  JobEscrow calls them at matches and endings. The record names requester, provider and keeper; who
  is paid for a final job in a provider's place is named by the Registry, not by the event, so that
  provider is given back in `paid`;
* what the verifiers do with money goes through calls of the Vault that log.

What can't be understood, or is about a job that the fold no longer has, changes everything.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from headrace.chain.abi import BadAnswer, Event, Log
from headrace.chain.contract import Contract
from headrace.chain.jobs import Job
from headrace.daemon.context import Context
from headrace.keeper.reads import (
    Key,
    account_key,
    epoch_key,
    limits_key,
    model_key,
    node_key,
    places_key,
    policy_key,
    provider_key,
    slot_key,
)
from headrace.terms.words import Record

_PROVIDER_ONLY = frozenset(
    {
        "Registered",
        "OperatorRotated",
        "AvailabilitySet",
        "Heartbeat",
        "EpochBumped",
        "LaneRevoked",
        "ExitBegun",
        "Exited",
    }
)
# By what arguments the Vault's events name whose money they move.
_MOVED = ("account", "payer", "payee")
_ENDINGS = frozenset({"Finalised", "Declined", "Expired", "Refuted", "Voided"})
_OWNERSHIP = frozenset({"OwnershipTransferred", "OwnershipTransferStarted"})
_NOTHING: Mapping[str, frozenset[str]] = {
    "ProviderRegistry": _OWNERSHIP | {"GpuModelAdded"},
    "Vault": _OWNERSHIP | {"BookAdded", "SinkFlushed"},
    "JobEscrow": _OWNERSHIP | {"PolicyProposed", "Skipped"},
}


class Unclear(Exception):
    """What an event has changed can't be told."""


@dataclass(slots=True)
class Changes:
    """
    Words that may be others than before: those of `keys`, and the account that each provider of
    `paid` is paid on; with `is_all`, all of them.
    """

    keys: set[Key] = field(default_factory=set)
    paid: set[str] = field(default_factory=set)
    is_all: bool = False


class Table:
    """What the events of one deployment mean."""

    def __init__(self, context: Context) -> None:
        """For the contracts, and with the jobs, of `context`."""
        self._jobs = context.jobs.jobs
        kinds: list[tuple[Contract | None, Callable[[Event, Changes], None]]] = [
            (context.registry, _registry),
            (context.vault, _vault),
            (context.escrow, self._escrow),
            (context.fault_proof, _fault_proof),
            (context.graph_models, _graph_models),
        ]
        self._kinds = {
            contract.address: (contract, apply) for contract, apply in kinds if contract is not None
        }

    def changes(self, logs: Iterable[Log]) -> Changes:
        """What may have been written in blocks with these logs; the jobs are as after them."""
        found = Changes()
        for entry in logs:
            contract, apply = self._kinds.get(entry.address, (None, None))
            if contract is None or apply is None:
                continue
            try:
                event = contract.event(entry)
                if event is None:
                    raise Unclear
                apply(event, found)
            except (BadAnswer, Unclear, LookupError):
                found.is_all = True
                return found
        return found

    def _escrow(self, event: Event, found: Changes) -> None:
        args = event.args
        if "job_id" in args and event.name != "Skipped":
            found.keys.add(slot_key(args["job_id"]))
        match event.name:
            case "Posted" | "Cancelled":
                found.keys.add(account_key(args["requester"]))
            case "Matched" | "BidMatched" | "BatchMatched":
                _parties(Record.unpack(args["record"]), found)
            case "BidsRevoked":
                found.keys.add(epoch_key(args["requester"]))
            case "PolicyEnacted" | "VerifierStopped":
                found.keys.add(policy_key(args["verifier"]))
            case "MemberMatched" | "Claimed" | "Contested":
                pass  # a slot, and what BatchMatched says
            case name if name in _ENDINGS:
                self._ended(self._jobs[args["job_id"]], event, found)
            case name:
                _require_nothing("JobEscrow", name)

    def _ended(self, job: Job, event: Event, found: Changes) -> None:
        provider = event.args["account"]
        records = [a.record for a in job.attempts if a.record.provider == provider]
        if not records:
            raise Unclear
        for record in records:
            _parties(record, found)
        for name in ("keeper", "refuter"):
            if name in event.args:
                found.keys.add(account_key(event.args[name]))
        if event.name == "Finalised":
            found.paid.add(provider)


def _parties(record: Record, found: Changes) -> None:
    found.keys |= {
        provider_key(record.provider),
        places_key(record.provider, record.node),
        account_key(record.provider),
        account_key(record.requester),
        account_key(record.keeper),
    }


def _registry(event: Event, found: Changes) -> None:
    args = event.args
    if event.name == "NodeSet":
        found.keys |= {
            node_key(args["account"], args["node"]),
            places_key(args["account"], args["node"]),
        }
    elif event.name == "PayoutSet":
        found.keys.add(provider_key(args["account"]))
        # Whichever of the two the jobs that ended before and after it have paid.
        found.keys |= {account_key(args["old"]), account_key(args["new"])}
    elif event.name in _PROVIDER_ONLY:
        found.keys.add(provider_key(args["account"]))
    else:
        _require_nothing("ProviderRegistry", event.name)


def _vault(event: Event, found: Changes) -> None:
    moved = {account_key(event.args[name]) for name in _MOVED if name in event.args}
    found.keys |= moved
    if not moved:
        _require_nothing("Vault", event.name)


def _fault_proof(event: Event, found: Changes) -> None:
    # Disputes are not among the words.
    if event.name == "ModelRegistered":
        found.keys.add(model_key(event.args["program"]))


def _graph_models(event: Event, found: Changes) -> None:
    found.keys.add(limits_key(event.args["program"]))


def _require_nothing(contract: str, name: str) -> None:
    """That an event of a contract is known to change no word."""
    if name not in _NOTHING[contract]:
        raise Unclear
