import pytest

from headrace.graph2.game_tree import children_of, leaf_of
from headrace.graph2.trace import Trace
from tests.harness import Account, Chain, reverts
from tests.unit.graph_proof.court import REPLY, Claim, Court


def test_an_answer(court: Court, honest: Claim, demander: Account, answerer: Account):
    court.open(honest, demander)
    receipt = court.answer(honest, honest.root, sender=answerer)
    node = honest.node(honest.root)
    kids = list(children_of(honest.trace, honest.root))
    event = receipt.only("NodeAnswered")
    assert event[:4] == (honest.claim_id, answerer.address, demander.address, node)
    assert list(event.kids) == kids
    assert court.proof.demand_of(honest.claim_id, node).status == 2
    assert court.proof.case_of(honest.claim_id).open_demands == 0


def test_the_bytes_of_a_leaf(court: Court, honest: Claim, demander: Account, answerer: Account):
    path = honest.path(1, 17)
    court.descend(honest, path, demander)
    receipt = court.answer(honest, path[-1], sender=answerer)
    node = honest.node(path[-1])
    event = receipt.only("LeafAnswered")
    assert event[:4] == (honest.claim_id, answerer.address, demander.address, node)
    assert event.data == honest.trace.preimage(1, 17)[1:]


@pytest.mark.parametrize("is_leaf", [False, True])
def test_until_due(chain: Chain, court: Court, honest: Claim, demander: Account, is_leaf: bool):
    path = honest.path(0, 3)
    court.descend(honest, path if is_leaf else path[:1], demander)
    node = path[-1] if is_leaf else path[0]
    due = chain.now() + REPLY
    with chain.isolated(), reverts("game: reply is over"):
        court.answer(honest, node, timestamp=due + 1)
    court.answer(honest, node, timestamp=due)


def test_only_the_children(court: Court, honest: Claim, demander: Account):
    court.open(honest, demander)
    node = honest.node(honest.root)
    kids = list(children_of(honest.trace, honest.root))
    for wrong in (kids[::-1], [*kids[:15], b"\x01" * 32], [bytes(32)] * 16):
        with reverts("game: not the children"):
            court.proof.answer(honest.claim_id, node, wrong)
    with reverts("game: answer with children"):
        court.proof.answer_leaf(honest.claim_id, node, b"")


def test_only_the_bytes(court: Court, honest: Claim, demander: Account):
    path = honest.path(0, 3)
    court.descend(honest, path, demander)
    node, data = honest.node(path[-1]), leaf_of(honest.trace, path[-1])
    with reverts("game: wrong leaf length"):
        court.proof.answer_leaf(honest.claim_id, node, data[:-1])
    with reverts("game: wrong leaf length"):
        court.proof.answer_leaf(honest.claim_id, node, data + b"\0")
    with reverts("game: not the leaf"):
        court.proof.answer_leaf(honest.claim_id, node, bytes([data[0] ^ 1]) + data[1:])
    with reverts("game: answer with the bytes"):
        court.proof.answer(honest.claim_id, node, [bytes(32)] * 16)


def test_only_what_was_demanded(court: Court, honest: Claim, demander: Account, chain: Chain):
    court.open(honest, demander)
    node = honest.node(honest.root)
    kids = list(children_of(honest.trace, honest.root))
    with reverts("game: no open demand"):
        court.proof.answer(bytes(32), node, kids)
    for field in node._fields[:6]:
        changed = node._replace(**{field: getattr(node, field) + 1})
        with reverts("game: no open demand"):
            court.proof.answer(honest.claim_id, changed, kids)
    tensor = honest.shape.child(honest.root, 0)
    with reverts("game: no open demand"):
        court.answer(honest, tensor)
    court.answer(honest, honest.root)
    with reverts("game: no open demand"):
        court.answer(honest, honest.root, sender=chain.accounts[8])


def test_a_refuted_claim_takes_none(
    court: Court, false: Claim, right: Trace, demander: Account, prover: Account
):
    court.open(false, demander)
    court.proof.prove(false.ref, court.fault(false, right).proof, sender=prover)
    with reverts("game: nothing to answer for"):
        court.answer(false, false.root)


def test_one_answer_for_all_claims_of_the_same_trace_is_not_enough(
    court: Court, honest: Claim, right: Trace, demander: Account
):
    """Cases of two claims are apart, whatever they commit to."""
    other = court.claim(right)
    court.open(honest, demander)
    court.open(other, demander)
    court.answer(honest, honest.root)
    assert court.proof.demand_of(other.claim_id, other.node(other.root)).status == 1
    court.answer(other, other.root)
