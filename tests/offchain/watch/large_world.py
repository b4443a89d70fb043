"""GraphProof's side of a watcher's moves, in memory, with providers that answer every demand."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from headrace.chain.abi import Call
from headrace.chain.graph_rules import REWARD_BLOCKS, CaseRef, Node, fault_digest
from headrace.chain.jobs import Job
from headrace.chain.rpc import Header
from headrace.chain.sender import Means
from headrace.chain.views import Account, ClaimRef, JobState
from headrace.daemon.actions import Action, Performed
from headrace.daemon.context import View
from headrace.daemon.games import Game, NodeState, Promise
from headrace.errors import Unreachable
from headrace.graph2.faults import Proof
from headrace.graph2.game_tree import GameNode, Shape, children_of, hash_of, leaf_of
from headrace.graph2.trace import Trace, run
from headrace.input_forms import GraphInput
from headrace.terms.words import FaultProofSettings
from headrace.watch.large_claims import LargeClaims
from headrace.watch.record import WatchRecord
from tests.offchain.node.fakes import FakeChain, FakeContract
from tests.offchain.terms.examples import VERIFIER
from tests.unit.graph_proof.court import lie, small_model

UNITS = 3
SETTINGS = FaultProofSettings(window=60, reply=10, follow=8)
FEE = 1_000
BOOKS = 1 << 3


# Units of gas of each move, as estimated.
GAS = {
    "GraphProof.commit_fault": 150,
    "GraphProof.prove": 500,
    "GraphProof.claim_reward": 600,
    "GraphProof.open": 70,
    "GraphProof.demand": 70,
    "FaultProof.demand_trace": 70,
}


@dataclass(frozen=True)
class Encoder:
    """A contract's calls, without their data."""

    name: str

    def call(self, function: str, *args: Any) -> Call:
        return Call("", b"", f"{self.name}.{function}")


