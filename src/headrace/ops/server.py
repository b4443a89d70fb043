"""The small HTTP server of a daemon: `/metrics`, `/livez`, `/readyz`. Nothing can be done by it."""

import json
import logging
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from headrace.errors import UsageError
from headrace.ops.health import Health
from headrace.ops.metrics import Metrics

log = logging.getLogger(__name__)

_JSON = "application/json"
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
# Seconds for which a client may keep a thread without saying anything.
_PATIENCE = 5.0

Page = Callable[[], tuple[int, str, bytes]]


class HealthServer:
    """Serves until it is closed, in threads of its own."""

    def __init__(self, host: str, port: int, metrics: Metrics, health: Health) -> None:
        """
        Listen on `host` and `port` (0: any free one). UsageError if that can't be had.
        """
        self._metrics = metrics
        self._health = health
        pages: Mapping[str, Page] = {
            "/metrics": self._metrics_page,
            "/livez": self._livez_page,
            "/readyz": self._readyz_page,
        }

        class Handler(_Handler):
            """Knows this server's pages."""

        Handler.pages = pages
        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UsageError(
                f"HEADRACE_HTTP_PORT: {host}:{port} can't be listened on: {reason}"
            ) from None
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """Where it listens, as `host:port`."""
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def announce(self, path: Path) -> None:
        """Write the address to a file, for whoever asked for any free port."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(self.address + "\n")
        log.info("metrics and health", extra={"address": self.address})

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> "HealthServer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # ---- pages

    def _metrics_page(self) -> tuple[int, str, bytes]:
        for name, check in self._health.checks().items():
            self._metrics.ready.labels(name).set(check.is_ok)
        return 200, _PROMETHEUS, self._metrics.text()

    def _livez_page(self) -> tuple[int, str, bytes]:
        loops = self._health.loops()
        is_alive = all(loop.is_alive for loop in loops.values())
        body = {
            "alive": is_alive,
            "loops": {
                name: {"age": round(loop.age, 3), "bound": loop.bound, "alive": loop.is_alive}
                for name, loop in loops.items()
            },
        }
        return _answer(is_alive, body)

    def _readyz_page(self) -> tuple[int, str, bytes]:
        checks = self._health.checks()
        is_ready = all(check.is_ok for check in checks.values())
        body = {
            "ready": is_ready,
            "reasons": [f"{name}: {c.detail}" for name, c in checks.items() if not c.is_ok],
            "checks": {name: {"ok": c.is_ok, "detail": c.detail} for name, c in checks.items()},
        }
        return _answer(is_ready, body)


def _answer(is_good: bool, body: Mapping[str, Any]) -> tuple[int, str, bytes]:
    return (200 if is_good else 503), _JSON, (json.dumps(body, indent=1) + "\n").encode()


class _Handler(BaseHTTPRequestHandler):
    """GET and HEAD of a few pages."""

    pages: Mapping[str, Page] = {}
    timeout = _PATIENCE
    server_version = "headrace"
    sys_version = ""

    def do_GET(self) -> None:
        """A page, or 404."""
        page = self.pages.get(self.path.partition("?")[0])
        if page is None:
            self._send(404, _JSON, b'{"error": "no such page"}\n')
            return
        self._send(*page())

    def do_HEAD(self) -> None:
        """The same without its body."""
        self.do_GET()

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Somebody who scrapes every few seconds is no change of state."""
