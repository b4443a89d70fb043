"""`python -m scripts.fuzz --rounds N`: both fuzz drivers; writes build/fuzz-keeper.json.

Exit code 0 only if nothing was lost, invented, done late or done twice, and the shares of reverted
transactions are within their bounds.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from scripts.compiler import ROOT
from scripts.fuzz import follower, outbox

REPORT = ROOT / "build" / "fuzz-keeper.json"
# What each figure may be at most.
BOUNDS = {
    "lost": 0.0,
    "phantom": 0.0,
    "double": 0.0,
    "left_undone": 0.0,
    "late": 0.0,
    "reverted_share": 0.02,
    "rival_reverted_share": 0.01,
}


def measure(rounds: int, seed: int) -> dict[str, float]:
    """The figures of both drivers, `rounds` of each."""
    began = time.monotonic()
    read = follower.run(rounds, seed=seed, say=print)
    middle = time.monotonic()
    sent = outbox.run(rounds, seed=seed, say=print)
    times = {
        "follower_s": round(middle - began, 1),
        "outbox_s": round(time.monotonic() - middle, 1),
    }
    # An event that isn't stored and a task that isn't done are both lost; one that is there twice
    # is one too many of either.
    both = {
        "lost": read["lost"] + sent["left_undone"],
        "double": read["double"] + sent["double"],
        "events_lost": read["lost"],
    }
    return sent | read | times | both | {"seed": seed}


def broken(figures: Mapping[str, float]) -> list[str]:
    """Which figures are out of bounds, in words."""
    return [f"{name} is {figures[name]}" for name, most in BOUNDS.items() if figures[name] > most]


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(prog="python -m scripts.fuzz", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1_000, help="default: 1000")
    parser.add_argument("--seed", type=int, default=1, help="another one draws other rounds")
    parser.add_argument("--report", type=Path, default=REPORT, help="where the figures go")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    figures = measure(options.rounds, options.seed)
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))
    if wrong := broken(figures):
        print("out of bounds: " + ", ".join(wrong), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
