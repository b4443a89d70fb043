"""A gradient-boosted forest as four operators: comparisons, paths, votes, the greatest.

Features are int8, so a comparison with a threshold is one with a whole number, and exact. A node
is 1 where the feature is greater; a leaf is 1 where all nodes on its path are as it needs them; a
class gets the sum of its trees' leaves. Only the leaves' values are rounded.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.graph.errors import ModelError
from headrace.graph2 import builders, numpy_backend
from headrace.graph2.importer.blocks import ROOM, WORD
from headrace.graph2.importer.fixed import grid
from headrace.graph2.importer.smooth import Real, dense
from headrace.graph2.model import GraphBuilder, Model
from headrace.graph2.operators import Params
from headrace.graph2.views import MAX_WIDTH

Array = npt.NDArray[Any]

_ONE = 2
_SHIFT = 1


@dataclass(frozen=True, eq=False)
class Forest:
    """The model of a forest: int8 features in, the class out."""

    model: Model

    def run(self, features: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
        """Return the class of each row, (n,)."""
        plan = numpy_backend.Plan(self.model)
        step = self.model.max_units
        parts = [plan.run(features[at : at + step])[-1] for at in range(0, len(features), step)]
        return np.concatenate(parts)[:, 0].astype(np.int64)


@dataclass(frozen=True, slots=True)
class _Path:
    """A leaf: what it adds to which class, and the nodes that lead to it (node, goes right)."""

    group: int
    value: float
    turns: tuple[tuple[int, bool], ...]


def import_forest(classifier: Any, features: int, *, max_units: int = 256) -> Forest:
    """Return the model of a fitted GradientBoostingClassifier of at least three classes.

    `features` is the width of its int8 input. Classes must be 0, 1, 2 ... in order. ModelError when
    it is something else, or too large for the format.
    """
    groups = len(classifier.classes_)
    if groups < 3 or list(classifier.classes_) != list(range(groups)):
        raise ModelError("a forest has at least three classes, numbered from 0")
    nodes: list[tuple[int, int]] = []
    paths: list[_Path] = []
    for stage in classifier.estimators_:
        for group, tree in enumerate(stage):
            _walk(tree.tree_, 0, (), nodes, paths, group, classifier.learning_rate)
    if max(len(nodes), len(paths)) > MAX_WIDTH or not nodes:
        raise ModelError(f"a forest of {len(nodes)} nodes and {len(paths)} leaves doesn't fit")
    prior = np.log(np.clip(classifier.init_.class_prior_, 1e-12, 1.0))
    return Forest(_graph(features, nodes, paths, prior - prior.mean()).build(max_units))


def _walk(
    tree: Any,
    at: int,
    turns: tuple[tuple[int, bool], ...],
    nodes: list[tuple[int, int]],
    paths: list[_Path],
    group: int,
    rate: float,
) -> None:
    """Collect the nodes and leaves below `at`."""
    if tree.children_left[at] == tree.children_right[at]:
        paths.append(_Path(group, rate * float(tree.value[at][0, 0]), turns))
        return
    number = len(nodes)
    # an int8 is greater than the threshold exactly if it is greater than its floor
    threshold = max(-129, min(127, math.floor(float(tree.threshold[at]))))
    nodes.append((int(tree.feature[at]), threshold))
    left, right = int(tree.children_left[at]), int(tree.children_right[at])
    _walk(tree, left, (*turns, (number, False)), nodes, paths, group, rate)
    _walk(tree, right, (*turns, (number, True)), nodes, paths, group, rate)


def _bound(paths: list[_Path], prior: Array) -> float:
    """The greatest magnitude of a class's votes: each tree gives one of its leaves."""
    greatest: dict[tuple[int, int], float] = {}
    for path in paths:
        tree = (path.group, path.turns[0][0] if path.turns else -1 - len(greatest))
        greatest[tree] = max(greatest.get(tree, 0.0), abs(path.value))
    votes = np.abs(prior).astype(np.float64)
    for (group, _), value in greatest.items():
        votes[group] += value
    return float(votes.max())


def _graph(
    features: int, nodes: list[tuple[int, int]], paths: list[_Path], prior: Array
) -> GraphBuilder:
    graph = GraphBuilder(1, features, 1)
    asks = np.zeros((len(nodes), features), dtype=np.int64)
    for number, (feature, _) in enumerate(nodes):
        asks[number, feature] = 1
    bias = np.array([-threshold for _, threshold in nodes])
    greater = graph.add(
        builders.matmul(graph.input, asks, Params.of(_ONE, _SHIFT, bias), lo=0, hi=1)
    )
    ways = np.zeros((len(paths), len(nodes)), dtype=np.int64)
    for leaf, path in enumerate(paths):
        for number, right in path.turns:
            ways[leaf, number] = 1 if right else -1
    missing = np.array([1 - sum(right for _, right in path.turns) for path in paths])
    reached = graph.add(
        builders.matmul(greater, ways, Params.of(_ONE, _SHIFT, missing), lo=0, hi=1)
    )
    values = np.zeros((len(prior), len(paths)))
    for leaf, path in enumerate(paths):
        values[path.group, leaf] = path.value
    bound = _bound(paths, prior)
    votes = dense(
        graph, Real(reached, 1.0), values, prior, float(grid(bound * ROOM / WORD)), size=2
    )
    graph.add(builders.argmax(votes.view, size=1 if len(prior) <= 128 else 2))
    return graph
