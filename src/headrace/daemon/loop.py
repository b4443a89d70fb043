"""The loop of a daemon: a tick, a pause, another tick, until somebody says stop.

What a later try may cure (`RetryLater`, `Unreachable`, a node's complaint) makes the pauses longer
and never ends the loop. What only a person can cure (`UsageError`, `TooDeep`) ends it.
"""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from headrace.chain.abi import BadAnswer
from headrace.chain.rpc import NodeError
from headrace.errors import HeadraceError, Rejected, RetryLater, Unreachable

log = logging.getLogger(__name__)

T = TypeVar("T")

# Errors that a later try may cure. A refused read is one: the next block may differ.
PASSING = (RetryLater, Unreachable, NodeError, BadAnswer, Rejected)
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 5.0
# Seconds that a tick may take to end by itself after the signal.
_GRACE = 1.5


class Stopped(BaseException):
    """
    Raised in the middle of a tick that takes too long to end. Everything a daemon does survives a
    crash at any instruction, so it survives this.
    """


class Stop:
    """Says when to stop; `wait` returns early once it does."""

    def __init__(self) -> None:
        """Not yet."""
        self._event = threading.Event()

    @property
    def is_set(self) -> bool:
        """Whether it is time."""
        return self._event.is_set()

    def set(self) -> None:
        """Stop after the tick that runs."""
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Sleep, but no longer than until somebody says stop; returns whether somebody did."""
        return self._event.wait(seconds)

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """
        SIGTERM and SIGINT say stop; a tick that doesn't end within 1.5 s of that gets `Stopped`,
        wherever it is. Only in the main thread.
        """

        def ask(number: int, frame: FrameType | None) -> None:
            if not self.is_set:
                log.info("stopping", extra={"signal": signal.Signals(number).name})
                signal.setitimer(signal.ITIMER_REAL, _GRACE, 0.1)
            self.set()

        def insist(number: int, frame: FrameType | None) -> None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise Stopped

        handlers = {signal.SIGTERM: ask, signal.SIGINT: ask, signal.SIGALRM: insist}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number, handler in before.items():
                signal.signal(number, handler)


class Pauses:
    """How long to pause after each failure in a row, in seconds: doubling up to `longest`."""

    def __init__(self, first: float = FIRST_PAUSE, longest: float = LONGEST_PAUSE) -> None:
        """Start with `first`."""
        self._first = first
        self._longest = longest
        self._failures = 0
        self._said = ""

    def after(self, error: HeadraceError) -> float:
        """The pause after one more failure; logs it unless it is the one before once more."""
        pause = min(self._first * 2.0 ** min(self._failures, 16), self._longest)
        self._failures += 1
        if str(error) != self._said:
            self._said = str(error)
            log.warning("can't go on now", extra={"why": self._said, "error": type(error).__name__})
        return pause

    def done(self) -> None:
        """It worked: the next failure is a first one."""
        if self._failures:
            log.info("going on", extra={"failures": self._failures})
        self._failures = 0
        self._said = ""


def run(
    tick: Callable[[], None], stop: Stop, *, poll: float, longest: float = LONGEST_PAUSE
) -> None:
    """
    Tick every `poll` seconds until `stop`. Errors of `PASSING` only make the pauses longer, up to
    `longest` seconds; every other one is raised.
    """
    pauses = Pauses(longest=longest)
    while not stop.is_set:
        try:
            tick()
        except PASSING as error:
            stop.wait(pauses.after(error))
        else:
            pauses.done()
            stop.wait(poll)


def until_it_works(make: Callable[[], T], stop: Stop) -> T | None:
    """What `make` returns, tried again after errors of `PASSING`; None if `stop` came first."""
    pauses = Pauses()
    while not stop.is_set:
        try:
            made = make()
        except PASSING as error:
            stop.wait(pauses.after(error))
        else:
            pauses.done()
            return made
    return None
