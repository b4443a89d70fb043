"""Keccak-256 of many equally long messages at once, eight in the lanes of one vector register.

Needs numba (extra `fast`); batches.py hashes one message at a time without it. The permutation is
LLVM vector code, because numba doesn't vectorise the plain loop (docs/decisions/0016-hashing.md).
numba compiles it for the machine it runs on and keeps the result beside this file or, where that
can't be written, in the user's own cache folder.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types, uint64
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 8
_ROUNDS = 24
_SIDE = 5
_STATE = _SIDE * _SIDE
_RATE = 17
_ROTATIONS = (
    (0, 36, 3, 41, 18),
    (1, 44, 10, 45, 2),
    (62, 6, 43, 15, 61),
    (28, 55, 25, 21, 56),
    (27, 20, 39, 8, 14),
)
"""Rho: `_ROTATIONS[x][y]` is how far lane (x, y) turns."""


def _round_constants() -> npt.NDArray[np.uint64]:
    """Iota's constants, from the linear shift register that the standard defines them by."""
    constants = []
    register = 1
    for _ in range(_ROUNDS):
        value = 0
        for bit in range(7):
            if register & 1:
                value |= 1 << ((1 << bit) - 1)
            register <<= 1
            if register >> 8:
                register ^= 0x171
        constants.append(value)
    return np.array(constants, dtype=np.uint64)


ROUND_CONSTANTS = _round_constants()

_WORD = ir.IntType(64)
_INDEX = ir.IntType(32)
_VECTOR = ir.VectorType(_WORD, LANES)


def _constant(value: int) -> ir.Constant:
    return ir.Constant(_VECTOR, [value] * LANES)


def _round(builder: Any, turn: Any, state: list[Any], constant: Any) -> list[Any]:
    """One round on 25 vectors: theta, rho, pi, chi, iota."""

    def rotated(value: Any, by: int) -> Any:
        return builder.call(turn, [value, value, _constant(by)]) if by else value

    xor = builder.xor
    columns = []
    for x in range(_SIDE):
        total = state[x]
        for y in range(1, _SIDE):
            total = xor(total, state[x + _SIDE * y])
        columns.append(total)
    mixed = [
        xor(columns[(x + 4) % _SIDE], rotated(columns[(x + 1) % _SIDE], 1)) for x in range(_SIDE)
    ]
    moved: list[Any] = [None] * _STATE
    for x in range(_SIDE):
        for y in range(_SIDE):
            value = xor(state[x + _SIDE * y], mixed[x])
            moved[y + _SIDE * ((2 * x + 3 * y) % _SIDE)] = rotated(value, _ROTATIONS[x][y])
    after = []
    for place in range(_STATE):
        row = place - place % _SIDE
        one = moved[row + (place + 1) % _SIDE]
        two = moved[row + (place + 2) % _SIDE]
        after.append(xor(moved[place], builder.and_(builder.not_(one), two)))
    after[0] = xor(after[0], constant)
    return after


def _spread(builder: Any, word: Any) -> Any:
    """The word in every lane."""
    nothing = ir.Constant(_VECTOR, ir.Undefined)
    single = builder.insert_element(nothing, word, ir.Constant(_INDEX, 0))
    picks = ir.Constant(ir.VectorType(_INDEX, LANES), [0] * LANES)
    return builder.shuffle_vector(single, nothing, picks)


