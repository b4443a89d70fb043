"""What FaultProof, the verifier of policy `exact`, answers when it is asked for a quote.

The same as `FaultProof.quote`, so that a keeper can price every job under every offer without a
call.
"""

from dataclasses import dataclass

from headrace.terms.money import FAULT_PROOF_LOCK, CheckPrice
from headrace.terms.words import FaultProofSettings

# The largest trace that can be published in one transaction's calldata.
MAX_TRACE_BYTES = 24_576


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactBounds:
    """The bounds that a deployment's FaultProof sets to the seconds of a job's settings."""

    min_window: int
    max_window: int
    min_reply: int
    max_reply: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactModel:
    """What FaultProof knows of a model: bytes of trace per unit of work, and the most units."""

    row_bytes: int
    max_units: int


def exact_quote(
    settings: int, units: int, price: int, model: ExactModel | None, bounds: ExactBounds
) -> CheckPrice | None:
    """
    The quote for `units` units at `price`; None where FaultProof reverts: the model isn't
    registered, the units or the trace are too many, or the settings are out of bounds.
    """
    try:
        seconds = FaultProofSettings.unpack(settings)
    except ValueError:
        return None
    if (
        model is None
        or not 0 < units <= model.max_units
        or units * model.row_bytes > MAX_TRACE_BYTES
        or seconds.hooks != 0
        or not bounds.min_window <= seconds.window <= bounds.max_window
        or not bounds.min_reply <= seconds.reply <= bounds.max_reply
        or not bounds.min_reply <= seconds.follow <= bounds.max_reply
    ):
        return None
    return CheckPrice(
        levy=0, lock_min=FAULT_PROOF_LOCK * price, window=seconds.window, delay=seconds.delay
    )
