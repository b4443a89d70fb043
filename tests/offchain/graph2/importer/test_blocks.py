"""Layer norm, attention, GELU and split channels against floats, and what they do at the edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.graph2 import builders, numpy_backend, reference
from headrace.graph2.importer import blocks
from headrace.graph2.importer.fixed import scale
from headrace.graph2.importer.minilm_float import gelu, layer_norm
from headrace.graph2.importer.smooth import Real, copies, dense, narrow, smooth
from headrace.graph2.model import GraphBuilder

SEEDS = st.integers(0, 2**32 - 1)


@given(SEEDS, st.sampled_from([1, 5, 33]), st.sampled_from([1, 3, 4]))
def test_layer_norm_is_near_the_float_one(seed: int, width: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(rng.normal(), rng.uniform(0.1, 3), (2 * rows, width))
    gamma, beta = rng.normal(size=width), rng.normal(size=width)
    gamma[0] = 0.0
    unit = float(np.abs(x).max() * blocks.ROOM / blocks.WORD)
    graph = GraphBuilder(rows, width, 2)
    centred = x - x.mean(axis=1, keepdims=True)
    out = blocks.layer_norm(
        graph,
        Real(graph.input, unit),
        gamma,
        beta,
        2.0**-11,
        deviation=max(float(np.sqrt((centred**2).sum(axis=1).max())), unit),
    )
    whole = np.rint(x / unit).astype(np.int16)
    found = numpy_backend.run(graph.build(2), whole)[-1] * out.unit
    expected = layer_norm(whole * unit, gamma, beta) if width > 1 else np.tile(beta, (2 * rows, 1))
    # a row of small deviation beside a larger one has fewer bits
    spread = centred.std(axis=1, keepdims=True)
    bound = 0.02 + 0.02 * spread.max() / np.maximum(spread, 1e-9)
    assert (np.abs(found - expected) <= bound).all() or width == 1


def test_layer_norm_of_equal_elements_is_beta() -> None:
    graph = GraphBuilder(1, 8, 2)
    beta = np.linspace(-1, 1, 8)
    blocks.layer_norm(graph, Real(graph.input, 0.01), np.ones(8), beta, 0.001, deviation=1.0)
    found = numpy_backend.run(graph.build(1), np.full((1, 8), 77, np.int16))[-1]
    np.testing.assert_array_equal(found[0], np.rint(beta / 0.001))


def attention(seq: int, mask: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The block on random q, k, v (seq, 64) of two heads that stand side by side in the input."""
    rng = np.random.default_rng(seed)
    q, k, v = rng.integers(-127, 128, (3, seq, 64))
    k //= 3  # scores stay within the reach that is said below
    return attend(mask, q, k, v), np.stack([q, k, v]), rng.integers(-40, 41, (seq, 64))


