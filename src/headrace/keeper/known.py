"""What a keeper knows of the contracts: words that were read once and are as they were.

A word is kept with nothing beside it: at the block that was looked at last it is what it was when
it was read, because no event since says that it may be another (`keeper.changes`). Each block that
was looked at leaves a mark with the words that were read at it. When blocks are undone, what was
read at marks that are no longer the chain's is forgotten, and the rest is as of the last mark that
is; the events of the new branch follow on that. What can't be followed is forgotten whole: a
restart, a block that the follower hasn't reached, a final block whose events have been repaired.

As all this rests on an idea of what events say, every word is read again now and then and compared
(`check`): a difference means that the idea is wrong.
"""

import logging
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.chain.db import Cursor
from headrace.chain.rpc import Header
from headrace.chain.views import Provider
from headrace.daemon.context import Context, View
from headrace.keeper.changes import Table
from headrace.keeper.reads import Key, Reads, account_key, provider_key
from headrace.keeper.weights import Ageing

log = logging.getLogger(__name__)

# Marks that are kept; a reorganisation beyond the oldest one is begun from nothing.
MARKS = 512
# New blocks within which every word that is asked for is read a second time.
CHECKED_WITHIN = 256
# A gap of more blocks is not followed through their events.
_FAR = 2_048


@dataclass(frozen=True, slots=True)
class _Mark:
    """A block that was looked at, and what was read at it."""

    number: int
    hash: bytes
    keys: list[Key] = field(default_factory=list)


