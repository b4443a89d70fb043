"""Reads every final range of blocks a second time, and repairs what the first reading missed.

A node may answer with too few logs while it indexes, and near the head nobody can tell. Final
blocks don't change any more, so they are read once again, from a second node if there is one, and
compared. Where they differ, the block's receipts decide: a list of logs can be short, a list of
receipts is what the block's hash stands for.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from headrace.chain.abi import Log
from headrace.chain.db import ChainDb
from headrace.chain.reader import LogReader
from headrace.chain.rpc import Header, NodeError, Rpc, TooLarge
from headrace.errors import RetryLater

log = logging.getLogger(__name__)

_MAX_RANGE = 2_000
# Logs that a piece should bring: the head waits while one is read.
_AIM = 5_000
_NOTE = "audited"


@dataclass(frozen=True, slots=True)
class Piece:
    """`blocks` were read again; `changed` are logs whose subjects have to be folded again."""

    blocks: int
    mismatches: int = 0
    changed: tuple[Log, ...] = ()


class Recheck:
    """The second cursor, over what is final."""

    def __init__(self, rpc: Rpc, db: ChainDb, addresses: Sequence[str]) -> None:
        """As a Follower's."""
        self._rpc = rpc
        self._db = db
        self._addresses = addresses
        self._range = 64
        note = db.note(_NOTE)
        self._done = None if note is None else int(note)

    def left(self, start: int, final: int) -> int:
        """How many blocks from `start` to `final` were not read again yet."""
        return final - (start - 1 if self._done is None else self._done)

    def piece(self, start: int, final: int) -> Piece | None:
        """
        Read the next blocks from `start` to `final` again; None if all were. RetryLater and
        Unreachable change nothing.
        """
        first = start if self._done is None else self._done + 1
        if first > final:
            return None
        last = min(final, first + self._range - 1)
        reader = LogReader(self._rpc.second() or self._rpc, self._addresses)
        try:
            _, again = reader.of_range(first, last)
        except TooLarge:
            self._range = max(1, self._range // 2)
            return Piece(0)
        if len(again) > 2 * _AIM:
            self._range = max(1, self._range // 2)
        elif len(again) < _AIM:
            self._range = min(2 * self._range, _MAX_RANGE)
        before = self._db.logs_between(first, last)
        mismatches = 0
        changed: list[Log] = []
        if before != again:
            mismatches, changed = self._repair(before, again, last)
        else:
            self._db.set_note(_NOTE, str(last))
        self._done = last
        return Piece(last - first + 1, mismatches, tuple(changed))

    def _repair(
        self, before: Sequence[Log], again: Sequence[Log], last: int
    ) -> tuple[int, list[Log]]:
        ours, theirs = _by_block(before), _by_block(again)
        numbers = [n for n in sorted({*ours, *theirs}) if ours[n] != theirs[n]]
        right: list[Log] = []
        wrong: list[int] = []
        changed: list[Log] = []
        for number in numbers:
            truth = self._truth(number, ours[number], theirs[number])
            if truth == ours[number]:
                log.warning("second reading was short", extra={"block": number})
                continue
            wrong.append(number)
            right += truth
            changed += _affected(ours[number], truth)
            log.error(
                "first reading was wrong",
                extra={"block": number, "had": len(ours[number]), "has": len(truth)},
            )
        self._db.repair(wrong, right, notes={_NOTE: str(last)})
        return len(wrong), changed

    def _truth(self, number: int, ours: list[Log], theirs: list[Log]) -> list[Log]:
        """What the block at `number` holds. RetryLater if the nodes are not of one chain."""
        primary = LogReader(self._rpc, self._addresses)
        (header,) = primary.headers([number])
        if any(entry.block_hash != header.hash for entry in (*ours, *theirs)):
            raise RetryLater(f"two nodes have different blocks at {number}, which is final")
        try:
            return primary.of_receipts(header)
        except NodeError:
            return self._longest(header, ours, theirs)

    def _longest(self, header: Header, ours: list[Log], theirs: list[Log]) -> list[Log]:
        # Without receipts: nodes leave logs out, none has been seen to invent one of a right block.
        third = LogReader(self._rpc, self._addresses).of_blocks([header])
        return max((ours, theirs, third), key=len)


def _by_block(logs: Iterable[Log]) -> defaultdict[int, list[Log]]:
    found: defaultdict[int, list[Log]] = defaultdict(list)
    for entry in logs:
        found[entry.block_number].append(entry)
    return found


def _affected(before: Sequence[Log], after: Sequence[Log]) -> list[Log]:
    """The logs that came or went, and all others of their transactions, which belong together."""
    both = {*before} & {*after}
    transactions = {entry.tx_hash for entry in (*before, *after) if entry not in both}
    return [entry for entry in {*before, *after} if entry.tx_hash in transactions]
