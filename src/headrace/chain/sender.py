"""Sends a key's transactions: each simulated first, written down before it leaves, driven to an
end.

`submit` is for daemons: it returns once the transaction is on disk and was offered to the node, and
`settle`, called once a round, does what is left: receipts, sending the same bytes again, raising
the fee of what is stuck. What has become invalid while it waited is replaced by a transaction
without effect, so that no nonce is left open. `send` is for the command line: it waits for the
receipt.

An action's id names one deed (`match:<job>:<attempt>:<declines>`). While it is under way, and until
it is final, submitting it again returns the transaction that is there.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from headrace.chain.abi import Call, Log
from headrace.chain.accounts import Key
from headrace.chain.follower import to_log
from headrace.chain.outbox import Attempt, Draft, Outbox, Tx
from headrace.chain.rpc import (
    Header,
    NodeError,
    Rpc,
    header_request,
    to_bytes,
    to_header,
    to_int,
)
from headrace.errors import HeadraceError, Rejected, RetryLater, Unreachable

log = logging.getLogger(__name__)

GWEI = 10**9
# Nodes keep at most this many transactions of an account that have not paid their way in yet.
MAX_PENDING = 16
_EMPTY_GAS = 21_000
_KNOWN = ("already known", "already imported", "known transaction", "alreadyknown")


@dataclass(frozen=True, slots=True)
class Fees:
    """What a Sender may pay per unit of gas, in wei, and when it raises its offer, in blocks."""

    cap: int = 200 * GWEI
    default_priority: int = GWEI
    stuck_blocks: int = 6
    resend_blocks: int = 3


@dataclass(frozen=True, slots=True)
class Receipt:
    """A transaction in a block. `fee` is what its gas cost, in wei."""

    tx_hash: bytes
    block_number: int
    timestamp: int
    gas_used: int
    fee: int
    logs: tuple[Log, ...]


class Sender:
    """The one way in which a key's transactions leave."""

    def __init__(
        self,
        rpc: Rpc,
        key: Key,
        outbox: Outbox,
        *,
        chain_id: int,
        fees: Fees | None = None,
        confirmations: int = 2,
        lost_after: float = 5.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """
        A transaction is final `confirmations` blocks after its own. A nonce that is used while none
        of our bytes has a receipt is given up after `lost_after` seconds.
        """
        self._rpc = rpc
        self._key = key
        self._outbox = outbox
        self._chain_id = chain_id
        self._fees = fees or Fees()
        self._confirmations = confirmations
        self._lost_after = lost_after
        self._sleep = sleep
        self._sent_at: dict[bytes, int] = {}  # bytes of this process's own sending -> block
        self._missing_since: dict[int, float] = {}

    @property
    def address(self) -> str:
        """The key's account."""
        return self._key.address

    # ---- submit

    def simulate(self, call: Call) -> bytes:
        """What the call would return now. Rejected with the reason if it would revert."""
        return self._rpc.eth_call(call.to, call.data, sender=self.address)

    def submit(self, action: str, call: Call, *, gas: int | None = None) -> Tx:
        """
        Send `call` for `action`, unless it is under way or not final yet: then its transaction.
        `gas` is a limit instead of the estimate. Rejected if it would revert, RetryLater if fees
        are above the cap, too much is pending or the account is out of money; nothing is signed
        then.
        """
        known = self._outbox.of_action(action)
        if known is not None and known.state in ("open", "mined"):
            return known
        request = self._request(call)
        simulated, estimate, nonce, head, balance, tip = self._rpc.outcomes(
            [
                ("eth_call", (request, "latest")),
                # At `latest`: what this key has under way must not spoil the estimate.
                ("eth_estimateGas", (request, "latest")),
                ("eth_getTransactionCount", (self.address, "latest")),
                header_request("latest"),
                ("eth_getBalance", (self.address, "latest")),
                ("eth_maxPriorityFeePerGas", ()),
            ]
        )
        for outcome in (simulated, estimate, nonce, head, balance):
            if isinstance(outcome, HeadraceError):
                raise self._explained(outcome)
        if len(self._outbox.unsettled()) >= MAX_PENDING:
            raise RetryLater(f"{MAX_PENDING} transactions of {self.address} are under way")
        header = to_header(head)
        max_fee, priority_fee = self._offer(header, tip)
        if gas is None:
            # Sub-calls get 63/64 of what is left, so a tight limit can starve the inner ones.
            gas = to_int(estimate) * 5 // 4 + 20_000
        if to_int(balance) < gas * max_fee + call.value:
            raise self._poor()
        draft = Draft(action, call.what, call.to, call.data, call.value, gas)

        def sign(at_nonce: int) -> Attempt:
            return self._sign(
                at_nonce,
                draft.target,
                draft.data,
                draft.value,
                draft.gas,
                max_fee,
                priority_fee,
                header.number,
                is_empty=False,
            )

        tx, is_new = self._outbox.add(
            draft, chain_nonce=to_int(nonce), block=header.number, sign=sign
        )
        if is_new:
            self._offer_to_node(tx, self._outbox.attempts(tx.id)[-1], header.number)
        return tx

    def _request(self, call: Call) -> dict[str, str]:
        return {
            "from": self.address,
            "to": call.to,
            "data": "0x" + call.data.hex(),
            "value": hex(call.value),
        }

    def _explained(self, error: HeadraceError) -> HeadraceError:
        if isinstance(error, NodeError) and "insufficient funds" in error.message.lower():
            return self._poor()
        return error

    def _poor(self) -> RetryLater:
        return RetryLater(f"{self.address} has not enough money for gas")

    def _offer(self, header: Header, tip: Any) -> tuple[int, int]:
        is_known = isinstance(tip, str)
        priority_fee = to_int(tip) if is_known else self._fees.default_priority
        if header.base_fee + priority_fee > self._fees.cap:
            raise RetryLater(
                f"gas costs {(header.base_fee + priority_fee) / GWEI:.3g} gwei, "
                f"the cap is {self._fees.cap / GWEI:.3g}"
            )
        return min(2 * header.base_fee + priority_fee, self._fees.cap), priority_fee

    def _sign(
        self,
        nonce: int,
        target: str,
        data: bytes,
        value: int,
        gas: int,
        max_fee: int,
        priority_fee: int,
        block: int,
        *,
        is_empty: bool,
    ) -> Attempt:
        raw, tx_hash = self._key.sign_transaction(
            {
                "type": 2,
                "chainId": self._chain_id,
                "nonce": nonce,
                "to": target,
                "data": data,
                "value": value,
                "gas": gas,
                "maxFeePerGas": max_fee,
                "maxPriorityFeePerGas": priority_fee,
            }
        )
        return Attempt(tx_hash, raw, max_fee, priority_fee, is_empty, block)

    def _offer_to_node(self, tx: Tx, attempt: Attempt, block: int) -> None:
        """Send signed bytes. Whatever the node says, they are on disk: `settle` finds out."""
        fields = {"action": tx.action, "nonce": tx.nonce, "tx": attempt.hash}
        try:
            self._rpc.call("eth_sendRawTransaction", "0x" + attempt.raw.hex())
        except HeadraceError as error:
            if isinstance(error, RetryLater | Unreachable):
                self._sent_at.pop(attempt.hash, None)
            else:
                self._sent_at[attempt.hash] = block
            if not any(word in str(error).lower() for word in _KNOWN):
                log.warning("not taken by the node", extra=fields | {"why": str(error)})
        else:
            self._sent_at[attempt.hash] = block
            log.info("sent", extra=fields | {"what": tx.what})

    # ---- settle

    def settle(self) -> list[Tx]:
        """
        Look after all that is under way; returns the transactions whose state has changed.
        Unreachable and RetryLater leave everything as it was.
        """
        txs = self._outbox.unsettled()
        if not txs:
            return []
        attempts = {tx.id: self._outbox.attempts(tx.id) for tx in txs}
        hashes = [attempt.hash for tx in txs for attempt in attempts[tx.id]]
        answers = self._rpc.batch(
            [
                header_request("latest"),
                ("eth_getTransactionCount", (self.address, "latest")),
                *(("eth_getTransactionReceipt", ("0x" + h.hex(),)) for h in hashes),
            ]
        )
        head, nonce = to_header(answers[0]), to_int(answers[1])
        receipts = dict(zip(hashes, answers[2:], strict=True))
        changed = []
        for tx in txs:
            after = self._settle_one(tx, attempts[tx.id], receipts, head, nonce)
            if after.state != tx.state:
                fields = {"action": tx.action, "nonce": tx.nonce, "tx": after.mined_tx}
                log.info(after.state, extra=fields | {"what": tx.what, "why": after.reason})
                changed.append(after)
        return changed

    def _settle_one(
        self,
        tx: Tx,
        attempts: list[Attempt],
        receipts: Mapping[bytes, Any],
        head: Header,
        chain_nonce: int,
    ) -> Tx:
        for attempt in attempts:
            receipt = receipts[attempt.hash]
            if receipt is not None:
                self._missing_since.pop(tx.id, None)
                return self._mined(tx, attempt, receipt, head)
        if tx.state == "mined":
            # A reorganisation took it out of its block: the same bytes go back in.
            tx = self._outbox.settle(tx.id, "open")
            self._sent_at.pop(attempts[-1].hash, None)
        if chain_nonce > tx.nonce:
            return self._missing(tx)
        newest = attempts[-1]
        is_stuck = head.number - newest.made_at_block >= self._fees.stuck_blocks
        if is_stuck or head.base_fee > newest.max_fee:
            newest = self._raised(tx, newest, head)
        sent_at = self._sent_at.get(newest.hash)
        if sent_at is None or not 0 <= head.number - sent_at < self._fees.resend_blocks:
            self._offer_to_node(tx, newest, head.number)
        return tx

    def _mined(self, tx: Tx, attempt: Attempt, receipt: Mapping[str, Any], head: Header) -> Tx:
        number = to_int(receipt.get("blockNumber"))
        mined = (number, to_bytes(receipt.get("blockHash"), 32), attempt.hash)
        if attempt.is_empty:
            return self._outbox.settle(tx.id, "empty", reason="became invalid", mined=mined)
        if to_int(receipt.get("status")) != 1:
            reason = self._reason(tx, to_int(receipt.get("gasUsed")), number)
            return self._outbox.settle(tx.id, "reverted", reason=reason, mined=mined)
        if head.number - number >= self._confirmations:
            return self._outbox.settle(tx.id, "done", mined=mined)
        if (tx.state, tx.mined_in, tx.mined_hash, tx.mined_tx) == ("mined", *mined):
            return tx
        return self._outbox.settle(tx.id, "mined", mined=mined)

    def _reason(self, tx: Tx, gas_used: int, block: int) -> str:
        if gas_used >= tx.gas * 63 // 64:
            return "out of gas"
        # What it met was the state between the two: a rival before it in the same block shows at
        # the end of the block, anything older at its start.
        for at in (block, block - 1):
            try:
                self._rpc.eth_call(tx.target, tx.data, sender=self.address, block=at)
            except Rejected as error:
                return error.reason
            except HeadraceError:
                break
        return "reverted, the reason is not known any more"

    def _missing(self, tx: Tx) -> Tx:
        # The nonce is used, by bytes that are not ours; or the node's receipts are behind its
        # count.
        since = self._missing_since.setdefault(tx.id, time.monotonic())
        if time.monotonic() - since < self._lost_after:
            return tx
        del self._missing_since[tx.id]
        log.error("nonce used elsewhere", extra={"action": tx.action, "nonce": tx.nonce})
        return self._outbox.settle(tx.id, "lost", reason="another program sends with this key")

    def _raised(self, tx: Tx, newest: Attempt, head: Header) -> Attempt:
        """Signs the same nonce at a fee that nodes take as a replacement; `newest` at the cap."""
        priority_fee = newest.priority_fee * 9 // 8 + 1
        max_fee = max(newest.max_fee * 9 // 8 + 1, 2 * head.base_fee + priority_fee)
        if max_fee > self._fees.cap:
            max_fee = self._fees.cap
            if max_fee < newest.max_fee * 9 // 8 + 1:
                log.warning("stuck at the fee cap", extra={"action": tx.action, "nonce": tx.nonce})
                return newest
        is_empty = newest.is_empty or not self._is_valid(tx)
        attempt = self._sign(
            tx.nonce,
            self.address if is_empty else tx.target,
            b"" if is_empty else tx.data,
            0 if is_empty else tx.value,
            _EMPTY_GAS if is_empty else tx.gas,
            max_fee,
            priority_fee,
            head.number,
            is_empty=is_empty,
        )
        self._outbox.add_attempt(tx.id, attempt)
        return attempt

    def _is_valid(self, tx: Tx) -> bool:
        try:
            self._rpc.eth_call(tx.target, tx.data, sender=self.address)
        except Rejected:
            return False
        return True

    # ---- wait

    def wait(self, tx: Tx, *, timeout: float = 120.0, poll: float = 0.1) -> Receipt:
        """
        The receipt of a submitted transaction. Rejected with the reason if it reverted or became
        invalid, RetryLater if it is not in a block after `timeout` seconds or its nonce was lost.
        """
        until = time.monotonic() + timeout
        while (tx := self._outbox.get(tx.id)).is_pending:
            self._settle_calmly()
            if (tx := self._outbox.get(tx.id)).is_pending:
                if time.monotonic() > until:
                    raise RetryLater(f"{tx.what} is not in a block after {timeout:g} s")
                self._sleep(poll)
        if tx.state in ("reverted", "empty"):
            raise Rejected(tx.reason)
        if tx.mined_tx is None:
            raise RetryLater(f"{tx.what}: {tx.reason}")
        return read_receipt(self._rpc, tx.mined_tx)

    def send(
        self, action: str, call: Call, *, gas: int | None = None, timeout: float = 120.0
    ) -> Receipt:
        """`submit`, then `wait`."""
        return self.wait(self.submit(action, call, gas=gas), timeout=timeout)

    def _settle_calmly(self) -> None:
        try:
            self.settle()
        except (RetryLater, Unreachable) as error:
            log.warning("can't look now", extra={"why": str(error)})


def read_receipt(rpc: Rpc, tx_hash: bytes) -> Receipt:
    """A mined transaction's receipt with its logs. RetryLater if it is in no block (any more)."""
    answer = rpc.receipt(tx_hash)
    header = None if answer is None else rpc.header(to_int(answer.get("blockNumber")))
    if answer is None or header is None:
        raise RetryLater(f"0x{tx_hash.hex()} is in no block")
    gas_used = to_int(answer.get("gasUsed"))
    return Receipt(
        tx_hash=tx_hash,
        block_number=header.number,
        timestamp=header.timestamp,
        gas_used=gas_used,
        fee=gas_used * to_int(answer.get("effectiveGasPrice")),
        logs=tuple(to_log(entry, {header.number: header}) for entry in answer.get("logs", ())),
    )
