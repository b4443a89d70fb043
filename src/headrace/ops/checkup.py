"""What readiness is made of, looked at every few seconds by the daemon's own loop.

Each check says in words what it found. A node that doesn't answer leaves the checks as they were:
they grow stale, and a stale check doesn't hold (see `Health`).
"""

import logging
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.chain import artifacts
from headrace.chain.manifest import NAMES, Deployment
from headrace.chain.rpc import Rpc, to_bytes, to_int
from headrace.daemon.loop import PASSING
from headrace.errors import HeadraceError, UsageError

if TYPE_CHECKING:
    from headrace.daemon.context import Context

log = logging.getLogger(__name__)

# Seconds between two check-ups, and between two comparisons of all contracts' code.
EVERY = 10.0
CODE_EVERY = 600.0
# A disk with less than this is as good as full.
LEAST_FREE = 64 << 20
_ETHER = 10**18
# The token may be anybody's; the rest is this program's.
_OURS = NAMES[1:]


class Checkup:
    """The check-ups of one daemon. One thread: it uses the daemon's own connections."""

    def __init__(self, context: "Context", *, clock: Callable[[], float] = time.monotonic) -> None:
        """The first one is due at once."""
        self._context = context
        self._metrics = context.observer.metrics
        self._clock = clock
        self._next = self._next_code = clock()

    def tick(self) -> None:
        """Check what is due. What the node can't say now grows stale."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + EVERY
        self._database()
        self._nonce()
        self._finality()
        self._jobs()
        try:
            self._node()
            if now >= self._next_code:
                self._contracts()
                self._next_code = now + CODE_EVERY
        except PASSING as error:
            log.debug("can't check now", extra={"why": str(error)})

    def _report(self, check: str, is_ok: bool, detail: str) -> None:
        if self._context.observer.health.report(check, is_ok, detail):
            say = log.info if is_ok else log.error
            say("ready" if is_ok else "not ready", extra={"check": check, "why": detail})

    def _database(self) -> None:
        home = self._context.home
        problem = unwritable(home)
        self._report("database", problem is None, problem or f"{home} can be written")

    def _nonce(self) -> None:
        foreign = self._context.outbox.latched()
        self._metrics.foreign_nonce.set(foreign is not None)
        self._report("nonce", foreign is None, foreign or "no stranger sends with this key")

    def _finality(self) -> None:
        halted = self._context.db.note("halted")
        self._metrics.finality_violated.set(halted is not None)
        self._report("finality", halted is None, halted or "no final block was rewritten")

    def _jobs(self) -> None:
        book = self._context.jobs
        states = (book.jobs[job_id].state for job_id in book.live)
        self._metrics.jobs.clear()
        for state, count in Counter(states).items():
            self._metrics.jobs.labels(state.name.lower()).set(count)

    def _node(self) -> None:
        context = self._context
        chain, balance, nonce = context.rpc.outcomes(
            [
                ("eth_chainId", ()),
                ("eth_getBalance", (context.address, "latest")),
                ("eth_getTransactionCount", (context.address, "latest")),
            ]
        )
        for outcome in (chain, balance, nonce):
            if isinstance(outcome, HeadraceError):
                raise outcome
        expected, actual = context.deployment.chain_id, to_int(chain)
        self._report("chain", actual == expected, f"the node serves chain {actual}")
        self._balance(to_int(balance))
        context.observer.nonces(to_int(nonce), context.outbox.unsettled())

    def _balance(self, balance: int) -> None:
        address, reserve = self._context.address, self._context.settings.reserve
        self._metrics.key_balance.set(balance)
        self._metrics.key_reserve.set(reserve)
        shown = f"{address} has {balance / _ETHER:.6f} for gas"
        if self._context.is_dry_run:
            self._report("balance", True, "a dry run pays for nothing")
        elif balance < reserve:
            shown += f", less than {reserve / _ETHER:.6f}: send it some"
            self._report("balance", False, shown)
        else:
            self._report("balance", True, shown)

    def _contracts(self) -> None:
        context = self._context
        try:
            context.deployment.verify(context.rpc)
            problem = unsupported(context.rpc, context.deployment)
        except UsageError as error:
            problem = str(error)
        context.is_supported = problem is None
        self._report("contracts", problem is None, problem or "all are of this program's version")


def unwritable(folder: Path) -> str | None:
    """Why nothing could be kept in `folder`, which may not be there yet; None if it could."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    probe = there / f".probe-{os.getpid()}"
    try:
        free = shutil.disk_usage(there).free
        if free < LEAST_FREE:
            return f"{folder} has {free >> 20} MiB left: make room"
        with probe.open("wb") as file:
            file.write(bytes(4_096))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return f"{folder} can't be written: {error.strerror}"
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
    return None


def unsupported(rpc: Rpc, deployment: Deployment) -> str | None:
    """Which contract is of another version than this program is for; None if none is."""
    names = [name for name in _OURS if name in deployment.contracts]
    requests = [("eth_getCode", (deployment.address(name), "latest")) for name in names]
    for name, code in zip(names, rpc.batch(requests), strict=True):
        if not to_bytes(code).startswith(artifacts.load(name).runtime):
            return (
                f"{name} is of another version than this program is for: use the program that "
                "belongs to the deployment"
            )
    return None
