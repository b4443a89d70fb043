"""Gathers the figures of this build on flat keys, so that anyone can compare two builds.

Reads what the other commands wrote (`snapshots/size.json`, `snapshots/gas.json`, and of
`build/demo.json`, `lies.json`, `bench.json`, `fuzz-keeper.json` and `soak.json` those that are
there) and writes `build/evidence.json`. With `--against`, prints the figures that differ from an
earlier one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from scripts.compiler import ROOT

# By the make target that writes it.
SOURCES = {
    "snapshots": ROOT / "snapshots" / "size.json",
    "gas": ROOT / "snapshots" / "gas.json",
}
# What takes longer to make: gathered when it is there, and named when it isn't.
_BUILT = {
    "demo": ROOT / "build" / "demo.json",
    "lies": ROOT / "build" / "lies.json",
    "bench": ROOT / "build" / "bench.json",
    "fuzz-keeper": ROOT / "build" / "fuzz-keeper.json",
    "soak": ROOT / "build" / "soak.json",
}
# The target, where it has another name than the file.
_TARGETS = {"lies": "evidence"}
TARGET = ROOT / "build" / "evidence.json"


def main() -> None:
    """Entry point."""
    cli()


@click.command()
@click.option("--against", type=click.Path(exists=True, path_type=Path), help="Earlier evidence.")
def cli(against: Path | None) -> None:
    """Gather this build's figures in build/evidence.json."""
    figures: dict[str, Any] = {"commit": commit()}
    for prefix, path in SOURCES.items():
        if not path.is_file():
            sys.exit(f"{path.relative_to(ROOT)} is missing: run `make {prefix}` first")
        figures |= flat(prefix, json.loads(path.read_text()))
    for prefix, path in _BUILT.items():
        if path.is_file():
            figures |= flat(prefix, json.loads(path.read_text()))
        else:
            print(f"no figures of `make {_TARGETS.get(prefix, prefix)}`", file=sys.stderr)
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(json.dumps(figures, indent=1) + "\n")
    earlier = json.loads(against.read_text()) if against else {}
    for key, value in figures.items():
        if not against:
            print(f"{key:<40} {value}")
        elif earlier.get(key) != value:
            print(f"{key:<40} {earlier.get(key)} -> {value}")
    for key in earlier.keys() - figures.keys():
        print(f"{key:<40} {earlier[key]} -> gone")


def flat(prefix: str, value: Any) -> dict[str, Any]:
    """Nested objects and lists as one level of dotted keys."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = {str(index): part for index, part in enumerate(value)}.items()
    else:
        return {prefix: value}
    return {k: v for key, part in items for k, v in flat(f"{prefix}.{key}", part).items()}


def commit() -> str:
    """The commit the figures belong to, marked where the tree has changes."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
