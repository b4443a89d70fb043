"""Moves on chain: what they are called, and making each at most once.

An action's key names one deed (`finalise:<job>:<attempt>`): deciding it twice, or after a crash,
or in two rounds, leads to one transaction. That somebody else was faster is no failure: the
revert's reason says that the deed is done. An action that is refused for another reason is let be
until what it was decided on changes (its `ground`), or until a while has passed on chain.

No action keeps another from being made: whoever can have one answered oddly, or make it too dear,
would else hold up all that is due after it, in every round.
"""

import logging
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from headrace.chain.abi import BadAnswer
from headrace.chain.contract import Contract
from headrace.chain.outbox import Deferred
from headrace.chain.outbox_rows import Tx
from headrace.chain.rpc import NodeError, Throttled
from headrace.chain.sender import Sender
from headrace.daemon.kinds import kind_of
from headrace.errors import HeadraceError, Rejected, RetryLater, Unreachable

log = logging.getLogger(__name__)

# Seconds of chain time after which a refused action is tried again on the same ground: doubling.
FIRST_LAPSE = 30
LONGEST_LAPSE = 600
# Seconds of chain time for which a refusal is kept at all.
_FORGET = 7_200

# Errors that may be about one call alone: nothing was signed for it, and the others go on.
OF_ONE_CALL = (RetryLater, NodeError, BadAnswer)

# Our records are the chain's own: one that is wrong now belongs to an attempt that has ended.
_NOT_MATCHED = frozenset({"escrow: job is not matched", "escrow: wrong match record"})
_NOT_CLAIMED = frozenset({"escrow: no claim", "escrow: wrong record"})
_CONVICTED = _NOT_CLAIMED | {"proof: already refuted"}
_FALLEN = frozenset({"game: claim is refuted", "game: claim has fallen"})
_NOT_DEMANDED = frozenset({"game: no open demand", "game: nothing to answer for"})
# By contract and function: the reasons that say that the deed is done, by whomever, or that the
# time for it has gone by with the attempt.
DONE: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "JobEscrow.post_job": frozenset({"escrow: job exists"}),
        "JobEscrow.match": frozenset({"match: job is not open"}),
        "JobEscrow.match_batch": frozenset({"match: nothing to match"}),
        "JobEscrow.decline": _NOT_MATCHED,
        "JobEscrow.submit_claim": _NOT_MATCHED,
        "JobEscrow.finalise": _NOT_CLAIMED,
        "JobEscrow.expire": _NOT_MATCHED,
        "JobEscrow.refute": _NOT_CLAIMED,
        "JobEscrow.void_claim": _NOT_CLAIMED,
        "JobEscrow.cancel": frozenset({"escrow: job is not open"}),
        "FaultProof.demand_trace": _NOT_CLAIMED | {"dispute: already disputed"},
        "FaultProof.publish_trace": _NOT_CLAIMED | {"dispute: no open demand"},
        "FaultProof.silence": _NOT_CLAIMED | {"dispute: no open demand"},
        "FaultProof.settle_demand": frozenset({"dispute: already settled"}),
        "FaultProof.prove_matmul": _CONVICTED,
        "FaultProof.prove_argmax": _CONVICTED,
        "FaultProof.prove_padding": _CONVICTED,
        "FaultProof.prove_leaf_form": _CONVICTED,
        "FaultProof.prove_pad_node": _CONVICTED,
        "GraphProof.prove": _NOT_CLAIMED | {"graph: already refuted"},
        "GraphProof.commit_fault": _NOT_CLAIMED
        | {"graph: too late to commit", "game: already committed"},
        "GraphProof.claim_reward": _NOT_CLAIMED
        | {"graph: reward is paid", "graph: reward is settled", "graph: somebody was earlier"},
        "GraphProof.open": _NOT_CLAIMED
        | _FALLEN
        | {"graph: too late to open", "game: already demanded"},
        "GraphProof.demand": _FALLEN | {"game: already demanded"},
        "GraphProof.answer": _NOT_DEMANDED,
        "GraphProof.answer_leaf": _NOT_DEMANDED,
        "GraphProof.silence": _NOT_CLAIMED | _FALLEN | {"game: no demand to call out"},
        "GraphProof.settle_demand": frozenset({"game: no fee to settle"}),
    }
)


