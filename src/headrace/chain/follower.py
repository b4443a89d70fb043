"""Reads a chain's logs into a ChainDb, exactly once each, through reorganisations.

Events are wake-ups and an index, never the ground for a decision by themselves: what is due is read
from the contracts. The cursor is a number *and a hash*. A step asks for the head and for the block
at the cursor; if that one has another hash, or the next one another parent, the follower goes back
over its stored headers to the last block that both know and takes out what came after. Near the
head it asks for logs by block hash, which a node that is behind refuses instead of answering with
nothing; far from it by ranges, halved when the node finds them too large.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from headrace.chain.abi import Log, checksummed
from headrace.chain.db import ChainDb, Cursor
from headrace.chain.rpc import (
    Header,
    NodeError,
    Rpc,
    header_request,
    to_bytes,
    to_header,
    to_int,
)
from headrace.errors import HeadraceError, RetryLater

log = logging.getLogger(__name__)

# Blocks from the head within which every header is checked and kept.
NEAR = 128
# How many headers are kept, and so how deep a reorganisation may be.
KEEP = 512
# Blocks near the head that are read in one step.
STEP = 64


class TooDeep(HeadraceError):
    """The chain was rewritten deeper than the kept headers: a person has to look."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one step changed. `head` is the chain's latest block, `cursor` the last one read."""

    head: Header
    cursor: int
    removed: tuple[Log, ...] = ()
    added: tuple[Log, ...] = ()

    @property
    def is_caught_up(self) -> bool:
        """Whether all that the node knows has been read."""
        return self.cursor >= self.head.number


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
    ) -> None:
        """
        Logs of `addresses` from block `start` on (the deployment's). `keep` headers are stored and
        ranges of up to `max_range` blocks asked for; within `near` blocks of the head, single ones.
        """
        self._rpc = rpc
        self._db = db
        self._addresses = [address.lower() for address in addresses]
        self._start = start
        self._near = near
        self._keep = keep
        self._range = self._max_range = max_range

    def step(self) -> Step:
        """
        Read on, or go back, by one bounded piece. RetryLater, Unreachable or NodeError leave the
        file as it was; TooDeep is for a person.
        """
        cursor = self._db.cursor()
        requests = [header_request("latest")]
        if cursor is not None and cursor.hash:
            requests.append(header_request(cursor.number))
        answers = self._rpc.batch(requests)
        if answers[0] is None:
            raise RetryLater("the node has no latest block yet")
        head = to_header(answers[0])
        if cursor is None or not cursor.hash:
            return self._forward(head, Cursor(self._start - 1, b""))
        at_cursor = None if answers[1] is None else to_header(answers[1])
        if at_cursor is None:
            return self._behind(head, cursor)
        if at_cursor.hash != cursor.hash:
            return self._back(head, cursor)
        if head.number <= cursor.number:
            return Step(head, cursor.number)
        return self._forward(head, cursor)

    def _behind(self, head: Header, cursor: Cursor) -> Step:
        # The node does not know our block. As long as it is on our chain it is only late, and
        # nothing is undone: a chain that stays shorter shows its difference when it grows.
        below = self._db.headers(below=head.number + 1, count=1)
        if below:
            number, ours = below[0]
            theirs = head if number == head.number else self._rpc.header(number)
            if theirs is not None and theirs.hash != ours:
                return self._back(head, cursor)
        raise RetryLater(f"the node is at block {head.number}, it was at {cursor.number} before")

    # ---- back

    def _back(self, head: Header, cursor: Cursor) -> Step:
        below = cursor.number + 1
        while headers := self._db.headers(below=below, count=32):
            answers = self._rpc.batch([header_request(number) for number, _ in headers])
            for (number, ours), answer in zip(headers, answers, strict=True):
                if answer is not None and to_header(answer).hash == ours:
                    return self._roll_back(head, cursor, number, ours)
            below = headers[-1][0]
        if self._db.headers(below=self._start + 1, count=1):
            # Everything since the deployment is kept, and none of it is true any more.
            return self._roll_back(head, cursor, self._start - 1, b"")
        raise TooDeep(
            f"the chain was rewritten deeper than the {self._keep} blocks kept of it: if that is "
            f"right, move {self._db.path} away and start again"
        )

    def _roll_back(self, head: Header, cursor: Cursor, number: int, block_hash: bytes) -> Step:
        removed = self._db.rollback(number, block_hash)
        log.warning(
            "reorganisation",
            extra={"depth": cursor.number - number, "block": number, "removed": len(removed)},
        )
        return Step(head, number, removed=tuple(removed))

    # ---- forward

    def _forward(self, head: Header, cursor: Cursor) -> Step:
        first = cursor.number + 1
        far = head.number - self._near
        if first > head.number:
            return Step(head, cursor.number)
        if first <= far:
            headers, logs = self._far(first, min(far, first + self._range - 1))
        else:
            headers, logs = self._close(first, min(head.number, first + STEP - 1))
        if cursor.hash and headers[0].number == first and headers[0].parent != cursor.hash:
            # Rewritten since the head was asked for: the next step finds where.
            return Step(head, cursor.number)
        self._db.append(headers, logs, keep=self._keep)
        return Step(head, headers[-1].number, added=tuple(logs))

    def _close(self, first: int, last: int) -> tuple[list[Header], list[Log]]:
        headers = self._headers(range(first, last + 1))
        for parent, child in pairwise(headers):
            if child.parent != parent.hash:
                raise RetryLater("the chain is being rewritten")
        requests = [
            ("eth_getLogs", ({"address": self._addresses, "blockHash": "0x" + h.hash.hex()},))
            for h in headers
        ]
        try:
            answers = self._rpc.batch(requests)
        except NodeError as error:  # how nodes word a block that they no longer have
            raise RetryLater(f"logs can't be had now: {error}") from error
        logs = []
        for header, answer in zip(headers, answers, strict=True):
            logs += self._checked(answer, {header.number: header})
        return headers, logs

    def _far(self, first: int, last: int) -> tuple[list[Header], list[Log]]:
        wanted = {"address": self._addresses, "fromBlock": hex(first), "toBlock": hex(last)}
        try:
            answer = self._rpc.call("eth_getLogs", wanted)
        except NodeError as error:
            if first == last:
                raise
            self._range = max(1, (last - first + 1) // 2)
            raise RetryLater(f"the node refuses {last - first + 1} blocks: {error}") from error
        self._range = min(self._max_range, self._range + self._range // 4 + 1)
        if not isinstance(answer, list):
            raise RetryLater("the node answered with no list of logs")
        numbers = {to_int(item.get("blockNumber")) for item in answer if isinstance(item, Mapping)}
        if not all(first <= number <= last for number in numbers):
            raise RetryLater("the node answered with logs of other blocks")
        # Their time is needed, and a hash that all logs of a block agree with. The first header
        # shows that the range follows on the cursor.
        headers = self._headers(sorted(numbers | {first, last}))
        return headers, self._checked(answer, {header.number: header for header in headers})

    def _headers(self, numbers: Sequence[int]) -> list[Header]:
        answers = self._rpc.batch([header_request(number) for number in numbers])
        if any(answer is None for answer in answers):
            raise RetryLater("the node does not know a block below its head")
        headers = [to_header(answer) for answer in answers]
        if [header.number for header in headers] != list(numbers):
            raise RetryLater("the node answered with other blocks")
        return headers

    def _checked(self, answer: Any, headers: Mapping[int, Header]) -> list[Log]:
        """The logs of an answer, in order; RetryLater if one is not what was asked for."""
        if not isinstance(answer, list):
            raise RetryLater("the node answered with no list of logs")
        logs = [to_log(item, headers) for item in answer]
        logs.sort(key=lambda entry: (entry.block_number, entry.log_index))
        places = {(entry.block_number, entry.log_index) for entry in logs}
        if len(places) != len(logs):
            raise RetryLater("the node answered with a log twice")
        if any(entry.address.lower() not in self._addresses for entry in logs):
            raise RetryLater("the node answered with a log of another contract")
        return logs


def to_log(item: object, headers: Mapping[int, Header]) -> Log:
    """A log of an answer, in one of `headers`; RetryLater if it is in none."""
    if not isinstance(item, Mapping):
        raise RetryLater("the node answered with a log that is none")
    number = to_int(item.get("blockNumber"))
    header = headers.get(number)
    block_hash = to_bytes(item.get("blockHash"), 32)
    if header is None or header.hash != block_hash or item.get("removed"):
        raise RetryLater("the node answered with a log of another block")
    return Log(
        block_number=number,
        log_index=to_int(item.get("logIndex")),
        block_hash=block_hash,
        tx_hash=to_bytes(item.get("transactionHash"), 32),
        address=checksummed(str(item.get("address"))),
        topics=tuple(to_bytes(topic, 32) for topic in item.get("topics", ())),
        data=to_bytes(item.get("data")),
        timestamp=header.timestamp,
    )
