"""What hashing leaves costs by each way there is: one call a leaf, or many in vector registers.

    python -m scripts.bench hashing

One thread, 20,000 leaves of 512 bytes. The figures of docs/decisions/0016-hashing.md. For other
processors: NUMBA_CPU_NAME=haswell (AVX2), NUMBA_CPU_NAME=x86-64 (SSE2).
"""

import time
from collections.abc import Callable

import numpy as np
from Crypto.Hash import keccak as crypto_keccak

from headrace.graph.merkle import keccak
from headrace.graph2 import batches
from headrace.graph2.batches import Bytes

LEAVES, LEAF_BYTES = 20_000, 512
_TURNS = 5


def _pysha3(leaves: Bytes) -> None:
    for leaf in leaves:
        keccak(b"\0" + leaf.tobytes())


def _pycryptodome(leaves: Bytes) -> None:
    for leaf in leaves:
        crypto_keccak.new(digest_bits=256, data=b"\0" + leaf.tobytes()).digest()


def _vectors(leaves: Bytes) -> None:
    kernel = batches.vectorised()
    if kernel is None:
        raise RuntimeError("numba isn't installed: pip install headrace[fast]")
    kernel.leaves_into(leaves.view(np.uint64), np.empty((len(leaves), 4), dtype=np.uint64))


WAYS: dict[str, Callable[[Bytes], None]] = {
    "hash_pysha3_mb_per_s": _pysha3,
    "hash_pycryptodome_mb_per_s": _pycryptodome,
    "hash_vectors_mb_per_s": _vectors,
}


def measure() -> dict[str, float]:
    """Megabytes of leaves a second by each way, flat; the fastest of several turns."""
    rng = np.random.default_rng(1)
    leaves = rng.integers(0, 256, (LEAVES, LEAF_BYTES), dtype=np.uint8)
    _vectors(leaves)  # compiled, or read from its cache, before anything is timed
    best = dict.fromkeys(WAYS, float("inf"))
    for _ in range(_TURNS):
        for name, way in WAYS.items():
            start = time.perf_counter()
            way(leaves)
            best[name] = min(best[name], time.perf_counter() - start)
    return {name: round(leaves.size / seconds / 1e6, 1) for name, seconds in best.items()}
