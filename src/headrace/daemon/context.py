"""What a daemon works with, opened and checked: it all belongs to one chain and one deployment.

A daemon's home folder is `<home>/<name>`. Its `chain.db` holds the cursor and the logs it has read;
what else it wants to remember goes into files of its own beside it. The outbox is `<home>/outbox`:
a file per key and chain, so that every process with that key on this machine shares its nonces.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path

from headrace.chain import pace
from headrace.chain.accounts import Key
from headrace.chain.contract import Contract
from headrace.chain.contracts import JobEscrow, ProviderRegistry, Token, Vault
from headrace.chain.db import ChainDb
from headrace.chain.fees import SECONDS_PER_DAY
from headrace.chain.follower import Follower
from headrace.chain.graph_rules import GraphModels, GraphProof
from headrace.chain.jobs import JobBook
from headrace.chain.manifest import Deployment
from headrace.chain.outbox import PRUNE_AT_ONCE, Outbox
from headrace.chain.rpc import Header, Rpc
from headrace.chain.rules import FaultProof, MatchRules
from headrace.chain.sender import Sender
from headrace.chain.signer import Signer
from headrace.daemon.actions import Action, Performed, Performer
from headrace.daemon.books import Books
from headrace.daemon.disputes import DisputeBook
from headrace.daemon.games import GameBook
from headrace.daemon.loop import PASSING, Stop
from headrace.daemon.rehearsal import Rehearsal
from headrace.errors import UsageError
from headrace.ops.observer import Observer
from headrace.settings import Settings
from headrace.store.blobs import BlobStore
from headrace.store.board import Board
from headrace.terms.eip712 import Domain

log = logging.getLogger(__name__)

# Seconds of chain time between two looks for what the outbox may let go of.
_PRUNE_EVERY = 3_600


@dataclass(frozen=True, slots=True)
class View:
    """
    The chain as far as it has been read: to `head`, all of it. `jobs` and `claims` are the ids that
    were touched since the view before; in the first view they are everything that is live.
    `is_new` says whether the head is another block than in the view before.
    """

    head: Header
    jobs: frozenset[bytes]
    claims: frozenset[bytes]
    is_new: bool

    @property
    def block(self) -> int:
        """The block to read at."""
        return self.head.number

    @property
    def now(self) -> int:
        """Its time, unix seconds: the only clock that a decision may look at."""
        return self.head.timestamp


@dataclass(slots=True)
class Context:
    """Everything open. One thread."""

    name: str
    settings: Settings
    home: Path
    stop: Stop
    signer: Signer
    deployment: Deployment
    rpc: Rpc
    db: ChainDb
    follower: Follower
    books: Books
    outbox: Outbox
    sender: Sender
    store: BlobStore
    board: Board
    token: Token
    vault: Vault
    registry: ProviderRegistry
    rules: MatchRules
    escrow: JobEscrow
    fault_proof: FaultProof
    # Of a deployment that has version 2 of policy `exact`.
    graph_models: GraphModels | None = None
    graph_proof: GraphProof | None = None
    observer: Observer = field(default_factory=Observer)
    is_dry_run: bool = False
    # Whether the contracts are of the version that this program is for: if not, it only reads.
    is_supported: bool = True
    # Chain time from a block to the next, as of the last look that came to the head.
    block_seconds: Fraction = pace.DEFAULT
    performer: Performer = field(init=False)
    _seen: bytes = b""
    _pruned_at: int = -_PRUNE_EVERY
    # Touched, and not yet in a view.
    _touched_jobs: set[bytes] = field(init=False)
    _touched_claims: set[bytes] = field(init=False)

    def __post_init__(self) -> None:
        """The performer knows all contracts; the first view has all that is live."""
        kind = Rehearsal if self.is_dry_run else Performer
        self.performer = kind(self.sender, self.contracts)
        self._touched_jobs = set(self.jobs.live)
        self._touched_claims = self.disputes.unsettled | self.games.unsettled

    @property
    def jobs(self) -> JobBook:
        """The jobs that are going on."""
        return self.books.jobs

    @property
    def disputes(self) -> DisputeBook:
        """What FaultProof says of claims."""
        return self.books.disputes

    @property
    def games(self) -> GameBook:
        """What GraphProof says of claims, if it is deployed."""
        return self.books.games

    @property
    def address(self) -> str:
        """The account of the daemon's key."""
        return self.signer.address

    @property
    def key(self) -> Key:
        """The key itself, for what is no transaction. UsageError if it is on another machine."""
        if not isinstance(self.signer, Key):
            raise UsageError(
                f"a {self.name} signs offers too: it needs a keyfile, not HEADRACE_SIGNER_URL"
            )
        return self.signer

    @property
    def contracts(self) -> Mapping[str, Contract]:
        """The contracts by their names in the manifest."""
        found: list[Contract | None] = [
            self.token,
            self.vault,
            self.registry,
            self.rules,
            self.escrow,
            self.fault_proof,
            self.graph_models,
            self.graph_proof,
        ]
        return {
            contract.ARTIFACT if contract is not self.token else "Token": contract
            for contract in found
            if contract is not None
        }

    @property
    def domain(self) -> Domain:
        """What terms, batches and asks are signed for."""
        return Domain(self.deployment.chain_id, self.escrow.address)

    def look(self) -> View:
        """
        Look after the transactions under way, then read the chain to its head. RetryLater and
        Unreachable leave what was read until then in place: look again.
        """
        changed = self.sender.settle()
        self.observer.settled(changed, self.outbox)
        is_first = True
        while True:
            # Far behind, this takes longer than a lease lasts.
            self.outbox.hold()
            step = self.follower.step()
            self.observer.stepped(step, self.follower.final, self.follower.counters, self.rpc.host)
            jobs, claims = self.books.follow(step, self.follower.final, is_first=is_first)
            is_first = False
            self._touched_jobs |= jobs
            self._touched_claims |= claims
            self.observer.folded(step, self.jobs.live, self.db)
            # Far behind, this takes many steps: a stop doesn't wait for them.
            if step.is_caught_up or self.stop.is_set:
                break
        is_new = step.head.hash != self._seen
        if step.is_caught_up:
            if is_new:
                self.block_seconds = pace.block_seconds(step.head.number, self.db.time_of)
            self._tell_of_head(step.head)
            self.books.keep_checkpoint(self.follower.final)
            self._prune(step.head.timestamp)
        if is_new and step.is_caught_up and not self.is_dry_run:
            self._look_for_strangers(step.head)
        view = View(
            step.head, frozenset(self._touched_jobs), frozenset(self._touched_claims), is_new
        )
        self._seen = step.head.hash
        self._touched_jobs.clear()
        self._touched_claims.clear()
        return view

    def _tell_of_head(self, head: Header) -> None:
        made_at = partial(
            pace.made_at, head=head, seconds=self.block_seconds, time_of=self.db.time_of
        )
        self.observer.at_head(head.timestamp, self.block_seconds, made_at)

    def _look_for_strangers(self, head: Header) -> None:
        """Reading goes on whatever comes of it."""
        try:
            self.sender.look_for_strangers(head)
        except PASSING as error:
            log.debug("can't compare nonces now", extra={"why": str(error)})

    def _prune(self, now: int) -> None:
        """Let go of what is long final, a bounded piece a round, until there is none."""
        if 0 <= now - self._pruned_at < _PRUNE_EVERY:
            return
        keep_days = self.settings.outbox_keep_days
        gone = self.outbox.prune(now // SECONDS_PER_DAY, keep_days=keep_days)
        if gone:
            log.info("outbox pruned", extra={"rows": gone})
        if gone < PRUNE_AT_ONCE:
            self._pruned_at = now

    def perform(
        self,
        actions: Iterable[Action],
        view: View,
        *,
        before: Callable[[Action], None] = lambda action: None,
        after: Callable[[Performed], None] = lambda performed: None,
        left: Iterable[Action] = (),
    ) -> Performed:
        """
        `Performer.perform`, at the time of `view`; nothing once it is time to stop, or while the
        contracts are of another version than this program is for. What has to be done about what
        became of the moves belongs into `after`: an error may follow. `left` are moves that are
        due, and can't be tried now.
        """
        if self.stop.is_set or not self.is_supported:
            after(Performed())
            return Performed()
        actions = list(actions)
        due = [*actions, *left]

        def told(performed: Performed) -> None:
            # What a failure has left undone is due, and its time runs out.
            self.observer.performed(due, performed, view.now)
            after(performed)

        return self.performer.perform(actions, view.now, before=before, after=told)

    def close(self) -> None:
        """Close files and connections."""
        self.db.close()
        self.outbox.close()
        self.rpc.close()