# Safety moves, as the proof's nonce is the one after theirs, that convict nobody by themselves.
_EARNING = frozenset({"GraphProof.commit_fault"})


@dataclass(frozen=True, slots=True)
class Action:
    """
    One move: `function` of `contract` (a name of the manifest: `JobEscrow`) with `args` as its ABI
    has them, words of `headrace.terms` included. `note` is what a person would want to read of it
    in a log. `ground` is what it was decided on, beyond the key. `gas` is a limit instead of the
    estimate. It is good from `not_before` on and while the time is at most `deadline`, in seconds
    of chain time.
    """

    key: str
    contract: str
    function: str
    args: tuple[Any, ...]
    note: str = ""
    ground: Hashable = ()
    gas: int | None = None
    not_before: int = 0
    deadline: int | None = None

    @property
    def what(self) -> str:
        """The function with its contract, as in `DONE`."""
        return f"{self.contract}.{self.function}"

    @property
    def is_safety(self) -> bool:
        """Whether it goes before all that only earns something."""
        return kind_of(self.what).is_safety

    def is_good(self, now: int) -> bool:
        """Whether chain time `now` is within its bounds."""
        return self.not_before <= now and (self.deadline is None or now <= self.deadline)


@dataclass(frozen=True, slots=True)
class Performed:
    """
    What became of a round's actions: `sent` are the transactions under way (new or not), `done` the
    keys of what turned out to be done, `refused` the reasons by key, `held` the keys of what was
    let be because of an earlier refusal, or because its time is not now, `deferred` why what waits:
    for the next block by a rule of our own (a cap, a budget, the reserve, the key's money), or for
    the next round because the node or the signer gave no proper answer, at this block and before.
    """

    sent: tuple[Tx, ...] = ()
    done: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    held: tuple[str, ...] = ()
    deferred: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Refusal:
    ground: Hashable
    reason: str
    until: int
    times: int


