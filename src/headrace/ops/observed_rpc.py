"""A connection to a node that counts what is asked of it, how it ends and how long it takes."""

import time
from collections.abc import Sequence
from typing import Any

from headrace.chain.rpc import NodeError, Rpc, Throttled
from headrace.errors import HeadraceError, Rejected, Unreachable
from headrace.ops.metrics import Metrics


class ObservedRpc(Rpc):
    """An Rpc whose requests are among the figures. A batch is timed as one."""

    def __init__(self, url: str, *, timeout: float, metrics: Metrics) -> None:
        """As an Rpc."""
        super().__init__(url, timeout=timeout)
        self._metrics = metrics

    def outcomes(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """As an Rpc's."""
        begun = time.monotonic()
        try:
            found = super().outcomes(calls)
        except HeadraceError as error:
            self._count(calls, [error] * len(calls))
            raise
        finally:
            self._metrics.rpc_seconds.labels(self.host).observe(time.monotonic() - begun)
        self._count(calls, found)
        return found

    def _count(self, calls: Sequence[tuple[str, Sequence[Any]]], found: Sequence[Any]) -> None:
        for (method, _), outcome in zip(calls, found, strict=True):
            self._metrics.rpc_requests.labels(self.host, method, code_of(outcome)).inc()


def code_of(outcome: object) -> str:
    """What a request's end is called: a revert is an answer, so it is no failure of the node."""
    if not isinstance(outcome, HeadraceError) or isinstance(outcome, Rejected):
        return "ok"
    if isinstance(outcome, Throttled):
        return "throttled"
    if isinstance(outcome, Unreachable):
        return "unreachable"
    return str(outcome.code) if isinstance(outcome, NodeError) else "error"
