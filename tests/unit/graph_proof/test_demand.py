import pytest

from headrace.graph2.trace import Trace
from tests.harness import Account, Chain, reverts
from tests.unit.graph_proof.court import (
    FEE,
    NO_OPERATOR,
    REPLY,
    STEP,
    Claim,
    Court,
    settings,
    small_model,
)


@pytest.fixture
def opened(court: Court, honest: Claim, demander: Account) -> Claim:
    """A claim whose commitment's children are known."""
    court.open(honest, demander)
    court.answer(honest, honest.root)
    return honest


def test_a_child(court: Court, opened: Claim, demander: Account, chain: Chain):
    other = chain.accounts[6]
    receipt = court.demand(opened, opened.root, 1, other)
    node = opened.node(opened.shape.child(opened.root, 1))
    # The tensor of operator 1: two levels above 30 leaves of 512 bytes.
    assert node[:6] == (1, 1, 0, 2, 30, 512)
    due = receipt.timestamp + REPLY
    assert receipt.only("NodeDemanded") == (opened.claim_id, other.address, node, due)
    assert court.proof.demand_of(opened.claim_id, node) == (1, due, other.address)
    # The reward for silence is now that of who asked last.
    assert court.proof.case_of(opened.claim_id) == (0, 2, 1, due, other.address, 0)
    assert court.vault.held(other, court.proof) == FEE


def test_all_the_way_to_the_bytes(court: Court, honest: Claim, demander: Account):
    path = honest.path(2, 29)
    assert len(path) == honest.trace.model.levels == 4
    court.descend(honest, path, demander)
    assert honest.node(path[-1])[:6] == (3, 2, 29, 0, 30, 512)
    court.answer(honest, path[-1])
    assert court.proof.case_of(honest.claim_id)[1:3] == (4, 0)
    assert court.vault.held(demander, court.proof) == 4 * FEE


def test_through_two_levels_of_operators(court: Court, demander: Account):
    model = small_model(18)
    court.register(model)
    claim = court.claim(court.right(model))
    path = claim.path(17, 29)
    assert len(path) == model.levels == 5
    court.descend(claim, path, demander)
    assert claim.node(path[1])[:6] == (1, 18, 1, 1, 18, 0)
    assert claim.node(path[2])[:6] == (2, 17, 0, 2, 30, 512)
    court.answer(claim, path[-1])


def test_until_its_level_closes(chain: Chain, court: Court, opened: Claim, demander: Account):
    edge = opened.edge(1)
    with chain.isolated(), reverts("game: level is closed"):
        court.demand(opened, opened.root, 0, demander, timestamp=edge + 1)
    receipt = court.demand(opened, opened.root, 0, demander, timestamp=edge)
    assert receipt.only("NodeDemanded").due == edge + REPLY
    court.answer(opened, opened.shape.child(opened.root, 0), timestamp=edge + REPLY)


def test_the_settings_decide(chain: Chain, court: Court, right: Trace, demander: Account):
    claim = court.claim(right, config=settings(window=70, reply=21, follow=33))
    court.open(claim, demander)
    court.answer(claim, claim.root)
    edge = claim.edge(1, 54, 70)
    with chain.isolated(), reverts("game: level is closed"):
        court.demand(claim, claim.root, 0, demander, timestamp=edge + 1)
    assert court.demand(claim, claim.root, 0, demander, timestamp=edge).only("NodeDemanded")


def test_only_what_an_answer_has_shown(court: Court, honest: Claim, demander: Account):
    court.open(honest, demander)
    with reverts("game: parent is not answered"):
        court.demand(honest, honest.root, 0, demander)


def test_each_node_once(court: Court, opened: Claim, demander: Account, chain: Chain):
    court.demand(opened, opened.root, 0, demander)
    for state in ("demanded", "answered"):
        with reverts("game: already demanded"):
            court.demand(opened, opened.root, 0, chain.accounts[6])
        if state == "demanded":
            court.answer(opened, opened.shape.child(opened.root, 0))