def _permute_code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """All rounds on a (25, LANES) uint64 array, in place."""
    data, constants = (
        context.make_array(kind)(context, builder, value).data
        for kind, value in zip(signature.args, arguments, strict=True)
    )
    base = builder.bitcast(data, _VECTOR.as_pointer())
    cells = [builder.gep(base, [ir.Constant(_INDEX, place)]) for place in range(_STATE)]
    kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
    declare: Any = cgutils.get_or_insert_function
    turn = declare(builder.module, kind, f"llvm.fshl.v{LANES}i64")  # rotates when fed twice
    before = builder.block
    loaded = [builder.load(cell, align=8) for cell in cells]
    body = builder.append_basic_block("round")
    done = builder.append_basic_block("done")
    builder.branch(body)
    builder.position_at_end(body)
    number = builder.phi(_WORD)
    state = [builder.phi(_VECTOR) for _ in cells]
    constant = _spread(builder, builder.load(builder.gep(constants, [number])))
    after = _round(builder, turn, state, constant)
    following = builder.add(number, ir.Constant(_WORD, 1))
    number.add_incoming(ir.Constant(_WORD, 0), before)
    number.add_incoming(following, body)
    for old, first, new in zip(state, loaded, after, strict=True):
        old.add_incoming(first, before)
        old.add_incoming(new, body)
    again = builder.icmp_unsigned("<", following, ir.Constant(_WORD, _ROUNDS))
    builder.cbranch(again, body, done)
    builder.position_at_end(done)
    for cell, value in zip(cells, after, strict=True):
        builder.store(value, cell, align=8)
    return context.get_dummy_value()


def _permute_types(typing: Any, state: Any, constants: Any) -> Any:
    return types.void(state, constants), _permute_code


_permute: Any = intrinsic(_permute_types)


def _leaves(words: Any, out: Any) -> None:
    """Hash 0x00 and the bytes of each row of `words`, (n, W >= 1) uint64, into `out`, (n, 4)."""
    state = np.empty((_STATE, LANES), dtype=np.uint64)
    count, length = words.shape
    for first in range(0, count, LANES):
        here = min(LANES, count - first)
        state[:, :] = 0
        for lane in range(here):  # the prefix is one byte, so every word is made of two
            state[0, lane] = words[first + lane, 0] << uint64(8)
        place = 1
        for at in range(1, length):
            for lane in range(here):
                word = words[first + lane, at] << uint64(8)
                state[place, lane] ^= word | (words[first + lane, at - 1] >> uint64(56))
            place += 1
            if place == _RATE:
                _permute(state, ROUND_CONSTANTS)
                place = 0
        for lane in range(here):
            last = words[first + lane, length - 1] >> uint64(56)
            state[place, lane] ^= last | uint64(0x100)
            state[_RATE - 1, lane] ^= uint64(0x8000000000000000)
        _permute(state, ROUND_CONSTANTS)
        for lane in range(here):
            for part in range(4):
                out[first + lane, part] = state[part, lane]


def _nodes(words: Any, out: Any) -> None:
    """Hash each row of `words`, (n, 16) uint64 (four children), into `out`, (n, 4)."""
    state = np.empty((_STATE, LANES), dtype=np.uint64)
    count = words.shape[0]
    for first in range(0, count, LANES):
        here = min(LANES, count - first)
        state[:, :] = 0
        for lane in range(here):
            for at in range(16):
                state[at, lane] = words[first + lane, at]
            state[_RATE - 1, lane] = uint64(0x8000000000000001)
        _permute(state, ROUND_CONSTANTS)
        for lane in range(here):
            for part in range(4):
                out[first + lane, part] = state[part, lane]


def _compiled(function: Callable[..., None]) -> Callable[..., None]:
    """Compile for this machine, without the interpreter's lock; keep it where that is possible."""
    made: Callable[..., None]
    try:
        made = njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no folder that could be written
        made = njit(nogil=True)(function)
    return made


leaves_into = _compiled(_leaves)
nodes_into = _compiled(_nodes)


def _levels(nodes: Any, count: int, depth: int, zeros: Any) -> None:
    """Compute a tree in `nodes`, (all, 4) uint64, from its `count` leaves' hashes at the start.

    Each level is followed by what it lacks to whole fours: zero subtrees, `zeros[l]`.
    """
    first = 0
    for level in range(depth):
        above = (count + 3) // 4
        following = first + 4 * above
        for at in range(first + count, following):
            nodes[at, :] = zeros[level, :]
        fours = nodes[first:following].reshape((above, 16))
        nodes_into(fours, nodes[following : following + above])
        first, count = following, above


levels_into = _compiled(_levels)
