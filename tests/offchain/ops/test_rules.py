"""The alerts, evaluated by Prometheus' own `promtool`: each fires at its edge, and not below it."""

import shutil
import subprocess

import pytest
import yaml

from tests.harness import ROOT

FOLDER = ROOT / "ops" / "prometheus"


def alerts() -> list[str]:
    content = yaml.safe_load((FOLDER / "alerts.yaml").read_text())
    return [rule["alert"] for group in content["groups"] for rule in group["rules"]]


def checks() -> list[dict]:
    content = yaml.safe_load((FOLDER / "alerts_test.yaml").read_text())
    return [check for test in content["tests"] for check in test["alert_rule_test"]]


@pytest.mark.parametrize("alert", alerts())
def test_every_alert_is_seen_firing(alert: str):
    assert any(check["alertname"] == alert and check["exp_alerts"] for check in checks())


def test_no_test_is_about_an_alert_that_is_gone():
    assert {check["alertname"] for check in checks()} == set(alerts())


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="no promtool is installed: apt install prometheus"
)
@pytest.mark.parametrize("what", [["check", "alerts.yaml"], ["test", "alerts_test.yaml"]])
def test_prometheus_takes_the_rules_and_they_fire_as_they_should(what: list[str]):
    verb, file = what
    done = subprocess.run(
        ["promtool", verb, "rules", file], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
