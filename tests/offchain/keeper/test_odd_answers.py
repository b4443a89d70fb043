"""A keeper's round that ends with an error about one move still takes note of all the others."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.chain.rpc import NodeError
from headrace.daemon.actions import Action
from headrace.errors import Rejected
from tests.offchain.keeper.stage import Stage
from tests.system import UNIT, System


@pytest.fixture
def stage(system: System, tmp_path: Path) -> Iterator[Stage]:
    made = Stage(system, tmp_path)
    yield made
    made.close()


def test_a_refused_match_is_barred_although_another_move_ends_the_round(
    stage: Stage, system: System, monkeypatch: pytest.MonkeyPatch
):
    stage.ask(1, 3 * UNIT)
    stage.ask(2, 4 * UNIT)
    for _ in range(2):
        system.post(stage.terms(price_start=10 * UNIT))
    keeper = stage.keeper()
    asked: list[str] = []

    def submit(action: str, *args: Any, **options: Any) -> Any:
        asked.append(action)
        if len(asked) == 1:
            raise NodeError(-32000, "out of something")
        raise Rejected("match: no")

    monkeypatch.setattr(keeper._context.sender, "submit", submit)
    checked: list[bool] = []
    check = keeper._reader.check
    monkeypatch.setattr(keeper._reader, "check", lambda: checked.append(True) or check())
    with pytest.raises(NodeError):
        keeper.tick()
    assert len(asked) == 2
    assert len(keeper._barred) == 1
    # What is known is read again too, however long that lasts.
    assert checked == [True]


def test_what_is_no_match_does_not_wait_for_an_answer_about_one(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    keeper = stage.keeper()
    match = Action(f"match:{'11' * 32}:0", "JobEscrow", "match", (), ground=bytes(32))
    drip = Action("drip", "Token", "drip", (1,))
    monkeypatch.setattr(keeper, "plan", lambda view: [match, drip])

    def odd(*args: Any) -> Any:
        raise NodeError(-32000, "out of something")

    asked: list[str] = []

    def submit(action: str, *args: Any, **options: Any) -> Any:
        asked.append(action)
        raise Rejected("token: no")

    monkeypatch.setattr(keeper, "_allowed", odd)
    monkeypatch.setattr(keeper._reader, "check", lambda: True)
    monkeypatch.setattr(keeper._context.sender, "submit", submit)
    with pytest.raises(NodeError):
        keeper.tick()
    assert asked == ["drip"]