class World(FakeChain):
    """
    A block a second. `put_off` are functions that a cap forbids now, `stops` those that the chain
    refuses; what is `pending` is sent, and in no block yet. A unit of gas costs a wei; the node is
    `mute` about these: "means", "header".
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.number = 1_000
        self.large = small_model()
        self.store.put_model(self.large)
        self.account = Account(free=10**6, reserved_escrow=0, reserved_registry=0, books=BOOKS)
        self.wei = 10**18
        self.mute: set[str] = set()
        self.sender = self
        self.contracts = {name: Encoder(name) for name in ("GraphProof", "FaultProof")}
        self.left: set[str] = set()
        self.put_off: set[str] = set()
        self.stops: set[str] = set()
        self.pending: set[str] = set()
        self.traces: dict[bytes, Trace] = {}

    # ---- what a node says

    def header(self, number: int) -> Header:
        self._speak("header")
        return Header(number, number.to_bytes(32), b"", self.now - self.number + number, 1)

    def _speak(self, of: str) -> None:
        if of in self.mute:
            raise Unreachable("the node is away")

    # ---- what a Sender and its outbox say

    def means(self) -> Means:
        self._speak("means")
        return Means(self.wei, 1)

    def gas_of(self, call: Call) -> int:
        return GAS[call.what]

    def of_action(self, key: str) -> Any:
        return SimpleNamespace(state="open") if key in self.left else None

    def perform(
        self,
        actions: Any,
        view: View,
        *,
        before: Callable[[Action], None] = lambda action: None,
        after: Callable[[Performed], None] = lambda performed: None,
    ) -> Performed:
        done, refused, deferred = [], {}, {}
        for action in actions:
            self.deadlines[action.function] = action.deadline
            if action.function in self.put_off:
                deferred[action.key] = "gas costs too much"
            elif action.function in self.stops:
                refused[action.key] = "no"
            elif action.function in self.pending:
                self.left.add(action.key)
            else:
                performed = super().perform([action], view)
                done += performed.done
        performed = Performed(done=tuple(done), refused=refused, deferred=deferred)
        after(performed)
        return performed

    # ---- lies

    def lied(self, *, is_stored: bool, row: int = 5) -> Job:
        """A claim with one wrong element."""
        form = GraphInput(self.large.input)
        tensor = self.rng.integers(-128, 128, (80 * UNITS, 40)).astype(np.int8)
        terms = self.terms(
            has_input=False,
            units=UNITS,
            verifier=VERIFIER,
            settings=SETTINGS.pack(),
            program=self.large.program,
            input_bytes=form.size(UNITS),
        )
        terms = replace(terms, input_id=bytes.fromhex(self.store.put_input(form, tensor)))
        trace = lie(run(self.large, tensor), row=row)
        if is_stored:
            self.store.put_trace(trace)
        job = self.claimed(terms, trace.root)
        self.traces[job.claim_id or b""] = trace
        return job

    def game(self, job: Job) -> Game:
        name = job.claim_id or b""
        return self.games.games.get(name, Game(name))

    def change_game(self, job: Job, **changes: Any) -> None:
        """Put a game where its events would have put it."""
        made = replace(self.game(job), **changes)
        self.games.games[made.claim_id] = made

    def promise(self, job: Job, digest: bytes) -> None:
        """Somebody commits to a fault."""
        known = self.game(job).promises
        made = Promise(digest, len(known) + 1, self.number)
        self.change_game(job, promises=(*known, made))

    def prove_as(self, job: Job, who: str) -> None:
        """Somebody proves a claim that somebody has committed to a fault of."""
        at = self.number
        self.change_game(job, refuter=who, proven_in=at, open_until=at + REWARD_BLOCKS)

    # ---- the contracts; each says why not, or does it

    def commit_fault(self, ref: ClaimRef, digest: bytes) -> str:
        job = self._job_of(ref)
        if self.game(job).promise_of(digest):
            return "game: already committed"
        self.promise(job, digest)
        return ""

    def prove(self, ref: ClaimRef, proof: Proof) -> str:
        job = self._job_of(ref)
        if not job.state.is_claimed or self.game(job).refuter:
            return "escrow: no claim"
        if self.game(job).promises:
            self.prove_as(job, self.address)
            return ""
        return self._refuted(job)

    def claim_reward(self, ref: ClaimRef, proof: Proof, salt: bytes) -> str:
        job = self._job_of(ref)
        place = proof.index, proof.row, proof.column
        digest = fault_digest(job.claim_id or b"", *place, self.address, salt)
        made = self.game(job).promise_of(digest)
        if made is None:
            return "game: not committed"
        if made.block >= (self.game(job).proven_in or self.number):
            return "game: committed too late"
        if made.number == 1:
            return self._refuted(job)
        self.prove_as(job, self.address)
        return ""

    def refute(self, job_id: bytes, record: Any, commitment: bytes) -> str:
        job = self.jobs.jobs[job_id]
        return self._refuted(job)

    def open(self, ref: ClaimRef, operator: Any, proof: Any) -> str:
        job = self._job_of(ref)
        trace = self.traces[job.claim_id or b""]
        facts = trace.root, self.large.graph_root, self.large.op_count, UNITS
        self.change_game(
            job,
            case=CaseRef(job.id, job.claim_id or b"", *facts, job.claimed_at, job.terms.settings),
        )
        return self._demanded(job, Shape(self.large, UNITS).commitment)

    def demand(self, case: CaseRef, parent: Node, index: int, child: bytes, *rest: Any) -> str:
        shape = Shape(self.large, UNITS)
        above = GameNode(parent.operator, parent.remaining, parent.place)
        return self._demanded(self.jobs.jobs[case.job_id], shape.child(above, index))

    def _demanded(self, job: Job, place: GameNode) -> str:
        trace, shape = self.traces[job.claim_id or b""], Shape(self.large, UNITS)
        node = Node(*shape.describe(place, hash_of(trace, place)))
        if self.game(job).state_of(node):
            return "game: already demanded"
        if shape.is_leaf(place):
            told: dict[str, Any] = {"data": leaf_of(trace, place)}
        else:
            told = {"kids": children_of(trace, place)}
        due = self.now + SETTINGS.reply
        state = NodeState(node, self.address, due, answerer=VERIFIER, **told)
        self.change_game(job, nodes=(*self.game(job).nodes, state))
        return ""

    def _refuted(self, job: Job) -> str:
        self.change_game(job, refuter=self.address)
        self.change(job.id, JobState.REFUTED, outcome="refuted", refuter=self.address)
        return ""


class Post:
    """A watcher of large claims; `restart` is a new process on the same files."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.world = World(folder)
        self.options = {"max_trace": 1 << 24} | options
        self.restart()

    def restart(self) -> None:
        self.world.reload()
        self.record = WatchRecord(self.world.folder / "watch.db", {})
        self.large = LargeClaims(
            self.world,  # type: ignore[arg-type]
            self.record,
            FakeContract(VERIFIER),  # type: ignore[arg-type]
            demand_fee=FEE,
            **self.options,
        )

    def tick(self) -> list[str]:
        """One round, after what is computed beside it; the functions that were asked for."""
        end = time.monotonic() + 10
        while self.large._bench.running and self.large._bench._done.empty():
            assert time.monotonic() < end
            time.sleep(0.001)
        view = self.world.look()
        self.large.take(view.jobs)
        actions = self.large.moves(view)
        self.large.performed(self.world.perform(actions, view))
        return [action.function for action in actions]

    def ticks(self, rounds: int, *, seconds: int = 1) -> list[list[str]]:
        """Rounds, each in a block of its own."""
        asked = []
        for _ in range(rounds):
            asked.append(self.tick())
            self.world.later(seconds)
        return asked
