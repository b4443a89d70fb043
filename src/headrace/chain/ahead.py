"""The next range of logs, asked for while the last one is still worked on.

Catching up, a node takes about as long to write an answer as we take to read and store it. One
thread with a connection of its own lets both go on at once. What it brings is a hint like any
answer: if it fails, the same is asked for again in the ordinary way, and fails there.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from headrace.errors import HeadraceError

T = TypeVar("T")


class Ahead(Generic[T]):
    """At most one request under way, known by its range of blocks."""

    def __init__(self) -> None:
        """Nothing is asked for yet."""
        self._range: tuple[int, int] | None = None
        self._thread: threading.Thread | None = None
        self._found: list[T] = []

    def ask(self, first: int, last: int, fetch: Callable[[], T]) -> None:
        """Begin with `fetch` for the blocks `first` to `last`, unless something is under way."""
        if self._thread is not None and self._thread.is_alive():
            return
        found: list[T] = []

        def run() -> None:
            # What goes wrong shows when it is asked for in the ordinary way.
            with suppress(HeadraceError):
                found.append(fetch())

        self._range, self._found = (first, last), found
        self._thread = threading.Thread(target=run, name="ahead", daemon=True)
        self._thread.start()

    def take(self, first: int, last: int) -> T | None:
        """What was brought for just these blocks, waited for; None if nothing was."""
        if self._thread is None or self._range != (first, last):
            return None
        self._thread.join()
        self._thread = None
        return self._found.pop() if self._found else None
