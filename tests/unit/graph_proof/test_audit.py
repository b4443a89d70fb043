from headrace.graph2.trace import Trace
from tests.harness import Account, reverts
from tests.unit.graph_proof.court import Claim, Court, lie


def test_a_right_element(court: Court, honest: Claim, prover: Account, right: Trace):
    proof = court.builder(honest).prove_at(2, 239, 39)
    receipt = court.proof.audit(honest.ref, proof, sender=prover)
    element = int(right.tensors[2][239, 39])
    event = (honest.claim_id, prover.address, 2, 239, 39, element)
    assert receipt.only("ElementAudited") == event
    assert court.proof.case_of(honest.claim_id)[:5] == (0, 0, 0, 0, "0x" + "00" * 20)


def test_succeeds_exactly_where_prove_fails(court: Court, false: Claim):
    builder = court.builder(false)
    for place in ((0, 5, 7), (1, 5, 7), (1, 5, 8), (2, 5, 0), (2, 6, 0)):
        proof = builder.prove_at(*place)
        wrong = place == (1, 5, 7) or (
            place[0] == 2
            and place[1] == 5
            and builder.value(false.trace.model.operators[2].out.at(3), *place[1:])
            != builder.recompute(*place)
        )
        if wrong:
            court.proof.simulate.prove(false.ref, proof)
            with reverts("graph: element is wrong"):
                court.proof.simulate.audit(false.ref, proof)
        else:
            court.proof.simulate.audit(false.ref, proof)
            with reverts("graph: no fault"):
                court.proof.simulate.prove(false.ref, proof)


def test_wants_an_element(court: Court, honest: Claim):
    proof = court.builder(honest).pad_node(1, 2, 2).proof
    with reverts("graph: audit wants an element"):
        court.proof.audit(honest.ref, proof)


def test_only_claims_there_are(court: Court, honest: Claim, right: Trace):
    proof = court.builder(honest).prove_at(0, 0, 0)
    other = court.claim(lie(right), verifier=court.vault)
    with reverts("graph: not this verifier"):
        court.proof.audit(other.ref, proof)
    with reverts("mock: unknown claim"):
        court.proof.audit((*honest.ref[:2], bytes(32)), proof)