def test_places_follow_from_the_parent(court: Court, opened: Claim, demander: Account):
    good = court.arguments(opened, opened.root, 1)
    court.fund(demander)

    def refused(reason: str, **changes: object) -> None:
        args = [changes.get(f"a{at}", arg) for at, arg in enumerate(good)]
        with reverts(reason):
            court.proof.simulate.demand(*args, sender=demander)

    refused("game: not a child", a2=0)
    refused("game: not a child", a3=good[4][0])
    refused("game: not a child", a4=[*good[4][1:], good[4][0]])
    refused("game: no such child", a2=17)
    refused("game: no such child", a2=16)
    refused("game: not the model's operator", a5=court.model.descriptors[0])
    refused("game: not the model's operator", a5=NO_OPERATOR)
    refused("game: not the model's operator", a6=[good[6][1], good[6][0]])
    refused("merkle: wrong depth", a6=good[6][:1])
    refused("merkle: wrong depth", a6=[*good[6], bytes(32)])
    refused("game: not the case", a0=good[0]._replace(units=2))
    refused("game: not the case", a0=good[0]._replace(claimed_at=opened.at + 100))
    refused("game: not the case", a0=good[0]._replace(claim_id=bytes(32)))
    for field in good[1]._fields[:6]:
        changed = good[1]._replace(**{field: getattr(good[1], field) + 1})
        refused("game: parent is not answered", a1=changed)
    court.proof.simulate.demand(*good, sender=demander)


def test_places_without_a_use_are_refused(court: Court, opened: Claim, demander: Account):
    with reverts("game: place without a use"):
        court.demand(opened, opened.root, 3, demander)
    court.demand(opened, opened.root, 2, demander)
    tensor = opened.shape.child(opened.root, 2)
    court.answer(opened, tensor)
    court.demand(opened, tensor, 1, demander)
    with reverts("game: place without a use"):
        court.demand(opened, tensor, 2, demander)
    court.answer(opened, opened.shape.child(tensor, 1))
    court.demand(opened, opened.shape.child(tensor, 1), 13, demander)
    with reverts("game: place without a use"):
        court.demand(opened, opened.shape.child(tensor, 1), 14, demander)


def test_a_leaf_has_no_children(court: Court, honest: Claim, demander: Account):
    path = honest.path(0, 0)
    court.descend(honest, path, demander)
    court.answer(honest, path[-1])
    args = [honest.case, honest.node(path[-1]), 0, bytes(32), [bytes(32)] * 6, NO_OPERATOR, []]
    with reverts("game: a leaf has no children"):
        court.proof.demand(*args, sender=demander)


def test_wants_the_fee(court: Court, opened: Claim, demander: Account):
    with reverts("mock: not enough free"):
        court.proof.demand(*court.arguments(opened, opened.root, 0), sender=demander)


def test_a_silent_claim_takes_none(court: Court, opened: Claim, demander: Account):
    due = court.demand(opened, opened.root, 0, demander).only("NodeDemanded").due
    with reverts("game: claim has fallen"):
        court.demand(opened, opened.root, 1, demander, timestamp=due + 1)


def test_a_late_demand_beside_a_silent_one(court: Court, opened: Claim, demander: Account):
    """Another one that is still running keeps the case open, but saves nobody from `silence`."""
    first = court.demand(opened, opened.root, 0, demander).only("NodeDemanded").due
    court.demand(opened, opened.root, 1, demander, timestamp=first - 1)
    court.demand(opened, opened.root, 2, demander, timestamp=first + 1)
    court.silence(opened, opened.shape.child(opened.root, 0))
    assert court.escrow.refuted() == 1


def test_a_refuted_claim_takes_none(
    court: Court, false: Claim, right: Trace, demander: Account, prover: Account
):
    court.open(false, demander)
    court.answer(false, false.root)
    court.proof.prove(false.ref, court.fault(false, right).proof, sender=prover)
    with reverts("game: claim is refuted"):
        court.demand(false, false.root, 0, demander)


def test_many_demands_move_no_time(court: Court, honest: Claim, demander: Account, chain: Chain):
    """However many nodes are demanded, a level closes when it closes."""
    court.open(honest, demander)
    court.answer(honest, honest.root)
    for operator in range(3):
        court.demand(honest, honest.root, operator, chain.accounts[6 + operator])
        tensor = honest.shape.child(honest.root, operator)
        court.answer(honest, tensor)
        for part in range(2):
            court.demand(honest, tensor, part, demander)
            court.answer(honest, honest.shape.child(tensor, part))
    assert court.proof.case_of(honest.claim_id)[1:3] == (3, 0)
    assert court.outcome(honest).not_before == honest.at + 60 + 3 * STEP
