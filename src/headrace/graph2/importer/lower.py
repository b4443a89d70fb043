"""From a float network to an integer graph: scales by calibration, int8 where products are taken.

A value is int8 where only dense layers read it, else int16. Layer norm's epsilon falls away: a row
whose squares round to nothing is taken for one of deviation 1 step.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.graph.errors import ModelError
from headrace.graph2 import builders, numpy_backend
from headrace.graph2.importer import blocks
from headrace.graph2.importer.fixed import LEVELS, Floats, grid, params, table
from headrace.graph2.importer.network import (
    INPUT,
    Best,
    Dense,
    Network,
    Node,
    Norm,
    Patches,
    Relu,
    Reshape,
    Sum,
    Table,
    Turn,
)
from headrace.graph2.importer.smooth import Real, dense, narrow, smooth
from headrace.graph2.model import GraphBuilder, Model

Array = npt.NDArray[Any]

ALPHA = 0.5
"""SmoothQuant's strength where a dense layer reads an int16."""

_MAX_SHORT_INDEX = 128
_PASSING = (Patches, Turn, Reshape)


@dataclass(frozen=True, eq=False)
class Imported:
    """The model, the float network it stands for, and what steps of input and result are worth.

    `values` has for each node's name the tensor that holds its value; a dense layer that a Relu is
    part of has none of its own.
    """

    model: Model
    network: Network
    input_unit: float
    unit: float
    values: Mapping[str, Real]

    def forward(self, x: Array) -> Floats:
        """Return the float network's result for the model's input, (rows * units, width)."""
        return self.network.forward(x.astype(np.float64) * self.input_unit)

    def run(self, x: Array) -> Array:
        """Return the model's result for any number of units, as the integers it has."""
        step = self.model.max_units * self.model.input.rows
        plan = numpy_backend.Plan(self.model)
        return np.concatenate([plan.run(x[at : at + step])[-1] for at in range(0, len(x), step)])


def quantise(
    network: Network, calibration: Array, input_unit: float, *, max_units: int = 256
) -> Imported:
    """Return the integer graph of a float network.

    `calibration` (rows * n, width) int8 or int16 are inputs as the model will get them; the float
    network sees them times `input_unit`. ModelError when something doesn't fit the format.
    """
    if calibration.dtype not in (np.int8, np.int16):
        raise ModelError(f"inputs are int8 or int16, not {calibration.dtype}")
    if calibration.ndim != 2 or calibration.shape[1] != network.width or not len(calibration):
        raise ModelError(f"calibration has shape {calibration.shape}, not rows of {network.width}")
    if len(calibration) % network.rows:
        raise ModelError(f"calibration isn't whole units of {network.rows} rows")
    if not (math.isfinite(input_unit) and input_unit > 0):
        raise ModelError("the input's unit must be a positive number")
    graph = GraphBuilder(network.rows, network.width, calibration.dtype.itemsize)
    lowering = _Lowering(network, graph, network.run(calibration.astype(np.float64) * input_unit))
    lowering.made[INPUT] = Real(graph.input, input_unit)
    for node in network.nodes:
        if node.name not in lowering.made:
            lowering.made[node.name] = lowering.lower(node)
    last = lowering.made[network.nodes[-1].name]
    values = {name: real for name, real in lowering.made.items() if name not in lowering.fused}
    model = graph.build(max_units)
    return Imported(model, network, input_unit, float(last.unit), MappingProxyType(values))


