"""Every step of the system, run on a local chain, and what it cost.

Steady state: the parties have met before, and every account that is credited, the refuter too,
already holds a non-zero word in the Vault. The system is the one of the tests (tests/system.py),
with FaultProof as the verifier; models are random and of the shapes that the figures are about.
What GraphProof's moves cost is in gas_graph.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from eth_utils.crypto import keccak

from headrace.graph.claimed import ClaimedTrace
from headrace.graph.faults import Fault, FaultBuilder
from headrace.graph.model import Model, Operator
from headrace.graph.tensors import tensor_root
from headrace.graph.trace import Trace, run
from headrace.terms.words import (
    ZERO_HASH,
    Ask,
    FaultProofSettings,
    Requirement,
    Terms,
)
from scripts import gas_graph
from tests.harness import Account, Chain, Receipt
from tests.system import (
    ESCROW_BOOK,
    FAULT_PROOF_BOOK,
    REGISTRY_BOOK,
    UNIT,
    VOID_GRACE,
    Attempt,
    Parameters,
    System,
)

WINDOW, REPLY, FOLLOW = 600, 60, 60
SETTINGS = FaultProofSettings(window=WINDOW, reply=REPLY, follow=FOLLOW).pack()
DIGITS = (64, 64, 32, 10)
IMAGES = 25
BATCH = 32
# Providers of the test system: the first works with its owner's key, the third has an operator.
OWN_KEY, WITH_OPERATOR = 0, 2
# What a job asks of a node: every kind of demand, none on the provider's record.
REQUIREMENT = Requirement(
    gpu_mask=3,
    region_mask=8,
    min_vram_gib=24,
    min_gpu_count=1,
    max_latency_class=3,
    flags=1,
    min_benchmark=100,
).pack()

Figures = dict[str, int]


@dataclass(frozen=True)
class Program:
    """A registered model and an input for it."""

    model: Model
    tensor: Any

    @property
    def right(self) -> Trace:
        """The right trace."""
        return run(self.model, self.tensor)

    def lie(self, operator: int) -> tuple[Trace, Fault]:
        """A trace with one wrong element in row 1 of an operator, and the proof of that."""
        right = self.right
        wrong = right.replace(operator, 1, 0, right.rows[operator][1][0] ^ 1)
        fault = FaultBuilder(self.model, self.tensor, ClaimedTrace.of(wrong)).first(right)
        if fault is None:
            raise AssertionError("the lie was not found")
        return wrong, fault


def random_model(widths: Sequence[int], *, argmax: bool) -> Model:
    """MATMULs between the given widths (the first is the input's), then an ARGMAX if wanted."""
    rng = np.random.default_rng(sum(widths))
    operators = [
        Operator.matmul(
            source,
            rng.integers(-128, 128, (width_out, width_in)),
            rng.integers(-3_000, 3_000, width_out),
            rng.integers(2**10, 2**11, width_out),
            np.full(width_out, 20),
        )
        for source, (width_in, width_out) in enumerate(pairwise(widths))
    ]
    if argmax:
        operators.append(Operator.argmax(len(operators), widths[-1]))
    return Model.of(operators, widths[0], 64)


class Stage:
    """A system in its steady state, and the moves whose gas is wanted."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.system = System(chain, Parameters(funds=100_000 * UNIT))
        for account in (*self.system.keepers, *self.system.operators):
            self.system.deposit(account, UNIT)
        self._newcomers = iter(chain.accounts[32:])
        self.digits = self.register(DIGITS, IMAGES, argmax=True)
        for provider in (OWN_KEY, WITH_OPERATOR):
            self.life(provider)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Undoes what the block did, so that no figure depends on the ones before."""
        with self.chain.isolated():
            yield

    def newcomer(self) -> Account:
        """An account that nothing is on record of."""
        return next(self._newcomers)

    def register(self, widths: Sequence[int], units: int, *, argmax: bool) -> Program:
        """Registers a model; gives it with an input of so many rows."""
        model = random_model(widths, argmax=argmax)
        self.system.fault_proof.register_model(
            model.descriptors, model.input_width, model.max_units, bytes(32)
        )
        rng = np.random.default_rng(units)
        tensor = rng.integers(-128, 128, (units, widths[0])).astype(np.int8)
        return Program(model, tensor)

    # -- offers --

    def terms(self, program: Program | None = None, **changes: Any) -> Terms:
        """A job of the first requester."""
        program = program or self.digits
        fields: dict[str, Any] = {
            "verifier": self.system.fault_proof.address,
            "settings": SETTINGS,
            "requirement": REQUIREMENT,
            "program": program.model.program,
            "input_id": tensor_root(program.tensor),
            "units": len(program.tensor),
        }
        # A salt as clients draw it: all of its bytes count.
        salt = int.from_bytes(keccak(self.system.salt.to_bytes(32, "big"))[:16], "big")
        return self.system.terms(**(fields | {"salt": salt} | changes))

    def ask(self, provider: int, program: Program | None = None) -> Ask:
        """A provider's offer."""
        return self.system.ask(
            provider,
            verifier=self.system.fault_proof,
            settings=SETTINGS,
            programs=(program or self.digits).model.program,
            max_lock=500 * UNIT,
            salt=int.from_bytes(keccak(b"ask")[:12], "big"),
        )

    # -- parts of a job's life --

    def claim(self, attempt: Attempt, commitment: bytes | None = None) -> Receipt:
        """Claims as who signed the ask."""
        sender = self.system.account_at(attempt.record.operator)
        return self.system.claim(attempt, commitment, sender=sender)

    def claimed(
        self,
        commitment: bytes,
        provider: int = OWN_KEY,
        program: Program | None = None,
        **changes: Any,
    ) -> Attempt:
        """A job that was matched and claimed."""
        attempt = self.system.match(self.terms(program, **changes), self.ask(provider, program))
        self.claim(attempt, commitment)
        return attempt

    def finalise(self, attempt: Attempt) -> Receipt:
        """Ends a claim that stands, once its window is over."""
        at = self.chain.now() + WINDOW + 1
        return self.system.finalise(attempt, timestamp=at, sender=self.system.keepers[0])

    def life(self, provider: int = OWN_KEY, *, is_posted: bool = False) -> Figures:
        """A job from beginning to end."""
        terms, steps = self.terms(), Figures()
        if is_posted:
            requester = self.system.account_at(terms.requester)
            receipt = self.system.escrow.post_job(terms.pack(), sender=requester)
            steps["post_job"] = receipt.gas_used
        attempt = self.system.match(terms, self.ask(provider))
        steps["match_posted" if is_posted else "match"] = attempt.receipt.gas_used
        steps["submit_claim"] = self.claim(attempt).gas_used
        steps["finalise"] = self.finalise(attempt).gas_used
        return steps

    def batch(self, count: int) -> int:
        """Gas of `count` jobs that are matched, claimed and finalised together."""
        terms = self.terms(input_id=ZERO_HASH)
        inputs = [keccak(terms.salt.to_bytes(16, "big") + bytes([i])) for i in range(count)]
        attempts = self.system.match_batch(terms, inputs, self.ask(OWN_KEY))
        record = attempts[0].record.pack()
        items = [(attempt.job_id, attempt.commitment) for attempt in attempts]
        escrow, provider = self.system.escrow, self.system.providers[OWN_KEY]
        claims = escrow.submit_claims(record, items, sender=provider)
        at = self.chain.now() + WINDOW + 1
        ends = escrow.finalise_batch(record, items, timestamp=at, sender=self.system.keepers[0])
        return int(attempts[0].receipt.gas_used + claims.gas_used + ends.gas_used)

    def ref(self, attempt: Attempt, commitment: bytes) -> tuple[Any, ...]:
        """A claim as FaultProof takes it."""
        return attempt.terms.pack(), attempt.record.pack(), commitment

    def convict(self, program: Program, operator: int) -> int:
        """Gas of a proof, verdict and slash included; the job opens again."""
        wrong, fault = program.lie(operator)
        attempt = self.claimed(wrong.root, program=program)
        receipt = self.system.fault_proof.transact(
            fault.function,
            (self.ref(attempt, wrong.root), *fault.arguments),
            sender=self.system.watchers[1],
        )
        return int(receipt.gas_used)

    # -- the figures --

    def lives(self) -> Figures:
        """A job of three and of four transactions, step by step."""
        with self.aside():
            three = self.life()
        with self.aside():
            four = self.life(is_posted=True)
        with self.aside():
            operated = self.life(WITH_OPERATOR)
        return {
            "job_three_tx": sum(three.values()),
            "job_four_tx": sum(four.values()),
            "job_three_tx_operator": sum(operated.values()),
            **three,
            "post_job": four["post_job"],
            "match_posted": four["match_posted"],
        }

    def batches(self) -> Figures:
        """What one more job of a batch costs over its whole life."""
        with self.aside():
            small = self.batch(2)
        with self.aside():
            large = self.batch(BATCH)
        return {"batch_marginal": round((large - small) / (BATCH - 2))}

    def failures(self) -> Figures:
        """Attempts that end otherwise."""
        system, found = self.system, Figures()
        with self.aside():
            attempt = system.match(self.terms(max_attempts=1), self.ask(OWN_KEY))
            found["expire"] = system.expire(attempt).gas_used
        with self.aside():
            attempt = system.match(self.terms(), self.ask(OWN_KEY))
            found["expire_reopened"] = system.expire(attempt).gas_used
        with self.aside():
            found["cancel"] = system.cancel(system.post(self.terms())).gas_used
        with self.aside():
            attempt = system.match(self.terms(), self.ask(OWN_KEY))
            found["decline"] = system.decline(attempt, sender=system.providers[OWN_KEY]).gas_used
        with self.aside():
            # FaultProof never fails; a verifier that has to be asked, and stays pending, does.
            attempt = system.claimed(ask=system.ask(OWN_KEY))
            late = self.chain.now() + system.parameters.delay_max + VOID_GRACE + 1
            found["void_claim"] = system.void(attempt, timestamp=late).gas_used
        return found

    def disputes(self) -> Figures:
        """Proofs and demands, verdict and slash included."""
        system, found = self.system, Figures()
        with self.aside():
            found["prove_matmul_64"] = self.convict(self.digits, 0)
        with self.aside():
            found["prove_argmax_10"] = self.convict(self.digits, len(DIGITS) - 1)
        watcher, right = system.watchers[0], self.digits.right
        with self.aside():
            attempt = self.claimed(right.root)
            ref = self.ref(attempt, right.root)
            demanded = system.fault_proof.demand_trace(ref, sender=watcher)
            published = system.fault_proof.publish_trace(
                ref, right.to_bytes(), sender=system.providers[OWN_KEY]
            )
            found["demand_trace"] = demanded.gas_used
            found["publish_trace"] = published.gas_used
            found["demand_and_answer"] = demanded.gas_used + published.gas_used
        with self.aside():
            commitment = keccak(b"withheld")
            attempt = self.claimed(commitment)
            ref = self.ref(attempt, commitment)
            system.fault_proof.demand_trace(ref, sender=watcher)
            self.chain.travel(REPLY + 1)
            found["silence_trace"] = system.fault_proof.silence(ref, sender=watcher).gas_used
        return found

    def entries(self) -> Figures:
        """What a new provider sends: its first deposit, then its registration."""
        system, found = self.system, Figures()
        provider, operator = self.newcomer(), self.newcomer()
        books = ESCROW_BOOK | REGISTRY_BOOK | FAULT_PROOF_BOOK
        with self.aside():
            system.token.drip(1_000 * UNIT, sender=provider)
            system.token.approve(system.vault, 2**256 - 1, sender=provider)
            system.vault.deposit_and_authorise(0x1234567, books, sender=provider)
            found["deposit"] = system.vault.deposit(UNIT, sender=provider).gas_used
        with self.aside():
            system.token.drip(1_000 * UNIT, sender=provider)
            system.token.approve(system.vault, 2**256 - 1, sender=provider)
            found["deposit_and_authorise"] = system.vault.deposit_and_authorise(
                100 * UNIT, books, sender=provider
            ).gas_used
            found["register"] = system.registry.register(
                operator,
                provider,
                system.parameters.min_bond,
                system.node().pack(),
                sender=provider,
            ).gas_used
        return found


def growth(chain: Chain, last: int) -> Figures:
    """
    What the second and the `last` job of the same parties cost. All jobs between them are run, in
    batches as large as they may be.
    """
    with chain.isolated():
        stage = Stage.__new__(Stage)
        stage.chain = chain
        stage.system = System(chain, Parameters(funds=100_000 * UNIT))
        for account in stage.system.keepers:
            stage.system.deposit(account, UNIT)
        stage.digits = stage.register(DIGITS, IMAGES, argmax=True)
        stage.life()
        second = sum(stage.life().values())
        done = 2
        while done < last - 1:
            count = min(BATCH, last - 1 - done)
            stage.batch(count)
            done += count
        return {"job_2": second, f"job_{last}": sum(stage.life().values())}


def measure(chain: Chain, last: int = 1_000) -> Figures:
    """All figures, by name."""
    found = growth(chain, last)
    stage = Stage(chain)
    parts = (stage.lives, stage.batches, stage.failures, stage.disputes, stage.entries)
    for part in parts:
        found |= part()
    return found | gas_graph.measure(stage.system)
