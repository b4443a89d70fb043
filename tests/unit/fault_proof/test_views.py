"""`model_of` and `dispute_of`; their values are asserted where they change."""

from tests.harness import ZERO_ADDRESS, reverts
from tests.unit.fault_proof.court import Court


def test_a_model(court: Court):
    model = court.model
    assert court.proof.model_of(model.program) == (model.graph_root, 3, 5, 128, 200)


def test_no_model(court: Court):
    with reverts("model: not registered"):
        court.proof.model_of(bytes(32))


def test_no_dispute(court: Court):
    assert court.proof.dispute_of(b"\x01" * 32) == (0, 0, ZERO_ADDRESS, ZERO_ADDRESS)
