"""A node's record: one root for an attempt, kept through everything."""

from pathlib import Path

import pytest

from headrace.errors import UsageError
from headrace.node.record import Contradiction, Entry, NodeRecord, Stage

ID = {"chain": "31337", "provider": "0xaa"}
KEY = (b"\x01" * 32, 1)
OTHER = (b"\x01" * 32, 2)
ROOT, ROOT2 = b"\x05" * 32, b"\x06" * 32


@pytest.fixture
def record(tmp_path: Path) -> NodeRecord:
    made = NodeRecord(tmp_path / "node.db", ID)
    made.see(KEY, keep_until=100)
    return made


def again(record: NodeRecord) -> NodeRecord:
    record.close()
    return NodeRecord(record.path, ID)


def test_an_attempt_comes_through_a_restart(record: NodeRecord):
    assert record.entry(KEY) == Entry()
    assert record.entry(OTHER) is None
    record.compute(KEY, ROOT, b"trace")
    record = again(record)
    assert record.entry(KEY) == Entry(Stage.COMPUTED, ROOT)
    assert record.trace(ROOT) == b"trace"
    record.published(KEY)
    record.claim(KEY, ROOT)
    record = again(record)
    assert record.entry(KEY) == Entry(Stage.CLAIMED, ROOT, is_published=True)


def test_seeing_again_changes_nothing(record: NodeRecord):
    record.compute(KEY, ROOT, b"trace")
    record.see(KEY, keep_until=1)
    assert record.entry(KEY) == Entry(Stage.COMPUTED, ROOT)
    assert record.prune(100) == 0


def test_a_second_root_is_a_contradiction(record: NodeRecord):
    record.compute(KEY, ROOT, b"trace")
    with pytest.raises(Contradiction):
        record.compute(KEY, ROOT2, b"other")
    with pytest.raises(Contradiction):
        record.claim(KEY, ROOT2)
    assert record.entry(KEY) == Entry(Stage.COMPUTED, ROOT)
    assert record.trace(ROOT2) is None


def test_the_same_root_again_is_none(record: NodeRecord):
    record.claim(KEY, ROOT)
    record.compute(KEY, ROOT, b"trace")  # a trace that was got back
    assert record.entry(KEY) == Entry(Stage.CLAIMED, ROOT)
    assert record.trace(ROOT) == b"trace"


def test_why_an_attempt_came_to_nothing(record: NodeRecord):
    record.decline(KEY, "no input")
    assert record.entry(KEY) == Entry(Stage.DECLINED, reason="no input")
    record.fail(KEY, "too late")
    assert record.entry(KEY) == Entry(Stage.FAILED, reason="too late")
    record.compute(KEY, ROOT, b"trace")
    assert record.entry(KEY) == Entry(Stage.COMPUTED, ROOT)


def test_an_attempt_that_was_never_seen_can_not_be_computed(record: NodeRecord):
    with pytest.raises(UsageError, match="never seen"):
        record.compute(OTHER, ROOT, b"trace")


def test_a_trace_is_kept_as_long_as_any_attempt_needs_it(record: NodeRecord):
    record.compute(KEY, ROOT, b"trace")
    record.see(OTHER, keep_until=200)
    record.compute(OTHER, ROOT, b"trace")
    record.compute(KEY, ROOT, b"trace")
    assert record.prune(200) == 0
    assert record.prune(201) == 1
    assert record.trace(ROOT) is None


def test_an_attempt_stays_on_record_for_a_month_after_it_is_over(record: NodeRecord):
    month = 30 * 86_400
    record.see(OTHER, keep_until=200)
    record.prune(200 + month)
    assert record.entry(OTHER) == Entry(Stage.SEEN)
    record.prune(201 + month)
    assert record.entry(OTHER) is None


def test_asks_newest_first(record: NodeRecord):
    record.add_ask(ROOT, {"a": 1}, 10)
    record.add_ask(ROOT2, {"a": 2}, 20)
    assert record.asks() == [(ROOT2, {"a": 2}), (ROOT, {"a": 1})]
    record.drop_ask(ROOT2)
    assert [ask_hash for ask_hash, _ in again(record).asks()] == [ROOT]


def test_another_process_can_ask_it_to_drain(record: NodeRecord):
    other = NodeRecord(record.path, ID)
    assert not record.is_draining
    other.set_draining(True)
    assert record.is_draining
    other.set_draining(False)
    assert not record.is_draining


def test_another_providers_file_is_refused(record: NodeRecord):
    with pytest.raises(UsageError, match="has provider 0xaa, not 0xbb"):
        NodeRecord(record.path, ID | {"provider": "0xbb"})


def test_a_file_that_is_none_of_ours_is_refused(tmp_path: Path):
    path = tmp_path / "node.db"
    path.write_bytes(b"something else entirely" * 99)
    with pytest.raises(UsageError, match="damaged or no file of ours"):
        NodeRecord(path, ID)
