"""A Deployer with a key of ours: for local chains, tests and `headrace up`."""

import time

from headrace.chain.accounts import Key
from headrace.chain.rpc import NodeError, Rpc, to_int
from headrace.errors import Rejected, RetryLater

_KNOWN = ("already known", "already imported", "known transaction")
_USED = "nonce too low"


class LocalDeployer:
    """Signs with `key` and sends over `rpc`; waits until each transaction is in a block."""

    def __init__(self, rpc: Rpc, key: Key, *, patience: float = 60.0) -> None:
        """`patience` is how many seconds a transaction may take into a block."""
        self._rpc = rpc
        self._key = key
        self._patience = patience
        self._chain_id = rpc.chain_id()

    @property
    def address(self) -> str:
        """The key's account."""
        return self._key.address

    def send(self, *, nonce: int, to: str | None, data: bytes) -> bytes:
        """As `deployment.Deployer.send`."""
        request = {"from": self.address, "data": "0x" + data.hex()}
        if to is not None:
            request["to"] = to
        gas = to_int(self._rpc.call("eth_estimateGas", request)) * 5 // 4
        head = self._rpc.head()
        tip = to_int(self._rpc.call("eth_maxPriorityFeePerGas"))
        fields = {
            "type": 2,
            "chainId": self._chain_id,
            "nonce": nonce,
            "data": data,
            "value": 0,
            "gas": gas,
            "maxFeePerGas": 2 * head.base_fee + tip,
            "maxPriorityFeePerGas": tip,
        }
        raw, tx_hash = self._key.sign_transaction(fields if to is None else fields | {"to": to})
        try:
            self._rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
        except NodeError as error:
            # The same bytes, sent before a crash: what counts is whether they get into a block.
            message = error.message.lower()
            if _USED in message and self._rpc.receipt(tx_hash) is None:
                raise RetryLater(f"another transaction of {self.address} took {nonce=}") from None
            if _USED not in message and not any(word in message for word in _KNOWN):
                raise
        return self._mined(tx_hash)

    def _mined(self, tx_hash: bytes) -> bytes:
        until = time.monotonic() + self._patience
        while (receipt := self._rpc.receipt(tx_hash)) is None:
            if time.monotonic() > until:
                raise RetryLater(f"0x{tx_hash.hex()} is in no block yet")
            time.sleep(0.02)
        if to_int(receipt["status"]) != 1:
            raise Rejected(f"transaction 0x{tx_hash.hex()} reverted")
        return tx_hash
