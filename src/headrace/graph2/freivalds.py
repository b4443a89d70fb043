"""Check a matrix product without computing it: Freivalds' test over a prime field.

For a claimed product C of A (T, K) and the transpose of W (N, K), `C r = A (W^T r)` is compared for
a random r. If C is wrong in any element, the two differ for all but at most one in p of all r, with
p = 2^61 - 1: for anybody who fixed C before he could know r, the chance to pass is at most 4.4e-19.
It costs TN + KN + TK products instead of TKN.

It is for accumulators (sums before Q): outputs that Q has rounded are no linear function any more.
"""

import secrets
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.graph2.views import MAX_WIDTH

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]

PRIME = (1 << 61) - 1
_LIMB = 15
_LIMBS = 5
_MASK = (1 << _LIMB) - 1


class Challenge:
    """A secret random vector for the (N, K) int8 weights of one product.

    Whoever delivers products must not learn it. It may be used for as many products as he delivers
    without learning which were refused.
    """

    def __init__(self, weights: Array, vector: list[int] | None = None) -> None:
        """Draw the vector (or take one of N numbers from 0 to p - 1, for tests) and fold it in.

        ValueError when the shapes or types don't fit.
        """
        if weights.dtype != np.int8 or weights.ndim != 2 or max(weights.shape) > MAX_WIDTH:
            raise ValueError(f"weights are int8 of at most {MAX_WIDTH} in both directions")
        self._shape = (weights.shape[0], weights.shape[1])
        drawn = [secrets.randbelow(PRIME) for _ in range(weights.shape[0])]
        vector = drawn if vector is None else vector
        if len(vector) != weights.shape[0] or not all(0 <= one < PRIME for one in vector):
            raise ValueError("the vector hasn't one number below p for each column")
        self._vector = _limbs(vector)
        # 2^7 * 2^15 * 4,096 terms: below 2^53, so whole in float64
        self._folded = _limbs(_joined(weights.T.astype(np.float64) @ self._vector))

    def wrong_rows(self, a: Array, product: Array) -> Bools:
        """Return for each of T rows whether it is surely wrong; the others are right but for 1/p.

        `a` is (T, K) int8, `product` (T, N) of integers; ValueError if they aren't.
        """
        columns, terms = self._shape
        if a.dtype != np.int8 or a.ndim != 2 or a.shape[1] != terms:
            raise ValueError(f"the left side isn't int8 of rows of {terms}")
        if product.shape != (a.shape[0], columns) or product.dtype.kind != "i":
            raise ValueError(f"the product isn't {a.shape[0]} x {columns} of integers")
        # No sum is larger; without such, 2^26 * 2^15 * 4,096 terms are whole in float64, too.
        bound = terms << 14
        impossible: Bools = ((product < -bound) | (product > bound)).any(axis=1)
        possible = np.where(impossible[:, None], 0, product) if impossible.any() else product
        left = _joined(possible.astype(np.float64) @ self._vector)
        right = _joined(a.astype(np.float64) @ self._folded)
        unequal = [one != other for one, other in zip(left, right, strict=True)]
        return np.array(unequal, dtype=np.bool_) | impossible

    def holds(self, a: Array, product: Array) -> bool:
        """Whether no row is surely wrong."""
        return not bool(self.wrong_rows(a, product).any())


def _limbs(values: list[int]) -> npt.NDArray[np.float64]:
    """The (n, 5) pieces of 15 bits of each number, the lowest first."""
    return np.array(
        [[value >> _LIMB * place & _MASK for place in range(_LIMBS)] for value in values],
        dtype=np.float64,
    )


def _joined(limbs: Array) -> list[int]:
    """The numbers mod p that sums of pieces stand for."""
    weighted = (
        sum(int(part) << _LIMB * place for place, part in enumerate(row)) % PRIME
        for row in limbs.astype(np.int64).tolist()
    )
    return list(weighted)
