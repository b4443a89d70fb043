"""A few rounds of the fuzz of sending; `python -m scripts.fuzz` plays thousands."""

from scripts.fuzz.outbox import run


def test_every_task_is_done_once_whatever_is_killed_dropped_or_reorganised():
    figures = run(24, seed=11)
    assert (figures["double"], figures["left_undone"], figures["late"]) == (0, 0, 0)
    assert figures["reverted_share"] == 0
    assert figures["rival_reverted_share"] == 0
    assert figures["performed"] + figures["empty"] >= 24
