"""What goes wrong during the soak, drawn from a seed; each fault ends by itself."""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Any

from headrace.errors import HeadraceError
from scripts.soak.cast import Player, Soak
from tests.misbehaving_rpc import (
    Fails,
    Proxy,
    Reply,
    Request,
    delayed,
    hang_up,
    of_logs,
    status,
    throttled_in_200,
)

# Seconds within which a daemon that is told to stop has to be gone.
STOP_WITHIN = 5.0
# What every long run has to have had of.
KINDS = (
    "kills",
    "stops",
    "freezes",
    "outages",
    "short_logs",
    "reorganisations",
    "drops",
    "fee_spikes",
)
# Seconds after which a fault that found nothing to spoil is tried again.
_AGAIN = 0.3
# Daemons that ended by themselves, after which there is nothing left to learn.
_TOO_MANY = 20
_GWEI = 10**9
_FAILS: tuple[Fails, ...] = (
    hang_up,
    status(503),
    status(429, {"Retry-After": "2"}),
    throttled_in_200(),
    delayed(3.0),
)


@dataclass
class Faults:
    """The faults so far, counted once they have struck, and those that have to be ended."""

    soak: Soak
    chance: random.Random
    counts: Counter[str] = field(default_factory=Counter)
    # Daemons that ended by themselves, or not as they were told.
    wrong: list[str] = field(default_factory=list)
    slowest_stop: float = 0.0
    _lock: Lock = field(default_factory=Lock)
    _due: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    _is_over: bool = False
    _begun: int = 0

    def one(self) -> None:
        """One more fault: first one of each kind, then as it comes."""
        kinds: list[tuple[int, Callable[[], None]]] = [
            (4, self._kill),
            (2, self._terminate),
            (1, self._freeze),
            (4, self._outage),
            (1, self._short_logs),
            (3, self._reorganise),
            (1, self._drop),
            (1, self._spike),
        ]
        weights = [weight for weight, _ in kinds]
        (_, fault) = self.chance.choices(kinds, weights)[0]
        if self._begun < len(kinds):
            (_, fault) = kinds[self._begun]
            self._begun += 1
        self._make(fault)

    def _make(self, fault: Callable[[], None]) -> None:
        try:
            fault()
        except HeadraceError as error:
            print(f"  a fault could not be made: {error}")

    def end(self) -> None:
        """End all faults, now and for good."""
        self._is_over = True
        self._tend(at_once=True)

    def tend(self) -> None:
        """End the faults whose time is over; look whether a daemon has ended by itself."""
        self._tend(at_once=False)

    def _tend(self, *, at_once: bool) -> None:
        now = time.monotonic()
        for due in [due for due in self._due if at_once or due[0] <= now]:
            self._due.remove(due)
            self._make(due[1])
        for player in self.soak.players:
            process = player.daemon.process
            if process is not None and process.poll() is not None:
                name, code = player.daemon.name, process.returncode
                self.wrong.append(f"{name} ended by itself with {code}")
                self._gone(player)
        if len(self.wrong) > _TOO_MANY:
            raise HeadraceError(f"daemons don't stay up: {self.wrong[-1]}")

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        self._due.append((time.monotonic() + seconds, what))

    def _victim(self) -> Player | None:
        alive = [
            player
            for player in self.soak.players
            if player.may_die and not player.is_stopped and player.daemon.process is not None
        ]
        return self.chance.choice(alive) if alive else None

    # ---- daemons

    def _kill(self) -> None:
        if (player := self._victim()) is not None:
            player.daemon.kill()
            self.counts["kills"] += 1
            self._gone(player)

    def _terminate(self) -> None:
        if (player := self._victim()) is not None:
            self.counts["stops"] += 1
            code, seconds = player.daemon.terminate()
            self.slowest_stop = max(self.slowest_stop, seconds)
            # One that is told before it has set its handlers up just ends: it has begun nothing.
            if code not in (0, -signal.SIGTERM) or seconds > STOP_WITHIN:
                self.wrong.append(f"{player.daemon.name} stopped with {code} in {seconds:.1f} s")
            self._gone(player)

    def _gone(self, player: Player) -> None:
        player.daemon.process = None
        self._later(self.chance.uniform(0, 6), player.daemon.start)

    def _freeze(self) -> None:
        player = self._victim()
        if player is None:
            return
        player.send(signal.SIGSTOP)
        self.counts["freezes"] += 1
        player.is_stopped = True

        def thaw() -> None:
            player.is_stopped = False
            player.send(signal.SIGCONT)

        self._later(self.chance.uniform(5, 40), thaw)

    # ---- nodes

    def _outage(self) -> None:
        proxy = self.chance.choice(self.soak.proxies)
        fault, has_struck = self.chance.choice(_FAILS), Event()

        def fail(requests: list[Request]) -> Reply | str:
            self._strike("outages", has_struck)
            return fault(requests)

        proxy.fails = fail
        self._later(self.chance.uniform(2, 8), proxy.heal)

    def _short_logs(self) -> None:
        proxy: Proxy = self.chance.choice(self.soak.proxies)
        has_struck = Event()

        def leave_out(logs: list[Any]) -> list[Any]:
            self._strike("short_logs", has_struck)
            return logs[:-1]

        def heal() -> None:
            if has_struck.is_set() or self._is_over:
                proxy.heal()
                return
            # Nobody has asked for logs where there are any.
            proxy.changes = of_logs(leave_out)
            self._later(_AGAIN, heal)

        proxy.changes = of_logs(leave_out)
        self._later(self.chance.uniform(1, 4), heal)

    def _strike(self, kind: str, has_struck: Event) -> None:
        """Count a fault when it meets its first request; of the proxy's threads."""
        with self._lock:
            if not has_struck.is_set():
                has_struck.set()
                self.counts[kind] += 1

    # ---- the chain

    def _reorganise(self) -> None:
        self.soak.town.rpc.call("anvil_reorg", self.chance.choice([1, 2, 3]), [])
        self.counts["reorganisations"] += 1

    def _drop(self) -> None:
        if self._is_over:
            return
        rpc = self.soak.town.rpc
        if not int(rpc.call("txpool_status")["pending"], 16):
            self._later(_AGAIN, self._drop)
            return
        rpc.call("anvil_dropAllTransactions")
        self.counts["drops"] += 1

    def _spike(self) -> None:
        fee = self.chance.choice([20, 60, 120]) * _GWEI
        self.soak.town.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(fee))
        self.counts["fee_spikes"] += 1
