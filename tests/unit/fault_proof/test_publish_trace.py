import numpy as np
import pytest

from headrace.graph.claimed import ClaimedTrace
from headrace.graph.model import Model, Operator
from headrace.graph.trace import Trace
from tests.harness import Account, Chain, reverts
from tests.unit.fault_proof.court import (
    REPLY,
    Claim,
    Court,
    prove,
    random_input,
    random_matmul,
)
from tests.unit.fault_proof.test_prove_leaf_form import with_leaf
from tests.unit.fault_proof.test_prove_pad_node import with_pad


def test_answers_a_demand(
    court: Court, right: Trace, honest: Claim, demander: Account, publisher: Account
):
    due = court.demand(honest, demander).only("TraceDemanded").due
    receipt = court.proof.publish_trace(honest.ref, right.to_bytes(), sender=publisher)
    assert receipt.only("TracePublished") == (honest.claim_id, publisher.address)
    assert court.proof.dispute_of(honest.claim_id) == (2, due, demander.address, publisher.address)


def test_until_due(
    chain: Chain, court: Court, right: Trace, honest: Claim, demander: Account, publisher: Account
):
    due = court.demand(honest, demander).timestamp + REPLY
    data = right.to_bytes()
    with chain.isolated(), reverts("proof: reply is over"):
        court.proof.publish_trace(honest.ref, data, sender=publisher, timestamp=due + 1)
    court.proof.publish_trace(honest.ref, data, sender=publisher, timestamp=due)


def test_only_after_a_demand_and_once(court: Court, right: Trace, honest: Claim, demander: Account):
    with reverts("dispute: no open demand"):
        court.proof.publish_trace(honest.ref, right.to_bytes())
    court.demand(honest, demander)
    court.proof.publish_trace(honest.ref, right.to_bytes())
    with reverts("dispute: no open demand"):
        court.proof.publish_trace(honest.ref, right.to_bytes())


def test_wrong_length(court: Court, right: Trace, honest: Claim, demander: Account):
    court.demand(honest, demander)
    data = right.to_bytes()
    for wrong in (b"", data[:-1], data + b"\x80", data + data[:128], data[128:]):
        with reverts("proof: wrong trace length"):
            court.proof.publish_trace(honest.ref, wrong)


def test_other_bytes(court: Court, right: Trace, honest: Claim, demander: Account):
    court.demand(honest, demander)
    data = right.to_bytes()
    wrong = "proof: not the claimed trace"
    for place in (0, 41, 63, 64, 191, 192, len(data) - 1):
        changed = bytearray(data)
        changed[place] ^= 1
        with reverts(wrong):
            court.proof.simulate.publish_trace(honest.ref, bytes(changed))
    with reverts(wrong):
        court.proof.simulate.publish_trace(honest.ref, data[128:] + data[:128])


def test_a_wrong_trace_can_be_published_and_then_convicted(
    court: Court, right: Trace, demander: Account, publisher: Account
):
    lie = right.replace(0, 2, 5, right.rows[0][2][5] ^ 1)
    claim = court.claim(lie.root)
    court.demand(claim, demander)
    court.proof.publish_trace(claim.ref, lie.to_bytes(), sender=publisher)
    # What was published is all it takes to build the proof.
    published = Trace.from_bytes(court.model, 3, lie.to_bytes())
    fault = court.builder(published).first(right)
    assert fault is not None
    prove(court, claim, fault)
    assert court.proof.dispute_of(claim.claim_id).status == 3


def test_no_bytes_answer_for_a_malformed_trace(court: Court, right: Trace, demander: Account):
    data = right.to_bytes()
    longer = with_leaf(court, right, 2, 2, b"\x00" + right.rows[2][2] + b"\x80")
    hidden = with_pad(court, right, 3, 0, 3)
    unknown = ClaimedTrace(court.model, ClaimedTrace.of(right).leaves, {(0, 0, 3): b"\x01" * 32})
    for claimed in (longer, hidden, unknown):
        claim = court.claim(claimed.root)
        court.demand(claim, demander)
        with reverts("proof: not the claimed trace"):
            court.proof.publish_trace(claim.ref, data)


@pytest.mark.parametrize(
    ("widths", "units"),
    [
        ([1], 1),
        ([32, 33, 64, 65], 2),
        ([64, 32, 10], 25),
        ([32, 32, 32], 256),
        ([1_024], 24),
        ([1_024] * 24, 1),
        ([32] * 32, 24),
        ([7, 1_000, 31, 96, 5], 20),
    ],
)
def test_every_shape_up_to_the_longest(chain: Chain, widths: list[int], units: int):
    rng = np.random.default_rng(units)
    operators = [random_matmul(rng, 0, 3, width) for width in widths]
    court = Court.of(chain, Model.of(operators, 3, 256), random_input(rng, units, 3))
    right = court.right
    data = right.to_bytes()
    claim = court.claim(right.root)
    court.demand(claim, chain.accounts[4])
    receipt = court.proof.publish_trace(claim.ref, data)
    assert court.proof.dispute_of(claim.claim_id).status == 2
    assert receipt.gas_used < 1_500_000


def test_digits_shape_with_argmax(chain: Chain):
    rng = np.random.default_rng(6)
    operators = [
        random_matmul(rng, 0, 64, 64),
        random_matmul(rng, 1, 64, 32),
        random_matmul(rng, 2, 32, 10),
        Operator.argmax(3, 10),
    ]
    court = Court.of(chain, Model.of(operators, 64, 64), random_input(rng, 25, 64))
    claim = court.claim(court.right.root)
    court.demand(claim, chain.accounts[4])
    assert court.proof.publish_trace(claim.ref, court.right.to_bytes()).gas_used < 300_000


def test_longer_than_can_be_published(court: Court, honest: Claim, demander: Account):
    court.demand(honest, demander)
    with reverts(""):
        court.proof.publish_trace(honest.ref, bytes(24_577))