class Performer:
    """Performs actions through one Sender."""

    def __init__(
        self,
        sender: Sender,
        contracts: Mapping[str, Contract],
        *,
        done: Mapping[str, frozenset[str]] = DONE,
    ) -> None:
        """`contracts` by their names in the manifest."""
        self._sender = sender
        self._contracts = contracts
        self._done = done
        self._refusals: dict[str, _Refusal] = {}
        self._deferred: dict[str, str] = {}
        self._deferred_at = -1
        self._has_said = False
        # What the node or the signer had no proper answer to when it was last tried: since when.
        self._failed: dict[str, int] = {}

    def perform(
        self,
        actions: Iterable[Action],
        now: int,
        *,
        before: Callable[[Action], None] = lambda action: None,
        after: Callable[[Performed], None] = lambda performed: None,
    ) -> Performed:
        """
        Make the moves, the most urgent first (see `by_urgency`), but what failed when it was last
        tried after all others; `now` is the time of the block they were decided at. `before` is
        called for each that isn't held (a place to write something down first), `after` once with
        what became of them, also when an error follows. RetryLater, NodeError and BadAnswer about
        a move, the first of them, are raised after all others were made; Unreachable, Throttled,
        and what only a person can cure, leave the rest undone: decide again.
        """
        sent: list[Tx] = []
        done: list[str] = []
        refused: dict[str, str] = {}
        held: list[str] = []
        if now != self._deferred_at:
            # The next block may have room for what waited.
            self._has_said = bool(self._deferred)
            self._deferred, self._deferred_at = {}, now
        failed: dict[str, str] = {}
        failure: HeadraceError | None = None
        ordered = by_urgency(actions)
        keys = {action.key for action in ordered}
        self._failed = {key: since for key, since in self._failed.items() if key in keys}
        # Else a move that the node falls silent at would be the first in each round, and the only.
        ordered.sort(key=lambda action: action.key in self._failed)
        try:
            for action in ordered:
                if not action.is_good(now) or self._is_held(action, now):
                    held.append(action.key)
                    continue
                if action.key in self._deferred:
                    continue
                before(action)
                call = self._contracts[action.contract].call(action.function, *action.args)
                try:
                    tx = self._sender.submit(
                        action.key, call, gas=action.gas, deadline=action.deadline
                    )
                except Deferred as error:
                    self._defer(action, str(error))
                except Rejected as error:
                    if self._refuse(action, error.reason, now):
                        done.append(action.key)
                    else:
                        refused[action.key] = error.reason
                except (Unreachable, Throttled) as error:
                    self._fail(action, error, now)
                    raise
                except OF_ONE_CALL as error:
                    failure = failure or error
                    if self._fail(action, error, now):
                        failed[action.key] = str(error)
                    continue
                else:
                    if tx.is_pending:
                        log.debug("under way", extra={"action": action.key, "note": action.note})
                    sent.append(tx)
                self._failed.pop(action.key, None)
        finally:
            waiting = self._deferred | failed
            performed = Performed(tuple(sent), tuple(done), refused, tuple(held), waiting)
            after(performed)
        self._forget(now)
        if failure is not None:
            raise failure
        return performed

    def _fail(self, action: Action, error: HeadraceError, now: int) -> bool:
        """Not now; said once for as long as it lasts. Whether it failed at an earlier block too."""
        if action.key not in self._failed:
            self._failed[action.key] = now
            fields = {"action": action.key, "what": action.what, "why": str(error)}
            log.warning("no proper answer", extra=fields)
        return self._failed[action.key] < now

    def _defer(self, action: Action, why: str) -> None:
        """Not now; the first reason is logged, and then no other while anything waits."""
        self._deferred[action.key] = why
        if not self._has_said:
            self._has_said = True
            log.warning("waits", extra={"action": action.key, "what": action.what, "why": why})

    def _is_held(self, action: Action, now: int) -> bool:
        refusal = self._refusals.get(action.key)
        return refusal is not None and refusal.ground == action.ground and now < refusal.until

    def _refuse(self, action: Action, reason: str, now: int) -> bool:
        """Note a refusal; returns whether it only says that the deed is done."""
        before = self._refusals.get(action.key)
        times = before.times + 1 if before is not None and before.ground == action.ground else 0
        lapse = min(FIRST_LAPSE << min(times, 16), LONGEST_LAPSE)
        self._refusals[action.key] = _Refusal(action.ground, reason, now + lapse, times)
        is_done = reason in self._done.get(action.what, frozenset())
        if before is None or (before.ground, before.reason) != (action.ground, reason):
            fields = {"action": action.key, "what": action.what, "note": action.note, "why": reason}
            if is_done:
                log.info("done already", extra=fields)
            else:
                log.warning("refused", extra=fields)
        return is_done

    def _forget(self, now: int) -> None:
        stale = [key for key, refusal in self._refusals.items() if now > refusal.until + _FORGET]
        for key in stale:
            del self._refusals[key]


def by_urgency(actions: Iterable[Action]) -> list[Action]:
    """
    Safety moves first, those that only earn something last of them; then by deadline, those without
    one last; else in the given order.
    """
    never = 1 << 64
    return sorted(
        actions,
        key=lambda action: (
            not action.is_safety,
            action.what in _EARNING,
            never if action.deadline is None else action.deadline,
        ),
    )


def under_way(sent: Iterable[Tx]) -> tuple[str, ...]:
    """The keys of the transactions that are in no block yet."""
    return tuple(tx.action for tx in sent if tx.is_pending)
