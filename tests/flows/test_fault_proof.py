"""FaultProof with the real JobEscrow, Vault and Registry: who ends with what."""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from headrace.graph.claimed import ClaimedTrace
from headrace.graph.faults import Fault, FaultBuilder
from headrace.graph.model import Model, Operator
from headrace.graph.tensors import tensor_root
from headrace.graph.trace import Trace, run
from headrace.terms import money
from tests.harness import Receipt, reverts
from tests.system import FINAL, OPEN, Attempt, System
from tests.unit.fault_proof.court import (
    CONTESTED,
    FOLLOW,
    REPLY,
    WINDOW,
    random_input,
    random_matmul,
    settings,
)


@dataclass
class Market:
    """A model on the real contracts, and jobs that run it."""

    system: System
    model: Model
    tensor: Any

    @classmethod
    def of(cls, system: System, widths: list[int], argmax: bool, units: int) -> "Market":
        """Register a model with these widths (the first is the input's)."""
        rng = np.random.default_rng(len(widths))
        pairs = enumerate(itertools.pairwise(widths))
        operators = [random_matmul(rng, at, *width) for at, width in pairs]
        if argmax:
            operators.append(Operator.argmax(len(operators), widths[-1]))
        model = Model.of(operators, widths[0], 64)
        tensor = random_input(rng, units, widths[0])
        system.fault_proof.register_model(
            model.descriptors, model.input_width, model.max_units, bytes(32)
        )
        return cls(system, model, tensor)

    def claim(self, commitment: bytes, provider: int = 1, **changes: Any) -> Attempt:
        """A job, matched and claimed with this commitment."""
        verifier, words = self.system.fault_proof, settings()
        terms = self.system.terms(
            verifier=verifier.address,
            settings=words,
            program=self.model.program,
            input_id=tensor_root(self.tensor),
            units=len(self.tensor),
            **changes,
        )
        ask = self.system.ask(
            provider, verifier=verifier, settings=words, programs=self.model.program
        )
        attempt = self.system.match(terms, ask)
        self.system.claim(attempt, commitment)
        return attempt

    def ref(self, attempt: Attempt, commitment: bytes) -> tuple[Any, ...]:
        """The claim as FaultProof takes it."""
        return attempt.terms.pack(), attempt.record.pack(), commitment

    def prove(self, attempt: Attempt, lie: Trace, fault: Fault, **options: Any) -> Receipt:
        """Send the proof as the second watcher."""
        options = {"sender": self.system.watchers[1]} | options
        return getattr(self.system.fault_proof, fault.function)(
            self.ref(attempt, lie.root), *fault.arguments, **options
        )

    def fault(self, lie: Trace) -> Fault:
        """The first fault of a lie."""
        builder = FaultBuilder(self.model, self.tensor, ClaimedTrace.of(lie))
        found = builder.first(run(self.model, self.tensor))
        assert found is not None
        return found


@pytest.fixture
def digits(system: System) -> Market:
    """The shape of the digits classifier: 64, 64, 32, 10, then the class."""
    return Market.of(system, [64, 64, 32, 10], argmax=True, units=25)


def lie_at(market: Market, operator: int, column: int = 3) -> Trace:
    """A trace with one wrong element, in row 1."""
    right = run(market.model, market.tensor)
    return right.replace(operator, 1, column, right.rows[operator][1][column] ^ 1)


def test_a_proof_convicts_and_pays_in_one_transaction(system: System, digits: Market):
    lie = lie_at(digits, 1)
    attempt = digits.claim(lie.root)
    before = system.balances()
    receipt = digits.prove(attempt, lie, digits.fault(lie))
    split = money.split_refuted(
        attempt.record.lock, attempt.record.damage_cap, attempt.record.keeper_fee
    )
    event = receipt.only("Refuted")
    assert event.refuter == system.watchers[1].address
    assert event.to_refuter == split.to_refuter > 0
    changes = system.changes(before)
    assert changes[system.watchers[1].address].free == split.to_refuter
    assert changes[attempt.record.provider].free == 0
    assert system.vault.reserved_of(attempt.record.provider, 0) == 0
    assert system.job(attempt).state == OPEN
    assert system.fault_proof.dispute_of(attempt.claim_id).status == 3
    system.assert_conserved()
    with reverts("escrow: no claim"):
        digits.prove(attempt, lie, digits.fault(lie))


def test_an_honest_claim_costs_its_verifier_nothing(system: System, digits: Market):
    right = run(digits.model, digits.tensor)
    attempt = digits.claim(right.root)
    at = system.job(attempt).time
    lie = lie_at(digits, 0)
    # What convicts a lie is nothing against the right claim.
    with reverts("proof: row is not in the tree"):
        digits.prove(attempt, right, digits.fault(lie))
    with reverts("finalise: window is open"):
        system.finalise(attempt, right.root, timestamp=at + WINDOW)
    system.finalise(attempt, right.root, timestamp=at + WINDOW + 1)
    assert system.job(attempt).state == FINAL
    assert system.fault_proof.dispute_of(attempt.claim_id).status == 0


