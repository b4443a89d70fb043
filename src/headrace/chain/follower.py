"""Reads a chain's logs into a ChainDb, exactly once each, through reorganisations.

Events are wake-ups and an index, never the ground for a decision by themselves: what is due is read
from the contracts. The cursor is a number *and a hash*. A step asks for the head and for the block
at the cursor; if that one has another hash, or the next one another parent, the follower goes back
over its stored headers to the last block that both know and takes out what came after. What is
final is read a second time (`recheck.py`). A rewriting of what was final, or of more than is kept,
is nothing to decide alone: the follower halts, and stays halted until a person clears it
(`python -m headrace.chain.resume`).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from headrace.chain.abi import Log
from headrace.chain.db import ChainDb, Cursor
from headrace.chain.logs import Malformed, to_log
from headrace.chain.reader import LogReader
from headrace.chain.recheck import Recheck
from headrace.chain.rpc import (
    Header,
    NodeError,
    Rpc,
    Throttled,
    TooLarge,
    header_request,
    to_header,
)
from headrace.errors import HeadraceError, RetryLater, Unreachable

__all__ = ["FINALITY", "KEEP", "Counters", "Follower", "Halted", "Step", "TooDeep", "to_log"]

log = logging.getLogger(__name__)

# Blocks from the head within which every header is checked and kept.
NEAR = 128
# The fewest headers that are kept; twice the finality depth if that is more.
KEEP = 512
# Blocks near the head that are read in one step.
STEP = 64
# Blocks after which one is taken for final where the node doesn't say so.
FINALITY = 64
# Final blocks that wait for their second reading until it comes before what is new.
_BACKLOG = 16
# Logs that a range should bring.
_AIM = 10_000
# Polls at which a node may be behind, or of another mind, before another one is asked.
PATIENCE = 8


class Halted(HeadraceError):
    """The chain did what it must not. Kept in the file: only a person can clear it."""


class TooDeep(Halted):
    """The chain was rewritten below what was final, or deeper than the kept headers."""


@dataclass(frozen=True, slots=True)
class Step:
    """
    What one step changed. `head` is the chain's latest block, `cursor` the last one read. `added`
    comes in the chain's order after all that is there. What is about the subjects of `removed` has
    to be folded again: the logs were taken out, or others of theirs were put in between.
    """

    head: Header
    cursor: int
    removed: tuple[Log, ...] = ()
    added: tuple[Log, ...] = ()

    @property
    def is_caught_up(self) -> bool:
        """Whether all that the node knows has been read."""
        return self.cursor >= self.head.number


@dataclass(slots=True)
class Counters:
    """What has happened since the follower was made."""

    events: int = 0
    reorganisations: int = 0
    deepest: int = 0
    refused_answers: int = 0
    behind: int = 0
    audited_blocks: int = 0
    audit_mismatches: int = 0


class Follower:
    """One cursor over the logs of some contracts."""

    def __init__(
        self,
        rpc: Rpc,
        db: ChainDb,
        addresses: Sequence[str],
        *,
        start: int,
        near: int = NEAR,
        keep: int = KEEP,
        max_range: int = 2_000,
        finality: int = FINALITY,
        patience: int = PATIENCE,
    ) -> None:
        """
        Logs of `addresses` from block `start` on (the deployment's). `keep` headers are stored, or
        2 `finality` if that is more, and ranges of up to `max_range` blocks asked for; within
        `near` blocks of the head, single ones. A block is final if the node says so, or `finality`
        blocks later if it says nothing. A node that is behind is left after `patience` polls.
        """
        self._rpc = rpc
        self._db = db
        self._reader = LogReader(rpc, addresses)
        self._recheck = Recheck(rpc, db, addresses)
        self._start = start
        self._near = near
        self._keep = max(keep, 2 * finality)
        self._range = min(64, max_range)
        self._max_range = max_range
        self._finality = finality
        self._patience = patience
        self._waited = 0
        self.counters = Counters()
        self.head: Header | None = None
        self.final = int(db.note("final") or start - 1)

    def step(self) -> Step:
        """
        Read on, or go back, by one bounded piece. RetryLater, Unreachable or NodeError leave the
        file as it was; Halted is for a person.
        """
        if (why := self._db.note("halted")) is not None:
            raise Halted(f"{why} (halted before; clear it with: python -m headrace.chain.resume)")
        try:
            step = self._step()
        except Malformed as error:
            self.counters.refused_answers += 1
            log.warning("answer refused", extra={"node": self._rpc.host, "why": str(error)})
            self._rpc.distrust(str(error))
            raise
        except Throttled:
            # The same in smaller pieces.
            self._range = max(1, self._range // 2)
            raise
        self.head = step.head
        self.counters.events += len(step.added)
        return step

    def _step(self) -> Step:
        cursor = self._db.cursor()
        requests = [header_request("latest"), header_request("finalized")]
        if cursor is not None and cursor.hash:
            requests.append(header_request(cursor.number))
        answers = self._rpc.outcomes(requests)
        for answer in (answers[0], *answers[2:]):
            if isinstance(answer, HeadraceError):
                raise answer
        if answers[0] is None:
            raise RetryLater("the node has no latest block yet")
        head = to_header(answers[0])
        final = self._final_of(head, answers[1])
        if cursor is None or not cursor.hash:
            return self._forward(head, Cursor(self._start - 1, b""), final)
        at_cursor = None if answers[2] is None else to_header(answers[2])
        if at_cursor is None:
            return self._behind(head, cursor)
        if at_cursor.number != cursor.number:
            raise Malformed("the node answered with another block")
        if at_cursor.hash != cursor.hash:
            return self._back(head, cursor)
        self._waited = 0
        if head.number > cursor.number:
            # On a chain that brings a block at every poll there is never a quiet moment.
            is_due = self._recheck.left(self._start, self.final) >= _BACKLOG
            is_near = head.number - cursor.number <= STEP
            if is_due and is_near and (step := self._again(head, cursor)) is not None:
                return step
            return self._forward(head, cursor, final)
        if final > self.final:
            self.final = min(final, cursor.number)
            self._db.set_note("final", str(self.final))
        return self._again(head, cursor) or Step(head, cursor.number)

    def _final_of(self, head: Header, answer: object) -> int:
        """The last final block; never lower than before, and never above the head."""
        if isinstance(answer, Unreachable | Throttled):
            return self.final
        if answer is None or isinstance(answer, HeadraceError):
            said = head.number - self._finality
        else:
            said = to_header(answer).number
        return max(self.final, min(said, head.number))

    # ---- behind

    def _behind(self, head: Header, cursor: Cursor) -> Step:
        # The node does not know our block. As long as it is on our chain it is only late, and
        # nothing is undone: a chain that stays shorter shows its difference when it grows.
        below = self._db.headers(below=head.number + 1, count=1)
        if below:
            number, ours = below[0]
            theirs = head if number == head.number else self._rpc.header(number)
            if theirs is not None and theirs.hash != ours:
                return self._back(head, cursor)
        self.counters.behind += 1
        why = f"the node is at block {head.number}, it was at {cursor.number} before"
        self._wait_or_leave(why)
        raise RetryLater(why)

    def _wait_or_leave(self, why: str) -> None:
        self._waited += 1
        if self._waited >= self._patience:
            self._waited = 0
            self._rpc.distrust(why)

    # ---- back

    def _back(self, head: Header, cursor: Cursor) -> Step:
        if self._is_alone_with_it(head, cursor):
            why = "only one node has rewritten blocks that another one still has"
            self._wait_or_leave(why)
            raise RetryLater(why)
        self._waited = 0
        below = other = cursor.number + 1
        while headers := self._db.headers(below=below, count=32):
            answers = self._rpc.batch([header_request(number) for number, _ in headers])
            for (number, ours), answer in zip(headers, answers, strict=True):
                if answer is not None and to_header(answer).hash == ours:
                    # Far back not every header is kept: what lies between the two that are may be
                    # of either branch, so only a block that is known to be another one counts.
                    if other <= self.final:
                        self._halt(
                            cursor, f"block {other} was rewritten, and {self.final} was final"
                        )
                    return self._roll_back(head, cursor, number, ours)
                other = number
            below = headers[-1][0]
        if self._db.headers(below=self._start + 1, count=1) and self.final < self._start:
            # Everything since the deployment is kept, and none of it is true any more.
            return self._roll_back(head, cursor, self._start - 1, b"")
        self._halt(
            cursor,
            f"the chain was rewritten deeper than the {self._keep} blocks kept of it",
        )

    def _is_alone_with_it(self, head: Header, cursor: Cursor) -> bool:
        """Whether a second node still has the block at the cursor, and no shorter a chain."""
        second = self._rpc.second()
        if second is None:
            return False
        try:
            latest, ours = second.batch([header_request("latest"), header_request(cursor.number)])
            return (
                latest is not None
                and ours is not None
                and to_header(ours).hash == cursor.hash
                and to_header(latest).number >= head.number
            )
        except (RetryLater, Unreachable, NodeError):
            return False

    def _roll_back(self, head: Header, cursor: Cursor, number: int, block_hash: bytes) -> Step:
        removed = self._db.rollback(number, block_hash)
        depth = cursor.number - number
        self.counters.reorganisations += 1
        self.counters.deepest = max(self.counters.deepest, depth)
        log.warning(
            "reorganisation", extra={"depth": depth, "block": number, "removed": len(removed)}
        )
        return Step(head, number, removed=tuple(removed))

    def _halt(self, cursor: Cursor, why: str) -> NoReturn:
        """Halt for good, unless a second node still has our chain: then the first one is left."""
        second = self._rpc.second()
        if second is not None:
            # No answer is no agreement: it is asked again at the next step.
            ours = second.header(cursor.number)
            if ours is not None and ours.hash == cursor.hash:
                log.error("node contradicts another", extra={"node": self._rpc.host, "why": why})
                self._rpc.distrust(why)
                raise RetryLater(f"{self._rpc.host} is asked instead: {why}")
        self._db.set_note("halted", why)
        log.critical("halted", extra={"why": why, "block": cursor.number})
        raise TooDeep(
            f"{why}: nothing was changed in {self._db.label}. If that is right, clear it with "
            "python -m headrace.chain.resume and it is all read again"
        )

    # ---- forward

    def _forward(self, head: Header, cursor: Cursor, final: int) -> Step:
        first = cursor.number + 1
        far = head.number - self._near
        if first > head.number:
            return Step(head, cursor.number)
        if first <= far:
            headers, logs = self._far(first, min(far, first + self._range - 1))
            self._prepare(headers[-1].number + 1, far)
        else:
            headers = self._reader.chain(first, min(head.number, first + STEP - 1))
            logs = self._reader.of_blocks(headers)
        if cursor.hash and headers[0].parent != cursor.hash:
            # Rewritten since the head was asked for: the next step finds where.
            return Step(head, cursor.number)
        last = headers[-1].number
        final = min(final, last)
        notes = {"final": str(final)} if final > self.final else {}
        self._db.append(headers, logs, keep=self._keep, notes=notes)
        self.final = max(self.final, final)
        return Step(head, last, added=tuple(logs))

    def _far(self, first: int, last: int) -> tuple[list[Header], list[Log]]:
        count = last - first + 1
        try:
            headers, logs = self._reader.of_range(first, last)
        except NodeError as error:
            if first == last and not isinstance(error, TooLarge):
                raise
            self._range = max(1, count // 2)
            raise RetryLater(f"the node refuses {count} blocks: {error}") from error
        if len(logs) > 2 * _AIM:
            self._range = max(1, count * _AIM // len(logs))
        elif len(logs) < _AIM and count == self._range:
            self._range = min(self._max_range, self._range + self._range // 4 + 1)
        return headers, logs

    def _prepare(self, first: int, far: int) -> None:
        """Have the next range on its way while this one is stored."""
        if first <= far:
            self._reader.prepare(first, min(far, first + self._range - 1))

    # ---- again

    def _again(self, head: Header, cursor: Cursor) -> Step | None:
        """Read a piece of what has become final for the second time; None if there was none."""
        try:
            piece = self._recheck.piece(self._start, self.final)
        except (RetryLater, Unreachable, NodeError) as error:
            # The second reading may wait: the head is what the daemon works with.
            log.warning("second reading failed", extra={"why": str(error)})
            return None
        if piece is None:
            return None
        self.counters.audited_blocks += piece.blocks
        self.counters.audit_mismatches += piece.mismatches
        return Step(head, cursor.number, removed=piece.changed)
