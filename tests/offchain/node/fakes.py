"""A chain in memory with the moves that nodes and watchers make, behind what a Context offers."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from headrace.chain.accounts import Key
from headrace.chain.jobs import Attempt, Job, JobBook
from headrace.chain.rpc import Header
from headrace.chain.views import Account, ClaimRef, JobState, Provider
from headrace.daemon.actions import Action, Performed
from headrace.daemon.context import View
from headrace.daemon.disputes import Case, DisputeBook
from headrace.daemon.games import GameBook
from headrace.daemon.loop import Stop
from headrace.graph.model import Model
from headrace.graph.tensors import input_bytes
from headrace.ops.observer import Observer
from headrace.store.blobs import BlobStore
from headrace.store.board import Board
from headrace.terms import eip712
from headrace.terms.words import FaultProofSettings, Record, Terms, claim_id
from tests.offchain.terms.examples import KEEPER, REQUESTER, T0, VERIFIER, address, make_terms
from tests.unit.fault_proof.court import random_input, small_model

KEY = Key.of(b"\x21" * 32)
OWNER = address(0x51)
DOMAIN = eip712.Domain(31_337, address(0x52))
SETTINGS = FaultProofSettings(window=30, reply=10, follow=8)
UNITS = 3
ACK, ATTEMPT = 12, 40


class Crash(BaseException):
    """SIGKILL, as far as a test in one process can have it."""


@dataclass
class Fuse:
    """Crashes at the `left`th step; never if it is negative."""

    left: int = -1

    def step(self) -> None:
        if self.left < 0:
            return
        self.left -= 1
        if self.left < 0:
            raise Crash


class Fused:
    """An object each of whose `names` may crash before it does anything, or after all of it."""

    def __init__(self, inner: Any, fuse: Fuse, *names: str) -> None:
        self._inner = inner
        self._fuse = fuse
        self._names = names

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self._names:
            return found

        def call(*args: Any, **options: Any) -> Any:
            self._fuse.step()
            result = found(*args, **options)
            self._fuse.step()
            return result

        return call


class FakeChain:
    """
    The contracts' side of the moves, and everything a daemon's context offers. A refused move is
    noted in `refused`; those that went through are in `moves`, as (function, args). `deadlines` has
    that of the last move of each function that was asked for.
    """

    def __init__(self, folder: Path) -> None:
        self.now = T0
        self.number = 1
        self.model: Model = small_model()
        self.rng = np.random.default_rng(3)
        self.moves: list[tuple[str, tuple[Any, ...]]] = []
        self.refused: list[tuple[str, str]] = []
        self.deadlines: dict[str, int | None] = {}
        self.fuse = Fuse()
        self.folder = folder
        self.touched: set[bytes] = set()
        # What a Context has.
        self.jobs = JobBook()
        self.disputes = DisputeBook()
        self.games = GameBook()
        self.store = BlobStore(folder / "store")
        self.board = Board(folder / "board")
        self.key = KEY
        self.address = KEY.address
        self.stop = Stop()
        self.registry = self
        self.vault = self
        self.outbox = self
        self.rpc = self
        self.observer = Observer()
        self.home = folder / "home"
        self.fault_proof = FakeContract(VERIFIER)
        self.provider = Provider(
            *(1, True, KEY.address, OWNER, 5_000_000, 0, 0, T0),
            *(0, 0, 0, 0, 0, 0, 0, 0),
        )
        self.account = Account(free=10**6, reserved_escrow=0, reserved_registry=0, books=4)
        self._last = 0
        self.store.put_model(self.model)

    # ---- what a Context does

    def look(self) -> View:
        header = Header(self.number, self.number.to_bytes(32), b"", self.now, 1)
        view = View(header, frozenset(self.touched), frozenset(), self.number != self._last)
        self._last = self.number
        self.touched.clear()
        return view

    def perform(
        self,
        actions: Any,
        view: View,
        *,
        before: Callable[[Action], None] = lambda action: None,
        after: Callable[[Performed], None] = lambda performed: None,
    ) -> Performed:
        done = []
        for action in actions:
            self.deadlines[action.function] = action.deadline
            if not action.is_good(view.now):
                continue
            self.fuse.step()
            before(action)
            reason = getattr(self, action.function)(*action.args)
            if reason:
                self.refused.append((action.key, reason))
            else:
                self.moves.append((action.function, action.args))
                done.append(action.key)
            self.fuse.step()
        performed = Performed(done=tuple(done))
        after(performed)
        return performed

    def provider_of(self, provider: str, block: int) -> Provider:
        assert (provider, block) == (OWNER, self.number)
        return self.provider

    def account_of(self, account: str, block: int) -> Account:
        assert (account, block) == (self.address, self.number)
        return self.account

    def unsettled(self) -> list[Any]:
        return []

    # ---- the world's moves

    def later(self, seconds: int = 1) -> None:
        self.now += seconds
        self.number += 1

    def terms(self, *, has_input: bool = True, units: int = UNITS, **changes: Any) -> Terms:
        tensor = random_input(self.rng, units, self.model.input_width)
        values: dict[str, Any] = {
            "verifier": VERIFIER,
            "settings": SETTINGS.pack(),
            "program": self.model.program,
            "input_id": bytes.fromhex(self.store.put_tensor(tensor)) if has_input else b"\xee" * 32,
            "units": units,
            "input_bytes": input_bytes(units, self.model.input_width),
            "ack_seconds": ACK,
            "attempt_seconds": ATTEMPT,
            "salt": len(self.jobs.jobs),
        }
        return make_terms(**(values | changes))

    def match(self, terms: Terms, *, provider: str = OWNER, node: int = 0, attempt: int = 1) -> Job:
        record = Record(
            requester=REQUESTER,
            price=10**6,
            no_show_bps=5_000,
            provider=provider,
            lock=3 * 10**6,
            node=node,
            max_attempts=3,
            declines=0,
            keeper=KEEPER,
            tip=0,
            charge_bps=0,
            verifier=terms.verifier,
            settings=terms.settings,
            price_cap=terms.price_cap,
            levy=0,
            damage_cap=0,
            keeper_fee=0,
            matched_at=self.now,
            final_deadline=terms.final_deadline,
            ack_seconds=terms.ack_seconds,
            operator=KEY.address,
            window=SETTINGS.window,
        )
        job = Job(
            id=eip712.job_id(terms, DOMAIN),
            terms=terms,
            posted_in=1,
            state=JobState.MATCHED,
            attempt=attempt,
            attempts=(Attempt(record, b"\x01" * 32),),
        )
        self.set(job)
        return job

    def set(self, job: Job) -> None:
        """Put a job where its event would have put it."""
        self.jobs.jobs[job.id] = job
        (self.jobs.live.add if job.state.is_live else self.jobs.live.discard)(job.id)
        self.touched.add(job.id)

    def change(self, job_id: bytes, state: JobState, **attempt: Any) -> Job:
        job = self.jobs.jobs[job_id]
        last = replace(job.attempts[-1], **attempt)
        job = replace(job, state=state, attempts=(*job.attempts[:-1], last))
        self.set(job)
        return job

    def claimed(self, terms: Terms, commitment: bytes) -> Job:
        """A claim that somebody has made."""
        job = self.match(terms)
        return self.change(
            job.id, JobState.CLAIMED, outcome="claimed", commitment=commitment, claimed_at=self.now
        )

    def case(self, job: Job, **changes: Any) -> Case:
        """Record a dispute about the job's claim."""
        name = claim_id(job.id, job.attempt, job.attempts[-1].record.provider)
        case = replace(self.disputes.cases.get(name, Case(name)), **changes)
        self.disputes.cases[name] = case
        (self.disputes.unsettled.add if case.has_fee else self.disputes.unsettled.discard)(name)
        return case

    def demanded(self, job: Job, demander: str = REQUESTER) -> Job:
        self.case(job, demander=demander, due=self.now + SETTINGS.reply)
        return self.change(job.id, JobState.CONTESTED)

    def reload(self) -> None:
        """A new process sees everything that is live as touched."""
        self.touched = set(self.jobs.live)
        self._last = 0

    # ---- the contracts; each says why not, or does it

    def _matched(self, job_id: bytes, record: Record) -> str:
        job = self.jobs.jobs[job_id]
        if job.state != JobState.MATCHED:
            return "escrow: job is not matched"
        return "" if job.record == record else "escrow: wrong record"

    def submit_claim(self, job_id: bytes, record: Record, commitment: bytes) -> str:
        if why := self._matched(job_id, record):
            return why
        if self.now > self.jobs.jobs[job_id].claim_until:
            return "claim: too late"
        self.change(
            job_id, JobState.CLAIMED, outcome="claimed", commitment=commitment, claimed_at=self.now
        )
        return ""

    def decline(self, job_id: bytes, record: Record) -> str:
        if why := self._matched(job_id, record):
            return why
        if self.now > self.jobs.jobs[job_id].decline_until:
            return "decline: too late"
        self.change(job_id, JobState.OPEN, outcome="declined")
        return ""

    def _job_of(self, ref: ClaimRef) -> Job:
        return self.jobs.jobs[eip712.job_id(ref.terms, DOMAIN)]

    def publish_trace(self, ref: ClaimRef, data: bytes) -> str:
        job = self._job_of(ref)
        case = self.disputes.cases[job.claim_id or b""]
        if not case.is_demanded:
            return "dispute: no open demand"
        if self.now > case.due:
            return "proof: reply is over"
        self.case(job, publisher=self.address, published_in=b"\x0f" * 32, published_at=self.now)
        return ""

    def demand_trace(self, ref: ClaimRef) -> str:
        job = self._job_of(ref)
        if job.state != JobState.CLAIMED:
            return "dispute: already disputed"
        if self.now > job.claimed_at + SETTINGS.window:
            return "contest: window is over"
        self.demanded(job, self.address)
        return ""

    def silence(self, ref: ClaimRef) -> str:
        job = self._job_of(ref)
        case = self.disputes.cases[job.claim_id or b""]
        if not case.is_demanded or self.now <= case.due:
            return "proof: reply is running"
        return self._refute(job, case.demander or "")

    def prove_matmul(self, ref: ClaimRef, *arguments: Any) -> str:
        job = self._job_of(ref)
        if not job.state.is_claimed:
            return "escrow: no claim"
        return self._refute(job, self.address)

    def _refute(self, job: Job, refuter: str) -> str:
        self.case(job, refuter=refuter)
        self.change(job.id, JobState.REFUTED, outcome="refuted", refuter=refuter, to_refuter=7)
        return ""

    def settle_demand(self, job_id: bytes, record: Record, attempt: int) -> str:
        self.case(self.jobs.jobs[job_id], is_settled=True)
        return ""

    def heartbeat(self, provider: str) -> str:
        self.provider = replace(self.provider, last_seen=self.now)
        return ""

    def set_available(self, provider: str, is_available: bool) -> str:
        self.provider = replace(self.provider, is_available=is_available)
        return ""

    def done(self, function: str) -> list[tuple[Any, ...]]:
        """The arguments of each move of a function that went through."""
        return [args for name, args in self.moves if name == function]


@dataclass(frozen=True)
class FakeContract:
    """Something with an address."""

    address: str
