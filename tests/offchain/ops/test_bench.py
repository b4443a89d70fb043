"""The bench shows each figure beside its goal and keeps what it did not measure this time."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from scripts.bench import __main__ as bench
from scripts.bench.goals import GOALS, at_least, at_most


@pytest.mark.parametrize(
    ("goal", "value", "holds"),
    [
        (at_least(15), 15, True),
        (at_least(15), 14.999, False),
        (at_most(2), 2, True),
        (at_most(2), 2.001, False),
    ],
)
def test_a_bound_may_just_be_reached(goal, value, holds):
    assert goal.holds(value) is holds


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    monkeypatch.setattr(bench, "TARGET", tmp_path / "build" / "bench.json")
    return tmp_path / "build" / "bench.json"


def measuring(monkeypatch: pytest.MonkeyPatch, **modules: object) -> None:
    """Modules that measure these figures, or fail with these errors."""

    def module(name: str) -> SimpleNamespace:
        def measure() -> object:
            found = modules[name.rpartition(".")[2]]
            if isinstance(found, Exception):
                raise found
            return found

        return SimpleNamespace(measure=measure)

    monkeypatch.setattr(bench, "modules", lambda: sorted(modules))
    monkeypatch.setattr(bench, "import_module", module)


def test_all_figures_are_written_and_shown_beside_their_goals(target, monkeypatch):
    target.parent.mkdir()
    target.write_text(json.dumps({"restart_s": 9.0, "matches_per_s": 1.0}))
    measuring(monkeypatch, one={"matches_per_s": 20_000.0}, two={"odd_figure": 3.0})
    done = CliRunner().invoke(bench.main, [])
    assert done.exit_code == 0, done.output
    assert json.loads(target.read_text()) == {"matches_per_s": 20_000.0, "odd_figure": 3.0}
    assert "goal >= 20,000" in done.output


@pytest.mark.parametrize(("names", "two"), [(["one"], {}), ([], ValueError("broken"))])
def test_what_was_not_measured_stays_unless_all_were(target, monkeypatch, names, two):
    target.parent.mkdir()
    target.write_text(json.dumps({"restart_s": 9.0, "matches_per_s": 1.0}))
    measuring(monkeypatch, one={"matches_per_s": 20_000.0}, two=two)
    CliRunner().invoke(bench.main, names)
    assert json.loads(target.read_text()) == {"matches_per_s": 20_000.0, "restart_s": 9.0}


def test_only_some_can_be_measured(target, monkeypatch):
    measuring(monkeypatch, one={"matches_per_s": 20_000.0}, two=AssertionError("not asked"))
    assert CliRunner().invoke(bench.main, ["one"]).exit_code == 0
    assert CliRunner().invoke(bench.main, ["three"]).exit_code == 2


def test_a_missed_goal_ends_with_1(target, monkeypatch):
    measuring(monkeypatch, one={"matches_per_s": 19_999.0})
    done = CliRunner().invoke(bench.main, [])
    assert done.exit_code == 1
    assert "MISSED" in done.output
    assert json.loads(target.read_text()) == {"matches_per_s": 19_999.0}


def test_a_module_that_fails_does_not_hide_the_others(target, monkeypatch):
    measuring(monkeypatch, one=ValueError("broken"), two={"restart_s": 1.0})
    done = CliRunner().invoke(bench.main, [])
    assert done.exit_code == 1
    assert "failed: ValueError: broken" in done.output
    assert json.loads(target.read_text()) == {"restart_s": 1.0}


def test_goals_of_modules_are_these():
    assert {"ingest", "sending", "matching"} <= set(bench.modules())
    for name in bench.modules():
        module = bench.import_module(f"scripts.bench.{name}")
        for key, bound in getattr(module, "GOALS", {}).items():
            assert GOALS[key].bound == bound, (name, key)
