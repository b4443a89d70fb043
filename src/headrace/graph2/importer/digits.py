"""Three small models for scikit-learn's scanned digits: dense, convolutional, and a boosted forest.

Needs the extra `models`. 1,797 images of 8 x 8 pixels from 0 to 16, of which 450 are held out.
Trained with fixed seeds and one thread: one environment always builds the same models.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.errors import UsageError
from headrace.graph2.importer.arrays import Layer, import_layers
from headrace.graph2.importer.card import Card
from headrace.graph2.importer.cnn import train_cnn
from headrace.graph2.importer.forest import Forest, import_forest
from headrace.graph2.importer.lower import Imported, cosines, quantise, same_class
from headrace.graph2.model import Model

Int8 = npt.NDArray[np.int8]

SIDE = 8
PIXEL_STEPS = 7
"""A pixel from 0 to 16 is the int8 7 * pixel, 0 to 112: nothing is lost."""

INPUT_UNIT = 1.0 / (16 * PIXEL_STEPS)
HELD_OUT = 450
SEED = 20_250_731
HIDDEN = (64, 32)
EPOCHS = 80
STAGES = 20
DEPTH = 3


@dataclass(frozen=True, eq=False)
class Images:
    """Images (n, 64) int8 and their digits (n,), those to train on and those held out."""

    train: Int8
    train_labels: npt.NDArray[np.int64]
    held_out: Int8
    held_out_labels: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Classifier:
    """A model with its card; shares of right digits among those held out, and of equal answers."""

    model: Model
    card: Card
    float_accuracy: float
    integer_accuracy: float
    agreement: float


@lru_cache(maxsize=1)
def load_images() -> Images:
    """The images in a fixed order."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise UsageError("the digits need scikit-learn: install headrace[models]") from error
    pixels, labels = load_digits(return_X_y=True)
    images = (pixels.astype(np.int64) * PIXEL_STEPS).astype(np.int8)
    order = np.random.default_rng(SEED).permutation(len(labels))
    held_out, train = order[:HELD_OUT], order[HELD_OUT:]
    whole = labels.astype(np.int64)
    return Images(images[train], whole[train], images[held_out], whole[held_out])


@lru_cache(maxsize=1)
def build_mlp() -> Classifier:
    """A dense network 64-64-32-10."""
    from sklearn.neural_network import MLPClassifier

    images = load_images()
    network = MLPClassifier(HIDDEN, alpha=1e-3, random_state=SEED)
    with _one_thread():
        for _ in range(EPOCHS):
            network.partial_fit(images.train * INPUT_UNIT, images.train_labels, classes=range(10))
    last = len(network.coefs_) - 1
    layers = [
        Layer(weights, bias, relu=index < last)
        for index, (weights, bias) in enumerate(
            zip(network.coefs_, network.intercepts_, strict=True)
        )
    ]
    imported = import_layers(layers, images.train, INPUT_UNIT)
    return _classifier("digits-mlp", "a dense network", imported)


@lru_cache(maxsize=1)
def build_cnn() -> Classifier:
    """A convolutional network: 3 x 3 to 8 channels, 3 x 3 to 16 at stride 2, dense."""
    images = load_images()
    with _one_thread():
        network = train_cnn(images.train * INPUT_UNIT, images.train_labels, SIDE, SEED)
    imported = quantise(network, images.train, INPUT_UNIT)
    return _classifier("digits-cnn", "a convolutional network", imported)


@lru_cache(maxsize=1)
def build_forest() -> Classifier:
    """A gradient-boosted forest, 200 trees of depth 3."""
    from sklearn.ensemble import GradientBoostingClassifier

    images = load_images()
    forest = GradientBoostingClassifier(
        n_estimators=STAGES, max_depth=DEPTH, learning_rate=0.4, subsample=0.7, random_state=SEED
    )
    with _one_thread():
        forest.fit(images.train, images.train_labels)
    imported: Forest = import_forest(forest, SIDE * SIDE)
    real = forest.predict(images.held_out).astype(np.int64)
    exact = imported.run(images.held_out)
    labels = images.held_out_labels
    shares = (
        float((real == labels).mean()),
        float((exact == labels).mean()),
        float((real == exact).mean()),
    )
    return _finish("digits-forest", "a gradient-boosted forest", imported.model, shares)


def _classifier(name: str, what: str, imported: Imported) -> Classifier:
    images = load_images()
    shares = same_class(imported, images.held_out, images.held_out_labels)
    near = cosines(imported, images.held_out[: imported.model.max_units])
    layers = [
        round(value, 6) for name, value in near.items() if name != imported.network.nodes[-1].name
    ]
    return _finish(name, what, imported.model, shares, layers)


def _finish(
    name: str,
    what: str,
    model: Model,
    shares: tuple[float, float, float],
    layers: Sequence[float] = (),
) -> Classifier:
    card = Card(
        name=name,
        licence="CC-BY-4.0",
        source=f"{what} trained here on scikit-learn's digits (UCI, optical recognition of digits)",
        input="64 int8: the rows of an 8 x 8 image, each pixel from 0 to 16 times 7",
        output="the digit",
        accuracy={
            "held_out": HELD_OUT,
            "float": round(shares[0], 6),
            "integer": round(shares[1], 6),
            "agreement": round(shares[2], 6),
            "layers": list(layers),
        },
    )
    return Classifier(model, card, *shares)


def _one_thread() -> Any:
    """More threads may sum in another order."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    return threadpool_limits(limits=1)
