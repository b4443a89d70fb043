"""A chain that logs what it is told to, for tests and measurements of the follower."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headrace.chain.abi import Abi, checksummed
from headrace.chain.db import ChainDb
from headrace.chain.rpc import Rpc, to_bytes, to_int
from scripts.compiler import compile_contract
from tests.harness import Anvil

Row = tuple[int, int, bytes, bytes, tuple[bytes, ...], bytes]


class Emitter:
    """An anvil with an EventEmitter; blocks are mined by hand."""

    def __init__(self, *arguments: str) -> None:
        """Start and deploy; `arguments` are anvil's."""
        self.anvil = Anvil("--no-mining", "--gas-limit", "100000000000", *arguments)
        self.url = self.anvil.url
        self.rpc = Rpc(self.url, timeout=120.0)
        compiled = compile_contract("EventEmitter")
        self.raw_abi = compiled.abi
        self.abi = Abi(compiled.abi)
        self.account: str = self.rpc.call("eth_accounts")[0]
        receipt = self.anvil.send({"from": self.account, "data": compiled.bytecode})
        self.address = checksummed(receipt["contractAddress"])
        self.start = to_int(receipt["blockNumber"])
        self.chain_id = self.rpc.chain_id()
        genesis = self.rpc.header(0)
        assert genesis is not None
        self.genesis = genesis.hash

    def request(self, count: int, salt: int = 0) -> dict[str, str]:
        """A transaction that logs `count` events whose contents follow from `salt`."""
        data = self.abi.functions["emit_many"].encode((count, salt))
        gas = hex(100_000 + 3_500 * count)
        return {"from": self.account, "to": self.address, "data": "0x" + data.hex(), "gas": gas}

    def send(self, count: int, salt: int = 0) -> str:
        """Put such a transaction into the pool; returns its hash."""
        return str(self.rpc.call("eth_sendTransaction", self.request(count, salt)))

    def emit(self, count: int = 1, salt: int = 0) -> None:
        """Mine a block with `count` events."""
        self.send(count, salt)
        self.mine()

    def emit_raw(self, topic: bytes, subject: bytes, data: bytes) -> None:
        """Mine a block with a log of any contents."""
        call = self.abi.functions["emit_raw"].encode((topic, subject, data))
        request = {"from": self.account, "to": self.address, "data": "0x" + call.hex()}
        self.rpc.call("eth_sendTransaction", request | {"gas": hex(1_000_000)})
        self.mine()

    def mine(self, count: int = 1) -> None:
        """Mine blocks; the first one takes what is in the pool."""
        self.rpc.call("anvil_mine", hex(count))

    def reorganise(self, depth: int, contents: Sequence[tuple[int, int, int]] = ()) -> None:
        """
        Replace the last `depth` blocks; `contents` are (events, salt, which of the new blocks).
        """
        pairs = [[self.request(count, salt), at] for count, salt, at in contents]
        self.rpc.call("anvil_reorg", depth, pairs)

    def head(self) -> int:
        """The latest block's number."""
        return self.rpc.head().number

    def db(self, folder: Path, name: str = "chain.db") -> ChainDb:
        """A file for this chain."""
        return ChainDb(
            folder / name, chain_id=self.chain_id, genesis=self.genesis, escrow=self.address
        )

    def truth(self) -> list[Row]:
        """What the node itself says its logs are."""
        rows: list[Row] = []
        last = self.head()
        for first in range(self.start, last + 1, 500):
            wanted = {"address": self.address, "fromBlock": hex(first)}
            wanted["toBlock"] = hex(min(last, first + 499))
            rows += [_row(item) for item in self.rpc.call("eth_getLogs", wanted)]
        return rows

    def close(self) -> None:
        """End it."""
        self.rpc.close()
        self.anvil.stop()


def _row(item: dict[str, Any]) -> Row:
    return (
        to_int(item["blockNumber"]),
        to_int(item["logIndex"]),
        to_bytes(item["blockHash"], 32),
        to_bytes(item["transactionHash"], 32),
        tuple(to_bytes(topic, 32) for topic in item["topics"]),
        to_bytes(item["data"]),
    )


def rows_of(db: ChainDb) -> list[Row]:
    """What a file holds, in the form of `Emitter.truth`."""
    return [
        (log.block_number, log.log_index, log.block_hash, log.tx_hash, log.topics, log.data)
        for log in db.logs()
    ]


@contextmanager
def emitter(*arguments: str) -> Iterator[Emitter]:
    """An Emitter that ends with the block."""
    made = Emitter(*arguments)
    try:
        yield made
    finally:
        made.close()
