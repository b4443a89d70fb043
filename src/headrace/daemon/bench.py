"""Work that takes longer than a tick should: done beside the loop, a bounded number at once."""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Done(Generic[K, V]):
    """A piece of work that has ended: with a value, or with the error that it raised."""

    key: K
    value: V | None
    error: Exception | None


class Bench(Generic[K, V]):
    """
    Runs work in threads that a stopping process doesn't wait for. All methods are for one thread;
    the work itself must touch nothing of the daemon's.
    """

    def __init__(self, places: int) -> None:
        """At most `places` pieces of work at once."""
        self._places = places
        self._running: set[K] = set()
        self._done: SimpleQueue[Done[K, V]] = SimpleQueue()

    @property
    def running(self) -> frozenset[K]:
        """The keys of what was started and not collected."""
        return frozenset(self._running)

    @property
    def has_place(self) -> bool:
        """Whether `start` would begin something new."""
        return len(self._running) < self._places

    def start(self, key: K, work: Callable[[], V]) -> bool:
        """Begin `work` if there is a place and its key isn't running; returns whether it began."""
        if key in self._running or not self.has_place:
            return False
        self._running.add(key)
        threading.Thread(target=self._run, args=(key, work), daemon=True).start()
        return True

    def _run(self, key: K, work: Callable[[], V]) -> None:
        try:
            self._done.put(Done(key, work(), None))
        except Exception as error:
            # Whatever goes wrong with one piece of work is for its owner to judge.
            self._done.put(Done(key, None, error))

    def collect(self) -> list[Done[K, V]]:
        """What has ended since the last time."""
        ended: list[Done[K, V]] = []
        while True:
            try:
                done = self._done.get_nowait()
            except Empty:
                return ended
            self._running.discard(done.key)
            ended.append(done)
