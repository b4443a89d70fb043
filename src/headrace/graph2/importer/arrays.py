"""A list of dense layers, as arrays, to an integer graph."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.graph.errors import ModelError
from headrace.graph2.importer.lower import Imported, quantise
from headrace.graph2.importer.network import Best, Dense, Floats, Node, Relu, chain


@dataclass(frozen=True, eq=False)
class Layer:
    """`y = x @ weights + bias`, then max(y, 0) if `relu`; `weights` (width_in, width_out)."""

    weights: Floats
    bias: Floats
    relu: bool


def import_layers(
    layers: Sequence[Layer],
    calibration: npt.NDArray[Any],
    input_unit: float,
    *,
    classes: bool = True,
    max_units: int = 256,
) -> Imported:
    """Return the integer graph of a dense network; with `classes` its result is the best column.

    `calibration` (n, width_in) int8 or int16 are inputs as the model will get them; the float
    network sees them times `input_unit`. ModelError when something doesn't fit.
    """
    if not layers:
        raise ModelError("a network has at least one layer")
    if calibration.ndim != 2:
        raise ModelError("calibration has two dimensions")
    steps: list[Callable[[str, tuple[str, ...]], Node]] = []
    for layer in layers:
        steps.append(_dense(layer))
        if layer.relu:
            steps.append(Relu)
    if classes:
        steps.append(Best)
    network = chain(1, calibration.shape[1], steps)
    return quantise(network, calibration, input_unit, max_units=max_units)


def _dense(layer: Layer) -> Callable[[str, tuple[str, ...]], Node]:
    def make(name: str, sources: tuple[str, ...]) -> Node:
        weights = np.asarray(layer.weights, dtype=np.float64).T
        return Dense(name, sources, weights, np.asarray(layer.bias, dtype=np.float64))

    return make
