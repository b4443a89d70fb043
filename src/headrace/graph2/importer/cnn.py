"""A small convolutional network, trained in numpy: two layers of patches, one dense layer."""

from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.graph2.importer.network import (
    INPUT,
    Best,
    Dense,
    Floats,
    Network,
    Node,
    Patches,
    Relu,
    Reshape,
)

Array = npt.NDArray[Any]

CHANNELS = (8, 16)
CLASSES = 10
EPOCHS = 40
BATCH = 64
RATE = 3e-3
_KERNEL = 3


def train_cnn(images: Floats, labels: npt.NDArray[np.int64], side: int, seed: int) -> Network:
    """Return the trained network for images (n, side * side) with classes (n,) from 0 to 9."""
    rng = np.random.default_rng(seed)
    first = Patches("patches 1", (INPUT,), (side, side, 1), _KERNEL, 1, 1)
    inner = Patches("patches 2", ("flat 1",), (side, side, CHANNELS[0]), _KERNEL, 2, 1)
    down, across = inner.places()
    flat = down * across * CHANNELS[1]
    shapes = ((CHANNELS[0], 9), (CHANNELS[1], 9 * CHANNELS[0]), (CLASSES, flat))
    state: list[Array] = []
    for rows, columns in shapes:
        state += [rng.normal(0, np.sqrt(2 / columns), (rows, columns)), np.zeros(rows)]
    back = _adjoint(inner, side * side * CHANNELS[0])
    adam = _Adam(state)
    for _ in range(EPOCHS):
        order = rng.permutation(len(images))
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            adam.step(_gradients(state, images[batch], labels[batch], first, inner, back))
    nodes: tuple[Node, ...] = (
        first,
        Dense("conv 1", ("patches 1",), state[0], state[1]),
        Relu("relu 1", ("conv 1",)),
        Reshape("flat 1", ("relu 1",), side * side * CHANNELS[0]),
        inner,
        Dense("conv 2", ("patches 2",), state[2], state[3]),
        Relu("relu 2", ("conv 2",)),
        Reshape("flat 2", ("relu 2",), flat),
        Dense("dense", ("flat 2",), state[4], state[5]),
        Best("class", ("dense",)),
    )
    return Network(1, side * side, nodes)


def _adjoint(patches: Patches, width: int) -> Array:
    """The 0/1 matrix (width, elements of all patches) that takes patches back to the image."""
    made: Array = patches(np.eye(width)).reshape(width, -1)
    return made


def _gradients(
    state: list[Array],
    images: Array,
    labels: npt.NDArray[np.int64],
    first: Patches,
    inner: Patches,
    back: Array,
) -> list[Array]:
    """Gradients of the mean cross entropy with respect to `state`."""
    count = len(images)
    seen = first(images)
    one = np.maximum(seen @ state[0].T + state[1], 0)
    between = inner(one.reshape(count, -1))
    two = np.maximum(between @ state[2].T + state[3], 0)
    flat = two.reshape(count, -1)
    logits = flat @ state[4].T + state[5]
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    chances[np.arange(count), labels] -= 1
    d_logits = chances / count
    d_two = (d_logits @ state[4]).reshape(two.shape) * (two > 0)
    d_between = (d_two @ state[2]).reshape(count, -1)
    d_one = (d_between @ back.T).reshape(one.shape) * (one > 0)
    return [
        d_one.T @ seen,
        d_one.sum(axis=0),
        d_two.T @ between,
        d_two.sum(axis=0),
        d_logits.T @ flat,
        d_logits.sum(axis=0),
    ]


class _Adam:
    """Adam with its usual constants, in place on `state`."""

    def __init__(self, state: list[Array]) -> None:
        self.state = state
        self.mean = [np.zeros_like(part) for part in state]
        self.square = [np.zeros_like(part) for part in state]
        self.steps = 0

    def step(self, gradients: list[Array]) -> None:
        self.steps += 1
        for index, gradient in enumerate(gradients):
            self.mean[index] = 0.9 * self.mean[index] + 0.1 * gradient
            self.square[index] = 0.999 * self.square[index] + 0.001 * gradient**2
            mean = self.mean[index] / (1 - 0.9**self.steps)
            square = self.square[index] / (1 - 0.999**self.steps)
            self.state[index] -= RATE * mean / (np.sqrt(square) + 1e-8)
