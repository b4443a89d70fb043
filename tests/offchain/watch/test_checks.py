"""Checks of claims: the lie is found wherever it is, and nothing is sent that would not convict."""

from pathlib import Path

import numpy as np
import pytest

from headrace.graph import numpy_backend
from headrace.graph.encoding import Int8
from headrace.graph.faults import FaultKind
from headrace.graph.model import Operator
from headrace.graph.trace import Trace, continue_from, run
from headrace.terms.words import Terms
from headrace.watch.checks import Checker, Kept, Unchecked
from tests.offchain.node.fakes import FakeChain


@pytest.fixture
def world(tmp_path: Path) -> FakeChain:
    return FakeChain(tmp_path)


def honest(world: FakeChain, terms: Terms) -> tuple[Int8, Trace]:
    tensor = world.store.get_tensor(terms.input_id, terms.units, world.model.input_width)
    return tensor, run(world.model, tensor)


def test_an_honest_claim(world: FakeChain):
    terms = world.terms()
    _, right = honest(world, terms)
    report = Checker(world.store).check(terms, right.root)
    assert (report.is_good, report.right_root, report.fault) == (True, right.root, None)


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ((0, 0, 0), FaultKind.ELEMENT),
        ((0, 2, 39), FaultKind.ELEMENT),
        ((0, 1, 40), FaultKind.PADDING),
        ((1, 1, 2), FaultKind.ELEMENT),
        ((1, 0, 31), FaultKind.PADDING),
        ((2, 2, 0), FaultKind.WITNESS),
        ((2, 2, 1), FaultKind.PADDING),
    ],
)
@pytest.mark.parametrize("is_stored", [True, False])
def test_a_lie_whose_trace_is_at_hand(
    world: FakeChain, place: tuple[int, int, int], kind: FaultKind, is_stored: bool
):
    terms = world.terms()
    _, right = honest(world, terms)
    operator, row, column = place
    lie = right.replace(operator, row, column, right.rows[operator][row][column] ^ 0x11)
    if is_stored:
        world.store.put_trace(lie)
    report = Checker(world.store).check(terms, lie.root, None if is_stored else lie)
    assert not report.is_good
    fault = report.fault
    assert fault is not None
    assert (fault.kind, fault.op_index, fault.row) == (kind, operator, row)


def test_a_lie_that_is_consistent_downstream(world: FakeChain):
    terms = world.terms()
    tensor, right = honest(world, terms)
    changed = right.replace(0, 1, 7, right.rows[0][1][7] ^ 0x40)
    lie = continue_from(world.model, tensor, changed, 0)
    report = Checker(world.store).check(terms, lie.root, lie)
    fault = report.fault
    assert fault is not None
    assert (fault.op_index, fault.row, fault.column) == (0, 1, 7)


def test_a_lie_whose_trace_is_withheld(world: FakeChain):
    report = Checker(world.store).check(world.terms(), b"\x0a" * 32)
    assert (report.is_good, report.fault) == (False, None)


def test_a_stored_trace_that_is_none_counts_as_withheld(world: FakeChain):
    terms = world.terms()
    _, right = honest(world, terms)
    lie = right.replace(0, 0, 0, right.rows[0][0][0] ^ 1)
    name = world.store.put_trace(lie)
    (place,) = (path for path in world.store.path.rglob(name) if path.is_file())
    for content in (b"", right.to_bytes(), lie.to_bytes()[:-1]):
        place.write_bytes(content)
        report = Checker(world.store).check(terms, lie.root)
        assert (report.is_good, report.fault) == (False, None)


def test_what_is_missing_is_no_verdict(world: FakeChain):
    with pytest.raises(Unchecked, match="no input"):
        Checker(world.store).check(world.terms(has_input=False), b"\x0a" * 32)
    with pytest.raises(Unchecked, match="no model"):
        Checker(world.store).check(world.terms(program=b"\x0b" * 32), b"\x0a" * 32)


def broken(operator: Operator, source: Int8) -> Int8:
    """A backend with a bug in its third column."""
    made = sound(operator, source)
    if operator.width_out > 2:
        made = made.copy()
        made[:, 2] = np.where(made[:, 2] > 0, made[:, 2] - 1, made[:, 2] + 1)
    return made


sound = numpy_backend.apply


def test_a_backend_with_a_bug_convicts_nobody(world: FakeChain, monkeypatch: pytest.MonkeyPatch):
    terms = world.terms()
    _, right = honest(world, terms)
    world.store.put_trace(right)
    monkeypatch.setattr(numpy_backend, "apply", broken)
    with pytest.raises(Unchecked, match="the proof does not convict"):
        Checker(world.store).check(terms, right.root)


def test_a_backend_with_a_bug_pays_no_demand(world: FakeChain, monkeypatch: pytest.MonkeyPatch):
    terms = world.terms()
    _, right = honest(world, terms)
    monkeypatch.setattr(numpy_backend, "apply", broken)
    with pytest.raises(Unchecked, match="the backends disagree on operator 0"):
        Checker(world.store).check(terms, right.root)


def test_what_is_kept_is_made_once_and_let_go_in_its_turn():
    made: list[int] = []

    def make(key: int) -> int:
        made.append(key)
        return key * 10

    kept: Kept[int, int] = Kept(2)
    values = [kept.get(key, lambda key=key: make(key)) for key in (1, 2, 1, 3, 1, 2)]
    assert values == [10, 20, 10, 30, 10, 20]
    assert made == [1, 2, 3, 2]
