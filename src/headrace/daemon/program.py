"""A daemon as a program: opened, looped, stopped, and ended with a message a person can use."""

import logging
import sys
from collections.abc import Callable
from typing import NoReturn

from headrace import logging as json_logs
from headrace import settings as environment
from headrace.chain.accounts import Key
from headrace.chain.follower import Halted
from headrace.daemon import loop
from headrace.daemon.context import Context
from headrace.daemon.loop import Stop, Stopped
from headrace.daemon.opening import open_context
from headrace.errors import HeadraceError
from headrace.ops.checkup import Checkup
from headrace.ops.operations import Operations
from headrace.settings import Settings

log = logging.getLogger(__name__)

Tick = Callable[[], None]


def serve(
    name: str,
    settings: Settings,
    make: Callable[[Context], Tick],
    *,
    stop: Stop | None = None,
    key: Key | None = None,
    is_dry_run: bool = False,
) -> None:
    """
    Run the daemon `name` until `stop`: open its context, let `make` build its tick on it, and tick.
    A node that can't be reached is waited for, at the start too. HeadraceError if only a person can
    help. A dry run needs no key, and sends nothing. Without a `stop` given, SIGTERM and SIGINT stop
    it (main thread only).
    """
    if stop is None:
        stop = Stop()
        with stop.on_signals():
            try:
                _serve(name, settings, make, stop, key, is_dry_run)
            except Stopped:
                log.info("stopped in the middle", extra={"daemon": name})
        return
    _serve(name, settings, make, stop, key, is_dry_run)


def _serve(
    name: str,
    settings: Settings,
    make: Callable[[Context], Tick],
    stop: Stop,
    key: Key | None,
    is_dry_run: bool,
) -> None:
    def opened() -> Context:
        observer = operations.observer
        return open_context(name, settings, stop, key=key, observer=observer, is_dry_run=is_dry_run)

    # A dry run serves nothing: the port is that of the daemon it may run beside.
    served = settings.model_copy(update={"http_port": "0"}) if is_dry_run else settings
    with Operations(name, served) as operations:
        context = loop.until_it_works(operations.beating(opened), stop)
        if context is None:
            return
        try:
            tick = loop.until_it_works(operations.beating(lambda: make(context)), stop)
            if tick is not None:
                operations.opened()
                checkup = Checkup(context)
                rounds = operations.measured(lambda: _round(checkup, tick))
                loop.run(rounds, stop, poll=settings.poll_seconds)
        except Halted as error:
            operations.halted(str(error), stop)
            raise
        finally:
            context.close()
    log.info("stopped", extra={"daemon": name})


def _round(checkup: Checkup, tick: Tick) -> None:
    # First: a round that fails, for want of money perhaps, must not hide why.
    checkup.tick()
    tick()


def main(run: Callable[[Settings], None]) -> NoReturn:
    """
    The whole of a `__main__`: settings from the environment, JSON logs, exit code 1 with one clear
    line if a person has to help.
    """
    try:
        settings = environment.load()
        json_logs.configure(settings.log_level, secrets=settings.secrets())
        run(settings)
    except HeadraceError as error:
        if not logging.getLogger().handlers:
            json_logs.configure()
        log.error("ended", extra={"why": str(error), "error": type(error).__name__})
        sys.exit(1)
    sys.exit(0)
