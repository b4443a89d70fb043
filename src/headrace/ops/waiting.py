"""What a daemon has to get done: how long the oldest of it has waited, how little time is left.

A move waits from when it was decided on, or its transaction signed, until that is in a block. What
was signed is no longer decided on: it counts by what the outbox says of it, also after a restart.
"""

from collections.abc import Callable, Iterable

from headrace.chain.outbox_rows import Tx
from headrace.daemon.actions import Action


class Waiting:
    """The moves of one daemon that are in no block. All times are chain time, in seconds."""

    def __init__(self) -> None:
        """Nothing waits."""
        self._unsigned: dict[str, int | None] = {}  # deadlines by key
        self._signed: dict[str, Tx] = {}
        self._given_up: frozenset[int] = frozenset()
        self._since: dict[str, int] = {}

    def signed(self, pending: Iterable[Tx], given_up: Iterable[int]) -> None:
        """
        All that the key has signed and that is in no block is `pending`. Of those with an id in
        `given_up` only the nonce is to be used up still: nobody waits for the deed.
        """
        self._signed = {tx.action: tx for tx in pending}
        self._given_up = frozenset(given_up)

    def decided(self, actions: Iterable[Action], sent: Iterable[Tx], now: int) -> None:
        """A round at `now` leaves `actions` to be done; `sent` are those that were signed for."""
        under_way = {tx.action: tx for tx in sent}
        actions = list(actions)
        for action in actions:
            self._since.setdefault(action.key, now)
        self._unsigned = {a.key: a.deadline for a in actions if a.key not in under_way}
        self._signed |= {key: tx for key, tx in under_way.items() if tx.is_pending}

    def at(self, now: int, made_at: Callable[[int], int]) -> None:
        """Chain time has come to `now`; `made_at` says when a block was made."""
        for key, tx in self._signed.items():
            if key not in self._since:
                self._since[key] = min(now, made_at(tx.made_at_block))

    def age(self, now: int) -> int:
        """For how long the oldest has waited at `now`; 0 if nothing does."""
        waiting = self._unsigned.keys() | self._signed.keys()
        self._since = {key: since for key, since in self._since.items() if key in waiting}
        return max(0, now - min(self._since.values(), default=now))

    def slack(self, now: int) -> int | None:
        """The least time that is left to a move, below 0 if it is over; None without a deadline."""
        ends = [
            tx.deadline
            for key, tx in self._signed.items()
            if tx.id not in self._given_up and key not in self._unsigned
        ]
        ends += self._unsigned.values()
        return min((end - now for end in ends if end is not None), default=None)
