"""A few rounds of the fuzz of sending; `python -m scripts.fuzz` plays thousands."""

from pathlib import Path

import pytest

from scripts.fuzz.outbox import SHARES, Stage, run


def test_every_task_is_done_once_whatever_is_killed_dropped_or_reorganised():
    figures = run(24, seed=11)
    assert (figures["double"], figures["left_undone"], figures["late"]) == (0, 0, 0)
    assert figures["reverted_share"] == 0
    assert figures["rival_reverted_share"] == 0
    assert figures["performed"] + figures["empty"] >= 24
    assert figures["sender_deepest"] > 2


def test_the_shares_are_a_whole():
    assert sum(SHARES.values()) == pytest.approx(1)


@pytest.mark.parametrize("blocks", [1, 2])
def test_it_sees_that_a_task_was_done_late(tmp_path: Path, blocks: int):
    stage = Stage(tmp_path, seed=1)
    try:
        with stage.scene(1) as scene:
            scene.mine(is_patient=True)
            with scene.workers[0].stopped():
                scene.post(1)
                for _ in range(blocks):
                    scene.mine(is_patient=False)
            scene.attend()
            scene.calm_down()
            assert scene.count()["left_undone"] == 0
            assert scene.delays() == [(blocks, 0)]
            # What is known to have held it up is allowed for, and nothing more.
            scene.note("stops", blocks - 1, at=scene.posted[1])
            assert scene.delays() == [(blocks, blocks - 1)]
    finally:
        stage.anvil.stop()


def test_it_sees_that_a_task_was_left_undone(tmp_path: Path):
    stage = Stage(tmp_path, seed=1)
    try:
        with stage.scene(1) as scene:
            scene.workers[0].kill()
            scene.post(1)
            scene.calm_down()
            assert scene.count()["left_undone"] == 1
            assert scene.delays() == []
    finally:
        stage.anvil.stop()
