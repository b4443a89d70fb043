"""GraphProof with the real JobEscrow, Vault and Registry: who ends with what."""

import numpy as np
import pytest

from headrace.terms import money
from tests.graph_arena import NODE_FEE, Arena
from tests.harness import reverts
from tests.system import CONTESTED, FINAL, OPEN, System
from tests.unit.graph_proof.court import PENDING, SALT, Claim, lie, small_model


@pytest.fixture
def arena(system: System) -> Arena:
    """The small model on three units."""
    rng = np.random.default_rng(11)
    tensor = rng.integers(-128, 128, (240, 40)).astype(np.int8)
    return Arena.on(system, small_model(), tensor)


def split_of(arena: Arena, claim: Claim) -> money.RefutedSplit:
    """Who gets what of the claim's slash."""
    record = arena.attempts[claim.job_id].record
    return money.split_refuted(record.lock, record.damage_cap, record.keeper_fee)


def test_a_proof_convicts_and_pays_in_one_transaction(system: System, arena: Arena):
    right = arena.right()
    claim = arena.claim(lie(right))
    watcher = system.watchers[1]
    before = system.balances()
    receipt = arena.proof.prove(claim.ref, arena.fault(claim, right).proof, sender=watcher)
    event = receipt.only("Refuted")
    assert event.refuter == watcher.address
    share = split_of(arena, claim).to_refuter
    assert event.to_refuter == share > 0
    assert system.changes(before)[watcher.address].free == share
    assert arena.state(claim) == OPEN
    system.assert_conserved()
    with reverts("escrow: no claim"):
        arena.proof.prove(claim.ref, arena.fault(claim, right).proof, sender=watcher)


def test_an_honest_claim_costs_its_verifier_nothing(system: System, arena: Arena):
    claim = arena.claim(arena.right())
    with reverts("finalise: window is open"):
        arena.finalise(claim, timestamp=claim.edge())
    arena.finalise(claim, timestamp=claim.edge() + 1)
    assert arena.state(claim) == FINAL
    assert arena.proof.case_of(claim.claim_id)[:3] == (0, 0, 0)


def test_a_withheld_trace_falls_by_silence(system: System, arena: Arena):
    right = arena.right()
    claim = arena.claim(lie(right))
    watcher, answerer = system.watchers[0], system.providers[1]
    arena.open(claim, watcher)
    assert arena.state(claim) == CONTESTED
    arena.answer(claim, claim.root, sender=answerer)
    before = system.balances()
    due = arena.demand(claim, claim.root, 1, watcher).only("NodeDemanded").due
    silent = claim.shape.child(claim.root, 1)
    with reverts("finalise: no such verdict"):
        arena.finalise(claim, timestamp=due)
    receipt = arena.silence(claim, silent, timestamp=due + 1, sender=system.stranger)
    assert receipt.only("Refuted").refuter == watcher.address
    arena.settle(claim, claim.root, watcher, answerer)
    arena.settle(claim, silent, watcher, answerer)
    share = split_of(arena, claim).to_refuter
    # The fee of the node that was answered was paid before.
    assert system.changes(before)[watcher.address].free == share + NODE_FEE
    assert arena.held(watcher) == 0
    system.assert_conserved()


def test_silence_without_anybody_calling_it(system: System, arena: Arena):
    claim = arena.claim(lie(arena.right()))
    due = arena.open(claim, system.watchers[0]).only("NodeDemanded").due
    with reverts("refute: no such verdict"):
        arena.refute(claim, timestamp=due)
    receipt = arena.refute(claim, timestamp=due + 10**6)
    assert receipt.only("Refuted").refuter == system.watchers[0].address
    arena.settle(claim, claim.root, system.watchers[0], system.watchers[0])
    assert arena.held(system.watchers[0]) == 0
    system.assert_conserved()


def test_answers_down_to_the_bytes_then_final_at_d(system: System, arena: Arena):
    claim = arena.claim(arena.right())
    watcher, answerer = system.watchers[0], system.operators[1]
    path = claim.path(2, 17)
    arena.open(claim, watcher)
    for depth, node in enumerate(path):
        arena.answer(claim, node, sender=answerer)
        if depth + 1 < len(path):
            child = path[depth + 1]
            edge = claim.edge(depth + 1)
            arena.demand(claim, node, claim.index_of(child), watcher, timestamp=edge)
    end = claim.edge(arena.model.levels)
    assert (
        end
        == claim.at
        + system.rules.quote(
            arena.attempts[claim.job_id].terms.pack(),
            system.ask(1, verifier=arena.proof, programs=arena.model.program).pack(),
        ).delay
    )
    with reverts("finalise: window is open"):
        arena.finalise(claim, timestamp=end)
    before = system.vault.free_of(answerer)
    arena.finalise(claim, timestamp=end + 1)
    for node in path:
        arena.settle(claim, node, watcher, answerer)
    assert system.vault.free_of(answerer) == before + len(path) * NODE_FEE
    assert arena.held(watcher) == 0
    system.assert_conserved()


def test_the_first_to_commit_is_paid_whoever_proves(system: System, arena: Arena):
    right = arena.right()
    claim = arena.claim(lie(right))
    proof = arena.fault(claim, right).proof
    finder, thief = system.watchers[:2]
    arena.commit(claim, proof, finder)
    arena.proof.prove(claim.ref, proof, sender=thief)
    assert arena.outcome(claim).verdict == PENDING
    with reverts("refute: no such verdict"):
        arena.refute(claim)
    with reverts("finalise: no such verdict"):
        arena.finalise(claim)
    receipt = arena.proof.claim_reward(claim.ref, proof, SALT, sender=finder)
    assert receipt.only("Refuted").refuter == finder.address
    system.assert_conserved()


def test_if_nobody_was_earlier_the_proof_is_paid_after_twenty_blocks(system: System, arena: Arena):
    right = arena.right()
    claim = arena.claim(lie(right))
    prover, griefer = system.watchers[:2]
    arena.proof.commit_fault(claim.ref, b"\x01" * 32, sender=griefer)
    arena.proof.prove(claim.ref, arena.fault(claim, right).proof, sender=prover)
    system.chain.mine(19)
    with system.chain.isolated(), reverts("refute: no such verdict"):
        arena.refute(claim)
    system.chain.mine()
    assert arena.refute(claim).only("Refuted").refuter == prover.address
    system.assert_conserved()
