"""Calls and events by their ABI: what contracts.py builds its typed clients from.

Values in and out are plain: ints, bools, checksummed addresses, bytes, lists, and tuples for
structs. Whatever has a `pack` method (the words of `headrace.terms`) may stand where a struct or
word is due.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError, EncodingError
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from headrace.chain.decode import decoder_of
from headrace.errors import HeadraceError, UsageError


class BadAnswer(HeadraceError):
    """What came back, or what was logged, is not what the ABI says: a wrong address, or a bug."""


@dataclass(frozen=True, slots=True)
class Call:
    """A transaction's target and data. `what` names it for people: `JobEscrow.finalise`."""

    to: str
    data: bytes
    what: str
    value: int = 0


class Log(NamedTuple):
    """
    An event as it is stored: where it is, and its raw topics (32 bytes each) and data. A tuple, as
    `Event` is, because one is made of every event that there ever was, at a third of the time.
    """

    block_number: int
    log_index: int
    block_hash: bytes
    tx_hash: bytes
    address: str
    topics: tuple[bytes, ...]
    data: bytes
    timestamp: int


class Event(NamedTuple):
    """A decoded event, with its arguments by name and the log that it came from."""

    name: str
    args: Mapping[str, Any]
    log: Log


@lru_cache(maxsize=4096)
def checksummed(address: str) -> str:
    """An address in any case, as the checksummed string that is used everywhere."""
    return to_checksum_address(address)


def type_of(item: Mapping[str, Any]) -> str:
    """An ABI item's type as eth-abi writes it: a struct is a tuple of its members."""
    kind: str = item["type"]
    if not kind.startswith("tuple"):
        return kind
    return "(" + ",".join(type_of(part) for part in item["components"]) + ")" + kind[5:]


def plain(value: Any) -> Any:
    """`value` as eth-abi takes it: words packed, lists and tuples all the way down."""
    pack = getattr(value, "pack", None)
    if pack is not None:
        return pack()
    if isinstance(value, tuple | list):
        return [plain(part) for part in value]
    return value


def _dressed(kind: str, value: Any) -> Any:
    # eth-abi gives addresses in lower case; everything here compares checksummed ones.
    if kind == "address":
        return checksummed(value)
    if kind.endswith("]"):
        inner = kind[: kind.rindex("[")]
        return [_dressed(inner, part) for part in value] if "address" in inner else list(value)
    if kind.startswith("(") and "address" in kind:
        return tuple(_dressed(k, v) for k, v in zip(_members(kind), value, strict=True))
    return value


@lru_cache(maxsize=1024)
def _members(kind: str) -> tuple[str, ...]:
    members, depth, start = [], 0, 1
    for index, letter in enumerate(kind):
        if letter == "(":
            depth += 1
        elif letter == ")":
            depth -= 1
        if (letter == "," and depth == 1) or (letter == ")" and depth == 0):
            members.append(kind[start:index])
            start = index + 1
    return tuple(members)


def decode_values(kinds: Sequence[str], data: bytes, what: str) -> tuple[Any, ...]:
    """The values of `kinds` in `data`; BadAnswer naming `what` if it does not hold them."""
    try:
        values = decode(kinds, data)
    except (DecodingError, UnicodeDecodeError, OverflowError):
        raise BadAnswer(f"{what}: {len(data)} bytes are not ({','.join(kinds)})") from None
    return tuple(_dressed(kind, value) for kind, value in zip(kinds, values, strict=True))


