"""Notices that somebody else sends with a key, also while the key itself has nothing to send.

At every block the chain's count of the key's transactions is compared with what the book accounts
for. Fewer is nothing: a node lags, or a reorganisation took some back. More is a stranger's, once
it is a few blocks deep and no node of ours says otherwise.
"""

import logging
import time
from collections.abc import Callable

from headrace.chain.outbox import Outbox
from headrace.chain.rpc import Header, NodeError, Rpc
from headrace.errors import RetryLater, Unreachable

log = logging.getLogger(__name__)

# Blocks that lie on a stranger's transaction before it is called one.
DEPTH = 2
# Seconds of age up to which a head is the chain's own, a few blocks' time: a count is begun at no
# older one, or what the key has sent before would come to light later, as if it were new.
FRESH = 60
# Seconds of chain time after the count was begun in which what comes to light may still be from
# before: the node was behind, or an operator has just sent by hand. The first time it is let be.
GRACE = 300


class Strangers:
    """Watches one key. One thread."""

    def __init__(
        self, rpc: Rpc, outbox: Outbox, address: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        """`clock` gives unix seconds: it only decides when a new book begins to count."""
        self._rpc = rpc
        self._outbox = outbox
        self._address = address
        self._clock = clock
        # Heads that were too old to begin at.
        self._stale = 0

    def look(self, head: Header) -> None:
        """
        Compare at `head`, a new block; latches the outbox if a stranger has sent. Unreachable,
        RetryLater and NodeError if the nodes can't say now: the next block will do.
        """
        if self._outbox.latched() is not None:
            return
        if self._outbox.accounted() is None:
            self.begin(head)
            return
        # The book is read after the chain: whoever shares it writes down before it sends.
        if not self._is_more(self._rpc.nonce(self._address)) or head.number < DEPTH:
            return
        settled = hex(head.number - DEPTH)
        count = self._rpc.nonce(self._address, settled)
        if not self._is_more(count):
            return
        if not self._rpc.is_alone:
            second = self._rpc.second()
            if second is None:
                raise RetryLater("no second node says how many transactions the key has sent")
            count = min(count, second.nonce(self._address, settled))
        own = self._outbox.accounted()
        if own is None or count <= own:
            return
        begun = self._outbox.begun_at()
        if begun is not None and abs(head.timestamp - begun) <= GRACE:
            count = max(count, self._highest())
            self._outbox.move_count(count)
            fields = {"nonce": own, "used": count, "begun": begun}
            log.warning("nonces were used just before: not taken for a stranger's", extra=fields)
            return
        self._outbox.latch(own)
        fields = {"nonce": own, "used": count, "is_stopped": True}
        log.error("nonce used elsewhere", extra=fields)

    def _is_more(self, count: int) -> bool:
        own = self._outbox.accounted()
        return own is not None and count > own

    def begin(self, head: Header) -> None:
        """
        Begin the count at `head`, the node's newest block, unless it was begun or the block is an
        old one: what the key has sent before its book was begun, or released, is nobody's concern.
        Errors as `look`.
        """
        age = self._clock() - head.timestamp
        if age <= FRESH:
            self._outbox.account_from(self._highest(), at=head.timestamp)
            return
        self._stale += 1
        # The first may be the last one of a chain whose blocks are slow.
        if self._stale == 2:
            log.warning(
                "the key's nonces are not watched yet: the node is behind, or a clock is wrong",
                extra={"head": head.number, "age": int(age), "at_most": FRESH},
            )

    def _highest(self) -> int:
        """How many transactions the key has sent, by the node that knows of the most."""
        counts = self._counts(self._rpc)
        if (second := self._rpc.second()) is not None:
            try:
                counts += self._counts(second)
            except (Unreachable, RetryLater, NodeError) as error:
                log.debug("one node's count will do", extra={"why": str(error)})
        return max(counts)

    def _counts(self, node: Rpc) -> list[int]:
        """In blocks, and with what waits in the node's pool."""
        return [node.nonce(self._address, tag) for tag in ("latest", "pending")]
