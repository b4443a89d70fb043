"""Exhaustive on a small trace: each wrong byte convicts, nothing right ever does."""

import pytest

from headrace.graph.claimed import ClaimedTrace
from headrace.graph.encoding import padded
from headrace.graph.faults import FaultKind
from headrace.graph.merkle import ZEROS, depth
from headrace.graph.model import Opcode
from headrace.graph.trace import Trace, continue_from
from tests.unit.fault_proof.court import Court, verdicts


@pytest.fixture
def any_claim(court: Court):
    """Gives the ref of a claim with any commitment."""
    claim = court.claim(bytes(32))
    court.escrow.set_lax(True)
    return lambda commitment: (claim.terms, claim.record, commitment)


def test_every_changed_byte_convicts(court: Court, right: Trace, any_claim):
    cases, kinds = [], []
    tensors = ClaimedTrace.of(right).leaves
    for operator, rows in enumerate(tensors):
        for row, preimage in enumerate(rows):
            for place in range(len(preimage)):
                # The place itself (0 is the prefix) decides the change, so that all kinds occur.
                for change in (1 + place % 255, 0x80):
                    changed = bytearray(preimage)
                    changed[place] ^= change
                    leaves = [list(tensor) for tensor in tensors]
                    leaves[operator][row] = bytes(changed)
                    claimed = ClaimedTrace(court.model, tuple(map(tuple, leaves)))
                    fault = court.builder(claimed).first(right)
                    assert fault is not None
                    assert (fault.op_index, fault.row) == (operator, row)
                    cases.append((any_claim(claimed.root), fault))
                    kinds.append(fault.kind)
    reasons = verdicts(court, cases)
    missed = [case[1] for case, reason in zip(cases, reasons, strict=True) if reason]
    assert missed == []
    assert len(cases) == 2 * 3 * sum(1 + padded(o.width_out) for o in court.model.operators)
    assert set(kinds) == set(FaultKind) - {FaultKind.PAD_NODE}


def test_consistent_lies_convict_where_they_begin(court: Court, right: Trace, any_claim):
    cases = []
    for operator, step in enumerate(court.model.operators):
        for row in range(right.units):
            for column in range(step.width_out):
                byte = right.rows[operator][row][column] ^ 1
                lie = continue_from(
                    court.model, court.tensor, right.replace(operator, row, column, byte), operator
                )
                fault = court.builder(lie).first(right)
                assert fault is not None
                assert (fault.op_index, fault.row, fault.column) == (operator, row, column)
                cases.append((any_claim(lie.root), fault))
    assert set(verdicts(court, cases)) == {""}


def test_every_pad_node_convicts(court: Court, right: Trace, any_claim):
    leaves = ClaimedTrace.of(right).leaves
    cases = []
    for tree in range(court.model.op_count + 1):
        count = court.model.op_count if tree == court.model.op_count else right.units
        for level in range(depth(count)):
            for index in range(1 << (depth(count) - level)):
                if index << level >= count:
                    wrong = {(tree, level, index): b"\x01" * 32}
                    claimed = ClaimedTrace(court.model, leaves, wrong)
                    fault = court.builder(claimed).first(right)
                    assert fault is not None
                    assert fault.kind == FaultKind.PAD_NODE
                    cases.append((any_claim(claimed.root), fault))
    assert len(cases) == court.model.op_count + 1
    assert set(verdicts(court, cases)) == {""}


def test_nothing_right_convicts(court: Court, right: Trace, any_claim):
    builder = court.builder(right)
    faults = []
    for operator, step in enumerate(court.model.operators):
        for row in range(right.units):
            faults.append(builder.leaf_form(operator, row))
            for column in range(step.width_out):
                if step.opcode == Opcode.MATMUL:
                    faults.append(builder.element(operator, row, column, 0))
            if step.opcode == Opcode.ARGMAX:
                faults += [builder.witness(operator, row, k) for k in range(step.width_in)]
            for column in range(step.width_out, padded(step.width_out)):
                faults.append(builder.padding(operator, row, column))
        # T = 3: the one padding place of a tensor, and of the trace (three operators).
        faults.append(builder.pad_node(operator, 0, 3))
    faults.append(builder.pad_node(court.model.op_count, 0, 3))
    assert builder.claimed.tree.node(0, 3) == ZEROS[0]
    reasons = verdicts(court, [(any_claim(right.root), fault) for fault in faults])
    assert set(reasons) == {"proof: no fault"}
    assert {fault.kind for fault in faults} == set(FaultKind)
