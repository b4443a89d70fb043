"""A key on a chain that mines when told, whose line to the node can be cut."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from headrace.chain.accounts import Key
from headrace.chain.artifacts import load
from headrace.chain.contracts import Token
from headrace.chain.fees import GWEI
from headrace.chain.outbox import Outbox
from headrace.chain.rpc import Rpc
from headrace.chain.sender import Sender
from tests.harness import Anvil
from tests.task_list import Office, deploy

CHAIN_ID = 31337
OTHER = "0x" + "00" * 18 + "0123"
_secrets = count(1_000)


class Crash(BaseException):
    """The process ends here."""


class Line(Rpc):
    """An Rpc that can be cut: at the request number `crash_at`, or after what `cut` names."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.crash_at = -1
        self.requests = 0
        self.cut: tuple[str, str, type[BaseException]] | None = None  # when, method, error
        self.raws: list[str] = []

    def _post(self, body: Any, *, may_repeat: bool) -> Any:
        methods = [item["method"] for item in (body if isinstance(body, list) else [body])]
        self._maybe("before", methods)
        if self.requests == self.crash_at:
            raise Crash
        self.requests += 1
        if methods == ["eth_sendRawTransaction"]:
            self.raws.append(body["params"][0])
        answer = super()._post(body, may_repeat=may_repeat)
        self._maybe("after", methods)
        return answer

    def _maybe(self, when: str, methods: list[str]) -> None:
        if self.cut is not None and self.cut[0] == when and self.cut[1] in methods:
            error = self.cut[2]
            self.cut = None
            raise error("cut")


class Bench:
    """A chain that mines when told, a token, and a key of the test's own."""

    def __init__(self, anvil: Anvil, token: str, folder: Path) -> None:
        self.anvil = anvil
        self.folder = folder
        self.key = Key.of(next(_secrets).to_bytes(32))
        anvil.rpc("anvil_setBalance", self.key.address, hex(10**21))
        self.rpc = Line(anvil.url)
        self.token = Token(self.rpc, token)
        self.sender = self.start()

    def start(self, **options: Any) -> Sender:
        """A process of its own on the same files."""
        outbox = Outbox(self.folder / "outbox.sqlite", chain_id=CHAIN_ID, address=self.key.address)
        settings = {"lost_after": 0.0, "sleep": lambda seconds: self.mine()}
        return Sender(self.rpc, self.key, outbox, chain_id=CHAIN_ID, **(settings | options))

    def mine(self, blocks: int = 1) -> None:
        self.anvil.rpc("anvil_mine", hex(blocks))

    def wait(self, seconds: int) -> None:
        """The next block is so much later than the last one."""
        later = self.rpc.head().timestamp + seconds
        self.anvil.rpc("evm_setNextBlockTimestamp", later)

    def base_fee(self, wei: int) -> None:
        """Of the next block."""
        self.anvil.rpc("anvil_setNextBlockBaseFeePerGas", hex(wei))

    @property
    def balance(self) -> int:
        return self.token.balance_of(self.key.address)

    @property
    def nonce(self) -> int:
        return self.rpc.nonce(self.key.address)


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    node = Anvil("--no-mining", "--chain-id", str(CHAIN_ID))
    # Else blocks of the same second have the same time.
    node.rpc("anvil_setBlockTimestampInterval", 1)
    yield node
    node.stop()


@pytest.fixture(scope="module")
def token(anvil: Anvil) -> str:
    return deploy(anvil, "0x" + load("FaucetToken").bytecode.hex())


@pytest.fixture
def office(anvil: Anvil) -> Office:
    return Office.open(anvil)


@pytest.fixture
def bench(anvil: Anvil, token: str, tmp_path: Path) -> Iterator[Bench]:
    anvil.rpc("anvil_dropAllTransactions")
    anvil.rpc("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
    anvil.rpc("evm_mine")
    made = Bench(anvil, token, tmp_path)
    yield made
    made.rpc.close()
