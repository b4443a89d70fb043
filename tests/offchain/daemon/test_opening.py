"""Loading a long history shows that the process lives, and that its key is still its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.chain import db as db_module
from headrace.chain.outbox import Outbox
from headrace.daemon import opening
from headrace.errors import UsageError
from headrace.ops.health import Health
from headrace.ops.observer import Observer
from tests.offchain.keeper.stage import Stage
from tests.system import System


@pytest.fixture
def stage(system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    made = Stage(system, tmp_path)
    context = made.open(system.keepers[3])
    for _ in range(3):
        system.post(made.terms())
    context.look()
    made.contexts.pop().close()
    monkeypatch.setattr(db_module, "_PROGRESS_EVERY", 2)
    yield made
    made.close()


def test_the_lease_is_held_and_the_loop_beats_while_logs_are_read(stage, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(Outbox, "hold", lambda self: said.append("held"))
    monkeypatch.setattr(Health, "beat", lambda self, loop: said.append(loop))
    observer = Observer()
    key = opening.Key.of(stage.system.keepers[3].key)
    context = opening.open_context(
        "keeper",
        stage.settings(stage.system.keepers[3]),
        opening.Stop(),
        key=key,
        observer=observer,
    )
    # Each of the three jobs has a log at least, and every second one tells.
    assert said[:4] == ["held", "tick", "held", "tick"]
    context.close()


def test_a_lease_that_was_lost_meanwhile_ends_the_opening_and_leaves_nothing_open(
    stage, monkeypatch
):
    def lost(self: Outbox) -> None:
        raise UsageError("another process has taken over")

    monkeypatch.setattr(Outbox, "hold", lost)
    with pytest.raises(UsageError, match="taken over"):
        stage.open(stage.system.keepers[3])
    monkeypatch.undo()
    assert len(stage.open(stage.system.keepers[3]).jobs.jobs) == 3
