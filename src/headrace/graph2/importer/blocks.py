"""Layer norm, softmax attention and GELU put together from the format's operators.

Where a rule divides, it is by RECIP of something that is at least 1.
"""

import math

import numpy as np

from headrace.graph2 import builders
from headrace.graph2.importer.fixed import LEVELS, Floats, fixed_point, offset_params, params, table
from headrace.graph2.importer.smooth import Real
from headrace.graph2.model import GraphBuilder
from headrace.graph2.operators import MAX_BIAS, Params
from headrace.graph2.views import MAX_WIDTH, View

WORD = (1 << 15) - 1
"""Greatest int16."""

ROOM = 1.25
"""How far past the calibrated range an int16 reaches before it saturates."""

_MEAN_BITS = 8
_SQUARES_ROOM = 4
_NORM_BITS = 20
_NORM_POWER = 36
_CHANCE_POWER = 45
_CHANCE_BITS = 20
_MULT_SHIFT = 14


def add(graph: GraphBuilder, x: Real, y: Real, unit: float) -> Real:
    """Add the sum of two int16 tensors, each with one unit, as an int16 with `unit`."""
    factors = [round(math.ldexp(float(part.unit) / unit, _MULT_SHIFT)) for part in (x, y)]
    made = builders.add(
        x.view,
        y.view,
        mult_a=factors[0],
        mult_b=factors[1],
        shift=_MULT_SHIFT,
        size=2,
        lo=-WORD,
        hi=WORD,
    )
    return Real(graph.add(made), unit)


def layer_norm(
    graph: GraphBuilder,
    x: Real,
    gamma: Floats,
    beta: Floats,
    unit: float,
    *,
    deviation: float,
    reach: float = 0.0,
) -> Real:
    """Add the layer norm of an int16 tensor with one unit, as an int16 with `unit`.

    `reach` is the greatest distance of an element from its row's mean that calibration saw: where
    that doesn't fit int16, steps get twice as large. `deviation` is the greatest root of a row's
    summed squares around its mean;
    rows up to `_SQUARES_ROOM` times its square are exact, beyond that the root saturates.
    """
    width = x.view.width
    fold = x.view.rows if x.view.rows <= MAX_WIDTH else 1
    halved = int(reach > WORD * float(x.unit))
    mult, shift = fixed_point((1 << _MEAN_BITS) / width)
    mean = graph.add(builders.rowsum(x.view, Params.of(mult, shift), fold=fold))
    centred = graph.add(
        builders.add(
            x.view,
            mean,
            stat=True,
            mult_a=1 << _MEAN_BITS,
            mult_b=-1,
            shift=_MEAN_BITS + halved,
            size=2,
            lo=-WORD,
            hi=WORD,
        )
    )
    squares = (deviation / (float(x.unit) * 2**halved)) ** 2 * _SQUARES_ROOM
    cut = max(0, math.ceil(math.log2(squares / MAX_BIAS)))
    cut += cut % 2  # an even power has a whole root
    root = graph.add(
        builders.isqrt(graph.add(builders.rowdot(centred, fold=fold, shift=cut)), lo=1)
    )
    inverse = graph.add(builders.recip(root, power=_NORM_POWER))
    # centred * inverse is the normalised element times this over sqrt(width)
    drop = _NORM_POWER + cut // 2 - _NORM_BITS
    factor = gamma.astype(np.float64) * math.sqrt(width) / (1 << _NORM_BITS) / unit
    words = offset_params(factor, beta.astype(np.float64) / unit)
    made = builders.mul(centred, inverse, words, stat=True, shift=drop, size=2, lo=-WORD, hi=WORD)
    return Real(graph.add(made), unit)


def attention(
    graph: GraphBuilder,
    query: Real,
    key: Real,
    value: Real,
    mask: View,
    unit: Floats,
    *,
    product: float,
    reach: float,
    heads: int,
) -> Real:
    """Add softmax attention over int8 tensors, as an int8 with `unit` for each column.

    `product` is what one step of a query times one of a key is worth; `reach` the greatest
    magnitude of a score that calibration saw. Entries where `mask` is 0 weigh nothing, unless all
    the others have scores below the calibrated range, where they saturate to what is masked.
    """
    seq = mask.width
    channels = query.view.width // heads
    # a nat has this many steps, so that scores fit with room
    nat = 2 ** math.floor(math.log2(WORD / (reach * ROOM)))
    scores = graph.add(
        builders.scores(
            query.view,
            key.view,
            params(product / math.sqrt(channels) * nat),
            heads=heads,
            seq=seq,
            mask=mask,
            hi=WORD,
        )
    )
    fold = seq
    index = graph.add(builders.argmax(scores, fold=fold, size=1 if seq <= 128 else 2))
    top = graph.add(builders.pick(scores, index))
    chances = graph.add(builders.lut16(scores, exponential_table(nat), stat=top, lo=0, hi=WORD))
    total = graph.add(builders.rowsum(chances, fold=fold))
    inverse = graph.add(builders.recip(total, power=_CHANCE_POWER, lo=0))
    turned = graph.add(builders.transpose(value.view, seq=seq))
    words = params(np.asarray(value.unit / unit / (1 << _CHANCE_BITS)))
    made = builders.context(
        chances,
        turned,
        words,
        heads=heads,
        seq=seq,
        scale=inverse,
        scale_shift=_CHANCE_POWER - _CHANCE_BITS,
        lo=-LEVELS,
        hi=LEVELS,
    )
    return Real(graph.add(made), unit)


def exponential_table(nat: int) -> Floats:
    """LUT16's table of 32,767 * exp(v / nat) for v <= 0; beyond 0 it isn't read, but flat."""
    nodes = (np.arange(257) - 128) * 256 / nat
    return table([WORD * math.exp(min(node, 0.0)) for node in nodes], 2)


def gelu_table(unit_in: float, unit_out: float) -> Floats:
    """LUT16's table of GELU from steps of `unit_in` to steps of `unit_out`."""
    nodes = (np.arange(257) - 128) * 256 * unit_in
    return table([0.5 * x * math.erfc(-x * math.sqrt(0.5)) / unit_out for x in nodes], 2)