class _Lowering:
    def __init__(self, network: Network, graph: GraphBuilder, values: Any) -> None:
        self.network = network
        self.graph = graph
        self.reach: dict[str, Floats] = {}
        self.deviation: dict[str, float] = {}
        self.distance: dict[str, float] = {}
        for name, value in values.items():
            if not np.isfinite(value).all():
                raise ModelError(f"{name} reaches a number that isn't finite")
            self.reach[name] = grid(np.abs(value).max(axis=0))
            centred = value - value.mean(axis=1, keepdims=True)
            self.distance[name] = float(grid(np.abs(centred).max()))
            self.deviation[name] = float(grid(np.sqrt(np.square(centred).sum(axis=1).max())))
        self.made: dict[str, Real] = {}
        self.fused: set[str] = {INPUT}

    def lower(self, node: Node) -> Real:
        """Add the operators of one node."""
        given = [self.made[source] for source in node.sources]
        if isinstance(node, Dense):
            return self.dense(node, given[0])
        if isinstance(node, Relu):
            return self.relu(given[0])
        if isinstance(node, Table):
            return self.table(node, given[0])
        if isinstance(node, Sum):
            return blocks.add(self.graph, given[0], given[1], self.unit(node.name, 2))
        if isinstance(node, Norm):
            return self.norm(node, given[0])
        if isinstance(node, Best):
            size = 1 if given[0].view.width <= _MAX_SHORT_INDEX else 2
            return Real(self.graph.add(builders.argmax(given[0].view, size=size)), 1.0)
        return self.passing(node, given[0])

    def passing(self, node: Node, x: Real) -> Real:
        """The same elements in other places."""
        if isinstance(node, Turn):
            operator = builders.transpose(x.view, seq=node.block)
        elif isinstance(node, Reshape):
            operator = builders.reshape(x.view, node.width)
        elif isinstance(node, Patches):
            height, width, channels = node.image
            operator = builders.im2col(
                x.view,
                height=height,
                width=width,
                channels=channels,
                kernel=node.kernel,
                stride=node.stride,
                padding=node.padding,
            )
        else:
            raise ModelError(f"{node.name}: the format has no such step")
        return Real(self.graph.add(operator), x.unit)

    def unit(self, name: str, size: int) -> float:
        """What a step has to be worth for the calibrated range to fit."""
        reach = float(self.reach[name].max())
        if reach == 0:
            return 1.0
        return float(grid(reach * blocks.ROOM / blocks.WORD if size == 2 else reach / LEVELS))

    def wide(self, name: str) -> bool:
        """Whether a value has to be int16: where anything but a product reads it."""
        readers: Sequence[Node] = self.network.readers(name)
        if not readers:
            return True
        return any(
            self.wide(node.name) if isinstance(node, _PASSING) else not isinstance(node, Dense)
            for node in readers
        )

    def dense(self, node: Dense, x: Real) -> Real:
        readers = self.network.readers(node.name)
        fused = len(readers) == 1 and isinstance(readers[0], Relu)
        name = readers[0].name if fused else node.name
        if x.view.size != 1:
            x = narrow(self.graph, x, smooth(node.weights, self.reach[node.sources[0]], ALPHA))
        size = 2 if self.wide(name) else 1
        unit = self.unit(name, size)
        made = dense(self.graph, x, node.weights, node.bias, unit, size=size, relu=fused)
        if fused:
            self.made[name] = made
            self.fused.add(node.name)
        return made

    def relu(self, x: Real) -> Real:
        high = (1 << (8 * x.view.size - 1)) - 1
        return Real(
            self.graph.add(builders.affine(x.view, size=x.view.size, lo=0, hi=high)), x.unit
        )

    def table(self, node: Table, x: Real) -> Real:
        x = self.widened(x)
        unit = self.unit(node.name, 2)
        nodes = (np.arange(257) - 128) * 256 * float(x.unit)
        reached = node(nodes.astype(np.float64)) / unit
        if np.isnan(reached).any():
            raise ModelError(f"{node.name} has no value for some of the numbers it may be asked")
        entries = table(reached, 2)
        return Real(self.graph.add(builders.lut16(x.view, entries)), unit)

    def norm(self, node: Norm, x: Real) -> Real:
        return blocks.layer_norm(
            self.graph,
            self.widened(x),
            node.gamma,
            node.beta,
            self.unit(node.name, 2),
            deviation=self.deviation[node.sources[0]],
            reach=self.distance[node.sources[0]],
        )

    def widened(self, x: Real) -> Real:
        """An int8 as an int16 of 256 steps for each of its own."""
        if x.view.size == 2:
            return x
        unit = float(x.unit) / 256
        made = builders.affine(x.view, params(256.0), size=2)
        return Real(self.graph.add(made), unit)


def cosines(imported: Imported, x: Array) -> dict[str, float]:
    """Return how near each value is to the float network's, by node: the cosine over all elements.

    `x` (rows * units, width) has at most max_units units. 1 where both are nothing but zeros.
    """
    real = imported.network.run(x.astype(np.float64) * imported.input_unit)
    tensors = (x, *numpy_backend.run(imported.model, x))
    found: dict[str, float] = {}
    for name, value in imported.values.items():
        made = tensors[value.view.tensor].astype(np.float64) * value.unit
        lengths = float(np.linalg.norm(made) * np.linalg.norm(real[name]))
        same = not made.any() and not real[name].any()
        found[name] = 1.0 if same else float((made * real[name]).sum()) / max(lengths, 1e-300)
    return found


def same_class(imported: Imported, x: Array, labels: Array) -> tuple[float, float, float]:
    """Return the shares of right classes of (float network, model), and how often both agree.

    For networks that end in `Best`; `x` (n, width), `labels` (n,).
    """
    real = imported.forward(x)[:, 0].astype(np.int64)
    exact = imported.run(x)[:, 0].astype(np.int64)
    return (
        float((real == labels).mean()),
        float((exact == labels).mean()),
        float((real == exact).mean()),
    )
