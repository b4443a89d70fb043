"""Contract ABIs as Python: arguments in, structs as namedtuples out, logs as events."""

from collections import namedtuple
from collections.abc import Mapping
from functools import cache, cached_property, lru_cache
from typing import Any, NamedTuple

from eth_abi import decode, encode
from eth_utils import keccak, to_checksum_address

PANICS = {0x01: "assertion", 0x11: "overflow", 0x12: "division by zero", 0x32: "index"}


class Event(NamedTuple):
    """A decoded log: the event's name, its arguments by name, and the contract that wrote it."""

    name: str
    args: Any
    address: str


checksum = lru_cache(maxsize=None)(to_checksum_address)


def type_of(item: Mapping[str, Any]) -> str:
    """The canonical type of an ABI item, with the components of a tuple written out."""
    if not item["type"].startswith("tuple"):
        return item["type"]
    inner = ",".join(type_of(part) for part in item["components"])
    return f"({inner}){item['type'][len('tuple') :]}"


@cache
def record(name: str, fields: tuple[str, ...]) -> Any:
    """A namedtuple class, the same one for the same name and fields."""
    return namedtuple(name, fields, rename=True)


def shape(item: Mapping[str, Any], value: Any) -> Any:
    """A decoded value with checksummed addresses, lists for arrays and namedtuples for structs."""
    kind = item["type"]
    if kind.endswith("]"):
        element = {**item, "type": kind[: kind.rindex("[")]}
        return [shape(element, part) for part in value]
    if kind == "tuple":
        parts = item["components"]
        made = [shape(part, v) for part, v in zip(parts, value, strict=True)]
        return record(item.get("name") or "Struct", tuple(p["name"] for p in parts))(*made)
    return checksum(value) if kind == "address" else value


def plain(item: Mapping[str, Any], value: Any) -> Any:
    """An argument as eth_abi wants it: contracts and accounts give their address, mappings and
    objects with the fields of a struct give its tuple, hex strings give bytes."""
    kind = item["type"]
    if kind.endswith("]"):
        element = {**item, "type": kind[: kind.rindex("[")]}
        return [plain(element, part) for part in value]
    if kind == "tuple":
        parts = item["components"]
        names = [part["name"] for part in parts]
        if isinstance(value, Mapping):
            if set(value) != set(names):
                raise TypeError(f"struct needs {names}, got {sorted(value)}")
            value = [value[name] for name in names]
        elif not isinstance(value, (tuple, list)):
            value = [getattr(value, name) for name in names]
        return tuple(plain(part, v) for part, v in zip(parts, value, strict=True))
    if kind == "address":
        return getattr(value, "address", value)
    if kind.startswith("bytes") and isinstance(value, str):
        return bytes.fromhex(value.removeprefix("0x"))
    return value


class Function:
    """One function of an ABI."""

    def __init__(self, item: Mapping[str, Any]) -> None:
        self.name = item.get("name", "__init__")
        self.inputs = item["inputs"]
        self.outputs = item.get("outputs", [])
        self.is_view = item.get("stateMutability") in ("view", "pure")

    @cached_property
    def types(self) -> list[str]:
        """Canonical types of the inputs."""
        return [type_of(part) for part in self.inputs]

    @cached_property
    def selector(self) -> bytes:
        """First four bytes of a call's data."""
        return keccak(text=f"{self.name}({','.join(self.types)})")[:4]

    def arguments(self, args: tuple[Any, ...]) -> bytes:
        """The arguments without selector, as a constructor takes them."""
        if len(args) != len(self.inputs):
            raise TypeError(f"{self.name} takes {len(self.inputs)} arguments, got {len(args)}")
        return encode(self.types, [plain(i, v) for i, v in zip(self.inputs, args, strict=True)])

    def data(self, args: tuple[Any, ...]) -> bytes:
        """The data of a call."""
        return self.selector + self.arguments(args)

    def result(self, data: bytes) -> Any:
        """What a call returned: nothing, one value, or a tuple."""
        values = decode([type_of(part) for part in self.outputs], data)
        shaped = tuple(shape(i, v) for i, v in zip(self.outputs, values, strict=True))
        return shaped[0] if len(shaped) == 1 else shaped or None


class EventType:
    """One event of an ABI."""

    def __init__(self, item: Mapping[str, Any]) -> None:
        self.name = item["name"]
        self.inputs = item["inputs"]
        self.types = [type_of(part) for part in self.inputs]
        self.topic = "0x" + keccak(text=f"{self.name}({','.join(self.types)})").hex()

    def decode(self, log: Mapping[str, Any]) -> Event:
        """The event that `log` holds. An indexed value of dynamic size stays the hash it is."""
        data_types = [
            t for t, part in zip(self.types, self.inputs, strict=True) if not part["indexed"]
        ]
        in_data = iter(decode(data_types, bytes.fromhex(log["data"][2:])))
        topics = (bytes.fromhex(topic[2:]) for topic in log["topics"][1:])
        values = []
        for kind, part in zip(self.types, self.inputs, strict=True):
            if not part["indexed"]:
                values.append(shape(part, next(in_data)))
            elif kind in ("string", "bytes") or kind[0] == "(" or kind[-1] == "]":
                values.append(next(topics))
            else:
                values.append(shape(part, decode([kind], next(topics))[0]))
        fields = tuple(part["name"] for part in self.inputs)
        return Event(self.name, record(self.name, fields)(*values), checksum(log["address"]))


class AbiBook:
    """A contract's ABI: its functions by name, its events by first topic."""

    def __init__(self, abi: list[dict[str, Any]]) -> None:
        self.functions: dict[str, list[Function]] = {}
        self.events: dict[str, EventType] = {}
        self.constructor = Function({"inputs": []})
        for item in abi:
            if item["type"] == "function":
                self.functions.setdefault(item["name"], []).append(Function(item))
            elif item["type"] == "event":
                event = EventType(item)
                self.events[event.topic] = event
            elif item["type"] == "constructor":
                self.constructor = Function(item)

    def function(self, name: str, count: int) -> Function:
        """The function called `name` with `count` arguments (Vyper's defaults make several)."""
        overloads = self.functions[name]
        for function in overloads:
            if len(function.inputs) == count:
                return function
        takes = sorted(len(function.inputs) for function in overloads)
        raise TypeError(f"{name} takes {takes} arguments, got {count}")


def reason_of(output: bytes, error: str = "execution reverted") -> str:
    """A revert's reason: the text of Error(string), a panic's name, "" for empty output.

    `error` is the node's own word for the failure, kept where it isn't a plain revert (out of gas).
    """
    if output[:4] == bytes.fromhex("08c379a0"):
        return decode(["string"], output[4:])[0]
    if output[:4] == bytes.fromhex("4e487b71"):
        code = decode(["uint256"], output[4:])[0]
        return f"panic: {PANICS.get(code, hex(code))}"
    if output:
        return "0x" + output.hex()
    return "" if error.startswith("execution reverted") else error
