"""From a trained float network to a Model: int8 weights by channel, static scales, fixed point.

Building uses floats and needn't be reproducible elsewhere; what is built is exact everywhere.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headrace.graph import numpy_backend
from headrace.graph.encoding import Int8
from headrace.graph.errors import ModelError
from headrace.graph.model import MAX_BIAS, MAX_MULT, MAX_SHIFT, Model, Operator

Floats = npt.NDArray[np.float64]

LEVELS = 127
_MULT_BITS = 31


@dataclass(frozen=True, eq=False)
class Layer:
    """`y = x @ weights + bias`, then max(y, 0) if `relu`; `weights` (width_in, width_out)."""

    weights: Floats
    bias: Floats
    relu: bool

    def __call__(self, x: Floats) -> Floats:
        """Return the layer's output, (T, width_out), for (T, width_in)."""
        y: Floats = x @ self.weights + self.bias
        return np.maximum(y, 0.0) if self.relu else y


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Shares of right classes over `images` held-out rows, and how often both networks agree."""

    float_accuracy: float
    int8_accuracy: float
    agreement: float
    images: int


def forward(layers: Sequence[Layer], x: Floats) -> Floats:
    """Return the float network's output, (T, width_out of the last layer)."""
    for layer in layers:
        x = layer(x)
    return x


def quantise(
    layers: Sequence[Layer], calibration: Int8, input_scale: float, *, max_units: int = 256
) -> Model:
    """Return the int8 model of a float classifier, an ARGMAX over its last layer included.

    `calibration` (N, width_in) int8 are inputs as the model will get them; the float network saw
    them times `input_scale`. The greatest activation each layer has on them fixes its scale.
    Raises ModelError when the network can't be brought into the format's bounds.
    """
    if not layers:
        raise ModelError("a network has at least one layer")
    if calibration.ndim != 2 or calibration.dtype != np.int8 or not len(calibration):
        raise ModelError("calibration needs at least one int8 row")
    if not (math.isfinite(input_scale) and input_scale > 0):
        raise ModelError("the input's scale must be a positive number")
    operators = []
    activation: Floats = calibration.astype(np.float64) * input_scale
    scale = input_scale
    for index, layer in enumerate(layers):
        _check_layer(layer, activation.shape[1], index)
        activation = layer(activation)
        next_scale = _scale(float(np.abs(activation).max()))
        operators.append(_matmul(layer, index, scale, next_scale))
        scale = next_scale
    operators.append(Operator.argmax(len(layers), operators[-1].width_out))
    return Model.of(operators, calibration.shape[1], max_units)


def measure(
    layers: Sequence[Layer],
    model: Model,
    images: Int8,
    labels: npt.NDArray[np.int64],
    input_scale: float,
) -> Accuracy:
    """Compare both networks on held-out `images` (N, width_in) int8 and `labels` (N,)."""
    real = forward(layers, images.astype(np.float64) * input_scale).argmax(axis=1)
    exact = np.concatenate(
        [
            numpy_backend.run(model, images[start : start + model.max_units])[-1][:, 0]
            for start in range(0, len(images), model.max_units)
        ]
    )
    return Accuracy(
        float_accuracy=float((real == labels).mean()),
        int8_accuracy=float((exact == labels).mean()),
        agreement=float((real == exact).mean()),
        images=len(images),
    )


def fixed_point(factor: float) -> tuple[int, int]:
    """Return (mult, shift) with `mult / 2^shift` nearest to `factor` >= 0, within the bounds."""
    if not math.isfinite(factor) or factor < 0:
        raise ModelError(f"no fixed-point number for {factor}")
    if factor == 0:
        return 0, 1
    shift = min(MAX_SHIFT, _MULT_BITS - math.frexp(factor)[1])
    mult = round(factor * 2.0**shift) if shift >= 1 else MAX_MULT + 1
    if mult == MAX_MULT + 1 and shift > 1:
        mult, shift = mult // 2, shift - 1
    if mult > MAX_MULT:
        raise ModelError(f"the factor {factor} is too great for a fixed-point number")
    return mult, shift


def _check_layer(layer: Layer, width_in: int, index: int) -> None:
    if layer.weights.ndim != 2 or layer.weights.shape[0] != width_in:
        raise ModelError(f"layer {index} has weights {layer.weights.shape}, its input {width_in}")
    if layer.bias.shape != (layer.weights.shape[1],):
        raise ModelError(f"layer {index} has {layer.bias.shape} biases for {layer.weights.shape}")
    if not (np.isfinite(layer.weights).all() and np.isfinite(layer.bias).all()):
        raise ModelError(f"layer {index} holds a number that isn't finite")


def _scale(greatest: float) -> float:
    """Return what one int8 step is worth when `greatest` is to be reached."""
    return greatest / LEVELS if greatest > 0 else 1.0


def _matmul(layer: Layer, source: int, scale_in: float, scale_out: float) -> Operator:
    columns = np.abs(layer.weights).max(axis=0)
    weight_scale = np.where(columns > 0, columns / LEVELS, 1.0)
    bias = np.rint(layer.bias / (scale_in * weight_scale))
    if np.abs(bias).max() > MAX_BIAS:
        raise ModelError(f"a bias of layer {source} is too great beside its weights")
    steps = [fixed_point(float(factor)) for factor in scale_in * weight_scale / scale_out]
    return Operator.matmul(
        source,
        np.rint(layer.weights / weight_scale).astype(np.int64).T,
        bias.astype(np.int64),
        [mult for mult, _ in steps],
        [shift for _, shift in steps],
        lo=0 if layer.relu else -LEVELS,
        hi=LEVELS,
    )
