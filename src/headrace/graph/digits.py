"""A network for handwritten digits: real 8 x 8 scans (scikit-learn's `digits`, 1,797 images).

Needs the extra `digits`. Trained with fixed seeds: one environment always builds the same model.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from headrace.errors import UsageError
from headrace.graph.encoding import Int8
from headrace.graph.importer import Accuracy, Layer, measure, quantise
from headrace.graph.model import Model

PIXEL_STEPS = 7
"""A pixel from 0 to 16 is the int8 7 * pixel, 0 to 112: nothing is lost."""

INPUT_SCALE = 1.0 / (16 * PIXEL_STEPS)
HIDDEN = (64, 32)
HELD_OUT = 450
EPOCHS = 80
SEED = 20_250_731


@dataclass(frozen=True, eq=False)
class Digits:
    """The int8 model, held-out images (450, 64) int8 with labels (450,), and the report on them."""

    model: Model
    images: Int8
    labels: npt.NDArray[np.int64]
    accuracy: Accuracy


@lru_cache(maxsize=1)
def build_digits() -> Digits:
    """Train, quantise and measure; the same bytes each time in one environment, a few seconds."""
    try:
        from sklearn.datasets import load_digits
        from sklearn.neural_network import MLPClassifier
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
    except ImportError as error:
        raise UsageError("the digits need scikit-learn: install headrace[digits]") from error
    pixels, labels = load_digits(return_X_y=True)
    images = (pixels.astype(np.int64) * PIXEL_STEPS).astype(np.int8)
    labels = labels.astype(np.int64)
    order = np.random.default_rng(SEED).permutation(len(labels))
    held_out, train = order[:HELD_OUT], order[HELD_OUT:]
    network = MLPClassifier(HIDDEN, alpha=1e-3, random_state=SEED)
    with threadpool_limits(limits=1):  # more threads may sum in another order
        for _ in range(EPOCHS):
            network.partial_fit(images[train] * INPUT_SCALE, labels[train], classes=range(10))
    last = len(network.coefs_) - 1
    layers = [
        Layer(weights, bias, relu=index < last)
        for index, (weights, bias) in enumerate(
            zip(network.coefs_, network.intercepts_, strict=True)
        )
    ]
    model = quantise(layers, images[train], INPUT_SCALE)
    accuracy = measure(layers, model, images[held_out], labels[held_out], INPUT_SCALE)
    return Digits(model, images[held_out], labels[held_out], accuracy)
