"""Builds the standard models of format 2 as packages, or reports what their integers lose.

    python -m scripts.build_models                 # packages and report.json in build/models
    python -m scripts.build_models --report        # no packages: the table and the JSON
    python -m scripts.build_models digits-cnn      # only some

Nothing is downloaded: weights come from installed packages, known by their hashes.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from headrace.errors import HeadraceError
from headrace.graph2.importer.card import Card
from headrace.graph2.importer.standard import STANDARD
from headrace.graph2.model import Model
from headrace.graph2.model_file import dump_package


def main(arguments: list[str] | None = None) -> int:
    """Build; returns the exit code: 0 done, 1 a model can't be built."""
    parser = argparse.ArgumentParser(description="Builds the standard integer models.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(STANDARD))
    parser.add_argument("--report", action="store_true", help="write no packages")
    parser.add_argument("--out", type=Path, default=Path("build/models"), help="folder")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in STANDARD]
    if unknown:
        parser.error(f"no model {unknown[0]!r}; there are {', '.join(STANDARD)}")
    options.out.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {}
    try:
        for name in options.names or STANDARD:
            model, card = STANDARD[name]()
            report[name] = describe(model, card)
            if not options.report:
                package = dump_package(model, card.as_json())
                (options.out / f"{name}.hrmodel2").write_bytes(package)
                report[name]["package_bytes"] = len(package)
            show(name, report[name])
    except HeadraceError as error:
        print(error, file=sys.stderr)
        return 1
    text = json.dumps(report, indent=2, sort_keys=True) + "\n"
    (options.out / "report.json").write_text(text, encoding="utf-8")
    print(f"report: {options.out / 'report.json'}")
    return 0


def describe(model: Model, card: Card) -> dict[str, Any]:
    """What the report says of a model."""
    return {
        "program": "0x" + model.program.hex(),
        "operators": model.op_count,
        "levels": model.levels,
        "max_units": model.max_units,
        "trace_bytes_of_one_unit": model.trace_bytes(1),
        "accuracy": dict(card.accuracy),
    }


def show(name: str, facts: dict[str, Any]) -> None:
    """Print a model's part of the table."""
    print(name)
    for key, value in facts.items():
        if key != "accuracy":
            print(f"  {key.replace('_', ' '):26} {value}")
    for key, value in facts["accuracy"].items():
        if isinstance(value, list):
            for number, part in enumerate(value):
                print(f"  {f'cosine after step {number + 1}':26} {part:.6f}")
        else:
            print(f"  {key.replace('_', ' '):26} {value}")


if __name__ == "__main__":
    sys.exit(main())
