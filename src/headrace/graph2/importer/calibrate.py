"""Which values a float network's intermediates reach on sentences that are kept for that."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.graph.errors import ModelError
from headrace.graph2.importer.fixed import grid
from headrace.graph2.importer.minilm_float import LAYERS, Weights, float_forward
from headrace.graph2.importer.tokenizer import Ids

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

DATA = Path(__file__).parent / "data"
_BATCH = 32


def calibration_sentences() -> list[str]:
    """The sentences that scales are measured on; none is in the other lists."""
    return (DATA / "calibration.txt").read_text(encoding="utf-8").splitlines()


def evaluation_sentences() -> list[str]:
    """The sentences that accuracy is measured on; each has one of like meaning among them."""
    return (DATA / "evaluation.txt").read_text(encoding="utf-8").splitlines()


def other_sentences() -> list[str]:
    """Sentences without one of like meaning: a search finds them only by mistake."""
    return (DATA / "others.txt").read_text(encoding="utf-8").splitlines()


@dataclass(frozen=True, eq=False)
class Ranges:
    """Greatest magnitudes by the name of an intermediate (`minilm_float.float_forward`)."""

    by_channel: dict[str, Floats]
    """(width,) for each, on the grid; scores have (1,)."""

    deviation: dict[str, float]
    """The greatest root of a row's summed squares around its mean."""

    def channels(self, name: str) -> Floats:
        """Greatest magnitude of each channel; ModelError for a name that wasn't measured."""
        try:
            return self.by_channel[name]
        except KeyError:
            raise ModelError(f"nothing was measured for {name}") from None

    def greatest(self, name: str) -> float:
        """Greatest magnitude of all channels."""
        return float(self.channels(name).max())


def batches(ids: Ids) -> Iterator[tuple[Array, Ids]]:
    """Cut rows of ids into batches of similar length without needless padding: (places, ids)."""
    lengths = (ids != 0).sum(axis=1)
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), _BATCH):
        places = order[start : start + _BATCH]
        yield places, ids[places, : int(lengths[places].max())]


def measure(weights: Weights, ids: Ids, layers: int = LAYERS) -> Ranges:
    """Measure on token ids (n, length); in float64, so that every machine gets the same ranges."""
    if ids.ndim != 2 or not ids.size or not (ids != 0).any(axis=1).all():
        raise ModelError("calibration needs at least one row of tokens, none empty")
    by_channel: dict[str, Floats] = {}
    deviation: dict[str, float] = {}
    for _, batch in batches(ids):
        mask = batch != 0

        def tap(name: str, value: Array, mask: Array = mask) -> None:
            if value.ndim == 4:
                pairs = np.broadcast_to(
                    mask[:, None, :, None] & mask[:, None, None, :], value.shape
                )
                real = value[pairs].reshape(-1, 1)
            else:
                real = value[mask] if value.ndim == 3 else value
            found = np.abs(real).max(axis=0)
            by_channel[name] = np.maximum(by_channel.get(name, found), found)
            centred = real - real.mean(axis=-1, keepdims=True)
            spread = float(np.sqrt(np.square(centred).sum(axis=-1).max()))
            deviation[name] = max(deviation.get(name, 0.0), spread)

        float_forward(weights, batch, layers=layers, dtype=np.float64, tap=tap)
    return Ranges(
        {name: grid(found) for name, found in by_channel.items()},
        {name: float(grid(found)) for name, found in deviation.items()},
    )
