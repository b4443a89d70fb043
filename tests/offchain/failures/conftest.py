"""The fixtures of `till`: a chain that mines when told, and keys on it."""

from tests.offchain.chain.till import anvil, bench, office, token

__all__ = ["anvil", "bench", "office", "token"]
