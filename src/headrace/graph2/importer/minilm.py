"""all-MiniLM-L6-v2 as an integer graph: token ids in, a unit embedding of 384 int16 out.

A unit is one sentence of `length` token ids, padded with 0. Nothing in the graph is a float, and
two builds give the same program: everything measured passes through the grid of `fixed`.
"""

import math
from dataclasses import dataclass

import numpy as np

from headrace.graph.errors import ModelError
from headrace.graph2 import builders
from headrace.graph2.importer import blocks
from headrace.graph2.importer.calibrate import Ranges
from headrace.graph2.importer.fixed import LEVELS, fixed_point, grid, params, scale
from headrace.graph2.importer.minilm_float import HEADS, LAYERS, Array, Weights
from headrace.graph2.importer.smooth import Real, copies, dense, narrow, smooth
from headrace.graph2.model import GraphBuilder, Model
from headrace.graph2.operators import MAX_BIAS, Params
from headrace.graph2.views import View

EMBEDDING_ONE = 1 << 15
"""What 1 is in an embedding of the result."""

LENGTHS = (16, 32, 64, 128)
MAX_UNITS = 32

EXTRA_CHANNELS = 32
"""Copies of channels between the two dense layers of the feed-forward part."""

ALPHA, ALPHA_OUTER, ALPHA_INNER = 0.9, 0.8, 1.0
"""SmoothQuant's strength for attention, before the feed-forward part, and inside it: chosen on the
calibration sentences."""

_LEAST = 1e-6
_POOL_POWER = 24


@dataclass(frozen=True, eq=False)
class Encoder:
    """The model, and for the report which tensor holds each layer's output, with its unit."""

    model: Model
    ends: tuple[Real, ...]


def build(
    weights: Weights,
    ranges: Ranges,
    *,
    length: int = 32,
    layers: int = LAYERS,
    max_units: int = MAX_UNITS,
) -> Encoder:
    """Build the encoder of sentences up to `length` tokens from its first `layers` layers.

    ModelError when the length or the layers aren't offered, or weights don't fit the format.
    """
    if length not in LENGTHS:
        raise ModelError(f"a sentence has up to {', '.join(map(str, LENGTHS))} tokens")
    if not 1 <= layers <= LAYERS:
        raise ModelError(f"MiniLM has 1 to {LAYERS} layers, not {layers}")
    graph = GraphBuilder(1, length, 2)
    builder = _Builder(graph, weights, ranges, length)
    x = builder.embeddings()
    ends = []
    for layer in range(layers):
        x = builder.layer(layer, x)
        ends.append(x)
    ends.append(builder.pooled(x, layers))
    return Encoder(graph.build(max_units), tuple(ends))


