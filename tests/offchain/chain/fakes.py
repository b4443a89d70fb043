"""A chain in memory that can be rewritten, behind the same Rpc class that talks to nodes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from eth_utils import keccak

from headrace.chain.rpc import Rpc
from headrace.errors import Unreachable

ADDRESS = "0x" + "ab" * 20


@dataclass(frozen=True)
class Block:
    """`logs` are the subjects (second topics) of the block's logs, in order."""

    number: int
    hash: str
    parent: str
    logs: tuple[int, ...]


@dataclass
class FakeChain:
    """The canonical chain, and every block that ever was."""

    blocks: list[Block] = field(default_factory=list)
    _ids: Any = field(default_factory=count)

    def __post_init__(self) -> None:
        self.mine()

    def mine(self, *logs: int) -> Block:
        parent = self.blocks[-1].hash if self.blocks else "0x" + "00" * 32
        number = len(self.blocks)
        unique = keccak(text=f"{parent} {logs} {next(self._ids)}")
        block = Block(number, "0x" + unique.hex(), parent, logs)
        self.blocks.append(block)
        return block

    def rewrite(self, depth: int, *contents: tuple[int, ...]) -> None:
        """Take the last `depth` blocks away and mine others; the first block always stays."""
        del self.blocks[max(1, len(self.blocks) - depth) :]
        for logs in contents:
            self.mine(*logs)

    def expected(self, start: int = 0) -> list[tuple[int, int, bytes, int]]:
        """Number, position, block hash and subject of each log from block `start` on."""
        return [
            (block.number, position, bytes.fromhex(block.hash[2:]), subject)
            for block in self.blocks[start:]
            for position, subject in enumerate(block.logs)
        ]


class FakeRpc(Rpc):
    """
    A node on a FakeChain. `before` is called with each request's method and may raise, change the
    chain, or return an answer of its own (None: the honest one). `most` is the widest range of logs
    it gives; `behind` is how many blocks it lags. Blocks are final `final_after` blocks later, if
    the node says so at all.
    """

    def __init__(self, chain: FakeChain) -> None:
        super().__init__("http://127.0.0.1:1")
        self.chain = chain
        self.before: Callable[[str], Any] = lambda method: None
        self.most = 10**9
        self.behind = 0
        self.final_after: int | None = None
        self.requests: list[str] = []

    def _post(self, body: Any, *, may_repeat: bool) -> Any:
        if isinstance(body, list):
            answers = [self._answer(request) for request in body]
            # Nodes may answer in any order.
            return list(reversed(answers))
        return self._answer(body)

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        method, params = request["method"], request["params"]
        self.requests.append(method)
        result = self.before(method)
        if result is None:
            try:
                result = getattr(self, method)(*params)
            except ValueError as error:
                failure = {"code": -32000, "message": str(error)}
                return {"jsonrpc": "2.0", "id": request["id"], "error": failure}
        return {"jsonrpc": "2.0", "id": request["id"], "result": result}

    @property
    def _known(self) -> list[Block]:
        return self.chain.blocks[: max(1, len(self.chain.blocks) - self.behind)]

    def eth_getBlockByNumber(self, tag: str, full: bool) -> Any:  # noqa: N802
        if tag == "finalized":
            if self.final_after is None:
                raise ValueError("finalized is not supported")
            number = max(0, len(self.chain.blocks) - 1 - self.final_after)
        else:
            number = len(self._known) - 1 if tag == "latest" else int(tag, 16)
        return self._block(self._known[number]) if 0 <= number < len(self._known) else None

    @staticmethod
    def _block(block: Block) -> dict[str, Any]:
        return {
            "number": hex(block.number),
            "hash": block.hash,
            "parentHash": block.parent,
            "timestamp": hex(1_000 + block.number),
            "baseFeePerGas": "0x1",
        }

    def eth_getBlockReceipts(self, block_hash: str) -> Any:  # noqa: N802
        if not any(block.hash == block_hash for block in self._known):
            return None
        logs = FakeRpc.eth_getLogs(self, {"address": [ADDRESS], "blockHash": block_hash})
        return [{"blockHash": block_hash, "logs": [log]} for log in logs]

    def eth_getLogs(self, wanted: dict[str, Any]) -> Any:  # noqa: N802
        assert wanted["address"] == [ADDRESS]
        if "blockHash" in wanted:
            blocks = [block for block in self._known if block.hash == wanted["blockHash"]]
            if not blocks:
                raise ValueError("unknown block")
        else:
            first, last = int(wanted["fromBlock"], 16), int(wanted["toBlock"], 16)
            if last - first + 1 > self.most:
                raise ValueError("query returned more than 10000 results")
            blocks = self._known[first : last + 1]
        return [
            {
                "address": ADDRESS,
                "blockNumber": hex(block.number),
                "blockHash": block.hash,
                "logIndex": hex(position),
                "transactionHash": "0x" + "11" * 32,
                "topics": ["0x" + "22" * 32, "0x" + subject.to_bytes(32).hex()],
                "data": "0x",
                "removed": False,
            }
            for block in blocks
            for position, subject in enumerate(block.logs)
        ]


def lost(method: str) -> Any:
    """A `before` that loses every answer."""
    raise Unreachable(f"{method} was lost")
