"""Several nodes of one chain behind one `Rpc`: whoever answers well is asked.

Reading the chain's logs and acting on it have budgets of their own, so that a catch-up which a node
throttles never keeps a transaction from being sent. A node that serves another chain is put aside
for good; one that fails, lags or answers nonsense is left for the next one. Nothing here decides
what is true: that needs two nodes' words, and `second` gives the other one.
"""

import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.chain.rpc import NOT_TWICE, Rpc, Throttled, to_bytes, to_int
from headrace.errors import HeadraceError, Unreachable, UsageError

log = logging.getLogger(__name__)

# What only reads logs and the headers around them; every other request is for acting.
_READING = frozenset(
    ("eth_getLogs", "eth_getBlockByNumber", "eth_getBlockByHash", "eth_getBlockReceipts")
)
# Tries of one request, over all nodes, and the pauses between them in seconds.
TRIES = 3
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 0.5
# The longest pause that is slept through: a longer one is the caller's, who has other work.
_SHORT_WAIT = 0.25
# Seconds for which a node that failed is left alone, doubling up to the second one.
_FIRST_REST = 1.0
_LONGEST_REST = 60.0
# Seconds between two requests after a first complaint, doubling with each, up to the second one.
_FIRST_GAP = 0.01
_LONGEST_GAP = 2.0


@dataclass(slots=True)
class Budget:
    """How fast one node may be asked for one purpose. Times are of the pool's own clock."""

    free_at: float = 0.0
    gap: float = 0.0
    complaints: int = 0

    def used(self, now: float, count: int) -> None:
        """`count` requests were answered: the pace recovers."""
        self.complaints = 0
        self.gap = self.gap * 0.9 if self.gap > _FIRST_GAP / 4 else 0.0
        self.free_at = now + self.gap * count

    def throttled(self, now: float, wait: float | None, draw: float) -> None:
        """The node asked for patience; `draw` in [0, 1) spreads those who are not told how much."""
        if wait is None:
            wait = min(_FIRST_REST * 2.0**self.complaints, _LONGEST_REST) * (0.5 + draw)
        self.complaints = min(self.complaints + 1, 16)
        self.free_at = max(self.free_at, now + wait)
        self.slow_down()

    def slow_down(self) -> None:
        """Ask half as often from now."""
        self.gap = min(max(2 * self.gap, _FIRST_GAP), _LONGEST_GAP)


@dataclass(slots=True)
class _Node:
    rpc: Rpc
    spare: Rpc | None = None
    reading: Budget = field(default_factory=Budget)
    acting: Budget = field(default_factory=Budget)
    is_checked: bool = False
    wrong: str = ""
    failures: int = 0
    rests_until: float = 0.0