class _Builder:
    def __init__(self, graph: GraphBuilder, weights: Weights, ranges: Ranges, length: int) -> None:
        self.graph = graph
        self.weights = weights
        self.ranges = ranges
        self.length = length
        self.mask: View = graph.add(builders.affine(graph.input, lo=0, hi=1))

    def unit(self, *names: str) -> float:
        """What one int16 step has to be worth for all these to fit, with room."""
        reach = max(self.ranges.greatest(name) for name in names)
        return float(grid(reach * blocks.ROOM / blocks.WORD))

    def embeddings(self) -> Real:
        """Word, position and type, then layer norm."""
        e = "embeddings."
        word = self.weights[e + "word_embeddings.weight"].astype(np.float64)
        place = self.weights[e + "position_embeddings.weight"].astype(np.float64)
        place = place[: self.length] + self.weights[e + "token_type_embeddings.weight"][0]
        unit = float(grid((np.abs(word).max() + np.abs(place).max()) / blocks.WORD))
        found = self.graph.add(
            builders.gather(self.graph.input, np.rint(word / unit).astype(np.int64), size=2)
        )
        made = builders.add_constant(
            found,
            np.rint(place / unit).astype(np.int64),
            constant_size=2,
            mult_a=2,
            mult_b=2,
            shift=1,
            size=2,
            lo=-blocks.WORD,
            hi=blocks.WORD,
        )
        total = Real(self.graph.add(made), unit)
        return self.norm(total, e + "LayerNorm.", "embeddings", "0.x")

    def norm(self, x: Real, name: str, spread: str, out: str) -> Real:
        return blocks.layer_norm(
            self.graph,
            x,
            self.weights[name + "weight"],
            self.weights[name + "bias"],
            self.unit(out),
            deviation=self.ranges.deviation[spread],
        )

    def layer(self, layer: int, x: Real) -> Real:
        """One transformer layer, from and to an int16 residual stream."""
        here, p = f"{layer}.", f"encoder.layer.{layer}."
        mixed = self.attention(layer, x)
        total = self.unit(here + "sum1", here + "out1")
        mixed = self.dense(mixed, p + "attention.output.dense", total, 2)
        y = blocks.add(self.graph, x, mixed, total)
        y = self.norm(y, p + "attention.output.LayerNorm.", here + "sum1", here + "y")
        total = self.unit(here + "sum2", here + "out2")
        end = blocks.add(self.graph, y, self.feed_forward(layer, y, total), total)
        return self.norm(end, p + "output.LayerNorm.", here + "sum2", here + "end")

    def dense(self, x: Real, name: str, unit: float | Array, size: int) -> Real:
        weights, bias = self.weights[name + ".weight"], self.weights[name + ".bias"]
        return dense(self.graph, x, weights, bias, unit, size=size)

    def attention(self, layer: int, x: Real) -> Real:
        here, p = f"{layer}.", f"encoder.layer.{layer}.attention."
        names = [p + "self." + part for part in ("query", "key", "value")]
        together = np.concatenate([self.weights[name + ".weight"] for name in names])
        steps = smooth(together, self.ranges.channels(here + "x"), ALPHA)
        small = narrow(self.graph, x, steps)
        # one factor for all products of a query's step and a key's, whatever the channel
        reach_q = np.maximum(self.ranges.channels(here + "q"), _LEAST)
        reach_k = np.maximum(self.ranges.channels(here + "k"), _LEAST)
        product = float(grid((reach_q * reach_k).max() / LEVELS**2))
        unit_q = grid(np.sqrt(product * reach_q / reach_k))
        unit_v = grid(scale(self.ranges.channels(here + "v")))
        query = self.dense(small, names[0], unit_q, 1)
        key = self.dense(small, names[1], product / unit_q, 1)
        value = self.dense(small, names[2], unit_v, 1)
        out = self.weights[p + "output.dense.weight"]
        unit = smooth(out, self.ranges.channels(here + "c"), ALPHA)
        return blocks.attention(
            self.graph,
            query,
            key,
            value,
            self.mask,
            unit,
            product=product,
            reach=self.ranges.greatest(here + "scores"),
            heads=HEADS,
        )

    def feed_forward(self, layer: int, y: Real, unit: float) -> Real:
        """Dense, GELU, dense. Channels with outliers stand several times between the two."""
        here, p = f"{layer}.", f"encoder.layer.{layer}."
        first, second = p + "intermediate.dense", p + "output.dense"
        heavy = self.weights[second + ".weight"].astype(np.float64)
        steps = smooth(heavy, self.ranges.channels(here + "g"), ALPHA_INNER)
        count = copies(heavy * steps, EXTRA_CHANNELS)
        steps, heavy = np.repeat(steps, count), np.repeat(heavy / count, count, axis=1)
        light = np.repeat(self.weights[first + ".weight"], count, axis=0)
        reach = self.ranges.channels(here + "y")
        small = narrow(self.graph, y, smooth(light, reach, ALPHA_OUTER))
        bias = np.repeat(self.weights[first + ".bias"], count)
        hidden = dense(self.graph, small, light, bias, self.unit(here + "h"), size=2)
        between = self.unit(here + "g")
        entries = blocks.gelu_table(float(hidden.unit), between)
        active = Real(self.graph.add(builders.lut16(hidden.view, entries)), between)
        packed = narrow(self.graph, active, steps)
        bias = self.weights[second + ".bias"]
        return dense(self.graph, packed, heavy, bias, unit, size=2)

    def pooled(self, x: Real, layers: int) -> Real:
        """The mean over the sentence's tokens, brought to length 1."""
        turned = self.graph.add(builders.transpose(x.view, seq=self.length))
        count = self.graph.add(builders.rowsum(self.mask, fold=1))
        inverse = self.graph.add(builders.recip(count, power=_POOL_POWER))
        unit = float(x.unit) / 2
        mean = self.graph.add(
            builders.context(
                self.mask,
                turned,
                params(float(x.unit) / unit / (1 << (_POOL_POWER - 16))),
                heads=1,
                seq=1,
                scale=inverse,
                scale_shift=16,
                size=2,
                lo=-blocks.WORD,
                hi=blocks.WORD,
            )
        )
        reach = self.ranges.deviation[f"{layers - 1}.end"] / unit
        cut = max(0, math.ceil(math.log2(reach**2 / MAX_BIAS)))
        cut += cut % 2
        squares = self.graph.add(builders.rowdot(mean, shift=cut))
        inverse = self.graph.add(
            builders.recip(self.graph.add(builders.isqrt(squares, lo=1)), power=40)
        )
        mult, shift = fixed_point(EMBEDDING_ONE / (1 << 20))
        made = builders.mul(
            mean,
            inverse,
            Params.of(mult, shift),
            stat=True,
            shift=40 + cut // 2 - 20,
            size=2,
            lo=-blocks.WORD,
            hi=blocks.WORD,
        )
        return Real(self.graph.add(made), 1 / EMBEDDING_ONE)
