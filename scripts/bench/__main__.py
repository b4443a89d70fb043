"""Measures what the daemons and the graph can do, beside the goals: `python -m scripts.bench`.

Each module of this package with a function `measure() -> dict[str, float]` adds its figures; they
are merged into `build/bench.json` on flat keys, so that a run of some of them leaves the others'
figures in place; a run of all, none of which fails, leaves nothing else. Ends with 1 if a figure
misses its goal, or a module could not measure.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

import click

from scripts.bench.goals import GOALS
from scripts.compiler import ROOT

TARGET = ROOT / "build" / "bench.json"


def modules() -> list[str]:
    """The names of the modules that measure: told without importing them, for some are programs."""
    folder = Path(__file__).parent
    return sorted(
        path.stem for path in folder.glob("*.py") if "\ndef measure() -> " in path.read_text()
    )


def show(figures: Mapping[str, float]) -> list[str]:
    """A line for each figure beside its goal; returns the keys of those that miss it."""
    missed = []
    for key, value in figures.items():
        goal = GOALS.get(key)
        verdict = "" if goal is None else f"goal {goal.words:<12}"
        if goal is not None and not goal.holds(value):
            missed.append(key)
            verdict += "MISSED"
        print(f"  {key:<32} {value:>16,.6g}  {verdict}".rstrip())
    return missed


def merge(path: Path, figures: Mapping[str, float], *, keeps_others: bool = True) -> None:
    """Put `figures` among those of `path`, or in their stead, in one step."""
    known = json.loads(path.read_text()) if keeps_others and path.is_file() else {}
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(".new")
    partial.write_text(json.dumps(known | dict(figures), indent=1, sort_keys=True) + "\n")
    partial.replace(path)


def run(names: Sequence[str]) -> tuple[dict[str, float], list[str]]:
    """The figures of some modules, and what was missed: goals, and modules that failed."""
    figures: dict[str, float] = {}
    missed: list[str] = []
    has_failed = False
    for name in names:
        print(f"{name}:", flush=True)
        begun = time.monotonic()
        try:
            measured = import_module(f"scripts.bench.{name}").measure()
        except Exception as error:
            # One that can't measure must not hide what the others find.
            print(f"  failed: {type(error).__name__}: {error}")
            missed.append(name)
            has_failed = True
            continue
        missed += show(measured)
        merge(TARGET, measured)
        figures |= measured
        print(f"  ({time.monotonic() - begun:.0f} s)", flush=True)
    if not has_failed and set(names) == set(modules()):
        # What else is in the file, nobody measures any more.
        merge(TARGET, figures, keeps_others=False)
    return figures, missed


@click.command()
@click.argument("names", nargs=-1)
def main(names: Sequence[str]) -> None:
    """Measure all, or only NAMES."""
    there = modules()
    unknown = sorted(set(names) - set(there))
    if unknown:
        raise click.UsageError(f"no {unknown[0]} here; there are: {', '.join(there)}")
    _, missed = run(names or there)
    print(f"written to {TARGET.relative_to(ROOT)}")
    if missed:
        print(f"missed: {', '.join(missed)}")
        sys.exit(1)


if __name__ == "__main__":
    main()
