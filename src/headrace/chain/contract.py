"""What every typed client of a contract is made of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from headrace.chain import artifacts
from headrace.chain.abi import Abi, BadAnswer, Call, Event, Function, Log, checksummed
from headrace.chain.rpc import BlockTag, Rpc, to_bytes, to_tag
from headrace.errors import HeadraceError, Rejected, UsageError

T = TypeVar("T")
LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Query(Generic[T]):
    """A read that can wait, so that many of them go in one request (`read_many`)."""

    call: Call
    decode: Callable[[bytes], T]


def read_many(rpc: Rpc, queries: Sequence[Query[T]], block: BlockTag = LATEST) -> list[T]:
    """The answers to `queries` at the end of `block`, in one batch."""
    params = [({"to": q.call.to, "data": "0x" + q.call.data.hex()}, to_tag(block)) for q in queries]
    answers = rpc.batch([("eth_call", param) for param in params])
    return [q.decode(_answer(q, a)) for q, a in zip(queries, answers, strict=True)]


def try_many(rpc: Rpc, queries: Sequence[Query[T]], block: BlockTag = LATEST) -> list[T | None]:
    """As `read_many`, but None for a read that the contract refuses or answers beside its ABI."""
    params = [({"to": q.call.to, "data": "0x" + q.call.data.hex()}, to_tag(block)) for q in queries]
    found: list[T | None] = []
    for query, outcome in zip(
        queries, rpc.outcomes([("eth_call", param) for param in params]), strict=True
    ):
        if isinstance(outcome, HeadraceError) and not isinstance(outcome, Rejected):
            raise outcome
        try:
            is_refused = isinstance(outcome, Rejected)
            found.append(None if is_refused else query.decode(to_bytes(outcome)))
        except BadAnswer:
            found.append(None)
    return found


def _answer(query: Query[Any], answer: object) -> bytes:
    data = to_bytes(answer)
    if not data:
        raise UsageError(
            f"{query.call.what}: there is no such contract at {query.call.to}: "
            "check the manifest and the RPC URL"
        )
    return data


class Contract:
    """A contract of which the ABI is packaged."""

    ARTIFACT: ClassVar[str]

    def __init__(self, rpc: Rpc, address: str) -> None:
        self.rpc = rpc
        self.address = checksummed(address)

    @classmethod
    def abi(cls) -> Abi:
        """The packaged ABI."""
        return artifacts.load(cls.ARTIFACT).abi

    def _function(self, name: str) -> Function:
        return self.abi().functions[name]

    def call(self, name: str, *args: Any) -> Call:
        """A call of the function `name`, for a Sender."""
        data = self._function(name).encode(args)
        return Call(self.address, data, f"{self.ARTIFACT}.{name}")

    def query(self, name: str, *args: Any) -> Query[Any]:
        """A read of the function `name` for `read_many`, as plain values."""
        return Query(self.call(name, *args), self._function(name).decode)

    def read(self, name: str, *args: Any, block: BlockTag = LATEST) -> Any:
        """What the function `name` returns at the end of `block`, as plain values."""
        return read_many(self.rpc, [self.query(name, *args)], block)[0]

    def event(self, log: Log) -> Event | None:
        """The event in a log of this contract; None if it is none that the ABI knows."""
        return self.abi().event(log)


class Owned(Contract):
    """A contract with an owner who can be replaced in two steps."""

    def owner(self, block: BlockTag = LATEST) -> str:
        """Who may do what only the owner may."""
        return str(self.read("owner", block=block))

    def pending_owner(self, block: BlockTag = LATEST) -> str:
        """Who may accept the ownership."""
        return str(self.read("pending_owner", block=block))

    def transfer_ownership(self, owner: str) -> Call:
        """Offer the ownership to another account, which has to accept it."""
        return self.call("transfer_ownership", owner)