class Known:
    """The words of one deployment, at the block of the last `follow`."""

    def __init__(self, context: Context, reads: Reads, half_life: int) -> None:
        """It knows nothing yet. `half_life` in seconds is that of the Registry's records."""
        self._context = context
        self._reads = reads
        self._half_life = half_life
        self._table = Table(context)
        self._words: dict[Key, Any] = {}
        self._marks: deque[_Mark] = deque(maxlen=MARKS)
        self._head: Header | None = None
        self._repairs = 0
        # Of the checks: what this round has still to read, how much of it at a block, the block of
        # the last piece, and what was asked for since the round began.
        self._round: list[Key] = []
        self._piece = 0
        self._checked = b""
        self._asked: set[Key] = set()

    def __len__(self) -> int:
        """How many words are known."""
        return len(self._words)

    # ---- the block

    def follow(self, view: View) -> None:
        """
        Go to the block of `view`: forget what may be another word there. An error of the node
        leaves what is known as of the block before.
        """
        head = view.head
        repairs = self._context.follower.counters.audit_mismatches
        is_read = self._context.db.cursor() == Cursor(head.number, head.hash)
        if not is_read:
            self.forget("the events of the block are not read yet")
        if repairs != self._repairs:
            self.forget("final blocks were repaired")
        self._repairs = repairs
        if self._marks and self._marks[-1].hash != head.hash:
            self._catch_up(head)
        elif not self._marks:
            self.forget("nothing says what it is as of")
            self._marks.append(_Mark(head.number, head.hash))
        self._head = head
        if not is_read:
            # Its events may still come: what is read now is for this once.
            self._marks.clear()

    def forget(self, why: str) -> None:
        """Everything is read anew, for a reason that is logged."""
        if self._words:
            log.info("all is read anew", extra={"words": len(self._words), "why": why})
        self._words.clear()
        self._marks.clear()

    def _catch_up(self, head: Header) -> None:
        self._roll_back()
        if self._marks and self._marks[-1].hash == head.hash:
            return
        mark = _Mark(head.number, head.hash)
        if not self._marks or not 0 < head.number - self._marks[-1].number <= _FAR:
            self.forget("the last known block is too far back, or is none of this chain's")
            self._marks.append(mark)
            return
        logs = self._context.db.logs_between(self._marks[-1].number + 1, head.number)
        changes = self._table.changes(logs)
        if changes.is_all:
            self.forget("an event can't be understood, or is about a job that is forgotten")
            self._marks.append(mark)
            return
        self._drop(changes.keys)
        # By now: what has been set in between is among the keys already.
        paid = [provider_key(name) for name in sorted(changes.paid)]
        records: list[Provider] = self._reads.ask(paid, head)
        self._drop(account_key(record.payout) for record in records)
        self._marks.append(mark)
        for key, record in zip(paid, records, strict=True):
            self._keep(key, record, head)

    def _roll_back(self) -> None:
        """Forget what was read at blocks that are no longer the chain's."""
        while self._marks:
            mark = self._marks[-1]
            there = self._context.db.headers(below=mark.number + 1, count=1)
            if there == [(mark.number, mark.hash)]:
                return
            self._drop(mark.keys)
            self._marks.pop()

    def _drop(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._words.pop(key, None)

    # ---- words

    def words(self, keys: Sequence[Key]) -> list[Any]:
        """The words of `keys`, in order; of `providers` there is a function of its own."""
        words = self._words
        self._asked.update(keys)
        self._fetch([key for key in dict.fromkeys(keys) if key not in words])
        return [words[key] for key in keys]

    def providers(self, names: Sequence[str]) -> list[Provider]:
        """
        The records of providers, with their weights as of this block. The same object as before
        where the record is the same.
        """
        head = self._at()
        keys = [provider_key(name) for name in names]
        self._asked.update(keys)
        found = [self._aged(key, head.timestamp) for key in keys]
        self._fetch([k for k, record in zip(keys, found, strict=True) if record is None])
        return [
            self._words[key].at(head.timestamp) if record is None else record
            for key, record in zip(keys, found, strict=True)
        ]

    def _aged(self, key: Key, now: int) -> Provider | None:
        word: Ageing | None = self._words.get(key)
        return None if word is None else word.at(now)

    def _at(self) -> Header:
        if self._head is None:
            raise RuntimeError("there is no block to read at: follow comes first")
        return self._head

    def _fetch(self, keys: Sequence[Key]) -> None:
        if not keys:
            return
        head = self._at()
        for key, word in zip(keys, self._reads.ask(keys, head), strict=True):
            self._keep(key, word, head)

    def _keep(self, key: Key, word: Any, head: Header) -> None:
        if key[0] == "provider":
            word = Ageing(word, head.timestamp, self._half_life)
        self._words[key] = word
        if self._marks:
            self._marks[-1].keys.append(key)

    # ---- the checks

    def check(self) -> int:
        """
        Read a piece of what is known again, once a block, so that within CHECKED_WITHIN new ones
        there is nothing that wasn't; forget what nobody asks for. Returns how many words differ:
        if any does, everything is forgotten. Errors of the node as `Reads.ask`.
        """
        head = self._at()
        if self._checked == head.hash or not self._marks:
            return 0
        self._checked = head.hash
        if not self._round:
            self._begin_round()
        keys = [key for key in self._round[-self._piece :] if key in self._words]
        wrong = 0
        for key, word in zip(keys, self._reads.ask(keys, head), strict=True):
            known = self._aged(key, head.timestamp) if key[0] == "provider" else self._words[key]
            if known != word and not (known is None and key[0] == "provider"):
                wrong += 1
                log.error(
                    "known word is another",
                    extra={
                        "what": key[0],
                        "of": [str(p) if isinstance(p, str | int) else p.hex() for p in key[1:]],
                        "known": str(known),
                        "read": str(word),
                        "block": head.number,
                    },
                )
        del self._round[-self._piece :]
        if wrong:
            self.forget("a second reading was another one")
            self._round.clear()
        return wrong

    def _begin_round(self) -> None:
        # A word that comes during a round is in the next one: two rounds are the bound.
        for key in [key for key in self._words if key not in self._asked]:
            del self._words[key]
        self._asked = set()
        self._round = list(self._words)
        self._piece = max(1, -(-len(self._round) // (CHECKED_WITHIN // 2)))
