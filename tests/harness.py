"""A local chain for the tests: one anvil a process, driven by raw JSON-RPC.

Ape's objects cost 40-60 ms a transaction; this costs about 3, which is what lets state machines
walk thousands of steps. Time is the chain's own: every block is one second after the last one,
whatever the clock on the wall says, unless a test sets it.
"""

import atexit
import ctypes
import http.client
import itertools
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import rlp
from eth_account.hdaccount import key_from_seed, seed_from_mnemonic
from eth_utils import keccak

from scripts.compiler import ROOT, Compiled, compile_contract
from tests.abi import AbiBook, Event, Function, checksum, reason_of

MNEMONIC = "test test test test test test test test test test test junk"
GENESIS_TIME = 1_800_000_000
GAS = 15_000_000
ZERO_ADDRESS = "0x" + "00" * 20
# Seconds until a request that hangs is an error.


class RpcError(Exception):
    """The node refused a request that no contract had a say in."""


class Reverted(Exception):
    """A contract refused a call. `reason` is its text, "" when it gave none."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@contextmanager
def reverts(reason: str) -> Iterator[None]:
    """Asserts that the block ends in a revert with exactly this reason."""
    found: str | None = None
    try:
        yield
    except Reverted as error:
        found = error.reason
    assert found is not None, f"did not revert, expected {reason!r}"
    assert found == reason, f"reverted with {found!r}, expected {reason!r}"


def anvil_binary() -> str:
    """Path of anvil's own binary: npm's wrapper would be one more process between us and it."""
    found = sorted((ROOT / "node_modules" / "@foundry-rs").glob("anvil-*/bin/anvil"))
    if not found:
        raise FileNotFoundError("no anvil under node_modules: run `make setup`")
    return str(found[0])


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _die_with_parent() -> None:
    # A killed pytest can't stop its anvil; on Linux the kernel does.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


class Anvil:
    """An anvil process on a port of its own. `arguments` are added to its command line."""

    def __init__(self, *arguments: str) -> None:
        self.port = free_port()
        # It puts the states of older blocks there, and never removes them.
        self._cache = tempfile.TemporaryDirectory(prefix="anvil-", ignore_cleanup_errors=True)
        command = [anvil_binary(), "--silent", "--port", str(self.port)]
        command += ["--cache-path", self._cache.name, *arguments]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=_die_with_parent
        )
        atexit.register(self.stop)
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        self._ids = itertools.count(1)
        self._wait()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def _wait(self) -> None:
        for _ in range(500):
            if self.process.poll() is not None:
                raise RpcError(f"anvil ended: {(self.process.stderr or sys.stdin).read()!r}")
            try:
                self.rpc("eth_chainId")
            except OSError:
                self._connection.close()
                time.sleep(0.02)
            else:
                return
        raise RpcError("anvil did not answer within 10 seconds")

    def post(self, body: Any) -> Any:
        """One HTTP request, on a connection that stays open."""
        content = json.dumps(body)
        self._connection.request("POST", "/", content, {"Content-Type": "application/json"})
        return json.loads(self._connection.getresponse().read())

    def rpc(self, method: str, *params: Any) -> Any:
        """The result of a JSON-RPC call. Raises Reverted or RpcError."""
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        answer = self.post(body)
        if "error" not in answer:
            return answer["result"]
        error = answer["error"]
        message, data = str(error.get("message")), error.get("data")
        if isinstance(data, str) or "revert" in message or message.startswith("EVM error"):
            raise Reverted(reason_of(bytes.fromhex((data or "0x")[2:]), message))
        raise RpcError(f"{method}: {message}")

    def send(self, request: dict[str, Any]) -> dict[str, Any]:
        """The receipt of a transaction, which is mined here: the node must not mine by itself.

        Where it does, the first block after an evm_revert is now and then empty and the transaction
        gone, about once in five hundred times; mined by hand, none of 33,000 was lost.
        """
        transaction = self.rpc("eth_sendTransaction", request)
        self.rpc("evm_mine")
        return dict(self.rpc("eth_getTransactionReceipt", transaction))

    def stop(self) -> None:
        """Ends the process; harmless when it has ended."""
        atexit.unregister(self.stop)
        self._connection.close()
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)
        self._cache.cleanup()


@cache
def _seed() -> bytes:
    return seed_from_mnemonic(MNEMONIC, "")


@dataclass(frozen=True)
class Account:
    """An account that the node signs for. `index` is None for an impersonated one."""

    address: str
    index: int | None = None

    @cached_property
    def key(self) -> bytes:
        """The private key, for signatures made off chain."""
        if self.index is None:
            raise ValueError("an impersonated account has no key")
        return bytes(key_from_seed(_seed(), f"m/44'/60'/0'/0/{self.index}"))


@dataclass
class Receipt:
    """A transaction that succeeded."""

    chain: "Chain" = field(repr=False)
    function: Function | None
    raw: dict[str, Any] = field(repr=False)

    def __post_init__(self) -> None:
        self.hash: str = self.raw["transactionHash"]
        self.gas_used = int(self.raw["gasUsed"], 16)
        self.block_number = int(self.raw["blockNumber"], 16)
        stamp = self.raw["blockTimestamp"]
        self.timestamp = stamp if isinstance(stamp, int) else int(stamp, 16)

    @cached_property
    def events(self) -> list[Event]:
        """The logs, in order, as events of the contracts the tests know."""
        return [event for log in self.raw["logs"] if (event := self.chain.decode_log(log))]

    def named(self, name: str) -> list[Any]:
        """Arguments of each event called `name`, in order."""
        return [event.args for event in self.events if event.name == name]

    def only(self, name: str) -> Any:
        """Arguments of the one event called `name`."""
        found = self.named(name)
        assert len(found) == 1, f"{len(found)} events {name} among {[e.name for e in self.events]}"
        return found[0]

    @cached_property
    def return_value(self) -> Any:
        """What the function returned, read from a trace: ask before the state is restored."""
        trace = self.chain.top_call(self.hash)
        assert self.function is not None
        return self.function.result(bytes.fromhex(trace.get("output", "0x")[2:]))


class Caller:
    """`contract.simulate`: the functions of a contract as calls that change nothing."""

    def __init__(self, contract: "Contract") -> None:
        self._contract = contract

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args, **options: self._contract.call(name, args, **options)


class Contract:
    """A contract at an address. Its functions are its attributes: `c.fn(*args, sender=account)`.

    View and pure functions return their decoded value (options: `sender`, `timestamp`); others
    return a Receipt (options: `sender`, `timestamp` of the block, `gas`, `value`). Without a sender
    the first account of the chain is used. Both raise Reverted. A function that is called like one
    of this class's own attributes (`name`) goes by `c.call("name", ())`.
    """

    def __init__(self, chain: "Chain", compiled: Compiled, address: str) -> None:
        self.chain = chain
        self.compiled = compiled
        self.name = compiled.name
        self.address = checksum(address)
        self.abi = abi_book(compiled.name, compiled.bytecode)
        self.simulate = Caller(self)

    def __repr__(self) -> str:
        return f"<{self.name} {self.address}>"

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__") or name not in self.abi.functions:
            raise AttributeError(f"{self.name} has no function {name}")

        def invoke(*args: Any, **options: Any) -> Any:
            if self.abi.function(name, len(args)).is_view:
                return self.call(name, args, **options)
            return self.transact(name, args, **options)

        return invoke

    def encode(self, name: str, *args: Any) -> bytes:
        """The data of a call."""
        return self.abi.function(name, len(args)).data(args)

    def call(
        self,
        name: str,
        args: tuple[Any, ...],
        *,
        sender: Any = None,
        timestamp: int | None = None,
        block: str = "latest",
        gas: int = GAS,
    ) -> Any:
        """eth_call, as if in a block of time `timestamp` where one is given."""
        function = self.abi.function(name, len(args))
        request = self.chain.request(sender, self.address, function.data(args), gas=gas)
        extra: list[Any] = [] if timestamp is None else [{}, {"time": hex(timestamp)}]
        return function.result(
            bytes.fromhex(self.chain.rpc("eth_call", request, block, *extra)[2:])
        )

    def transact(self, name: str, args: tuple[Any, ...], **options: Any) -> Receipt:
        """A transaction in a block of its own."""
        function = self.abi.function(name, len(args))
        return self.chain.transact(self.address, function.data(args), function=function, **options)


@cache
def compiled(name: str) -> Compiled:
    """The compiled contract, read once a process."""
    return compile_contract(name)


@cache
def abi_book(name: str, _bytecode: str) -> AbiBook:
    """The ABI of a contract, parsed once a process."""
    return AbiBook(compiled(name).abi)


class Chain:
    """The chain of one test process."""

    def __init__(self, accounts: int = 40) -> None:
        genesis = ("--timestamp", str(GENESIS_TIME), "--accounts", str(accounts))
        self.anvil = Anvil(*genesis, "--balance", "1000000")
        self.rpc = self.anvil.rpc
        self.rpc("evm_setAutomine", False)  # see Anvil.send
        self.rpc("anvil_setBlockTimestampInterval", 1)
        addresses = self.rpc("eth_accounts")
        self.accounts = [Account(checksum(address), i) for i, address in enumerate(addresses)]
        self._contracts: dict[str, AbiBook] = {}

    @property
    def url(self) -> str:
        """Where the node answers."""
        return self.anvil.url

    def stop(self) -> None:
        """Ends the node."""
        self.anvil.stop()

    # -- time --

    def now(self) -> int:
        """Time of the latest block."""
        return int(self.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def block_number(self) -> int:
        """Number of the latest block."""
        return int(self.rpc("eth_blockNumber"), 16)

    def next_time(self, timestamp: int) -> None:
        """Sets the time of the next block only."""
        self.rpc("evm_setNextBlockTimestamp", timestamp)

    def travel(self, seconds: int) -> int:
        """Mines a block `seconds` after the latest one and returns its time."""
        timestamp = self.now() + seconds
        self.next_time(timestamp)
        self.mine()
        return timestamp

    def mine(self, n: int = 1) -> None:
        """Mines `n` empty blocks, a second apart."""
        self.rpc("anvil_mine", hex(n))

    # -- state --

    def snapshot(self) -> str:
        """Keeps the state; the id is good for one restore."""
        return str(self.rpc("evm_snapshot"))

    def restore(self, snapshot: str) -> None:
        """Goes back to a snapshot, time included; later snapshots are gone."""
        if not self.rpc("evm_revert", snapshot):
            raise RpcError(f"no snapshot {snapshot}")

    @contextmanager
    def isolated(self) -> Iterator[None]:
        """Undoes what the block did: one example of a property, one run of a state machine."""
        snapshot = self.snapshot()
        try:
            yield
        finally:
            self.restore(snapshot)

    def impersonate(self, address: Any) -> Account:
        """An account for any address, with ether for gas: a contract as a sender, for example."""
        address = checksum(getattr(address, "address", address))
        self.rpc("anvil_impersonateAccount", address)
        self.rpc("anvil_setBalance", address, hex(10**24))
        return Account(address)

    def storage(self, contract: Any, slot: int) -> int:
        """A word of a contract's storage."""
        address = getattr(contract, "address", contract)
        return int(self.rpc("eth_getStorageAt", address, hex(slot), "latest"), 16)

    # -- contracts --

    def deploy(self, name: str, *args: Any, sender: Any = None, gas: int = GAS) -> Contract:
        """Compiles (or takes from the cache) and deploys a contract by its file's name."""
        made = compiled(name)
        code = bytes.fromhex(made.bytecode[2:])
        arguments = abi_book(name, made.bytecode).constructor.arguments(args)
        receipt = self.transact(None, code + arguments, sender=sender, gas=gas)
        return self.at(name, receipt.raw["contractAddress"])

    def at(self, name: str, address: Any) -> Contract:
        """The contract that stands at `address`."""
        contract = Contract(self, compiled(name), getattr(address, "address", address))
        self._contracts[contract.address] = contract.abi
        return contract

    def create_address(self, account: Any, ahead: int = 0) -> str:
        """Address of the contract that `account` deploys after `ahead` more transactions."""
        address = getattr(account, "address", account)
        nonce = int(self.rpc("eth_getTransactionCount", address, "latest"), 16) + ahead
        return checksum(keccak(rlp.encode([bytes.fromhex(address[2:]), nonce]))[12:])

    # -- transactions --

    def request(
        self, sender: Any, to: str | None, data: bytes, gas: int = GAS, value: int = 0
    ) -> dict[str, Any]:
        """The fields of a call or transaction as JSON-RPC wants them."""
        sender = self.accounts[0] if sender is None else sender
        fields = {
            "from": getattr(sender, "address", sender),
            "data": "0x" + data.hex(),
            "gas": hex(gas),
            "value": hex(value),
        }
        return fields if to is None else fields | {"to": to}

    def transact(
        self,
        to: Any,
        data: bytes = b"",
        *,
        sender: Any = None,
        timestamp: int | None = None,
        gas: int = GAS,
        value: int = 0,
        function: Function | None = None,
    ) -> Receipt:
        """Sends a transaction in a block of its own, at `timestamp` where one is given."""
        if timestamp is not None:
            self.next_time(timestamp)
        request = self.request(sender, getattr(to, "address", to), data, gas, value)
        raw = self.anvil.send(request)
        if int(raw["status"], 16) == 0:
            trace = self.top_call(raw["transactionHash"])
            output = bytes.fromhex(trace.get("output", "0x")[2:])
            raise Reverted(reason_of(output, trace.get("error", "execution reverted")))
        return Receipt(self, function, raw)

    def top_call(self, transaction: str) -> dict[str, Any]:
        """The outermost call of a transaction: its `output` and its `error`."""
        options = {"tracer": "callTracer", "tracerConfig": {"onlyTopCall": True}}
        return dict(self.rpc("debug_traceTransaction", transaction, options))

    def decode_log(self, log: dict[str, Any]) -> Event | None:
        """The event in `log`, by the ABI at its address; None where no test knows the contract."""
        book = self._contracts.get(checksum(log["address"]))
        event = book.events.get(log["topics"][0]) if book and log["topics"] else None
        return event.decode(log) if event else None


def repository_file(*parts: str) -> Path:
    """A file of the repository, wherever the tests are run from."""
    return ROOT.joinpath(*parts)
