"""A float network as the importer takes it: nodes in order, each a step of the format.

Values go by the names of the nodes that make them, "input" is the network's own. A value is
(rows * units, width): the rows that belong to one unit stand together, as in the integer graph.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.graph.errors import ModelError
from headrace.graph2.views import MAX_ROWS, MAX_WIDTH

Floats = npt.NDArray[np.float64]
Shape = tuple[int, int]

INPUT = "input"


@dataclass(frozen=True, eq=False)
class Node:
    """One step: `name` of what it makes, and of what it reads."""

    name: str
    sources: tuple[str, ...]

    def shape(self, *given: Shape) -> Shape:
        """Rows of a unit and width of what it makes; ModelError when it doesn't fit."""
        return given[0]

    def __call__(self, *given: Floats) -> Floats:
        """What it makes of float values."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Dense(Node):
    """`x @ weights.T + bias`, `weights` (width_out, width_in)."""

    weights: Floats
    bias: Floats

    def shape(self, *given: Shape) -> Shape:
        """As wide as the weights have rows."""
        rows, width = given[0]
        if self.weights.ndim != 2 or self.weights.shape[1] != width:
            raise ModelError(f"{self.name}: weights {self.weights.shape} for a width of {width}")
        if self.bias.shape != (self.weights.shape[0],):
            raise ModelError(f"{self.name}: {self.bias.shape} biases for {self.weights.shape}")
        if not (np.isfinite(self.weights).all() and np.isfinite(self.bias).all()):
            raise ModelError(f"{self.name} holds a number that isn't finite")
        return rows, self.weights.shape[0]

    def __call__(self, *given: Floats) -> Floats:
        """The dense layer."""
        made: Floats = given[0] @ self.weights.T + self.bias
        return made


@dataclass(frozen=True, eq=False)
class Patches(Node):
    """The square patches (i, j, channel) of an image (height, width, channels) in one row."""

    image: tuple[int, int, int]
    kernel: int
    stride: int = 1
    padding: int = 0

    def places(self) -> Shape:
        """How many patches down and across."""
        height, width, _ = self.image
        down, across = (
            (size + 2 * self.padding - self.kernel) // self.stride + 1 for size in (height, width)
        )
        if min(self.kernel, self.stride, down, across) < 1 or self.padding < 0:
            raise ModelError(f"{self.name}: kernel {self.kernel} doesn't fit {height} x {width}")
        return down, across

    def shape(self, *given: Shape) -> Shape:
        """A row for each patch."""
        rows, width = given[0]
        if width != self.image[0] * self.image[1] * self.image[2]:
            raise ModelError(f"{self.name}: an image {self.image} in rows of {width}")
        down, across = self.places()
        return rows * down * across, self.kernel**2 * self.image[2]

    def __call__(self, *given: Floats) -> Floats:
        """The patches, 0 outside the image."""
        edge = (self.padding, self.padding)
        images = np.pad(given[0].reshape(-1, *self.image), ((0, 0), edge, edge, (0, 0)))
        down, across = self.places()
        spans = [range(0, count * self.stride, self.stride) for count in (down, across)]
        rows = [
            images[:, y : y + self.kernel, x : x + self.kernel].reshape(len(images), -1)
            for y in spans[0]
            for x in spans[1]
        ]
        made: Floats = np.stack(rows, axis=1)
        return made.reshape(-1, self.kernel**2 * self.image[2])


@dataclass(frozen=True, eq=False)
class Table(Node):
    """A function of each element."""

    function: Callable[[Floats], Floats]

    def __call__(self, *given: Floats) -> Floats:
        """The function's values; not finite where it has none."""
        with np.errstate(all="ignore"):
            return self.function(given[0])


@dataclass(frozen=True, eq=False)
class Relu(Node):
    """`max(x, 0)`."""

    def __call__(self, *given: Floats) -> Floats:
        """What is above 0."""
        return np.maximum(given[0], 0.0)


@dataclass(frozen=True, eq=False)
class Sum(Node):
    """The sum of two values of one shape."""

    def shape(self, *given: Shape) -> Shape:
        """The same as both."""
        if given[0] != given[1]:
            raise ModelError(f"{self.name} adds {given[0]} and {given[1]}")
        return given[0]

    def __call__(self, *given: Floats) -> Floats:
        """The sum."""
        return given[0] + given[1]


