"""All that operating one daemon takes, opened before anything else and closed after it."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

from headrace.daemon.loop import PASSING, Stop
from headrace.ops.checkup import CODE_EVERY
from headrace.ops.health import LOOP, Health
from headrace.ops.metrics import Metrics
from headrace.ops.notify import notify
from headrace.ops.observer import Observer
from headrace.ops.server import HealthServer
from headrace.ops.tracing import open_tracer
from headrace.ops.watchdog import Watchdog
from headrace.settings import Settings

T = TypeVar("T")

# Seconds: three scrapes of the interval that ops/prometheus/alerts.yaml expects.
_SHOW_HALT = 45.0


class Operations:
    """
    Metrics, health, their server and the watchdog of the daemon `name`. A context manager: the
    server and the watchdog run inside it.
    """

    def __init__(self, name: str, settings: Settings) -> None:
        """Nothing runs yet."""
        self._name = name
        self._settings = settings
        self.metrics = Metrics(name)
        self.health = Health(stale={"lag": settings.lag_seconds, "contracts": 2 * CODE_EVERY})
        self._tracer = open_tracer(name)
        self.observer = Observer(self.metrics, self.health, tracer=self._tracer)
        self._server: HealthServer | None = None
        self._watchdog: Watchdog | None = None

    def __enter__(self) -> "Operations":
        """UsageError if the port of the settings can't be had."""
        self.metrics.standby.set(self._settings.standby)
        port = self._settings.listen_port
        if port is not None:
            self._server = HealthServer(self._settings.http_host, port, self.metrics, self.health)
            self._server.announce(self._settings.home / self._name / "http")
        if self._settings.watchdog_seconds:
            self.health.watch(LOOP, self._settings.watchdog_seconds)
            self._watchdog = Watchdog(self.health)
            self._watchdog.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.health.stopping()
        notify("STOPPING=1")
        self.health.unwatch(LOOP)
        if self._watchdog is not None:
            self._watchdog.stop()
        if self._tracer is not None:
            self._tracer.close()
        if self._server is not None:
            self._server.close()

    def opened(self) -> None:
        """The daemon has opened all that it works with; a standby has taken over."""
        self.metrics.standby.set(0)
        notify("READY=1")

    def halted(self, why: str, stop: Stop) -> None:
        """
        Show for a while that a rewritten final block has ended the daemon, if anybody looks: a
        process that ends at once, whenever it is started, can't tell its scraper why.
        """
        self.metrics.finality_violated.set(1)
        self.health.report("finality", False, why)
        if self._server is not None:
            self.health.unwatch(LOOP)
            stop.wait(_SHOW_HALT)

    def beating(self, make: Callable[[], T]) -> Callable[[], T]:
        """`make`, showing that the loop lives whenever it is tried."""

        def tried() -> T:
            self.health.beat(LOOP)
            return make()

        return tried

    def measured(self, tick: Callable[[], None]) -> Callable[[], None]:
        """`tick`, with its time, its end and its failures among the figures."""

        def timed() -> None:
            begun = time.monotonic()
            try:
                tick()
            except PASSING as error:
                self.metrics.loop_failures.labels(LOOP, type(error).__name__).inc()
                raise
            self.metrics.tick_seconds.labels(LOOP).observe(time.monotonic() - begun)
            self.metrics.loop_last_ok.labels(LOOP).set_to_current_time()

        return self.beating(timed)
