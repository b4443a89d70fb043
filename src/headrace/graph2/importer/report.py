"""How much accuracy the integers lose, layer by layer and at the end."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.graph2 import numpy_backend
from headrace.graph2.importer.calibrate import batches
from headrace.graph2.importer.minilm import Encoder
from headrace.graph2.importer.minilm_float import HIDDEN, Weights, float_forward
from headrace.graph2.importer.tokenizer import Ids

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What an encoder loses against the float network on `sentences` sentences.

    Cosines of embeddings; the share of sentences whose nearest neighbour among all, the `others`
    included, is the same; that share with the others asked for theirs, too (they have no near one,
    so that it is nearly a draw); the greatest difference of two sentences' similarity; the mean
    cosine of the tokens of each layer's output.
    """

    sentences: int
    cosine_mean: float
    cosine_min: float
    same_neighbour: float
    same_neighbour_with_others: float
    similarity_error: float
    layers: tuple[float, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain numbers, rounded to six places."""
        return {
            "sentences": self.sentences,
            "cosine_mean": round(self.cosine_mean, 6),
            "cosine_min": round(self.cosine_min, 6),
            "same_neighbour": round(self.same_neighbour, 6),
            "same_neighbour_with_others": round(self.same_neighbour_with_others, 6),
            "similarity_error": round(self.similarity_error, 6),
            "layers": [round(value, 6) for value in self.layers],
        }


def cosines(left: Array, right: Array) -> Array:
    """Return the cosine of each row of `left` (n, width) with that of `right`."""
    lengths = np.linalg.norm(left, axis=-1) * np.linalg.norm(right, axis=-1)
    made: Array = (left * right).sum(axis=-1) / np.maximum(lengths, 1e-12)
    return made


def neighbours(embeddings: Array) -> Array:
    """Return which other row is nearest to each, by cosine, (n,)."""
    unit = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
    alike = unit @ unit.T
    np.fill_diagonal(alike, -np.inf)
    made: Array = alike.argmax(axis=1)
    return made


def compare(encoder: Encoder, weights: Weights, ids: Ids, others: int = 0) -> Accuracy:
    """Compare the encoder with the float network on token ids (n, length).

    The last `others` rows only stand beside the rest in the search for neighbours.
    """
    layers = len(encoder.ends) - 1
    exact, inner = _integers(encoder, ids)
    real = np.zeros((len(ids), HIDDEN))
    sums, tokens = np.zeros(layers), 0
    for places, batch in batches(ids):
        taken: dict[str, Array] = {}
        real[places] = float_forward(weights, batch, layers=layers, tap=taken.__setitem__)
        mask = batch != 0
        tokens += int(mask.sum())
        for layer in range(layers):
            found = inner[layer][places][:, : batch.shape[1]]
            sums[layer] += float(cosines(found[mask], taken[f"{layer}.end"][mask]).sum())
    count = len(ids) - others
    alike = cosines(exact, real)[:count]
    same = neighbours(exact) == neighbours(real)
    unit = exact / np.linalg.norm(exact, axis=1, keepdims=True)
    return Accuracy(
        sentences=count,
        cosine_mean=float(alike.mean()),
        cosine_min=float(alike.min()),
        same_neighbour=float(same[:count].mean()),
        same_neighbour_with_others=float(same.mean()),
        similarity_error=float(np.abs(unit @ unit.T - real @ real.T).max()),
        layers=tuple(float(value) for value in sums / tokens),
    )


def embed(encoder: Encoder, ids: Ids) -> Array:
    """Return the embeddings (n, 384), near length 1, of token ids (n, length)."""
    return _integers(encoder, ids)[0]


def _integers(encoder: Encoder, ids: Ids) -> tuple[Array, list[Array]]:
    """Embeddings, and the outputs of each layer (n, length, 384) as the reals they stand for."""
    plan = numpy_backend.Plan(encoder.model)
    parts: list[list[Array]] = [[] for _ in encoder.ends]
    for start in range(0, len(ids), encoder.model.max_units):
        tensors = plan.run(ids[start : start + encoder.model.max_units].reshape(-1, ids.shape[1]))
        for part, end in zip(parts, encoder.ends, strict=True):
            part.append(tensors[end.view.tensor - 1].astype(np.float64) * end.unit)
    whole = [np.concatenate(part) for part in parts]
    layers = [part.reshape(len(ids), -1, HIDDEN) for part in whole[:-1]]
    return whole[-1], layers
