from typing import Any

import numpy as np
import pytest

from headrace.graph.merkle import Tree
from headrace.graph.model import Descriptor, Model, program_id
from tests.harness import Chain, reverts
from tests.unit.fault_proof.court import Court, random_matmul

CARD = b"\x0c" * 32
ROOT = b"\x11" * 32


def matmul(source: int = 0, width_in: int = 8, width_out: int = 8, **changes: Any) -> Descriptor:
    """A MATMUL that could be registered, but for the changes."""
    clamp = (0 << 8) | 255
    return Descriptor(1, source, width_in, width_out, clamp, ROOT, ROOT)._replace(**changes)


def argmax(source: int = 0, width_in: int = 8, **changes: Any) -> Descriptor:
    """An ARGMAX that could be registered, but for the changes."""
    return Descriptor(2, source, width_in, 1, 0, bytes(32), bytes(32))._replace(**changes)


def program_of(operators: list[Descriptor], input_width: int, max_units: int) -> bytes:
    """The program id by the Python side."""
    root = Tree([operator.leaf for operator in operators]).root
    return program_id(root, len(operators), input_width, max_units)


def test_keeps_the_model_under_its_id(chain: Chain, court: Court):
    rng = np.random.default_rng(1)
    model = Model.of([random_matmul(rng, 0, 33, 64), random_matmul(rng, 0, 33, 1_000)], 33, 256)
    receipt = court.proof.register_model(model.descriptors, 33, 256, CARD, sender=chain.accounts[2])
    assert receipt.return_value == model.program
    assert court.proof.model_of(model.program) == (model.graph_root, 2, 33, 64 + 1_024, 256)
    event = receipt.only("ModelRegistered")
    assert event.program == model.program
    assert event.registrant == chain.accounts[2].address
    assert event.graph_root == model.graph_root
    assert event.card_id == CARD


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 31, 32])
def test_id_for_every_kind_of_tree(court: Court, count: int):
    operators = [matmul(0, 8, 1 + index) for index in range(count)]
    court.proof.register_model(operators, 8, 1, CARD)
    assert court.proof.model_of(program_of(operators, 8, 1)).op_count == count


def test_nobody_can_spoil_a_registration_by_being_first(chain: Chain, court: Court):
    operators = [matmul()]
    program = program_of(operators, 8, 4)
    court.proof.register_model(operators, 8, 4, b"\xee" * 32, sender=chain.accounts[6])
    before = court.proof.model_of(program)
    receipt = court.proof.register_model(operators, 8, 4, CARD, sender=chain.accounts[2])
    assert receipt.return_value == program
    assert court.proof.model_of(program) == before
    # The registrant's own card is on record all the same.
    event = receipt.only("ModelRegistered")
    assert (event.registrant, event.card_id) == (chain.accounts[2].address, CARD)


def test_same_operators_with_other_bounds_are_another_model(court: Court):
    made = {
        court.proof.register_model([matmul()], 8, units, CARD).return_value for units in (1, 2, 256)
    }
    assert len(made) == 3


@pytest.mark.parametrize(
    ("operators", "input_width", "max_units", "reason"),
    [
        ([], 8, 1, "model: no operators"),
        ([matmul()], 0, 1, "model: bad input_width"),
        ([matmul(width_in=1_025)], 1_025, 1, "model: bad input_width"),
        ([matmul()], 8, 0, "model: bad max_units"),
        ([matmul()], 8, 257, "model: bad max_units"),
        ([matmul(opcode=0)], 8, 1, "model: unknown opcode"),
        ([matmul(opcode=3)], 8, 1, "model: unknown opcode"),
        ([matmul(source=1)], 8, 1, "model: source is not earlier"),
        ([matmul(), matmul(source=2)], 8, 1, "model: source is not earlier"),
        ([matmul(width_in=7)], 8, 1, "model: width_in not the source's"),
        ([matmul(width_out=9), matmul(1)], 8, 1, "model: width_in not the source's"),
        ([matmul(width_out=0)], 8, 1, "model: bad width_out"),
        ([matmul(width_out=1_025)], 8, 1, "model: bad width_out"),
        ([matmul(clamp=1 << 16)], 8, 1, "model: spare bits in clamp"),
        ([matmul(clamp=(128 << 8) | 127)], 8, 1, "model: clamp is empty"),
        ([argmax(width_in=129)], 129, 1, "model: argmax too wide"),
        ([argmax(width_out=2)], 8, 1, "model: argmax width_out not 1"),
        ([argmax(clamp=255)], 8, 1, "model: argmax has clamp or roots"),
        ([argmax(weight_root=ROOT)], 8, 1, "model: argmax has clamp or roots"),
        ([argmax(param_root=ROOT)], 8, 1, "model: argmax has clamp or roots"),
    ],
)
def test_every_bound(
    court: Court, operators: list[Descriptor], input_width: int, max_units: int, reason: str
):
    with reverts(reason):
        court.proof.register_model(operators, input_width, max_units, CARD)


@pytest.mark.parametrize(
    ("operators", "input_width", "max_units"),
    [
        ([matmul(width_in=1, width_out=1)], 1, 1),
        ([matmul(width_in=1_024, width_out=1_024)], 1_024, 256),
        ([matmul(clamp=0)], 8, 1),
        ([matmul(clamp=(128 << 8) | 128)], 8, 1),
        ([matmul(clamp=(255 << 8) | 255)], 8, 1),
        ([argmax(width_in=128)], 128, 1),
        ([matmul(), matmul(), matmul(1), matmul(3)], 8, 1),
    ],
)
def test_bounds_are_inclusive(
    court: Court, operators: list[Descriptor], input_width: int, max_units: int
):
    program = court.proof.register_model(operators, input_width, max_units, CARD).return_value
    assert program == program_of(operators, input_width, max_units)


def test_no_more_than_32_operators(court: Court):
    with reverts(""):
        court.proof.register_model([matmul()] * 33, 8, 1, CARD)
