"""The fixtures of `till`: a chain that mines when told, and keys on it."""

from tests.offchain.chain.till import anvil, bench, token

__all__ = ["anvil", "bench", "token"]
