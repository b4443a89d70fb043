"""The files for Prometheus, Grafana and systemd name what is there: metrics, settings, sections."""

import configparser
import json
import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest
import yaml

from headrace.chain.fees import Fees
from headrace.cli.app import cli
from headrace.daemon.kinds import kind_of
from headrace.ops.metrics import Metrics
from headrace.ops.watchdog import EXIT_CODE
from headrace.settings import Settings
from tests.harness import ROOT

OPS = ROOT / "ops"
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
# What Prometheus itself and the collector of the process add.
FROM_OTHERS = {"up", "process_resident_memory_bytes"}
_WORDS = {
    *("by", "without", "and", "or", "unless", "on", "ignoring", "group_left", "bool", "offset"),
    *("sum", "min", "max", "avg", "count", "rate", "increase", "time", "histogram_quantile"),
    *("absent", "max_over_time", "clamp_min"),
}


def metrics_of(expression: str) -> set[str]:
    """The names of metrics in an expression of PromQL."""
    bare = re.sub(r"\{[^}]*\}", " ", expression)  # selectors
    bare = re.sub(r"\[[^\]]*\]", " ", bare)  # ranges
    bare = re.sub(r"\b(by|without|on|ignoring)\s*\([^)]*\)", " ", bare)
    return set(re.findall(r"\b[a-z_:][a-z0-9_:]*\b", bare)) - _WORDS


def labels_of(expression: str) -> dict[str, set[str]]:
    """The labels that each metric of an expression is selected by."""
    found: dict[str, set[str]] = {}
    for name, selector in re.findall(r"([a-z_]+)\{([^}]*)\}", expression):
        found.setdefault(name, set()).update(re.findall(r"([a-z_]+)\s*(?:!?=~?|!~)", selector))
    return found


def rules() -> list[dict]:
    content = yaml.safe_load((OPS / "prometheus" / "alerts.yaml").read_text())
    return [rule for group in content["groups"] for rule in group["rules"]]


def dashboard() -> dict:
    return json.loads((OPS / "grafana" / "headrace.json").read_text())