@dataclass(frozen=True)
class Function:
    """One function of an ABI."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @cached_property
    def selector(self) -> bytes:
        """The first four bytes of a call."""
        return keccak(text=f"{self.name}({','.join(self.inputs)})")[:4]

    def encode(self, args: Iterable[Any]) -> bytes:
        """Calldata; UsageError if an argument does not fit its type."""
        values = [plain(arg) for arg in args]
        try:
            return self.selector + encode(self.inputs, values)
        except (EncodingError, ValueError, TypeError) as error:
            raise UsageError(f"{self.name}: {error}") from error

    def decode(self, data: bytes) -> Any:
        """The returned value, or a tuple of them if there are several."""
        values = decode_values(self.outputs, data, self.name)
        return values[0] if len(values) == 1 else values


@dataclass(frozen=True)
class EventType:
    """One event of an ABI."""

    name: str
    inputs: tuple[tuple[str, str, bool], ...]  # name, type, indexed

    @cached_property
    def topic(self) -> bytes:
        """The first topic of its logs."""
        return keccak(text=f"{self.name}({','.join(kind for _, kind, _ in self.inputs)})")

    @cached_property
    def _arguments(self) -> "_Arguments":
        return _Arguments.of(self.inputs)

    def decode(self, log: Log) -> Event:
        """The event in `log`; BadAnswer if it is another one."""
        names, indexed, rest, read = self._arguments
        topics = log.topics
        if len(topics) != 1 + len(indexed):
            raise BadAnswer(f"{self.name}: {len(topics)} topics")
        if read is not None:
            try:
                values = read(b"".join(topics[1:]) + log.data)
            except ValueError:
                raise BadAnswer(f"{self.name}: not what its ABI says") from None
        else:
            values = []
            for kind, topic in zip(indexed, topics[1:], strict=True):
                values += decode_values([kind], topic, self.name)
            values += decode_values(rest, log.data, self.name)
        return Event(self.name, dict(zip(names, values, strict=True)), log)


class _Arguments(NamedTuple):
    """
    How an event is read: its arguments' names, those of the topics first, their types, and a
    decoder of topics and data in a row if all are of a fixed size.
    """

    names: tuple[str, ...]
    indexed: tuple[str, ...]
    rest: tuple[str, ...]
    read: Callable[[bytes], list[Any]] | None

    @classmethod
    def of(cls, inputs: Sequence[tuple[str, str, bool]]) -> "_Arguments":
        ordered = sorted(inputs, key=lambda part: not part[2])
        indexed = tuple(kind for _, kind, is_indexed in ordered if is_indexed)
        rest = tuple(kind for _, kind, is_indexed in ordered if not is_indexed)
        names = tuple(name for name, _, _ in ordered)
        # Of an array or struct a topic is only the hash.
        is_hashed = any(kind[-1] in ")]" for kind in indexed)
        read = None if is_hashed else decoder_of((*indexed, *rest), _members)
        return cls(names, indexed, rest, read)


class Abi:
    """The functions and events of one contract. No function of ours is overloaded."""

    def __init__(self, items: Iterable[Mapping[str, Any]]) -> None:
        self.functions: dict[str, Function] = {}
        self.events: dict[str, EventType] = {}
        self.constructor: tuple[str, ...] = ()
        for item in items:
            inputs = item.get("inputs", ())
            kinds = tuple(type_of(part) for part in inputs)
            if item["type"] == "function":
                outputs = tuple(type_of(part) for part in item["outputs"])
                self.functions[item["name"]] = Function(item["name"], kinds, outputs)
            elif item["type"] == "event":
                parts = tuple(
                    (part["name"], kind, bool(part["indexed"]))
                    for part, kind in zip(inputs, kinds, strict=True)
                )
                self.events[item["name"]] = EventType(item["name"], parts)
            elif item["type"] == "constructor":
                self.constructor = kinds
        self._by_topic = {event.topic: event for event in self.events.values()}

    def event(self, log: Log) -> Event | None:
        """The event in `log`, or None if this ABI has no event with its topic."""
        kind = self._by_topic.get(log.topics[0]) if log.topics else None
        return None if kind is None else kind.decode(log)

    def init_code(self, bytecode: bytes, args: Iterable[Any]) -> bytes:
        """What a creation sends; UsageError if the arguments don't fit the constructor."""
        try:
            return bytecode + encode(self.constructor, [plain(arg) for arg in args])
        except (EncodingError, ValueError, TypeError) as error:
            raise UsageError(f"constructor: {error}") from error
