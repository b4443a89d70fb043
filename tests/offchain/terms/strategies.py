"""Hypothesis strategies for the words, over the full ranges of their fields."""

from typing import Any

from hypothesis import strategies as st

from headrace.terms.words import (
    Ask,
    FaultProofSettings,
    Node,
    Record,
    Requirement,
    Terms,
    checked_address,
)

hashes = st.binary(min_size=32, max_size=32)
addresses = st.binary(min_size=20, max_size=20).map(
    lambda raw: checked_address("address", "0x" + raw.hex())
)


def uints(bits: int) -> st.SearchStrategy[int]:
    """Integers of at most `bits` bits, the edges often."""
    top = (1 << bits) - 1
    return st.one_of(st.integers(0, top), st.sampled_from([0, 1, top]))


# The widths are written out here once more, so that a wrong width in the package fails a test.
_TERMS: dict[str, Any] = {
    "requester": addresses,
    "verifier": addresses,
    "settings": uints(96),
    "requirement": uints(256),
    "program": hashes,
    "input_id": hashes,
    "price_start": uints(80),
    "price_cap": uints(80),
    "damage_cap": uints(80),
    "tip_fixed": uints(80),
    "tip_max": uints(80),
    "tip_share_bps": uints(16),
    "no_show_bps": uints(16),
    "max_attempts": uints(8),
    "valid_from": uints(40),
    "ramp_seconds": uints(32),
    "final_deadline": uints(40),
    "ack_seconds": uints(32),
    "attempt_seconds": uints(32),
    "units": uints(32),
    "input_bytes": uints(32),
    "epoch": uints(24),
    "salt": uints(128),
}
_ASK: dict[str, Any] = {
    "provider": addresses,
    "node": uints(8),
    "lane": uints(8),
    "epoch": uints(24),
    "expiry": uints(40),
    "price_base": uints(80),
    "price_per_unit": uints(80),
    "max_lock": uints(80),
    "max_units": uints(32),
    "max_input_bytes": uints(32),
    "min_attempt_seconds": uints(32),
    "min_ack_seconds": uints(32),
    "max_delay": uints(32),
    "programs": hashes,
    "verifier_terms": hashes,
    "salt": uints(96),
    "counterparty": addresses,
}
_RECORD: dict[str, Any] = {
    "requester": addresses,
    "price": uints(80),
    "no_show_bps": uints(16),
    "provider": addresses,
    "lock": uints(80),
    "node": uints(8),
    "max_attempts": uints(4),
    "declines": uints(4),
    "keeper": addresses,
    "tip": uints(80),
    "charge_bps": uints(16),
    "verifier": addresses,
    "settings": uints(96),
    "price_cap": uints(80),
    "levy": uints(80),
    "damage_cap": uints(80),
    "keeper_fee": uints(80),
    "matched_at": uints(40),
    "final_deadline": uints(40),
    "ack_seconds": uints(32),
    "excluded": uints(204),
    "operator": addresses,
    "window": uints(32),
}
_REQUIREMENT: dict[str, Any] = {
    "gpu_mask": uints(96),
    "region_mask": uints(32),
    "min_vram_gib": uints(16),
    "min_gpu_count": uints(8),
    "max_latency_class": uints(8),
    "flags": uints(8),
    "min_benchmark": uints(32),
    "min_completions": uints(16),
    "max_fault_bps": uints(16),
    "min_weight": uints(24),
}
_NODE: dict[str, Any] = {
    "gpu_model": uints(16),
    "vram_gib": uints(16),
    "gpu_count": uints(8),
    "region": uints(8),
    "capacity": st.integers(0, 63),
    "latency_class": uints(8),
    "flags": uints(8),
    "benchmark": uints(32),
}
_SETTINGS: dict[str, Any] = {
    "hooks": uints(8),
    "window": uints(32),
    "reply": uints(24),
    "follow": uints(24),
}

terms = st.builds(Terms, **_TERMS)
asks = st.builds(Ask, **_ASK)
records = st.builds(Record, **_RECORD)
requirements = st.builds(Requirement, **_REQUIREMENT)
nodes = st.builds(Node, **_NODE)
settings_words = st.builds(FaultProofSettings, **_SETTINGS)


@st.composite
def sane_terms(draw: st.DrawFn) -> Terms:
    """Terms that a job can be posted with: a rising ramp, a tip share of at most all."""
    drawn = draw(terms)
    values = {name: getattr(drawn, name) for name in _TERMS}
    bits = draw(st.sampled_from([8, 24, 80]))  # small amounts meet small amounts
    for name in ("price_start", "price_cap", "damage_cap", "tip_fixed", "tip_max"):
        values[name] = draw(uints(bits))
    values["price_cap"] = max(values["price_cap"], values["price_start"], 1)
    values["tip_share_bps"] = draw(st.integers(0, 10_000))
    values["no_show_bps"] = draw(st.integers(1_000, 5_000))
    values["ramp_seconds"] = draw(st.one_of(st.integers(1, 100), st.integers(1, 2**32 - 1)))
    values["valid_from"] = draw(st.integers(0, 2**39))
    return Terms(**values)
