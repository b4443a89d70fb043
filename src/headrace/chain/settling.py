"""Drives what a key has under way to its end, one look at the chain at a time.

A look asks for the receipts of everything that was ever signed for a nonce that is not final. What
is in no block is simulated at that block and then, lowest nonce first, sent again as it is, raised,
or, when the call has become invalid, replaced by a transaction without effect: no nonce stays open,
and no gas is burnt on a call that fails.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.chain.broadcast import Broadcaster
from headrace.chain.fees import SECONDS_PER_DAY, Fees, Offer, raised
from headrace.chain.node_errors import Answer, shown
from headrace.chain.outbox import Outbox
from headrace.chain.outbox_rows import Attempt, Tx
from headrace.chain.rpc import (
    Header,
    NodeError,
    Rpc,
    header_request,
    to_bytes,
    to_header,
    to_int,
)
from headrace.errors import HeadraceError, Rejected

log = logging.getLogger(__name__)

_AT_RISK = "deadline at risk"
_TOO_CHEAP = frozenset({Answer.REPLACES, Answer.UNDERPRICED, Answer.BELOW_BASE_FEE})
_NEVER = frozenset({Answer.GAS_TOO_LOW, Answer.GAS_TOO_HIGH})


@dataclass(frozen=True, slots=True)
class Waiting:
    """A nonce that is in no block, and what was signed for it, the cheapest first."""

    tx: Tx
    attempts: Sequence[Attempt]

    @property
    def newest(self) -> Attempt:
        """What is offered now."""
        return self.attempts[-1]

    @property
    def is_given_up(self) -> bool:
        """Whether only its nonce is still to be used up."""
        return self.newest.is_empty or self.tx.state in ("reverted", "empty")


class Settler:
    """Looks after one key's nonces."""

    def __init__(
        self,
        rpc: Rpc,
        outbox: Outbox,
        broadcaster: Broadcaster,
        address: str,
        *,
        fees: Fees,
        confirmations: int,
        lost_after: float,
        is_unattended: bool,
    ) -> None:
        """As `Sender`."""
        self._rpc = rpc
        self._outbox = outbox
        self._broadcaster = broadcaster
        self._address = address
        self._fees = fees
        self._confirmations = confirmations
        self._lost_after = lost_after
        self._is_unattended = is_unattended
        self._missing_since: dict[int, float] = {}
        self._open_since: dict[int, int] = {}  # block at which a reorganisation opened it again
        self._looked_at: dict[int, int] = {}
        self._warned: set[tuple[str, int]] = set()
        self._contested: set[int] = set()

    def settle(self) -> list[Tx]:
        """
        One look; returns the transactions whose state has changed. Unreachable and RetryLater leave
        everything as it was.
        """
        txs = self._outbox.unfinished()
        if not txs:
            return []
        attempts = {tx.id: self._outbox.attempts(tx.id) for tx in txs}
        hashes = [attempt.hash for tx in txs for attempt in attempts[tx.id]]
        answers = self._rpc.batch(
            [
                header_request("latest"),
                ("eth_getTransactionCount", (self._address, "latest")),
                *map(_receipt_request, hashes),
            ]
        )
        head, nonce = to_header(answers[0]), to_int(answers[1])
        if nonce < txs[0].nonce:
            self._outbox.take_back(nonce, head.number)  # looked after from the next look on
        receipts = dict(zip(hashes, answers[2:], strict=True))
        canonical = self._canonical(receipts.values(), head)
        changed, waiting = [], []
        for tx in txs:
            after = self._see(tx, attempts[tx.id], receipts, canonical, head, nonce)
            if after.state != tx.state:
                changed.append(after)
                fields = {"action": tx.action, "nonce": tx.nonce, "tx": after.mined_tx}
                log.info(after.state, extra=fields | {"what": tx.what, "why": after.reason})
            is_in_block = any(receipts[attempt.hash] for attempt in attempts[tx.id])
            is_out = not is_in_block and after.mined_in is None
            if is_out and not after.is_final and nonce <= tx.nonce:
                waiting.append(Waiting(after, attempts[tx.id]))
        self._forget(txs, hashes)
        if self._is_unattended and self._outbox.latched() is not None:
            return changed
        self._push(waiting, head)
        return changed

    def _forget(self, txs: list[Tx], hashes: list[bytes]) -> None:
        ids = {tx.id for tx in txs}
        self._broadcaster.keep_only(set(hashes))
        self._warned = {(what, id_) for what, id_ in self._warned if id_ in ids}
        self._contested &= ids
        by_id: list[dict[int, Any]] = [self._looked_at, self._open_since, self._missing_since]
        for known in by_id:
            for gone in [id_ for id_ in known if id_ not in ids]:
                del known[gone]

    def _canonical(self, receipts: Any, head: Header) -> dict[int, bytes]:
        """The hashes of the blocks that are deep enough to be final, as the chain has them now."""
        numbers = sorted(
            {
                number
                for receipt in receipts
                if receipt is not None
                and head.number - (number := to_int(receipt.get("blockNumber")))
                >= self._confirmations
            }
        )
        found = self._rpc.batch([header_request(number) for number in numbers])
        return {
            number: to_header(item).hash
            for number, item in zip(numbers, found, strict=True)
            if item is not None
        }

    # ---- what has become of it

    def _see(
        self,
        tx: Tx,
        attempts: Sequence[Attempt],
        receipts: Mapping[bytes, Any],
        canonical: Mapping[int, bytes],
        head: Header,
        chain_nonce: int,
    ) -> Tx:
        for attempt in attempts:
            receipt = receipts[attempt.hash]
            if receipt is not None:
                self._missing_since.pop(tx.id, None)
                return self._in_block(tx, attempt, receipt, canonical, head)
        if tx.mined_in is not None and head.number < tx.mined_in:
            # The node is behind: it can't know. A chain that lost the block will grow past it.
            return tx
        if tx.mined_in is not None and tx.state != "open":
            # A reorganisation took it out of its block: the same bytes go back in.
            tx = self._outbox.reopen(tx.id)
            self._open_since[tx.id] = head.number
            self._looked_at.pop(tx.id, None)
            self._broadcaster.forget(attempts[-1])
            log.warning("out of its block", extra={"action": tx.action, "nonce": tx.nonce})
        if chain_nonce > tx.nonce:
            return self._missing(tx)
        self._missing_since.pop(tx.id, None)
        return tx

    def _in_block(
        self,
        tx: Tx,
        attempt: Attempt,
        receipt: Mapping[str, Any],
        canonical: Mapping[int, bytes],
        head: Header,
    ) -> Tx:
        number, block_hash = (
            to_int(receipt.get("blockNumber")),
            to_bytes(receipt.get("blockHash"), 32),
        )
        mined = (number, block_hash, attempt.hash)
        is_final = canonical.get(number) == block_hash
        is_same = (tx.mined_in, tx.mined_hash, tx.mined_tx) == mined
        state, reason = self._outcome(tx, attempt, receipt, is_final, is_same)
        if is_same and (tx.state, tx.is_final) == (state, is_final):
            return tx
        gas_used = to_int(receipt.get("gasUsed"))
        return self._outbox.settle(
            tx.id,
            state,
            is_final=is_final,
            reason=reason,
            mined=mined,
            fee=gas_used * to_int(receipt.get("effectiveGasPrice", "0x0")),
            fee_day=head.timestamp // SECONDS_PER_DAY,
        )

    def _outcome(
        self, tx: Tx, attempt: Attempt, receipt: Mapping[str, Any], is_final: bool, is_same: bool
    ) -> tuple[str, str]:
        if attempt.is_empty:
            return "empty", "became invalid"
        if to_int(receipt.get("status")) != 1:
            if is_same and tx.state == "reverted":
                return "reverted", tx.reason
            gas_used, number = to_int(receipt.get("gasUsed")), to_int(receipt.get("blockNumber"))
            return "reverted", self._reason(tx, gas_used, number)
        # Once its action was given free, another transaction may be open for it.
        is_late = tx.state in ("reverted", "empty", "done")
        return ("done" if is_final or is_late else "mined"), ""

    def _reason(self, tx: Tx, gas_used: int, block: int) -> str:
        if gas_used >= tx.gas * 63 // 64:
            return "out of gas"
        # What it met was the state between the two: a rival before it in the same block shows at
        # the end of the block, anything older at its start.
        for at in (block, block - 1):
            try:
                self._rpc.eth_call(tx.target, tx.data, sender=self._address, block=at)
            except Rejected as error:
                return shown(error.reason)
            except HeadraceError:
                break
        return "reverted, the reason is not known any more"

    def _missing(self, tx: Tx) -> Tx:
        # The nonce is used, by bytes that are not ours; or the node's receipts are behind its
        # count.
        since = self._missing_since.setdefault(tx.id, time.monotonic())
        if time.monotonic() - since < self._lost_after:
            return tx
        # Bytes of ours that were final once, and came back after a deep reorganisation.
        earlier = self._outbox.others_of_nonce(tx)
        is_own = any(self._rpc.batch([_receipt_request(attempt.hash) for attempt in earlier]))
        fields = {"action": tx.action, "nonce": tx.nonce}
        if is_own:
            reason = "an earlier transaction of this key has the nonce again"
            log.warning("nonce used before", extra=fields)
        else:
            reason = "another program sends with this key"
            if self._is_unattended:
                self._outbox.latch(tx.nonce)
            log.error("nonce used elsewhere", extra=fields | {"is_stopped": self._is_unattended})
        del self._missing_since[tx.id]
        state = "lost" if tx.state in ("open", "mined") else tx.state
        return self._outbox.settle(tx.id, state, is_final=True, reason=reason)

    # ---- what is to be done about it

    def _push(self, waiting: Sequence[Waiting], head: Header) -> None:
        due = [item for item in waiting if self._is_due(item, head)]
        if not due:
            return
        for item, is_invalid in zip(due, self._invalid(due, head), strict=True):
            self._looked_at[item.tx.id] = head.number
            self._warn_of_deadline(item.tx, head)
            self._push_one(item, head, is_invalid)

    def _is_due(self, item: Waiting, head: Header) -> bool:
        sent = self._broadcaster.last(item.newest)
        if sent is None:
            return True
        if self._looked_at.get(item.tx.id) == head.number:
            return False
        is_old = not 0 <= head.number - sent.block < self._fees.resend_blocks
        needs_other = item.is_given_up and not item.newest.is_empty
        return is_old or needs_other or self._is_too_cheap(item, head)

    def _is_too_cheap(self, item: Waiting, head: Header) -> bool:
        sent = self._broadcaster.last(item.newest)
        since = max(item.newest.made_at_block, self._open_since.get(item.tx.id, 0))
        return (
            head.number - since >= self._fees.stuck_blocks
            or head.base_fee > item.newest.max_fee
            or (sent is not None and sent.answer in _TOO_CHEAP and head.number > sent.block)
        )

    def _invalid(self, due: Sequence[Waiting], head: Header) -> list[bool]:
        """
        Which calls would fail now. All at one block by its number, with the count of the key's
        transactions at that block: a call fails too because it is itself in a block already.
        """
        at = hex(head.number)
        answers = self._rpc.outcomes(
            [
                *(("eth_call", (self._request(item.tx), at)) for item in due),
                ("eth_getTransactionCount", (self._address, at)),
            ]
        )
        if isinstance(answers[-1], HeadraceError):
            return [False] * len(due)
        nonce = to_int(answers[-1])
        return [
            nonce <= item.tx.nonce and _fails(answer)
            for item, answer in zip(due, answers[:-1], strict=True)
        ]

    def _request(self, tx: Tx) -> dict[str, str]:
        return {
            "from": self._address,
            "to": tx.target,
            "data": "0x" + tx.data.hex(),
            "value": hex(tx.value),
            "gas": hex(tx.gas),
        }

    def _push_one(self, item: Waiting, head: Header, is_invalid: bool) -> None:
        sent = self._broadcaster.last(item.newest)
        is_empty = item.is_given_up or is_invalid or (sent is not None and sent.answer in _NEVER)
        needs_other = is_empty and not item.newest.is_empty
        newest: Attempt | None = item.newest
        wants_other = needs_other or self._is_too_cheap(item, head)
        if wants_other and not self._is_contested(item):
            other = self._other(item, head, is_empty=is_empty)
            # What has become invalid is not sent again, whatever a replacement may cost.
            newest = other or (None if needs_other else newest)
        if newest is not None:
            self._broadcaster.send(item.tx, newest, head.number)

    def _is_contested(self, item: Waiting) -> bool:
        """
        Whether a stranger's transaction has the nonce in the pool. A daemon doesn't outbid it: it
        waits until that is in a block, which stops everything, or the node takes ours.
        """
        sent = self._broadcaster.last(item.newest)
        if not self._is_unattended or sent is None or sent.answer in (None, Answer.KNOWN):
            self._contested.discard(item.tx.id)
            return False
        if sent.answer is Answer.REPLACES and item.tx.id not in self._contested:
            hashes = ["0x" + attempt.hash.hex() for attempt in item.attempts]
            found = self._rpc.outcomes([("eth_getTransactionByHash", (h,)) for h in hashes])
            if all(answer is None for answer in found):
                self._contested.add(item.tx.id)
                self._say("a stranger's transaction has the nonce", item.tx, logging.ERROR)
        return item.tx.id in self._contested

    def _other(self, item: Waiting, head: Header, *, is_empty: bool) -> Attempt | None:
        """Signs the nonce at a fee that nodes take for a replacement; None where a cap forbids."""
        tx, newest = item.tx, item.newest
        cap = self._fees.cap if is_empty else self._fees.cap_of(self._fees.kind_of(tx.what))
        before = Offer(newest.max_fee, newest.priority_fee)
        offer = raised(before, head.base_fee, cap)
        if offer is None or not (is_empty or self._affords(tx, before, offer, head)):
            self._say("stuck at the fee cap", tx, logging.WARNING, base_fee=head.base_fee)
            return None
        if is_empty:
            attempt = self._broadcaster.sign_empty(tx.nonce, offer, head.number)
        else:
            attempt = self._broadcaster.sign(tx, tx.nonce, offer, head.number)
        self._outbox.add_attempt(tx.id, attempt)
        fields = {"action": tx.action, "nonce": tx.nonce, "tx": attempt.hash}
        log.info("taken back" if is_empty else "raised", extra=fields | {"max_fee": offer.max_fee})
        return attempt

    def _affords(self, tx: Tx, before: Offer, offer: Offer, head: Header) -> bool:
        if self._fees.daily_budget is None:
            return True
        day = head.timestamp // SECONDS_PER_DAY
        more = tx.gas * (offer.max_fee - before.max_fee)
        spent = self._outbox.spent(day, is_safety=tx.is_safety)
        return spent + more <= self._fees.daily_budget

    def _warn_of_deadline(self, tx: Tx, head: Header) -> None:
        if tx.deadline is None:
            return
        left = tx.deadline - head.timestamp
        if left > self._fees.warn_seconds:
            # It may have moved: near the new one it is said again.
            self._warned.discard((_AT_RISK, tx.id))
        else:
            self._say(_AT_RISK, tx, logging.ERROR, seconds_left=left)

    def _say(self, what: str, tx: Tx, level: int, **fields: Any) -> None:
        """Once for each transaction."""
        if (what, tx.id) not in self._warned:
            self._warned.add((what, tx.id))
            log.log(level, what, extra={"action": tx.action, "nonce": tx.nonce} | fields)


def _fails(outcome: object) -> bool:
    if isinstance(outcome, NodeError):
        lowered = outcome.message.lower().replace(" ", "")
        return "outofgas" in lowered
    return isinstance(outcome, Rejected)


def _receipt_request(tx_hash: bytes) -> tuple[str, tuple[str]]:
    return "eth_getTransactionReceipt", ("0x" + tx_hash.hex(),)
