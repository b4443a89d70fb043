"""How good the encoder is, and that every lie about it is convicted on chain: scripts/lies.py."""

from headrace.graph2.importer.standard import evaluate
from scripts.lies import hold

LIES, HONEST = 500, 2_000


def measure() -> dict[str, float]:
    """Accuracy of MiniLM in integers, and lies planted in it: a few minutes."""
    tally = hold(LIES, HONEST)
    return evaluate() | {
        "minilm_lies_planted": tally.planted,
        "minilm_lies_convicted": tally.convicted,
        "honest_elements_tried": tally.tried,
        "honest_elements_convicted": tally.wronged,
    }