def test_a_published_trace_stands_after_the_longest_delay(system: System, digits: Market):
    right = run(digits.model, digits.tensor)
    attempt = digits.claim(right.root)
    ref = digits.ref(attempt, right.root)
    claimed_at = system.job(attempt).time
    watcher, publisher, fee = system.watchers[0], system.operators[1], system.parameters.demand_fee
    system.fault_proof.demand_trace(ref, sender=watcher, timestamp=claimed_at + WINDOW)
    assert system.job(attempt).state == CONTESTED
    assert system.vault.reserved_of(watcher, 2) == fee
    with reverts("finalise: no such verdict"):
        system.finalise(attempt, right.root, timestamp=claimed_at + WINDOW + 1)
    system.fault_proof.publish_trace(
        ref, right.to_bytes(), sender=publisher, timestamp=claimed_at + WINDOW + REPLY
    )
    edge = claimed_at + WINDOW + REPLY + FOLLOW
    with reverts("finalise: window is open"):
        system.finalise(attempt, right.root, timestamp=edge)
    with reverts("proof: claim is open"):
        system.fault_proof.settle_demand(attempt.job_id, attempt.record.pack(), attempt.number)
    system.finalise(attempt, right.root, timestamp=edge + 1)
    before = system.vault.free_of(publisher)
    system.fault_proof.settle_demand(attempt.job_id, attempt.record.pack(), attempt.number)
    assert system.vault.free_of(publisher) - before == fee
    assert system.vault.reserved_of(watcher, 2) == 0
    system.assert_conserved(publisher.address)


def test_a_withheld_trace_falls_by_silence(system: System, digits: Market):
    commitment = b"\x77" * 32
    attempt = digits.claim(commitment)
    ref = digits.ref(attempt, commitment)
    watcher = system.watchers[0]
    before = system.balances()
    system.fault_proof.demand_trace(ref, sender=watcher)
    system.chain.travel(REPLY + 1)
    # Who calls doesn't matter: the demander earns the reward and gets its fee back.
    receipt = system.fault_proof.silence(ref, sender=system.stranger)
    event = receipt.only("Refuted")
    assert event.refuter == watcher.address
    system.fault_proof.settle_demand(attempt.job_id, attempt.record.pack(), attempt.number)
    assert system.changes(before)[watcher.address].free == event.to_refuter
    assert system.vault.reserved_of(watcher, 2) == 0
    system.assert_conserved()


@pytest.mark.parametrize("is_late", [False, True])
def test_silence_convicts_without_a_call_of_silence(system: System, digits: Market, is_late: bool):
    """
    A liar that has its own trace demanded by a friend takes the reward for `silence` from everybody
    else. Waiting until the claim could be voided must not save its lock.
    """
    commitment = b"\x77" * 32
    attempt = digits.claim(commitment)
    friend, fee = system.watchers[0], system.parameters.demand_fee
    before = system.balances()
    receipt = system.fault_proof.demand_trace(digits.ref(attempt, commitment), sender=friend)
    due = receipt.timestamp + REPLY
    with system.chain.isolated(), reverts("refute: no such verdict"):
        system.refute(attempt, commitment, timestamp=due)
    at = due + 1
    if is_late:
        at = system.job(attempt).time + system.parameters.delay_max + 2 * 86_400 + 1
        with system.chain.isolated(), reverts("void: there is a verdict"):
            system.void(attempt, commitment, timestamp=at)
    event = system.refute(attempt, commitment, timestamp=at).only("Refuted")
    assert (event.refuter, event.slash) == (friend.address, attempt.record.lock)
    assert event.to_sink * 2 >= event.slash > 0
    assert system.changes(before)[friend.address].free == event.to_refuter - fee
    system.fault_proof.settle_demand(attempt.job_id, attempt.record.pack(), attempt.number)
    assert system.changes(before)[friend.address].free == event.to_refuter
    assert attempt.record.provider not in system.changes(before) or (
        system.changes(before)[attempt.record.provider].free == 0
    )
    system.assert_conserved()


def test_cost_of_a_conviction(system: System):
    """Verdict, slash and payment included, for a watcher and a provider that were there before."""
    ceilings = {64: 170_000, 384: 200_000}
    for width, ceiling in ceilings.items():
        market = Market.of(system, [width, width, 32], argmax=False, units=16)
        lie = lie_at(market, 0)
        spent = [
            market.prove(market.claim(lie.root), lie, market.fault(lie)).gas_used for _ in range(2)
        ]
        assert spent[1] < ceiling
