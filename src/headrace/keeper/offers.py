"""Asks and bids from the board: each read and checked once, forgotten when it is taken down."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from headrace.market.book import LiveAsk, OpenJob
from headrace.market.postings import BadPosting, read_ask, read_bid
from headrace.store.board import Board, Kind
from headrace.store.errors import BlobError
from headrace.terms.eip712 import Domain

log = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds of chain time after which a posting that was no good is looked at again: somebody may
# have put rubbish where the real one was to go.
RECHECK = 30


class Postings(Generic[T]):
    """What is posted of one kind, by hash."""

    def __init__(
        self, board: Board, kind: Kind, read: Callable[[Mapping[str, Any]], tuple[bytes, T]]
    ) -> None:
        """`read` gives a posting's hash and content, or raises BadPosting."""
        self._board = board
        self._kind = kind
        self._read = read
        self._bad: dict[str, int] = {}
        self._good: dict[str, T] = {}

    @property
    def all(self) -> tuple[T, ...]:
        """The good ones, by name."""
        return tuple(self._good[name] for name in sorted(self._good))

    def refresh(self, now: int) -> bool:
        """Look at the board again; returns whether `all` has changed."""
        names = set(self._board.names(self._kind))
        gone = self._good.keys() - names
        for name in gone:
            del self._good[name]
        for name in self._bad.keys() - names:
            del self._bad[name]
        added = False
        for name in sorted(names - self._good.keys()):
            if name in self._bad and now < self._bad[name] + RECHECK:
                continue
            try:
                digest, posting = self._read(self._board.get(self._kind, name))
                if digest.hex() != name:
                    raise BadPosting("it is posted under another hash than its own")
            except (BadPosting, BlobError) as error:
                if name not in self._bad:
                    fields = {"kind": self._kind, "hash": name, "why": str(error)}
                    log.warning("posting left out", extra=fields)
                self._bad[name] = now
            else:
                self._bad.pop(name, None)
                self._good[name] = posting
                added = True
        return added or bool(gone)


class Offers:
    """Both sides of the board."""

    def __init__(self, board: Board, token: str, domain: Domain) -> None:
        """Amounts are in `token`; signatures are for `domain`."""

        def ask(payload: Mapping[str, Any]) -> tuple[bytes, LiveAsk]:
            found = read_ask(payload, token, domain)
            return found.ask_hash, found

        def bid(payload: Mapping[str, Any]) -> tuple[bytes, OpenJob]:
            found = read_bid(payload, domain)
            return found.job_id, found

        self._asks = Postings(board, "ask", ask)
        self._bids = Postings(board, "bid", bid)

    @property
    def asks(self) -> tuple[LiveAsk, ...]:
        """What providers offer."""
        return self._asks.all

    @property
    def bids(self) -> tuple[OpenJob, ...]:
        """What requesters have signed and not posted on chain."""
        return self._bids.all

    def refresh(self, now: int) -> bool:
        """Look at the board again at chain time `now`; returns whether anything has changed."""
        changed = [self._asks.refresh(now), self._bids.refresh(now)]
        return any(changed)
