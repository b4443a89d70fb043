"""Keccak-256 of the leaves and nodes of trees, many at a time: vectorised if numba is installed.

Both ways give the same bytes. Batches that are too small to be worth a thread or numba's import go
through the plain one.
"""

import os
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from importlib import import_module
from itertools import pairwise
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from headrace.graph.merkle import HASH_BYTES, keccak

Bytes = npt.NDArray[np.uint8]
Args = ParamSpec("Args")
Made = TypeVar("Made")

PREFIX = b"\x00"
"""First byte of a tensor leaf's preimage."""
NODE_BYTES = 4 * HASH_BYTES
_KERNEL = "headrace.graph2.keccak_lanes"
_WORD = 8
_FEW = 64
"""Fewer hashes aren't worth importing numba for."""
_SHARE = 2_048
"""Fewer hashes than this aren't worth a thread."""
_THREADS = min(4, os.cpu_count() or 1)


@cache
def vectorised() -> ModuleType | None:
    """The compiled kernel; None without numba (extra `fast`), or where it may not compile."""
    try:
        return import_module(_KERNEL)
    except (ImportError, OSError):
        # OSError: the process may make no executable memory, as under a strict systemd unit.
        return None


def kernel_for(count: int) -> ModuleType | None:
    """The compiled kernel where it pays for so many hashes."""
    return vectorised() if count >= _FEW or _KERNEL in sys.modules else None


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="keccak")


@cache
def _helper() -> ThreadPoolExecutor:
    # not one of _threads(): a task there that waited for others there could wait for ever
    return ThreadPoolExecutor(1, thread_name_prefix="trees")


def beside(function: Callable[Args, Made], *given: Args.args, **named: Args.kwargs) -> Future[Made]:
    """Call a function that mostly hashes in another thread."""
    return _helper().submit(function, *given, **named)


def hash_leaves(leaves: Bytes) -> Bytes:
    """Return the (n, 32) hashes of 0x00 and each row of (n, leaf_bytes), leaf_bytes mod 32 = 0."""
    return _hash(leaves, as_nodes=False)


def hash_nodes(children: Bytes) -> Bytes:
    """Return the (n, 32) hashes of the rows of (n, 128): each four children."""
    return _hash(children, as_nodes=True)


def plain_hashes(rows: Bytes, prefix: bytes) -> Bytes:
    """Hash `prefix` and each row, one after the other: what every other way has to equal."""
    digests = b"".join(keccak(prefix + row.tobytes()) for row in rows)
    return np.frombuffer(digests, dtype=np.uint8).reshape(len(rows), HASH_BYTES)


def tree_levels(hashes: Bytes, depth: int, zeros: Bytes) -> list[Bytes]:
    """Return the levels of a tree of four children over (n, 32) hashes, from them to the root.

    `zeros[l]` stands for the children that a node of level l + 1 has too few.
    """
    kernel = kernel_for(len(hashes))
    if kernel is None:
        return _plain_levels(hashes, depth, zeros)
    nodes, levels = _room(len(hashes), depth)
    nodes[: len(hashes)] = np.ascontiguousarray(hashes).view(np.uint64)
    kernel.levels_into(nodes, len(hashes), depth, zeros.view(np.uint64))
    return levels


def leaf_levels(leaves: Bytes, depth: int, zeros: Bytes) -> list[Bytes]:
    """Return the levels of a tree over leaves of (n, leaf_bytes), as `tree_levels`."""
    count = len(leaves)
    kernel = kernel_for(count)
    if kernel is None:
        return _plain_levels(hash_leaves(leaves), depth, zeros)
    nodes, levels = _room(count, depth)
    _run(kernel.leaves_into, np.ascontiguousarray(leaves).view(np.uint64), nodes[:count])
    kernel.levels_into(nodes, count, depth, zeros.view(np.uint64))
    return levels


def _room(count: int, depth: int) -> tuple[npt.NDArray[np.uint64], list[Bytes]]:
    """An array for all nodes of a tree, each level filled up to whole fours, and its levels."""
    spans = []
    start = 0
    for _ in range(depth):
        above = -(-count // 4)
        spans.append((start, start + count))
        start += 4 * above
        count = above
    nodes = np.empty((start + count, HASH_BYTES // _WORD), dtype=np.uint64)
    plain = nodes.view(np.uint8)
    return nodes, [plain[first:last] for first, last in (*spans, (start, start + count))]


def _plain_levels(leaves: Bytes, depth: int, zeros: Bytes) -> list[Bytes]:
    levels = [leaves]
    for level in range(depth):
        below = levels[-1]
        short = np.repeat(zeros[level : level + 1], -len(below) % 4, axis=0)
        children = np.concatenate([below, short]).reshape(-1, NODE_BYTES)
        levels.append(hash_nodes(children))
    return levels


def _hash(rows: Bytes, *, as_nodes: bool) -> Bytes:
    count, length = rows.shape
    kernel = kernel_for(count) if length and length % _WORD == 0 else None
    if kernel is None:
        return plain_hashes(rows, b"" if as_nodes else PREFIX)
    words = np.ascontiguousarray(rows).view(np.uint64)
    out = np.empty((count, HASH_BYTES // _WORD), dtype=np.uint64)
    _run(kernel.nodes_into if as_nodes else kernel.leaves_into, words, out)
    return out.view(np.uint8)


def _run(into: Callable[..., None], words: Any, out: Any) -> None:
    """Call a kernel, on several threads if that pays."""
    count = len(words)
    shares = min(_THREADS, -(-count // _SHARE))
    if shares < 2:
        into(words, out)
        return
    cuts = [count * share // shares for share in range(shares + 1)]
    parts = [slice(first, last) for first, last in pairwise(cuts)]
    running = [_threads().submit(into, words[part], out[part]) for part in parts[1:]]
    into(words[parts[0]], out[parts[0]])
    for one in running:
        one.result()
