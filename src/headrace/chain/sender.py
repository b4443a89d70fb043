"""Sends a key's transactions: each simulated first, written down before it leaves, driven to an
end.

`submit` is for daemons: it returns once the transaction is on disk and was offered to the node, and
`settle`, called once a round, does what is left (see `settling`). `send` is for the command line:
it waits for the receipt.

An action's id names one deed (`match:<job>:<attempt>:<declines>`). While it is under way, and until
it is final, submitting it again returns the transaction that is there.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from headrace.chain.abi import Call, Log
from headrace.chain.broadcast import Broadcaster
from headrace.chain.fees import (
    ANY,
    GWEI,
    SECONDS_PER_DAY,
    Fees,
    Kind,
    Offer,
    first_offer,
    gas_limit,
)
from headrace.chain.follower import to_log
from headrace.chain.node_errors import Answer, classify, shown
from headrace.chain.outbox import Deferred, ForeignNonce, Outbox
from headrace.chain.outbox_rows import Attempt, Draft, Limits, Tx
from headrace.chain.rpc import Header, NodeError, Rpc, header_request, to_header, to_int
from headrace.chain.settling import Settler
from headrace.chain.signer import Signer
from headrace.chain.strangers import Strangers
from headrace.errors import HeadraceError, Rejected, RetryLater, Unreachable

log = logging.getLogger(__name__)

# Nodes keep at most this many transactions of an account that have not paid their way in yet.
MAX_PENDING = 16
# The last places are for what may not wait.
_ORDINARY_PENDING = 12


@dataclass(frozen=True, slots=True)
class Means:
    """
    What the key can still pay for safety moves: `left` wei of its money and of the day's budget,
    whichever is less, all that is under way taken off. `price` in wei is the most that a unit of
    gas is offered for while the base fee hasn't doubled.
    """

    left: int
    price: int


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
        key: Signer,
        outbox: Outbox,
        *,
        chain_id: int,
        fees: Fees | None = None,
        confirmations: int = 2,
        lost_after: float = 5.0,
        is_unattended: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """
        A transaction is final `confirmations` blocks after its own. A nonce that is used while none
        of our bytes has a receipt is given up after `lost_after` seconds; an `is_unattended` sender
        then sends nothing more, in this process or the next, until an operator releases the outbox.
        """
        self._rpc = rpc
        self._key = key
        self._outbox = outbox
        self._fees = fees or Fees()
        self._is_unattended = is_unattended
        self._sleep = sleep
        self._broadcaster = Broadcaster(rpc, key, chain_id)
        self._strangers = Strangers(rpc, outbox, key.address)
        self._settler = Settler(
            *(rpc, outbox, self._broadcaster, key.address),
            fees=self._fees,
            confirmations=confirmations,
            lost_after=lost_after,
            is_unattended=is_unattended,
        )

    @property
    def address(self) -> str:
        """The key's account."""
        return self._key.address

    # ---- submit

    def simulate(self, call: Call) -> bytes:
        """What the call would return now. Rejected with the reason if it would revert."""
        return self._rpc.eth_call(call.to, call.data, sender=self.address)

    def means(self) -> Means:
        """
        What `submit` will find for safety moves. Deferred if the cap is below twice the base fee
        and the tip, RetryLater, Unreachable and NodeError if the node can't say.
        """
        head, balance, tip = self._rpc.outcomes(
            [
                header_request("latest"),
                ("eth_getBalance", (self.address, "latest")),
                ("eth_maxPriorityFeePerGas", ()),
            ]
        )
        for outcome in (head, balance):
            if isinstance(outcome, HeadraceError):
                raise outcome
        header = to_header(head)
        offer = self._offer(replace(header, base_fee=2 * header.base_fee), tip, ANY)
        left = to_int(balance) - self._outbox.at_stake()
        if self._fees.daily_budget is not None:
            day = header.timestamp // SECONDS_PER_DAY
            spent = self._outbox.spent(day, is_safety=True)
            left = min(left, self._fees.daily_budget - spent)
        return Means(left, offer.max_fee)

    def gas_of(self, call: Call) -> int:
        """
        The limit that `submit` would give `call` now; its kind's ceiling if that can't be known:
        nothing else is ever sent.
        """
        kind = self._fees.kind_of(call.what)
        (estimate,) = self._rpc.outcomes([("eth_estimateGas", (self._request(call), "latest"))])
        if isinstance(estimate, HeadraceError):
            return kind.gas_ceiling
        try:
            return gas_limit(to_int(estimate), kind, call.what)
        except HeadraceError:
            return kind.gas_ceiling

    def submit(
        self, action: str, call: Call, *, gas: int | None = None, deadline: int | None = None
    ) -> Tx:
        """
        Send `call` for `action`, unless it is under way or not final yet: then its transaction.
        `gas` is a limit instead of the estimate; after `deadline` (chain time) it has no use any
        more, which is only warned of: the contract that refuses it then says so itself. Nothing is
        signed when it raises: Rejected if it would revert or takes more gas than its kind may,
        Deferred if a cap, a budget, the reserve, the key's money or the number of those under way
        forbids it now, ForeignNonce after a stranger has sent with the key, RetryLater, NodeError,
        BadAnswer and Unreachable if the node or the signer can't answer, or not properly.
        """
        known = self._outbox.of_action(action)
        if known is not None and known.state in ("open", "mined"):
            if known.is_pending and deadline not in (None, known.deadline):
                return self._outbox.set_deadline(known.id, deadline)
            return known
        self._check_right()
        kind = self._fees.kind_of(call.what)
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
        header = to_header(head)
        limit = gas_limit(to_int(estimate), kind, call.what) if gas is None else gas
        offer = self._offer(header, tip, kind)
        self._check_money(to_int(balance), limit * offer.max_fee + call.value, kind)
        draft = Draft(
            *(action, call.what, call.to, call.data, call.value, limit),
            deadline=deadline,
            is_safety=kind.is_safety,
        )

        def sign(at_nonce: int) -> Attempt:
            return self._broadcaster.sign(draft, at_nonce, offer, header.number)

        tx, is_new = self._outbox.add(
            draft,
            chain_nonce=to_int(nonce),
            block=header.number,
            sign=sign,
            limits=self._limits(kind, header, offer),
        )
        if is_new:
            self._broadcaster.send(tx, self._outbox.attempts(tx.id)[-1], header.number)
        return tx

    def _check_right(self) -> None:
        if self._is_unattended and (why := self._outbox.latched()) is not None:
            raise ForeignNonce(f"nothing is sent: {why}")
        self._outbox.hold()

    def _limits(self, kind: Kind, header: Header, offer: Offer) -> Limits:
        return Limits(
            in_flight=MAX_PENDING if kind.is_safety else _ORDINARY_PENDING,
            budget=self._fees.daily_budget,
            day=header.timestamp // SECONDS_PER_DAY,
            max_fee=offer.max_fee,
        )

    def _request(self, call: Call) -> dict[str, str]:
        return {
            "from": self.address,
            "to": call.to,
            "data": "0x" + call.data.hex(),
            "value": hex(call.value),
        }

    def _explained(self, error: HeadraceError) -> HeadraceError:
        if isinstance(error, NodeError) and classify(error.message) is Answer.NO_MONEY:
            return self._poor()
        if isinstance(error, Rejected):
            # The other side wrote it.
            return Rejected(shown(error.reason))
        return error

    def _poor(self) -> Deferred:
        return Deferred(f"{self.address} has not enough money for gas")

    def _offer(self, header: Header, tip: Any, kind: Kind) -> Offer:
        cap = self._fees.cap_of(kind)
        priority_fee = to_int(tip) if isinstance(tip, str) else self._fees.default_priority
        offer = first_offer(header.base_fee, priority_fee, cap)
        if offer is None:
            raise Deferred(
                f"gas costs {(header.base_fee + priority_fee) / GWEI:.3g} gwei, "
                f"the cap is {cap / GWEI:.3g}"
            )
        return offer

    def _check_money(self, balance: int, cost: int, kind: Kind) -> None:
        """What is under way may cost all that it was signed for: that money is spoken for."""
        left = balance - self._outbox.at_stake() - cost
        if left < 0:
            raise self._poor()
        if left < self._fees.reserve and not kind.is_safety:
            raise Deferred(
                f"{self.address} is near its reserve of {self._fees.reserve} wei: only what may "
                "not wait is sent"
            )

    # ---- settle

    def settle(self) -> list[Tx]:
        """
        Look after all that is under way; returns the transactions whose state has changed.
        Unreachable and RetryLater leave everything as it was.
        """
        self._outbox.hold()
        return self._settler.settle()

    def look_for_strangers(self, head: Header) -> None:
        """
        See at the new block `head` whether somebody else sends with the key: an unattended sender
        then sends nothing more. Unreachable, RetryLater and NodeError as `Strangers.look`.
        """
        if self._is_unattended:
            self._strangers.look(head)

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