class Endpoints(Rpc):
    """The nodes behind one `Rpc`. Not to be shared between threads."""

    def __init__(  # the nodes have the connections: there is none of its own to set up
        self,
        nodes: Sequence[Rpc],
        *,
        chain_id: int | None = None,
        genesis: bytes | None = None,
        make: Callable[[int], Rpc] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """
        `nodes` in the order of preference. Each is asked for its chain before it is first used if
        `chain_id` is given, and for its first block if `genesis` is. `make` makes another
        connection to the node at an index.
        """
        self._nodes = [_Node(rpc) for rpc in nodes]
        self._current = 0
        self._chain_id = chain_id
        self._genesis = genesis
        self._make = make
        self._clock = clock
        self._sleep = sleep
        self._draw = draw
        self.host = nodes[0].host

    def __repr__(self) -> str:
        return f"Endpoints({', '.join(node.rpc.host for node in self._nodes)})"

    def close(self) -> None:
        """Drop all connections."""
        for node in self._nodes:
            node.rpc.close()
            if node.spare is not None:
                node.spare.close()

    # ---- other nodes

    def second(self) -> Rpc | None:
        """A node beside the one in use that serves the chain and answers now."""
        for node in self._others():
            now = self._clock()
            if node.rests_until > now or node.reading.free_at > now:
                continue
            try:
                self._check(node)
            except (Unreachable, Throttled):
                continue
            if not node.wrong:
                return _Single(self, node)
        return None

    @property
    def is_alone(self) -> bool:
        """Whether all other nodes, if there are any, serve another chain."""
        return not self._others()

    def ask(self, node: _Node, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """The outcomes of one node alone, tried once."""
        outcomes, failure = self._try(node, calls, reading=True)
        if failure is not None and not outcomes:
            raise failure
        return outcomes

    def spare(self) -> Rpc | None:
        """A second connection to the node in use, unless that one has asked for patience."""
        node = self._nodes[self._current]
        if node.reading.gap or node.reading.free_at > self._clock() or not node.is_checked:
            return None
        if node.spare is None and self._make is not None:
            node.spare = self._make(self._current)
        return node.spare

    def distrust(self, why: str) -> None:
        """Leave the node in use for the next one that serves the chain, if there is one."""
        if others := self._others():
            log.warning("node left", extra={"node": self.host, "why": why})
            self._turn_to(others[0])

    def _others(self) -> list[_Node]:
        ordered = self._nodes[self._current :] + self._nodes[: self._current]
        now = self._clock()
        return sorted(
            (node for node in ordered[1:] if not node.wrong), key=lambda n: n.rests_until > now
        )

    def _turn_to(self, node: _Node) -> None:
        self._current = self._nodes.index(node)
        self.host = node.rpc.host

    # ---- requests

    def outcomes(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """
        As of one node, tried up to three times over all of them. UsageError if none of them serves
        the chain, Throttled if all ask for patience, Unreachable if none answers.
        """
        may_repeat = not any(method.startswith(NOT_TWICE) for method, _ in calls)
        reading = all(method in _READING for method, _ in calls)
        attempt = 0
        while True:
            node = self._pick(reading=reading)
            outcomes, failure = self._try(node, calls, reading=reading)
            if failure is None:
                return outcomes
            attempt += 1
            if not may_repeat or attempt == TRIES:
                if outcomes:
                    return outcomes
                raise failure
            self._move_on(node)
            if len(self._nodes) == 1 and isinstance(failure, Unreachable):
                pause = min(_FIRST_PAUSE * 2 ** (attempt - 1), _LONGEST_PAUSE)
                self._sleep(pause * (0.5 + self._draw()))

    def _try(
        self, node: _Node, calls: Sequence[tuple[str, Sequence[Any]]], *, reading: bool
    ) -> tuple[list[Any], HeadraceError | None]:
        budget = node.reading if reading else node.acting
        outcomes: list[Any] = []
        try:
            self._check(node)
            if node.wrong:
                return [], UsageError(node.wrong)
            outcomes = node.rpc.outcomes(calls)
        except (Unreachable, Throttled) as error:
            failure: HeadraceError | None = error
        else:
            bad = [found for found in outcomes if isinstance(found, Unreachable | Throttled)]
            failure = bad[0] if bad else None
        now = self._clock()
        if isinstance(failure, Throttled):
            budget.throttled(now, failure.wait, self._draw())
            if not reading:
                node.reading.slow_down()  # what acting lacks, reading has taken
            log.warning("throttled", extra={"node": node.rpc.host, "why": str(failure)})
        elif failure is not None:
            rest = min(_FIRST_REST * 2.0**node.failures, _LONGEST_REST)
            node.failures = min(node.failures + 1, 16)
            node.rests_until = now + rest
            # It may come back as another one.
            node.is_checked = False
        else:
            node.failures, node.rests_until = 0, 0.0
            budget.used(now, len(calls) if reading else 0)
        return outcomes, failure

    def _pick(self, *, reading: bool) -> _Node:
        """The first node that may be asked now, the one in use before others."""
        ordered = self._nodes[self._current :] + self._nodes[: self._current]
        right = [node for node in ordered if not node.wrong]
        if not right:
            raise UsageError(self._nodes[0].wrong)

        def free_at(node: _Node) -> float:
            return (node.reading if reading else node.acting).free_at

        now = self._clock()
        ready = [node for node in right if free_at(node) <= now + _SHORT_WAIT]
        if not ready:
            wait = min(map(free_at, right)) - now
            raise Throttled(f"all nodes ask to slow down (wait: {wait:.1f} s)", wait)
        node = min(ready, key=lambda n: n.rests_until if n.rests_until > now else 0.0)
        if (pause := free_at(node) - now) > 0:
            self._sleep(pause)
        return node

    def _move_on(self, node: _Node) -> None:
        if self._nodes[self._current] is node and node.rests_until > self._clock():
            others = self._others()
            if others:
                log.warning("node left", extra={"node": node.rpc.host, "why": "it does not answer"})
                self._turn_to(others[0])

    def _check(self, node: _Node) -> None:
        """Find out whether a node serves the chain. Unreachable, Throttled if it can't say now."""
        if node.is_checked:
            return
        if self._chain_id is None and self._genesis is None:
            node.is_checked = True  # nobody said what it should be
            return
        answers = node.rpc.batch([("eth_chainId", ()), ("eth_getBlockByNumber", ("0x0", False))])
        chain_id = to_int(answers[0])
        if self._chain_id is not None and chain_id != self._chain_id:
            node.wrong = (
                f"the node at {node.rpc.host} serves chain {chain_id}, not {self._chain_id}: "
                "check the RPC URL and the manifest"
            )
        elif self._genesis is not None and _hash_of(answers[1]) != self._genesis:
            node.wrong = (
                f"the node at {node.rpc.host} serves another chain with the id {chain_id} (a local "
                "chain that was started anew?)"
            )
        node.is_checked = True
        if node.wrong:
            log.error("node put aside", extra={"node": node.rpc.host, "why": node.wrong})
            if self._nodes[self._current] is node and (others := self._others()):
                self._turn_to(others[0])


class _Single(Rpc):
    """One node of several; what goes wrong with it is the pool's to know."""

    def __init__(self, pool: Endpoints, node: _Node) -> None:  # it has no connection of its own
        self._pool = pool
        self._node = node
        self.host = node.rpc.host

    def __repr__(self) -> str:
        return f"Rpc({self.host})"

    def outcomes(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """As of the node."""
        return self._pool.ask(self._node, calls)

    def close(self) -> None:
        """The pool's connections stay."""


def _hash_of(block: object) -> bytes:
    return to_bytes(block.get("hash"), 32) if isinstance(block, dict) else b""


def connect(
    urls: str,
    *,
    timeout: float = 20.0,
    chain_id: int | None = None,
    genesis: bytes | None = None,
    make: Callable[..., Rpc] | None = None,
) -> Rpc:
    """
    The node, or the nodes, at the URLs in `urls`, separated by commas; `make` makes the connections
    to each, with the arguments of Rpc. UsageError if one can't be a URL or none is given. Nothing
    is sent yet.
    """
    given = [url.strip() for url in urls.split(",") if url.strip()]
    made = make or Rpc
    nodes = [made(url, timeout=timeout) for url in given]
    if not nodes:
        raise UsageError("the RPC URL must start with http:// or https:// and name a host")
    return Endpoints(
        nodes,
        chain_id=chain_id,
        genesis=genesis,
        make=lambda index: made(given[index], timeout=timeout),
    )
