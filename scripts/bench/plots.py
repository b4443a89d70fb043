"""Plot what work of version 2 costs against the length of a sentence and the number of layers.

    OPENBLAS_NUM_THREADS=1 python -m scripts.bench.plots

What is plotted is the processor's time, all threads together: a busy machine hardly changes it.

Writes docs/figures/graph-cost.png and beside it the numbers. Needs the extras `models`, `fast` and
`plots`.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from headrace.errors import UsageError
from headrace.graph2 import faults
from headrace.graph2 import trace as traces
from headrace.graph2.importer.minilm import LENGTHS
from scripts.bench.graph import LENGTH, SENTENCES, in_turns, setting

FIGURES = Path(__file__).resolve().parents[2] / "docs" / "figures"
LAYERS = (1, 2, 3, 4, 5, 6)
_TURNS = 3


@dataclass(frozen=True)
class Cost:
    """Milliseconds of processor (the least of several turns), megabytes a sentence, most moves."""

    length: int
    layers: int
    run_ms: float
    traced_ms: float
    check_ms: float
    trace_mb: float
    levels: int


def cost(length: int, layers: int) -> Cost:
    """Measure one size."""
    at = setting(length, layers)
    root = traces.run(at.model, at.ids, at.plan).root
    run, traced, check = in_turns(
        lambda: at.plan.run(at.ids),
        lambda: traces.run(at.model, at.ids, at.plan).root,
        lambda: faults.examine(at.model, at.ids, root, None, plan=at.plan),
        turns=_TURNS,
        clock=time.process_time,
    )
    each = 1_000 / SENTENCES
    return Cost(
        length=length,
        layers=layers,
        run_ms=round(min(run) * each, 3),
        traced_ms=round(min(traced) * each, 3),
        check_ms=round(min(check) * each, 3),
        trace_mb=round(at.model.trace_bytes(SENTENCES) / SENTENCES / 1e6, 4),
        levels=at.model.levels,
    )


def draw(by_length: list[Cost], by_layers: list[Cost], path: Path) -> None:
    """Draw times above and trace sizes below, lengths on the left and layers on the right."""
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise UsageError("plots need matplotlib: install headrace[plots]") from error
    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(9, 6), sharex="col", layout="constrained")
    columns = (
        ([one.length for one in by_length], by_length, "tokens in a sentence (six layers)"),
        ([one.layers for one in by_layers], by_layers, f"layers ({LENGTH} tokens)"),
    )
    for column, (places, costs, label) in enumerate(columns):
        above, below = axes[0][column], axes[1][column]
        above.plot(places, [one.run_ms for one in costs], "o-", label="run")
        above.plot(places, [one.traced_ms for one in costs], "s-", label="run and commit")
        above.plot(places, [one.check_ms for one in costs], "^--", label="watcher's check")
        below.plot(places, [one.trace_mb for one in costs], "o-", color="tab:gray")
        below.set_xlabel(label)
        below.set_xticks(places)
        for one in (above, below):
            one.set_ylim(bottom=0)
            one.grid(alpha=0.3)
    axes[0][0].set_ylabel("processor ms a sentence")
    axes[1][0].set_ylabel("MB of trace a sentence")
    axes[0][0].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    # without the date and the program's version, so that the same numbers give the same file
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def main() -> int:
    """Measure, draw, and print the numbers."""
    by_length = [cost(length, max(LAYERS)) for length in LENGTHS]
    by_layers = [cost(LENGTH, layers) for layers in LAYERS]
    path = FIGURES / "graph-cost.png"
    draw(by_length, by_layers, path)
    numbers = {
        "sentences": SENTENCES,
        "by_length": [asdict(one) for one in by_length],
        "by_layers": [asdict(one) for one in by_layers],
    }
    path.with_suffix(".json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    for one in (*by_length, *by_layers):
        print(one)
    return 0


if __name__ == "__main__":
    sys.exit(main())
