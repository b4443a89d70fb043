"""Signs a nonce's bytes and offers them to the node, remembering when and what it said.

What is remembered is only of this process's own sending: after a restart everything that is not in
a block counts as never sent, and is looked at anew.
"""

import logging
from dataclasses import dataclass

from headrace.chain.fees import EMPTY_GAS, Offer
from headrace.chain.node_errors import Answer, classify, shown
from headrace.chain.outbox_rows import Attempt, Draft, Tx
from headrace.chain.rpc import Rpc
from headrace.chain.signer import Signer
from headrace.errors import HeadraceError, RetryLater, Unreachable

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sent:
    """Bytes that a node has seen: at which head, and its complaint if it had one."""

    block: int
    answer: Answer | None


class Broadcaster:
    """One key's mouth to one node."""

    def __init__(self, rpc: Rpc, signer: Signer, chain_id: int) -> None:
        """The chain's id goes into everything that is signed."""
        self._rpc = rpc
        self._signer = signer
        self._chain_id = chain_id
        self._sent: dict[bytes, Sent] = {}

    def sign(self, draft: Draft | Tx, nonce: int, offer: Offer, block: int) -> Attempt:
        """The call of `draft` at `nonce`."""
        return self._sign(nonce, draft.target, draft.data, draft.value, draft.gas, offer, block)

    def sign_empty(self, nonce: int, offer: Offer, block: int) -> Attempt:
        """A transaction of the key to itself, that does nothing but use the nonce up."""
        return self._sign(nonce, self._signer.address, b"", 0, EMPTY_GAS, offer, block, True)

    def _sign(
        self,
        nonce: int,
        target: str,
        data: bytes,
        value: int,
        gas: int,
        offer: Offer,
        block: int,
        is_empty: bool = False,
    ) -> Attempt:
        raw, tx_hash = self._signer.sign_transaction(
            {
                "type": 2,
                "chainId": self._chain_id,
                "nonce": nonce,
                "to": target,
                "data": data,
                "value": value,
                "gas": gas,
                "maxFeePerGas": offer.max_fee,
                "maxPriorityFeePerGas": offer.priority_fee,
            }
        )
        return Attempt(tx_hash, raw, offer.max_fee, offer.priority_fee, is_empty, block)

    def send(self, tx: Tx, attempt: Attempt, block: int) -> None:
        """
        Offer bytes to the node, which are on disk. Whatever it says is not an error: a receipt
        decides what became of them.
        """
        fields = {"action": tx.action, "nonce": tx.nonce, "tx": attempt.hash}
        try:
            self._rpc.call("eth_sendRawTransaction", "0x" + attempt.raw.hex())
        except (RetryLater, Unreachable) as error:
            # It may have them or not: they are sent again at the next look.
            self._sent.pop(attempt.hash, None)
            log.warning("not taken by the node", extra=fields | {"why": shown(str(error))})
        except HeadraceError as error:
            answer = classify(str(error))
            self._sent[attempt.hash] = Sent(block, answer)
            if answer is not Answer.KNOWN:
                level = logging.ERROR if answer is Answer.WRONG_CHAIN else logging.WARNING
                extra = fields | {"why": shown(str(error)), "answer": answer.name}
                log.log(level, "not taken by the node", extra=extra)
        else:
            self._sent[attempt.hash] = Sent(block, None)
            log.info("sent", extra=fields | {"what": tx.what})

    def last(self, attempt: Attempt) -> Sent | None:
        """The last time these bytes were offered; None if the node may not have them."""
        return self._sent.get(attempt.hash)

    def forget(self, attempt: Attempt) -> None:
        """The node has lost them."""
        self._sent.pop(attempt.hash, None)

    def keep_only(self, hashes: set[bytes]) -> None:
        """Forget about all others: they are final."""
        self._sent = {hash_: sent for hash_, sent in self._sent.items() if hash_ in hashes}
