"""Ends the process when one of its loops hangs, so that whoever supervises it starts it again.

A thread of its own looks at the loops' beats. A hanging loop can't be cured from inside: it may
hold a lock or wait for a socket for ever. Everything a daemon does survives a crash at any
instruction, so the process ends at once, without running handlers that may hang as well.
"""

import faulthandler
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from functools import partial

from headrace.ops.health import Health, Loop
from headrace.ops.notify import notify

log = logging.getLogger(__name__)

# What the process ends with, so that a supervisor's log tells it from an error.
EXIT_CODE = 70


# Seconds for the last words: the loop that hangs may hold the lock of the log, or its pipe be full.
_LAST_WORDS = 3.0


def end_process() -> None:
    """Where every thread is, on standard error; then the end, whether that could be said or not."""
    _within(_LAST_WORDS, lambda: faulthandler.dump_traceback(file=sys.stderr, all_threads=True))
    os._exit(EXIT_CODE)


def _within(seconds: float, say: Callable[[], None]) -> None:
    speaker = threading.Thread(target=say, daemon=True)
    speaker.start()
    speaker.join(seconds)


class Watchdog:
    """Looks every `every` seconds until it is stopped."""

    def __init__(
        self, health: Health, *, every: float = 1.0, end: Callable[[], None] = end_process
    ) -> None:
        """Not looking yet. `end` is called once, when a loop is late."""
        self._health = health
        self._every = every
        self._end = end
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            if late := self._health.late():
                _within(_LAST_WORDS, partial(_say, late))
                self._end()
                return
            notify("WATCHDOG=1")


def _say(late: Mapping[str, Loop]) -> None:
    for name, loop in late.items():
        fields = {"loop": name, "age": round(loop.age), "bound": loop.bound}
        log.critical("a loop hangs", extra=fields)
