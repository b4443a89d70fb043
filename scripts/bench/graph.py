"""How fast version 2 runs, hashes, is checked and is convicted: MiniLM, all six layers.

    python -m scripts.bench graph

Everything is timed in turns on the same sentences, and ratios of runs are medians over the turns:
so a busy machine slows both sides alike. Needs the extras `models` and `fast`.
"""

import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.graph2 import batches, faults, quads
from headrace.graph2 import trace as traces
from headrace.graph2.claimed import ClaimedTrace
from headrace.graph2.encoding import encode
from headrace.graph2.importer import calibrate, minilm
from headrace.graph2.importer.minilm_float import float_forward, load_tokenizer, load_weights
from headrace.graph2.model import Model
from headrace.graph2.numpy_backend import Plan

LENGTH = 32
SENTENCES = 8
_TURNS = 41
_SHORT_TURNS = 25

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Setting:
    """A model with an input: SENTENCES sentences of LENGTH tokens, one a unit."""

    model: Model
    plan: Plan
    ids: Array


@cache
def _ranges() -> calibrate.Ranges:
    ids = load_tokenizer().encode(calibrate.calibration_sentences(), max(minilm.LENGTHS))
    return calibrate.measure(load_weights(), ids)


def setting(length: int = LENGTH, layers: int = 6, sentences: int = SENTENCES) -> Setting:
    """MiniLM for sentences of `length` tokens, with real sentences as its input."""
    made = minilm.build(load_weights(), _ranges(), length=length, layers=layers)
    ids = load_tokenizer().encode(calibrate.evaluation_sentences()[:sentences], length)
    return Setting(made.model, Plan(made.model), ids)


def in_turns(
    *runs: Callable[[], object],
    turns: int = _TURNS,
    clock: Callable[[], float] = time.perf_counter,
) -> list[list[float]]:
    """Seconds of each run, in each of several turns; a first turn doesn't count."""
    seconds: list[list[float]] = [[] for _ in runs]
    for turn in range(turns + 1):
        for run, found in zip(runs, seconds, strict=True):
            start = clock()
            run()
            if turn:
                found.append(clock() - start)
    return seconds


def ratio(over: list[float], under: list[float]) -> float:
    """The median of the turns' ratios."""
    return median(one / other for one, other in zip(over, under, strict=True))


def _runs(at: Setting) -> dict[str, float]:
    root = traces.run(at.model, at.ids, at.plan).root
    weights = load_weights()
    plain, traced, watched, real = in_turns(
        lambda: at.plan.run(at.ids),
        lambda: traces.run(at.model, at.ids, at.plan).root,
        lambda: faults.examine(at.model, at.ids, root, None, plan=at.plan),
        lambda: float_forward(weights, at.ids),
    )
    return {
        "traced_vs_plain": ratio(traced, plain),
        "int_vs_float": ratio(plain, real),
        "watch_vs_run": ratio(watched, traced),
        "watch_vs_plain": ratio(watched, plain),
        "int_run_s": median(plain),
        "float_run_s": median(real),
    }


def _merkle(at: Setting) -> dict[str, float]:
    """Tensor by tensor, each the fastest of its turns: they are shorter than a slice of time."""
    trace = traces.run(at.model, at.ids, at.plan)
    size, hashing, building = 0, 0.0, 0.0
    for op, made in zip(at.model.operators, trace.tensors, strict=True):
        leaves = encode(op.out, made)
        hashed, whole = in_turns(
            partial(batches.hash_leaves, leaves),
            partial(quads.Quads.of_leaves, leaves),
            turns=_SHORT_TURNS,
        )
        size += leaves.size
        hashing += min(hashed)
        building += min(whole)
    return {
        "merkle_mb_per_s": size / building / 1e6,
        "merkle_vs_leaves": building / hashing,
        "trace_mb": size / 1e6,
    }


def _fault(at: Setting) -> dict[str, float]:
    """From a claimed trace to the proof, with nothing of it hashed before but the commitment."""
    right = traces.run(at.model, at.ids, at.plan)
    operator = at.model.op_count * 2 // 3
    wrong = right.tensors[operator].copy()
    wrong[len(wrong) // 2, 0] ^= 1
    lie = traces.continue_from(at.model, at.ids, right.replace(operator, wrong), operator)

    def build() -> None:
        claim = ClaimedTrace(traces.Trace(at.model, lie.units, lie.tensors))
        fault = faults.FaultBuilder(at.model, at.ids, claim).first(right)
        if fault is None or fault.op_index != operator:
            raise AssertionError("the lie isn't found where it is")

    return {"fault_build_s": median(in_turns(build, turns=3)[0])}


def _peak(at: Setting) -> dict[str, float]:
    """Memory that a traced run takes beside the model, trace included."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    trace = traces.run(at.model, at.ids, at.plan)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del trace
    return {"trace_peak_mb": (peak - before) / 1e6, "trace_kept_mb": (kept - before) / 1e6}


def measure() -> dict[str, float]:
    """Every figure by its name, flat."""
    at = setting()
    found = _runs(at) | _merkle(at) | _fault(at) | _peak(at)
    return {name: float(np.round(value, 4)) for name, value in found.items()}