def expressions() -> list[str]:
    panels = dashboard()["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def test_the_reader_of_expressions_finds_names_and_nothing_else():
    found = metrics_of('sum by (a) (rate(x_total{job="b"}[5m])) / 1e9 > 0.02 and time() - y < 3')
    assert found == {"x_total", "y"}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_alert_is_about_metrics_that_exist_and_has_a_section(rule: dict):
    known = Metrics("keeper").names() | FROM_OTHERS
    assert metrics_of(rule["expr"])
    assert metrics_of(rule["expr"]) <= known
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"]
    anchor = rule["annotations"]["runbook"].removeprefix("docs/runbook.md#")
    assert anchor == rule["alert"].lower()
    assert f"## {rule['alert']}\n" in RUNBOOK


def test_the_alert_before_a_deadline_leaves_time_for_two_rises_of_the_fee():
    (rule,) = (rule for rule in rules() if rule["alert"] == "HeadraceDeadlineNear")
    (blocks,) = re.findall(r"(\d+) \* headrace_block_seconds", rule["expr"])
    stuck_blocks = Fees.unattended(1, kind_of, reserve=0, daily_budget=1).stuck_blocks
    assert int(blocks) == 2 * stuck_blocks == 12
    panels = [panel for panel in expressions() if f"clamp_min({blocks} * headrace_block_" in panel]
    assert len(panels) == 1


def test_every_section_of_an_alert_has_one():
    sections = set(re.findall(r"^## (Headrace\w+)$", RUNBOOK, re.M))
    assert sections == {rule["alert"] for rule in rules()}


def test_every_section_says_what_it_means_what_to_type_and_how_it_shows():
    for section in re.split(r"^## ", RUNBOOK, flags=re.M)[1:]:
        if section.startswith("Headrace"):
            name = section.splitlines()[0]
            for heading in ("**What it means.**", "**What to type.**", "**It worked when**"):
                assert heading in section, (name, heading)


@pytest.mark.parametrize("expression", expressions())
def test_every_panel_shows_metrics_that_exist(expression: str):
    known = Metrics("keeper").names() | FROM_OTHERS
    assert metrics_of(expression)
    assert metrics_of(expression) <= known


def test_expressions_select_by_labels_that_exist():
    metrics = Metrics("keeper")
    known = {
        metric.name + ending: {"job", "instance", "le", *collector._labelnames}
        for collector in metrics._collectors
        for metric in collector.describe()
        for ending in ("", "_total", "_bucket", "_sum", "_count")
    }
    for expression in [*expressions(), *(rule["expr"] for rule in rules())]:
        for name, labels in labels_of(expression).items():
            if name not in FROM_OTHERS:
                assert labels <= known[name], expression


def test_panels_do_not_cover_each_other_and_have_ids_of_their_own():
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


# ---- systemd

UNIT = OPS / "systemd" / "headrace-keeper.service"


def unit() -> list[tuple[str, str]]:
    lines = [line for line in UNIT.read_text().splitlines() if line and line[0] not in "#["]
    return [(key, value) for key, _, value in (line.partition("=") for line in lines)]


def test_the_unit_sets_settings_that_exist():
    names = {f"HEADRACE_{name.upper()}" for name in Settings.model_fields}
    given = {value.partition("=")[0] for key, value in unit() if key == "Environment"}
    assert given
    assert given <= names


def test_the_unit_keeps_secrets_out_of_the_environment():
    values = dict(value.split("=", 1) for key, value in unit() if key == "Environment")
    assert values["HEADRACE_PASSPHRASE_FILE"] == "%d/passphrase"
    assert values["HEADRACE_RPC_URL_FILE"] == "%d/rpc-url"
    assert not {"HEADRACE_PASSPHRASE", "HEADRACE_RPC_URL"} & set(values)
    credentials = {value.partition(":")[0] for key, value in unit() if key == "LoadCredential"}
    assert credentials == {"passphrase", "rpc-url"}


def test_the_unit_starts_again_what_the_watchdog_ended_before_systemd_would():
    values = dict(unit())
    assert values["Type"] == "notify"
    # `on-failure` is for codes other than 0.
    assert values["Restart"] == "on-failure"
    assert EXIT_CODE != 0
    assert int(values["WatchdogSec"]) > Settings(home=Path("x")).watchdog_seconds
    assert int(values["TimeoutStopSec"]) >= 5


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not there")
def test_systemd_takes_the_unit_and_finds_it_safe(tmp_path: Path):
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/headrace/bin/python", "/bin/true"))
    verified = subprocess.run(
        ["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False
    )
    assert UNIT.name not in verified.stderr, verified.stderr
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    if found is None:
        pytest.skip(f"this systemd can't judge a file: {done.stderr.strip()}")
    assert float(found[1]) < 2.5


def test_the_unit_is_one_that_a_parser_reads():
    parser = configparser.RawConfigParser(strict=False, allow_no_value=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(UNIT.read_text())
    assert parser.sections() == ["Unit", "Service", "Install"]


# ---- the runbook


def test_the_runbook_names_settings_that_exist():
    names = {f"HEADRACE_{name.upper()}" for name in Settings.model_fields}
    named = set(re.findall(r"\bHEADRACE_[A-Z_]+\b", RUNBOOK))
    assert named
    assert named <= names


def test_the_runbook_types_commands_that_exist():
    commands = set(re.findall(r"`[^`]*?\bhr ([a-z]+(?: [a-z]+)?)", RUNBOOK))
    assert {"keeper doctor", "keeper release"} <= commands
    for command in commands:
        context: click.Command = cli
        for word in command.split():
            if isinstance(context, click.Group):
                found = context.get_command(click.Context(context), word)
                assert found is not None, command
                context = found


def test_the_runbook_looks_for_lines_that_are_logged():
    source = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    said = set(re.findall(r'\.say=="([^"]+)"', RUNBOOK)) - {"reverted", "sent"}
    assert said
    for words in said:
        assert f'"{words}"' in source, words


def test_the_runbook_looks_for_metrics_that_exist():
    known = Metrics("keeper").names()
    named = set(re.findall(r"\b(headrace_[a-z_]+)\b", RUNBOOK))
    assert named <= known


def test_the_runbook_links_to_sections_that_exist():
    anchors = {title.lower().replace(" ", "-") for title in re.findall(r"^## (.+)$", RUNBOOK, re.M)}
    assert set(re.findall(r"\]\(#([^)]+)\)", RUNBOOK)) <= anchors