@dataclass(frozen=True, eq=False)
class Norm(Node):
    """Layer norm over each row."""

    gamma: Floats
    beta: Floats
    epsilon: float = 0.0

    def shape(self, *given: Shape) -> Shape:
        """The same."""
        if self.gamma.shape != (given[0][1],) or self.beta.shape != (given[0][1],):
            raise ModelError(f"{self.name}: a norm of {self.gamma.shape} for {given[0][1]} columns")
        return given[0]

    def __call__(self, *given: Floats) -> Floats:
        """The layer norm."""
        centred = given[0] - given[0].mean(axis=1, keepdims=True)
        variance = np.square(centred).mean(axis=1, keepdims=True)
        made: Floats = centred / np.sqrt(variance + self.epsilon) * self.gamma + self.beta
        return made


@dataclass(frozen=True, eq=False)
class Turn(Node):
    """Blocks of `block` rows turned: rows become columns."""

    block: int

    def shape(self, *given: Shape) -> Shape:
        """A row for each column of each block."""
        rows, width = given[0]
        if rows % self.block:
            raise ModelError(f"{self.name}: {rows} rows aren't blocks of {self.block}")
        return rows // self.block * width, self.block

    def __call__(self, *given: Floats) -> Floats:
        """The turned blocks."""
        blocks = given[0].reshape(-1, self.block, given[0].shape[1])
        return blocks.transpose(0, 2, 1).reshape(-1, self.block)


@dataclass(frozen=True, eq=False)
class Reshape(Node):
    """Rows of another width."""

    width: int

    def shape(self, *given: Shape) -> Shape:
        """As many elements."""
        rows, width = given[0]
        if self.width < 1 or rows * width % self.width:
            raise ModelError(f"{self.name}: {rows} x {width} in rows of {self.width}")
        return rows * width // self.width, self.width

    def __call__(self, *given: Floats) -> Floats:
        """The same elements."""
        return given[0].reshape(-1, self.width)


@dataclass(frozen=True, eq=False)
class Best(Node):
    """The least index of each row's greatest element; only as the last node."""

    def shape(self, *given: Shape) -> Shape:
        """One element a row."""
        return given[0][0], 1

    def __call__(self, *given: Floats) -> Floats:
        """The index."""
        index: npt.NDArray[np.int64] = given[0].argmax(axis=1)
        return index.reshape(-1, 1).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Network:
    """Nodes in order; the last one makes the result. ModelError unless they fit together."""

    rows: int
    width: int
    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        """Check names and shapes."""
        if not self.nodes:
            raise ModelError("a network has at least one node")
        if not (1 <= self.rows <= MAX_ROWS and 1 <= self.width <= MAX_WIDTH):
            raise ModelError(f"the input is {self.rows} x {self.width}: too large")
        shapes: dict[str, Shape] = {INPUT: (self.rows, self.width)}
        for node in self.nodes:
            missing = [source for source in node.sources if source not in shapes]
            if missing:
                raise ModelError(f"{node.name} reads {missing[0]}, which isn't made before it")
            if node.name in shapes:
                raise ModelError(f"two nodes make {node.name}")
            if isinstance(node, Best) and node is not self.nodes[-1]:
                raise ModelError(f"{node.name}: an index can only be the result")
            shape = node.shape(*(shapes[source] for source in node.sources))
            if not (1 <= shape[0] <= MAX_ROWS and 1 <= shape[1] <= MAX_WIDTH):
                raise ModelError(f"{node.name} makes {shape[0]} x {shape[1]}: too large")
            shapes[node.name] = shape

    def readers(self, name: str) -> list[Node]:
        """The nodes that read a value."""
        return [node for node in self.nodes if name in node.sources]

    def run(self, x: npt.NDArray[Any]) -> Mapping[str, Floats]:
        """Return every value by name for an input of (rows * units, width)."""
        values: dict[str, Floats] = {INPUT: x.astype(np.float64)}
        for node in self.nodes:
            values[node.name] = node(*(values[source] for source in node.sources))
        return values

    def forward(self, x: npt.NDArray[Any]) -> Floats:
        """Return the result."""
        return self.run(x)[self.nodes[-1].name]


def chain(
    rows: int, width: int, nodes: Sequence[Callable[[str, tuple[str, ...]], Node]]
) -> Network:
    """Return the network in which each node reads the one before; `nodes` make them from names."""
    made: list[Node] = []
    for index, node in enumerate(nodes):
        made.append(node(f"node {index}", (made[-1].name if made else INPUT,)))
    return Network(rows, width, tuple(made))
