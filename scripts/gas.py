"""What every step costs, beside its ceiling: `snapshots/gas.json`, written or checked.

Gas is exact, so a figure that differs from the snapshot by one unit is a change that somebody has
to see. `--check` (in CI) fails on any such difference, and on a figure above its ceiling. What it
took to meet them, and what is left: docs/decisions/0013-gas-ceilings.md.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping

import click

from scripts.compiler import ROOT
from scripts.gas_scenarios import measure
from tests.harness import Chain

SNAPSHOT = ROOT / "snapshots" / "gas.json"

# The most that a step may cost, in gas.
CEILINGS: Mapping[str, int] = {
    "job_three_tx": 205_000,
    "job_four_tx": 248_000,
    "batch_marginal": 50_000,
    "expire": 75_000,
    "expire_reopened": 85_000,
    "cancel": 45_000,
    "register": 120_000,
    "prove_matmul_64": 170_000,
    "prove_matmul_384": 200_000,
    "prove_matmul_4096": 510_000,
    "demand_answer_level": 160_000,
}
# What the proof of any operator may cost.
PROOF_CEILING = 5_000_000
# Who signs: an operator costs one question to the Registry, and the read of its key.
SIGNED = (
    "Asks are signed by the provider's own key; in job_three_tx_operator by an operator of its own."
)
# How much more job 1,000 may cost than job 2.
GROWTH = 200


@click.command()
@click.option("--check", is_flag=True, help="Compare with the snapshot instead of writing it.")
def cli(check: bool) -> None:
    """Measure, print and write (or check) the gas of every step."""
    chain = Chain()
    try:
        found = measure(chain)
    finally:
        chain.stop()
    for line in report(found):
        click.echo(line)
    problems = above(found)
    if check:
        problems += changed(found, json.loads(SNAPSHOT.read_text()) if SNAPSHOT.exists() else {})
    else:
        SNAPSHOT.parent.mkdir(exist_ok=True)
        SNAPSHOT.write_text(json.dumps(dict(sorted(found.items())), indent=1) + "\n")
    for problem in problems:
        click.echo(f"gas: {problem}", err=True)
    sys.exit(1 if problems else 0)


def report(found: Mapping[str, int]) -> list[str]:
    """A line for each figure, with its ceiling if it has one."""
    lines = [f"{'step':<24}{'gas':>12}{'ceiling':>12}"]
    for name, gas in found.items():
        ceiling = CEILINGS.get(name)
        mark = "" if ceiling is None or gas <= ceiling else f"  above by {gas - ceiling:,}"
        shown = "" if ceiling is None else f"{ceiling:,}"
        lines.append(f"{name:<24}{gas:>12,}{shown:>12}{mark}")
    return [*lines, SIGNED]


def above(found: Mapping[str, int]) -> list[str]:
    """What is above its ceiling, or grows."""
    problems = [
        f"{name} is {found[name]:,}, at most {most:,} are allowed"
        for name, most in CEILINGS.items()
        if found[name] > most
    ]
    problems += [
        f"{name} is {gas:,}, at most {PROOF_CEILING:,} are allowed"
        for name, gas in found.items()
        if name.startswith("prove_") and gas > PROOF_CEILING
    ]
    growth = found["job_1000"] - found["job_2"]
    if abs(growth) > GROWTH:
        problems.append(f"job 1,000 costs {growth:+,} against job 2, at most {GROWTH} are allowed")
    return problems


def changed(found: Mapping[str, int], snapshot: Mapping[str, int]) -> list[str]:
    """What differs from the snapshot."""
    return [
        f"{name} was {snapshot.get(name)}, is {found.get(name)}: if that is meant, run `make gas`"
        for name in sorted(found.keys() | snapshot.keys())
        if found.get(name) != snapshot.get(name)
    ]


if __name__ == "__main__":
    cli()
