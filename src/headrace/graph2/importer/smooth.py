"""Dense layers in int8: outliers of the activations move into the weights (SmoothQuant)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.graph2 import builders
from headrace.graph2.importer.fixed import LEVELS, Floats, grid, params
from headrace.graph2.model import GraphBuilder
from headrace.graph2.operators import MAX_BIAS
from headrace.graph2.views import View

Array = npt.NDArray[Any]

_LEAST = 1e-5
_LEAST_STEP = 2.0**-16


@dataclass(frozen=True, eq=False)
class Real:
    """A tensor of the graph and what one step of it is worth: for all, or for each column."""

    view: View
    unit: float | Floats


def smooth(weights: Array, greatest: Floats, alpha: float) -> Floats:
    """Return what one int8 step of each input channel is worth, (width_in,).

    `alpha` is how much of a channel's range the weights take over: 0 is none, 1 is all of it.

    `weights` (width_out, width_in) of every layer that reads the input, `greatest` (width_in,) the
    magnitudes that the channels reach.
    """
    reached = np.maximum(greatest, _LEAST)
    heavy = np.maximum(np.abs(weights.astype(np.float64)).max(axis=0), _LEAST)
    # `power` may differ in its last bit between machines; the grid takes that away
    balance = grid(reached**alpha / heavy ** (1 - alpha))
    return grid(balance * (reached / balance).max() / LEVELS)


def copies(scaled: Array, extra: int) -> npt.NDArray[np.int64]:
    """Return how often each input channel is to stand, (width_in,), `extra` more than once in all.

    `scaled` (width_out, width_in) are weights times the channels' steps. A row's greatest weight
    fixes the row's step; a channel that stands n times has an n-th of its weights, so rows that one
    channel dominates get finer steps (outlier channel splitting).
    """
    count = np.ones(scaled.shape[1], dtype=np.int64)
    size = np.abs(scaled)
    rows = np.arange(len(size))
    for _ in range(extra if scaled.shape[1] > 1 else 0):
        shared = size / count
        two = np.partition(shared, -2, axis=1)[:, -2:]
        first = shared.argmax(axis=1)
        after = np.maximum(two[:, 0], size[rows, first] / (count[first] + 1))
        gain = np.bincount(first, two[:, 1] ** 2 - after**2, minlength=scaled.shape[1])
        count[gain.argmax()] += 1
    return count


def dense(
    graph: GraphBuilder,
    x: Real,
    weights: Array,
    bias: Array,
    unit: float | Floats,
    *,
    size: int,
    relu: bool = False,
) -> Real:
    """Add `x @ weights.T + bias`, `weights` (width_out, width_in) floats; a step is `unit`."""
    scaled = weights.astype(np.float64) * np.broadcast_to(x.unit, (weights.shape[1],))
    # fine enough for the bias to have a place beside the weights, if they are small or nothing
    least = np.maximum(np.abs(bias) / (MAX_BIAS - 1), np.asarray(unit) * _LEAST_STEP)
    step = np.maximum(np.abs(scaled).max(axis=1) / LEVELS, least)
    whole = np.rint(scaled / step[:, None]).astype(np.int64)
    words = params(step / unit, bias.astype(np.float64) / step)
    high = (1 << (8 * size - 1)) - 1
    view = graph.add(
        builders.matmul(x.view, whole, words, size=size, lo=0 if relu else -high, hi=high)
    )
    return Real(view, unit)


def narrow(graph: GraphBuilder, x: Real, unit: float | Floats) -> Real:
    """Add the int8 form of `x`, one step being `unit`."""
    words = params(np.asarray(x.unit / unit, dtype=np.float64))
    view = graph.add(builders.affine(x.view, words, lo=-LEVELS, hi=LEVELS))
    return Real(view, unit)
