"""Whether a daemon lives and whether it is ready, told by its loops and asked by other threads.

Alive: every loop has come round within its bound. Ready: every check holds and was made lately. A
loop reports; the HTTP server and the watchdog only read, so no connection crosses a thread.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

# The one loop of a daemon, in `/livez` and in the label `loop`.
LOOP = "tick"
# What readiness is made of; until a check was made it doesn't hold.
CHECKS = ("chain", "lag", "database", "balance", "finality", "nonce", "contracts")


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop's age (seconds since it last came round) and how old it may get."""

    age: float
    bound: float

    @property
    def is_alive(self) -> bool:
        """Whether it came round in time."""
        return self.age <= self.bound


@dataclass(frozen=True, slots=True)
class Check:
    """What a check found; `detail` is for a person, and says what to do if it doesn't hold."""

    is_ok: bool
    detail: str


class Health:
    """What is known now. Safe between threads."""

    def __init__(
        self,
        checks: Sequence[str] = CHECKS,
        *,
        stale_after: float = 60.0,
        stale: Mapping[str, float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        A check older than `stale_after` seconds, or than `stale` says for it, counts as one that
        doesn't hold.
        """
        self._expected = tuple(checks)
        self._stale = dict.fromkeys(checks, stale_after) | dict(stale or {})
        self._clock = clock
        self._lock = threading.Lock()
        self._loops: dict[str, tuple[float, float]] = {}
        self._checks: dict[str, tuple[Check, float]] = {}
        self._is_stopping = False

    # ---- told by loops

    def watch(self, loop: str, bound: float) -> None:
        """From now on `loop` has to come round every `bound` seconds."""
        with self._lock:
            self._loops[loop] = (self._clock(), bound)

    def unwatch(self, loop: str) -> None:
        """The loop has ended as it should."""
        with self._lock:
            self._loops.pop(loop, None)

    def beat(self, loop: str) -> None:
        """The loop has come round, well or not. Nothing if it isn't watched."""
        with self._lock:
            if loop in self._loops:
                self._loops[loop] = (self._clock(), self._loops[loop][1])

    def report(self, check: str, is_ok: bool, detail: str) -> bool:
        """What a check found; returns whether that is news."""
        with self._lock:
            before = self._checks.get(check)
            self._checks[check] = (Check(is_ok, detail), self._clock())
        return before is None or before[0].is_ok != is_ok

    def stopping(self) -> None:
        """Not ready any more, for a reason that is none to wake anybody."""
        with self._lock:
            self._is_stopping = True

    # ---- asked by others

    def loops(self) -> Mapping[str, Loop]:
        """Every watched loop."""
        with self._lock:
            now = self._clock()
            return {name: Loop(now - at, bound) for name, (at, bound) in self._loops.items()}

    def late(self) -> Mapping[str, Loop]:
        """The loops that did not come round in time."""
        return {name: loop for name, loop in self.loops().items() if not loop.is_alive}

    def checks(self) -> Mapping[str, Check]:
        """Every expected check as it stands, in their order."""
        with self._lock:
            now = self._clock()
            found = {}
            for name in self._expected:
                check, at = self._checks.get(name, (Check(False, "not checked yet"), now))
                if now - at > self._stale[name]:
                    check = Check(
                        False, f"not seen for {now - at:.0f} s; before that: {check.detail}"
                    )
                found[name] = check
            if self._is_stopping:
                found["running"] = Check(False, "it has been told to stop")
            return found
