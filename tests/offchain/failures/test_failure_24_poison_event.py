"""Failure 24: an event that can't be read. Its row is kept, it is counted, the others go on."""

from pathlib import Path

import pytest
from eth_utils import keccak

from headrace.chain.contracts import JobEscrow
from headrace.chain.jobs import JobBook
from headrace.chain.rules import FaultProof
from headrace.daemon.disputes import DisputeBook
from tests.offchain.failures.follow import Reading, source

__all__ = ["source"]

CLAIM, OTHER, JOB = (bytes([n]) * 32 for n in (1, 2, 3))
DEMANDED = FaultProof.abi().events["TraceDemanded"].topic
POSTED = JobEscrow.abi().events["Posted"].topic
FINALISED = JobEscrow.abi().events["Finalised"].topic
UNKNOWN = keccak(text="AddedByAnUpgrade(bytes32,uint256)")


def test_failure_24_unknown_and_broken_events_are_kept_and_left_out(source, tmp_path: Path):
    reading = Reading(source, tmp_path)
    disputes, jobs = DisputeBook(), JobBook()
    source.emit_raw(UNKNOWN, JOB, bytes(32))  # an event that no ABI of ours has
    source.emit_raw(DEMANDED, CLAIM, bytes(32))  # two topics where three are due
    source.emit_raw(POSTED, JOB, b"\x01")  # too short
    source.emit_raw(FINALISED, OTHER, b"\xff" * 4_000)  # of a job that nobody knows
    for _ in range(4):
        step = reading.step()
        disputes.follow(step, reading.db, source.address)
        jobs.follow(step, reading.db, source.address)
    reading.check()
    assert len(reading.rows) == 4
    assert disputes.unread == 1
    assert jobs.unread == 2
    assert disputes.cases == {}
    assert jobs.jobs == {}
    # A started process meets them again, and goes on again.
    again = JobBook.load(reading.db, source.address)
    assert (again.unread, again.jobs) == (2, {})
    assert DisputeBook.load(reading.db, source.address).unread == 1
    reading.close()


def test_failure_24_other_entities_proceed_beside_it(source, tmp_path: Path):
    reading = Reading(source, tmp_path)
    source.emit_raw(DEMANDED, CLAIM, b"poison")
    source.emit(3)
    source.emit_raw(DEMANDED, CLAIM, b"")
    source.emit(2, 1)
    reading.catch_up()
    reading.check()
    read = [event for log in reading.db.logs() if (event := source.abi.event(log)) is not None]
    assert [event.args["amount"] for event in read] == [0, 0, 0, 1, 1]
    reading.close()


@pytest.mark.parametrize("size", [0, 1, 31, 33, 4096])
def test_failure_24_any_data_is_stored_as_it_is(source, tmp_path: Path, size: int):
    reading = Reading(source, tmp_path)
    source.emit_raw(UNKNOWN, JOB, b"\x7f" * size)
    reading.catch_up()
    (log,) = reading.db.logs()
    assert log.data == b"\x7f" * size
    reading.check()
    source.reorganise(1, [(1, 1, 0)])
    reading.catch_up()
    reading.check()
    reading.close()
