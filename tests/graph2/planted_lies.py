"""Lies about a run, of the kinds that somebody would try, at places drawn at random."""

from collections.abc import Callable

import numpy as np

from headrace.graph2 import trace as traces
from headrace.graph2.model import Model
from headrace.graph2.numpy_backend import Plan
from headrace.graph2.trace import Trace
from tests.graph2.random_graphs import random_input


class Liar:
    """Makes wrong traces of one run. `ran` is the right trace of `tensor`."""

    def __init__(self, model: Model, tensor: np.ndarray, ran: Trace, seed: int) -> None:
        self.model, self.tensor, self.ran = model, tensor, ran
        self.rng = np.random.default_rng(seed)
        self.plan = Plan(model)

    def element(self, operator: int) -> np.ndarray:
        """One element is another."""
        made = self.ran.tensors[operator].copy()
        row, column = int(self.rng.integers(made.shape[0])), int(self.rng.integers(made.shape[1]))
        view = self.model.operators[operator].out
        wrong = int(self.rng.integers(view.low, view.high))
        made[row, column] = wrong if wrong < made[row, column] else wrong + 1
        return made

    def row(self, operator: int) -> np.ndarray:
        """One whole row is made up."""
        made = self.ran.tensors[operator].copy()
        view = self.model.operators[operator].out
        row = int(self.rng.integers(made.shape[0]))
        made[row] = self.rng.integers(view.low, view.high, made.shape[1], endpoint=True)
        return made

    def shifted(self, operator: int) -> np.ndarray:
        """Everything stands one column, or in a single column one row, further on."""
        made = self.ran.tensors[operator]
        return np.roll(made, 1, axis=1 if made.shape[1] > 1 else 0)

    def swapped(self, operator: int) -> np.ndarray:
        """Another operator's output of the same shape; with none, the rows in reverse."""
        made = self.ran.tensors[operator]
        alike = [
            other
            for other in self.ran.tensors
            if other is not made and other.shape == made.shape and other.dtype == made.dtype
        ]
        return alike[int(self.rng.integers(len(alike)))] if alike else made[::-1].copy()

    def elsewhere(self, operator: int) -> np.ndarray:
        """What the same operator makes of another input."""
        other = random_input(self.rng, self.model.input, self.ran.units)
        return self.plan.run(other)[operator]

    def tell(self, kind: str, operator: int, *, consistent: bool) -> Trace:
        """The trace with that lie, what follows recomputed from it or left as it was."""
        makers: dict[str, Callable[[int], np.ndarray]] = {
            name: getattr(self, name) for name in KINDS if name != "other_input"
        }
        if kind == "other_input":
            other = random_input(self.rng, self.model.input, self.ran.units)
            return traces.run(self.model, other, self.plan)
        lie = self.ran.replace(operator, np.ascontiguousarray(makers[kind](operator)))
        if not consistent:
            return lie
        tensors = [self.tensor, *lie.tensors[: operator + 1]]
        for op in self.model.operators[operator + 1 :]:
            tensors.append(self.plan.apply(op, tensors, lie.units))
        return Trace(self.model, lie.units, tuple(tensors[1:]))


KINDS = ("element", "row", "shifted", "swapped", "elsewhere", "other_input")