def attend(mask: np.ndarray, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    seq = len(q)
    graph = GraphBuilder(seq, 224, 1)
    parts = [graph.add(builders.affine(graph.input, width=64, start=64 * i)) for i in range(3)]
    shown = graph.add(builders.affine(graph.input, width=32, start=192))
    turned = graph.add(builders.transpose(shown, seq=seq))
    # row 0 of the turned block is the mask; the other rows say nothing
    first = graph.add(builders.reshape(turned, turned.width * turned.rows))
    keep = graph.add(builders.affine(first, width=seq))
    unit = np.full(64, 0.05)
    out = blocks.attention(
        graph,
        *(Real(view, 0.05) for view in parts),
        keep,
        unit,
        product=0.0025,
        reach=18.0,
        heads=2,
    )
    row = np.concatenate([q, k, v, np.tile(mask[:, None], (1, 32))], axis=1).astype(np.int8)
    return numpy_backend.run(graph.build(1), row)[-1] * out.unit


def softmax_attention(mask: np.ndarray, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    heads = []
    for head in (slice(0, 32), slice(32, 64)):
        scores = 0.0025 * q[:, head] @ k[:, head].T / np.sqrt(32)
        scores = np.where(mask, scores, -np.inf)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        heads.append(weights / weights.sum(axis=1, keepdims=True) @ (0.05 * v[:, head]))
    return np.concatenate(heads, axis=1)


@given(SEEDS)
def test_attention_is_near_softmax(seed: int) -> None:
    mask = np.arange(16) < 1 + seed % 16
    found, (q, k, v), _ = attention(16, mask, seed)
    assert np.abs(found - softmax_attention(mask, q, k, v)).max() < 0.06


@given(SEEDS)
def test_what_is_masked_changes_nothing(seed: int) -> None:
    mask = np.arange(16) < 1 + seed % 15
    found, (q, k, v), other = attention(16, mask, seed)
    k, v = np.where(mask[:, None], k, other), np.where(mask[:, None], v, other)
    np.testing.assert_array_equal(found, attend(mask, q, k, v))


def test_gelu_table_is_near_gelu_over_its_whole_range() -> None:
    unit = 8 / blocks.WORD
    graph = GraphBuilder(1, 512, 2)
    graph.add(builders.lut16(graph.input, blocks.gelu_table(unit, unit)))
    x = np.linspace(-blocks.WORD, blocks.WORD, 512).astype(np.int16)
    found = numpy_backend.run(graph.build(1), x[None])[-1][0] * unit
    assert np.abs(found - gelu(x * unit)).max() < 5e-4


@pytest.mark.parametrize("nat", [256, 1024, 4096])
def test_exponential_table_counts_down_from_the_greatest_to_nothing(nat: int) -> None:
    entries = blocks.exponential_table(nat)
    assert entries[128] == blocks.WORD
    assert (np.diff(entries[:129]) >= 0).all()
    assert (entries[129:] == blocks.WORD).all()
    if nat <= 1024:
        assert entries[0] == 0


def test_a_sum_takes_both_units() -> None:
    graph = GraphBuilder(1, 3, 2)
    doubled = Real(graph.add(builders.affine(graph.input, size=2)), 0.5)
    blocks.add(graph, Real(graph.input, 2.0), doubled, 1.0)
    found = numpy_backend.run(graph.build(1), np.array([[1, -3, 30_000]], np.int16))[-1]
    assert found[0].tolist() == [3, -7, blocks.WORD]  # 2.5 and -7.5, halves upwards; saturated


@given(SEEDS, st.integers(0, 8))
def test_split_channels_say_the_same_in_finer_steps(seed: int, extra: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(6, 10))
    weights[:, 3] *= 30
    count = copies(weights, extra)
    assert count.sum() == 10 + extra
    assert (count >= 1).all()
    wide = np.repeat(weights / count, count, axis=1)
    x = rng.normal(size=10)
    np.testing.assert_allclose(wide @ np.repeat(x, count), weights @ x, rtol=1e-9, atol=1e-9)
    assert (np.abs(wide).max(axis=1) <= np.abs(weights).max(axis=1) + 1e-12).all()
    if extra:
        assert count[3] > 1


def test_smoothing_gives_outliers_their_own_step() -> None:
    greatest = np.array([1.0, 1.0, 100.0])
    even = smooth(np.ones((2, 3)), greatest, 0.0)
    full = smooth(np.ones((2, 3)), greatest, 1.0)
    np.testing.assert_allclose(even, 100 / 127, rtol=0.01)
    np.testing.assert_allclose(full, greatest / 127, rtol=0.01)


def test_a_dense_layer_with_narrowed_input_equals_the_reference() -> None:
    rng = np.random.default_rng(7)
    weights, bias = rng.normal(size=(5, 8)), rng.normal(size=5)
    weights[2] = 0.0
    x = rng.normal(size=(4, 8))
    graph = GraphBuilder(1, 8, 2)
    unit = float(np.abs(x).max() / 32_000)
    small = narrow(graph, Real(graph.input, unit), scale(np.abs(x).max(axis=0)))
    out = dense(graph, small, weights, bias, 1e-3, size=2)
    model, whole = graph.build(4), np.rint(x / unit).astype(np.int16)
    found = numpy_backend.run(model, whole)[-1]
    assert found.tolist() == reference.run(model, whole.tolist())[-1]
    assert np.abs(found * out.unit - (x @ weights.T + bias)).max() < 0.1
