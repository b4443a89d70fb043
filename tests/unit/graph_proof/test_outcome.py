import pytest

from headrace.graph2.trace import Trace
from tests.harness import Account, reverts
from tests.unit.graph_proof.court import (
    FALLS,
    PENDING,
    STANDS,
    Claim,
    Court,
    settings,
)


def test_undisputed(court: Court, honest: Claim):
    outcome = court.outcome(honest)
    assert (outcome.verdict, outcome.not_before) == (STANDS, honest.edge())
    assert list(outcome.payouts) == []


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_follows_the_demands(court: Court, honest: Claim, demander: Account, depth: int):
    path = honest.path(0, 1)[:depth]
    court.descend(honest, path, demander)
    due = court.proof.case_of(honest.claim_id).last_due
    assert court.outcome(honest).verdict == PENDING
    assert court.outcome(honest, timestamp=due).verdict == PENDING
    fallen = court.outcome(honest, timestamp=due + 1)
    assert (fallen.verdict, fallen.refuter) == (FALLS, demander.address)
    court.answer(honest, path[-1])
    outcome = court.outcome(honest)
    assert (outcome.verdict, outcome.not_before) == (STANDS, honest.edge(depth))


def test_never_after_d(court: Court, honest: Claim, demander: Account):
    court.descend(honest, honest.path(0, 1), demander)
    court.answer(honest, honest.path(0, 1)[-1])
    assert court.outcome(honest).not_before == honest.edge(court.model.levels)


def test_silence_falls_by_itself_to_who_asked_last(
    court: Court, false: Claim, demander: Account, prover: Account
):
    court.open(false, demander)
    court.answer(false, false.root)
    court.demand(false, false.root, 0, prover)
    due = court.proof.case_of(false.claim_id).last_due
    outcome = court.outcome(false, timestamp=due + 1)
    assert (outcome.verdict, outcome.refuter) == (FALLS, prover.address)


def test_refuted(court: Court, false: Claim, right: Trace, prover: Account):
    court.proof.prove(false.ref, court.fault(false, right).proof, sender=prover)
    outcome = court.outcome(false)
    assert (outcome.verdict, outcome.refuter) == (FALLS, prover.address)
    # For ever, whatever the time.
    assert court.outcome(false, timestamp=false.at + 10**6).verdict == FALLS


def test_quote(court: Court):
    levels = court.model.levels
    quote = court.proof.quote(court.model.program, 20, settings(), 100)
    assert tuple(quote) == (0, 300, 60, 60 + levels * 45)


@pytest.mark.parametrize(
    ("units", "config", "reason"),
    [
        (0, settings(), "graph: units out of range"),
        (21, settings(), "graph: units out of range"),
        (1, settings(window=9), "graph: window out of bounds"),
        (1, settings(window=1_001), "graph: window out of bounds"),
        (1, settings(reply=4), "graph: reply out of bounds"),
        (1, settings(reply=101), "graph: reply out of bounds"),
        (1, settings(follow=4), "graph: follow out of bounds"),
        (1, settings(follow=101), "graph: follow out of bounds"),
        (1, settings() | 1, "graph: spare bits in settings"),
        (1, settings() | 1 << 88, "graph: hooks are not offered"),
        (1, settings() | 1 << 90, "graph: hooks are not offered"),
    ],
)
def test_a_job_that_cannot_be_judged(court: Court, units: int, config: int, reason: str):
    with reverts(reason):
        court.proof.quote(court.model.program, units, config, 100)


def test_the_edges_of_the_settings(court: Court):
    for config in (settings(10, 5, 5), settings(1_000, 100, 100)):
        assert court.proof.quote(court.model.program, 1, config, 1)


def test_only_registered_models_with_mirrors(court: Court, prover: Account):
    with reverts("graph: model not registered"):
        court.proof.quote(bytes(32), 1, settings(), 1)
    chain, model = court.chain, court.model
    models = chain.deploy("GraphModels", 1)
    models.register_model(model.descriptors, model.input.word, model.max_units, bytes(32))
    proof = chain.deploy("GraphProof", court.escrow, court.vault, models, court.rules, 1, *(1,) * 4)
    with reverts("graph: too few mirrors"):
        proof.quote(model.program, 1, settings(1, 1, 1), 1)
    models.list_mirror(model.program, "https://a.example", sender=prover)
    assert proof.quote(model.program, 1, settings(1, 1, 1), 1)


def test_hooks(court: Court):
    with reverts("graph: has no hooks"):
        court.proof.on_match(bytes(32), bytes(32), bytes(32), 1, 0)
    with reverts("graph: has no hooks"):
        court.proof.on_claim(bytes(32), bytes(32))
