"""The script that builds the standard models: packages, report, and wrong names."""

import json
from pathlib import Path

import pytest

from headrace.graph2.importer.card import Card
from headrace.graph2.model_file import load_package
from scripts.build_models import main


def test_a_package_and_its_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["digits-mlp", "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "report.json").read_text())["digits-mlp"]
    package = load_package((tmp_path / "digits-mlp.hrmodel2").read_bytes())
    assert report["program"] == "0x" + package.model.program.hex()
    assert report["accuracy"] == Card.from_json(package.card).accuracy
    assert report["program"] in capsys.readouterr().out


def test_the_report_alone_writes_no_package(tmp_path: Path) -> None:
    assert main(["digits-mlp", "--report", "--out", str(tmp_path)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_an_unknown_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as found:
        main(["digits", "--out", str(tmp_path)])
    assert found.value.code == 2
    assert "no model 'digits'" in capsys.readouterr().err
