"""A tenth of the evidence of `make bench`: lies about a real encoder, each convicted on chain."""

import pytest

pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")

from scripts.lies import SEED, hold

LIES, HONEST = 50, 200


def test_every_lie_about_minilm_is_convicted_and_nothing_else() -> None:
    tally = hold(LIES, HONEST, SEED + 1)
    assert (tally.planted, tally.convicted) == (LIES, LIES)
    assert (tally.tried, tally.wronged) == (HONEST, 0)
    assert len(tally.by_kind) == 6
    assert len(tally.by_opcode) >= 8
    assert tally.dearest < 500_000
