"""What a keeper reads of the contracts, word by word: each has a key, and an answer at a block.

Reads name their block by its hash (EIP-1898). A number may be another branch's block by the time it
is asked about, and what was read of that branch must not be taken for this one's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from headrace.chain.abi import BadAnswer
from headrace.chain.contract import Contract, Query
from headrace.chain.rpc import Header, NodeError, Rpc, to_bytes
from headrace.chain.views import Account, JobState, Model, Policy, Provider, Slot
from headrace.daemon.context import Context
from headrace.errors import HeadraceError, Rejected, RetryLater
from headrace.terms.exact import ExactModel

T = TypeVar("T")

# What is read, then of whom: an account, an account and a node's index, or 32 bytes.
Key = tuple[Any, ...]


def provider_key(account: str) -> Key:
    """The record of a provider: `Provider`."""
    return ("provider", account)


def node_key(account: str, node: int) -> Key:
    """What a provider's node is: its word, 0 if there is none."""
    return ("node", account, node)


def places_key(account: str, node: int) -> Key:
    """How many more jobs a node takes: a number."""
    return ("places", account, node)


def account_key(account: str) -> Key:
    """An account's money in the Vault: `Account`."""
    return ("account", account)


def epoch_key(account: str) -> Key:
    """The epoch that a requester's bids must carry: a number."""
    return ("epoch", account)


def slot_key(job_id: bytes) -> Key:
    """What JobEscrow has on record of a job: `Slot`."""
    return ("slot", job_id)


def policy_key(verifier: str) -> Key:
    """How new matches may use a verifier: `Policy`."""
    return ("policy", verifier)


def model_key(program: bytes) -> Key:
    """What FaultProof knows of a model: `ExactModel`, None if it says nothing."""
    return ("model", program)


def limits_key(program: bytes) -> Key:
    """What GraphModels knows of a model: `ExactModel`, None if it says nothing."""
    return ("limits", program)


def read_at(rpc: Rpc, queries: Sequence[Query[T]], head: Header) -> list[T]:
    """
    The answers to `queries` at the end of the block `head`, in one batch. RetryLater if the node
    doesn't have the block (any more), Rejected if a contract refuses.
    """
    return [
        query.decode(_data(outcome))
        for query, outcome in zip(queries, _outcomes(rpc, queries, head), strict=True)
    ]


def try_at(rpc: Rpc, queries: Sequence[Query[T]], head: Header) -> list[T | None]:
    """As `read_at`, but None for a read that is refused, or answered beside the ABI."""
    found: list[T | None] = []
    for query, outcome in zip(queries, _outcomes(rpc, queries, head), strict=True):
        try:
            found.append(None if isinstance(outcome, Rejected) else query.decode(_data(outcome)))
        except BadAnswer:
            found.append(None)
    return found


def _outcomes(rpc: Rpc, queries: Sequence[Query[Any]], head: Header) -> list[Any]:
    block = {"blockHash": "0x" + head.hash.hex()}
    return rpc.outcomes(
        [
            ("eth_call", ({"to": query.call.to, "data": "0x" + query.call.data.hex()}, block))
            for query in queries
        ]
    )


def _data(outcome: object) -> bytes:
    if isinstance(outcome, NodeError):  # how nodes word a block that they don't have
        raise RetryLater(f"the contracts can't be asked at this block: {outcome}")
    if isinstance(outcome, HeadraceError):
        raise outcome
    return to_bytes(outcome)


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one kind of words is read."""

    contract: Contract
    function: str
    made: Callable[[Any], Any]
    may_refuse: bool = False


class Reads:
    """Reads words of one deployment by their keys."""

    def __init__(self, context: Context) -> None:
        """Asks nothing yet."""
        self._rpc = context.rpc
        registry, escrow = context.registry, context.escrow
        self._kinds = {
            "provider": _Kind(registry, "provider_of", lambda read: Provider(*read)),
            "node": _Kind(registry, "node_of", int),
            "places": _Kind(registry, "places", int),
            "account": _Kind(context.vault, "account_of", lambda read: Account(*read)),
            "epoch": _Kind(escrow, "bid_epoch", int),
            "slot": _Kind(escrow, "job", _slot),
            "policy": _Kind(escrow, "policy_of", lambda read: Policy(*read)),
            "model": _Kind(context.fault_proof, "model_of", _model, may_refuse=True),
        }
        if context.graph_models is not None:
            self._kinds["limits"] = _Kind(context.graph_models, "limits", _limits, may_refuse=True)

    def ask(self, keys: Sequence[Key], head: Header) -> list[Any]:
        """The words of `keys` at the end of the block `head`. As `read_at`."""
        kinds = [self._kinds[key[0]] for key in keys]
        queries = [
            kind.contract.query(kind.function, *key[1:])
            for kind, key in zip(kinds, keys, strict=True)
        ]
        found: list[Any] = []
        for kind, query, outcome in zip(
            kinds, queries, _outcomes(self._rpc, queries, head), strict=True
        ):
            if kind.may_refuse and isinstance(outcome, Rejected):
                found.append(None)
            else:
                found.append(kind.made(query.decode(_data(outcome))))
        return found


# Most signed jobs are on record nowhere: they share one.
_NOTHING = Slot(JobState.NONE, 0, 0, 0)


def _slot(read: Any) -> Slot:
    state, *rest = read
    slot = Slot(JobState(state), *rest)
    return _NOTHING if slot == _NOTHING else slot


def _model(read: Any) -> ExactModel:
    model = Model(*read)
    return ExactModel(row_bytes=model.row_bytes, max_units=model.max_units)


def _limits(read: Any) -> ExactModel:
    most, levels, is_eligible = read
    return ExactModel(max_units=most, levels=levels, is_eligible=is_eligible)
