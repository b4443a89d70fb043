"""What the verifiers of policy `exact` answer when they are asked for a quote.

The same as `FaultProof.quote` and `GraphProof.quote`, so that a keeper can price every job under
every offer without a call.
"""

from dataclasses import dataclass
from functools import lru_cache

from headrace.terms.money import FAULT_PROOF_LOCK, CheckPrice
from headrace.terms.words import FaultProofSettings

# The largest trace that can be published in one transaction's calldata.
MAX_TRACE_BYTES = 24_576


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactBounds:
    """The bounds that a verifier sets to the seconds of a job's settings."""

    min_window: int
    max_window: int
    min_reply: int
    max_reply: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactModel:
    """
    What a verifier knows of a model: the most units of a job, the moves that force a withheld byte
    out and, of FaultProof's, the bytes of trace per unit, which have to fit into one of them.
    `is_eligible`: GraphProof's have enough mirrors.
    """

    max_units: int
    row_bytes: int = 0
    levels: int = 1
    is_eligible: bool = True


# A market has few different settings, and a keeper asks for a quote for every pair in it.
_seconds_of = lru_cache(maxsize=1_024)(FaultProofSettings.unpack)


def exact_quote(
    settings: int, units: int, price: int, model: ExactModel | None, bounds: ExactBounds
) -> CheckPrice | None:
    """
    The quote for `units` units at `price`; None where the verifier reverts: the model isn't
    registered or eligible, the units or the trace are too many, or the settings out of bounds.
    """
    try:
        seconds = _seconds_of(settings)
    except ValueError:
        return None
    if (
        model is None
        or not model.is_eligible
        or not 0 < units <= model.max_units
        or units * model.row_bytes > MAX_TRACE_BYTES
        or seconds.hooks != 0
        or not bounds.min_window <= seconds.window <= bounds.max_window
        or not bounds.min_reply <= seconds.reply <= bounds.max_reply
        or not bounds.min_reply <= seconds.follow <= bounds.max_reply
    ):
        return None
    return CheckPrice(
        levy=0,
        lock_min=FAULT_PROOF_LOCK * price,
        window=seconds.window,
        delay=seconds.delay_over(model.levels),
    )
