"""A dry run: everything is read, planned and simulated, and nothing is signed or sent.

It needs no key: moves are simulated from an account that was made up for the run and has nothing.
Its home folder is apart from the daemon's, so that both may run at once.
"""

import logging
import secrets
from collections.abc import Callable, Hashable, Iterable, Mapping
from pathlib import Path

from headrace.chain.accounts import Key
from headrace.chain.contract import Contract
from headrace.chain.rpc import Throttled
from headrace.chain.sender import Sender
from headrace.daemon.actions import DONE, OF_ONE_CALL, Action, Performed, Performer, by_urgency
from headrace.errors import HeadraceError, Rejected, Unreachable

log = logging.getLogger(__name__)

SUFFIX = "-dry-run"


def made_up_key() -> Key:
    """The key of an account that nobody has ever used."""
    return Key.of(secrets.token_bytes(32))


def empty_outbox(home: Path) -> Path:
    """Where the outbox of a dry run is, which nothing is ever in: that of an earlier run goes."""
    path = home / "outbox.db"
    for file in home.glob(f"{path.name}*"):
        file.unlink()
    return path


class Rehearsal(Performer):
    """Simulates what a Performer would send, and says each outcome once."""

    def __init__(self, sender: Sender, contracts: Mapping[str, Contract]) -> None:
        """As a Performer."""
        super().__init__(sender, contracts)
        self._said: dict[str, tuple[Hashable, str]] = {}

    def perform(
        self,
        actions: Iterable[Action],
        now: int,
        *,
        before: Callable[[Action], None] = lambda action: None,
        after: Callable[[Performed], None] = lambda performed: None,
    ) -> Performed:
        """
        As `Performer.perform`, but nothing is sent and `before` is not called: `held` are the keys
        of what would have been sent. Errors as there.
        """
        would: list[str] = []
        done: list[str] = []
        refused: dict[str, str] = {}
        failure: HeadraceError | None = None
        try:
            for action in by_urgency(actions):
                if not action.is_good(now):
                    continue
                call = self._contracts[action.contract].call(action.function, *action.args)
                try:
                    self._sender.simulate(call)
                except Rejected as error:
                    if error.reason in DONE.get(action.what, frozenset()):
                        done.append(action.key)
                    else:
                        refused[action.key] = error.reason
                        self._say(action, "would be refused", error.reason)
                except (Unreachable, Throttled):
                    raise
                except OF_ONE_CALL as error:
                    failure = failure or error
                    self._say(action, "no proper answer", str(error))
                else:
                    would.append(action.key)
                    self._say(action, "would send", "")
        finally:
            performed = Performed(done=tuple(done), refused=refused, held=tuple(would))
            after(performed)
        if failure is not None:
            raise failure
        return performed

    def _say(self, action: Action, outcome: str, why: str) -> None:
        news = (action.ground, outcome + why)
        if self._said.get(action.key) != news:
            self._said[action.key] = news
            fields = {"action": action.key, "what": action.what, "note": action.note}
            log.info(outcome, extra=fields | ({"why": why} if why else {}))
