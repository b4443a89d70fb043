"""Random valid models of version 2 with inputs, over all opcodes; the same from the same seed.

Tensors are small, parameters are chosen so that outputs spread over their range, and extremes of
every kind are drawn now and then.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from headrace.graph2 import builders as ops
from headrace.graph2.model import GraphBuilder, Model
from headrace.graph2.opcodes import Opcode
from headrace.graph2.operators import Operator, Params
from headrace.graph2.views import MAX_WIDTH, View

MAX_UNITS = 4
MOST_ELEMENTS = 3_000
"""Elements of a tensor per unit: plain Python goes through them all."""


@dataclass(frozen=True)
class Case:
    """A model and an input of `units` units for it."""

    model: Model
    tensor: np.ndarray
    units: int


def random_case(
    seed: int, *, steps: int = 8, opcode: Opcode | None = None, wide: bool = False
) -> Case:
    """Return a case of at least `steps` operators drawn at random.

    With `opcode` the last operator is of that kind; with `wide` some row takes several leaves.
    """
    maker = _Maker(np.random.default_rng(seed), wide)
    while len(maker.graph.operators) < steps:
        maker.step(maker.any_opcode())
    if opcode is not None:
        for _ in range(100):
            if maker.step(opcode):
                break
        else:
            raise AssertionError(f"no place for {opcode!r}")
    return maker.finish()


def case_of(opcode: Opcode, seed: int = 0, *, wide: bool = False) -> Case:
    """Return a short case whose last operator is of this kind."""
    return random_case(1_000 * int(opcode) + seed, steps=2, opcode=opcode, wide=wide)


def random_input(rng: np.random.Generator, view: View, units: int) -> np.ndarray:
    """Return an input over the whole range, extremes included."""
    shape = (view.rows * units, view.width)
    tensor = rng.integers(view.low, view.high, shape, endpoint=True)
    edges = np.array([view.low, view.low + 1, -1, 0, 1, view.high - 1, view.high])
    return np.where(rng.random(shape) < 0.2, rng.choice(edges, shape), tensor).astype(view.dtype)


def _divisors(number: int) -> list[int]:
    return [d for d in range(1, number + 1) if number % d == 0]


def _bits(*sizes: int) -> int:
    return sum(8 * size for size in sizes)


class _Maker:
    """Grows one graph; each `_<opcode>` gives an operator over some tensor of it, or None."""

    def __init__(self, rng: np.random.Generator, wide: bool) -> None:
        self.rng = rng
        rows = self.pick([1, 1, 2, 3, 4, 6, 16])
        size = self.pick([1, 1, 2, 4])
        width = self.pick([1, 4, 8, 24, 31, 32, 33, 64]) if rows < 16 else self.pick([1, 4, 9])
        if wide:
            rows, width = self.pick([1, 2]), self.pick([1_025, 1_100, 1_200]) // size
        self.graph = GraphBuilder(rows, width, size)
        self.pool: list[View] = [self.graph.input]

    def finish(self) -> Case:
        model = self.graph.build(MAX_UNITS)
        units = int(self.rng.integers(1, MAX_UNITS, endpoint=True))
        return Case(model, random_input(self.rng, model.input, units), units)

    # ---- drawing

    def pick(self, values: list) -> int:
        return values[int(self.rng.integers(len(values)))]

    def chance(self, part: float) -> bool:
        return bool(self.rng.random() < part)

    def any_opcode(self) -> Opcode:
        return self.pick(list(Opcode))

    def source(self, fits: Callable[[View], bool] = lambda view: True) -> View | None:
        """A tensor that fits; late ones more often."""
        found = [view for view in self.pool if fits(view)]
        if not found:
            return None
        return found[max(int(self.rng.integers(len(found))) for _ in range(2))]

    def params(self, count: int, reach: int, size: int) -> Params:
        """Parameters that bring sums of `reach` bits to about the range of the output."""
        rng = self.rng
        mult = rng.integers(-(2**31) + 1, 2**31, count)
        shift = np.clip(min(reach, 31) + 31 - 8 * size + rng.integers(-3, 3, count), 1, 62)
        bound = 1 << min(max(reach - 2, 1), 30)
        bias = rng.integers(-bound, bound, count, endpoint=True)
        if self.chance(0.15):
            place = rng.integers(count)
            mult[place] = self.pick([0, 1, -1, 2**31 - 1, -(2**31) + 1])
            shift[place] = self.pick([1, 2, 61, 62])
            bias[place] = self.pick([0, 1 << 30, -(1 << 30)])
        return Params.of(mult, shift, bias)

    def clamp(self, size: int) -> dict[str, int]:
        low, high = -(1 << (8 * size - 1)), (1 << (8 * size - 1)) - 1
        if self.chance(0.7):
            return {"size": size}
        lo, hi = sorted(int(x) for x in self.rng.integers(low, high, 2, endpoint=True))
        return {"size": size, "lo": lo, "hi": hi}

    def table(self, shape: tuple[int, ...], size: int) -> np.ndarray:
        half = 1 << (8 * size - 1)
        return self.rng.integers(-half, half, shape)

    # ---- growing

    def add(self, operator: Operator) -> View:
        view = self.graph.add(operator)
        self.pool.append(view)
        return view

    def step(self, opcode: Opcode) -> bool:
        """Append an operator of this kind, with what it needs before it; False if there is none."""
        operator: Operator | None = getattr(self, f"_{opcode.name.lower()}")()
        if operator is None:
            return False
        if operator.out.rows * operator.out.width > MOST_ELEMENTS:
            return False
        self.add(operator)
        return True

    def sized(self, size: int, view: View | None = None) -> View | None:
        """A tensor of elements of `size` bytes, made if there is none."""
        view = view or self.source(lambda one: one.size == size) or self.source()
        if view is None or view.size == size:
            return view
        return self.add(ops.affine(view, self.params(1, _bits(view.size), size), size=size))

    def stat(self, view: View, *, size: int = 4, flags: bool = False) -> View:
        """One element for each row of `view`: a row sum, a sum of squares, or an index."""
        fold = self.pick([d for d in _divisors(view.rows) if d <= MAX_WIDTH])
        return self.folded(view, fold, size=size, flags=flags)

    def folded(self, view: View, fold: int, *, size: int = 4, flags: bool = False) -> View:
        narrow = view if view.size <= 2 else self.sized(2, view)
        params = self.params(1, _bits(narrow.size) + 4, size)
        if flags:
            return self.add(ops.rowsum(narrow, params, fold=fold, size=1, lo=0, hi=1))
        if self.chance(0.5):
            return self.add(ops.rowsum(narrow, params, fold=fold, **self.clamp(size)))
        params = self.params(1, 28, size)
        shift = self.squares(narrow)
        return self.add(ops.rowdot(narrow, params, fold=fold, shift=shift, **self.clamp(size)))

    def squares(self, view: View) -> int:
        """A shift that mostly brings a row's sum of squares below where sums saturate."""
        return max(0, 2 * _bits(view.size) + view.width.bit_length() - self.pick([29, 31, 34]))

    def twin(self, view: View, *, size: int | None = None) -> View:
        """Another tensor of the same shape, or the same one."""

        def fits(one: View) -> bool:
            same = (one.rows, one.width) == (view.rows, view.width)
            return same and size in (None, one.size)

        found = self.source(fits)
        if found is not None and (found != view or self.chance(0.3)):
            return found
        size = size or self.pick([1, 2, 4])
        return self.add(ops.affine(view, self.params(1, _bits(view.size), size), size=size))

    # ---- one for each opcode

    def _matmul(self) -> Operator:
        a = self.sized(1)
        most = max(1, min(MOST_ELEMENTS // a.rows, 50_000 // (a.rows * a.width)))
        width = min(most, self.pick([1, 2, 5, 31, 32, 33, 40]))
        weights = self.rng.integers(-128, 128, (width, a.width))
        if self.chance(0.1):
            weights[:] = self.pick([-128, 127])
        size = self.pick([1, 1, 2, 4])
        reach = 15 + a.width.bit_length() // 2
        return ops.matmul(a, weights, self.params(width, reach, size), **self.clamp(size))

    def _scores(self) -> Operator:
        a = self.sized(1)
        seq = self.pick(_divisors(a.rows))
        heads = self.pick(_divisors(a.width // 32)) if a.width % 32 == 0 else 1
        b = self.twin(a, size=1)
        mask = self.folded(a, seq, flags=True) if self.chance(0.5) and seq <= MAX_WIDTH else None
        size = self.pick([1, 2, 4])
        params = self.params(1, 16, size)
        return ops.scores(a, b, params, heads=heads, seq=seq, mask=mask, **self.clamp(size))

    def _context(self) -> Operator | None:
        a = self.source(lambda view: view.size <= 2) or self.sized(1)
        allowed = 3 - a.size
        b = self.source(lambda view: view.width == a.width and view.size <= allowed)
        if b is None:
            b = self.sized(1, a)
        if a.size + b.size == 3 and a.width > 256:
            return None
        both = self.pick(_divisors(int(np.gcd(a.rows, b.rows))))
        heads = self.pick(_divisors(both))
        seq, channels = a.rows // both, b.rows // both
        if heads * channels > MAX_WIDTH:
            return None
        size = self.pick([1, 2, 4])
        scaled = self.chance(0.5)
        columns = heads * channels if self.chance(0.4) else 1
        return ops.context(
            a,
            b,
            self.params(columns, 24, size),
            heads=heads,
            seq=seq,
            scale=self.stat(a) if scaled else None,
            scale_shift=self.pick([0, 20, 31, 62]) if scaled else 0,
            **self.clamp(size),
        )

    def _transpose(self) -> Operator | None:
        a = self.source()
        seq = self.pick(_divisors(a.rows))
        return ops.transpose(a, seq=seq) if seq <= MAX_WIDTH else None

    def _affine(self) -> Operator:
        a = self.source()
        start = int(self.rng.integers(a.width))
        width = int(self.rng.integers(1, a.width - start, endpoint=True))
        size = self.pick([1, 2, 4])
        params = self.params(width if self.chance(0.5) else 1, _bits(a.size), size)
        return ops.affine(a, params, start=start, width=width, **self.clamp(size))

    def _mul(self) -> Operator:
        a = self.source()
        stat = self.chance(0.5)
        b = self.stat(a) if stat else self.twin(a)
        size = self.pick([1, 2, 4])
        params = self.params(a.width if self.chance(0.5) else 1, 16, size)
        shift = max(0, _bits(a.size, b.size) - 18)
        return ops.mul(a, b, params, stat=stat, shift=shift, **self.clamp(size))

    def _add(self) -> Operator:
        a = self.source()
        size = self.pick([1, 2, 4])
        bound = 1 << 30
        mult_a, mult_b = (int(x) for x in self.rng.integers(-bound, bound, 2, endpoint=True))
        if self.chance(0.1):
            mult_a, mult_b = self.pick([bound, -bound]), self.pick([0, bound, -bound])
        shift = self.pick([30, 40, max(1, _bits(a.size) + 29 - 8 * size)])
        scale = {"mult_a": mult_a, "mult_b": mult_b, "shift": shift}
        if self.chance(0.4):
            kept = self.pick([1, 2, 4])
            rows = self.table((self.pick([1, 2, 3, 7]), a.width), kept)
            return ops.add_constant(a, rows, constant_size=kept, **scale, **self.clamp(size))
        stat = self.chance(0.5)
        b = self.stat(a) if stat else self.twin(a)
        return ops.add(a, b, stat=stat, **scale, **self.clamp(size))

    def _lut8(self) -> Operator:
        size = self.pick([1, 2])
        return ops.lut8(self.sized(1), self.table((256,), size), size=size)

    def _lut16(self) -> Operator:
        a = self.sized(2)
        table = self.table((257,), 2)
        stat = self.stat(a, size=self.pick([2, 4])) if self.chance(0.5) else None
        return ops.lut16(a, table, stat=stat, **self.clamp(self.pick([1, 2])))

    def _rowsum(self) -> Operator:
        return self._last(self.stat(self.source(), size=self.pick([1, 2, 4])), Opcode.ROWSUM)

    def _rowdot(self) -> Operator:
        return self._last(self.stat(self.source(), size=self.pick([1, 2, 4])), Opcode.ROWDOT)

    def _last(self, view: View, opcode: Opcode) -> Operator:
        """A fold of the given kind like the one just made, over the same rows."""
        made = self.graph.operators[view.tensor - 1]
        clamp = {"size": made.out.size, "lo": made.lo, "hi": made.hi, "fold": made.out.width}
        if opcode == Opcode.ROWSUM:
            return ops.rowsum(made.a, made.params, **clamp)
        return ops.rowdot(made.a, made.params, shift=self.squares(made.a), **clamp)

    def _isqrt(self) -> Operator:
        return ops.isqrt(self.source(), **self.clamp(self.pick([1, 2, 4])))

    def _recip(self) -> Operator:
        power = self.pick([0, 12, 30, 44, 62])
        return ops.recip(self.source(), power=power, **self.clamp(self.pick([1, 2, 4])))

    def _argmax(self) -> Operator:
        a = self.source()
        fold = self.pick([d for d in _divisors(a.rows) if d <= MAX_WIDTH])
        size = self.pick([1, 2]) if a.width <= 128 else 2
        return ops.argmax(a, fold=fold, size=size)

    def _pick(self) -> Operator:
        a = self.source()
        fold = self.pick([d for d in _divisors(a.rows) if d <= MAX_WIDTH])
        if self.chance(0.6):
            return ops.pick(a, self.add(ops.argmax(a, fold=fold)))
        return ops.pick(a, self.folded(a, fold, size=self.pick([1, 2, 4])))

    def _gather(self) -> Operator | None:
        a = self.source(lambda view: view.rows * view.width <= 400)
        if a is None:
            a = self.source(lambda view: view.rows <= 400)
            if a is None:
                return None
            a = self.stat(a)
        size = self.pick([1, 2, 4])
        most = max(1, MOST_ELEMENTS // (a.rows * a.width))
        width = min(most, self.pick([1, 5, 32, 40]))
        return ops.gather(a, self.table((self.pick([1, 3, 50, 200]), width), size), size=size)

    def _reshape(self) -> Operator:
        a = self.source()
        widths = [d for d in _divisors(a.rows * a.width) if d <= MAX_WIDTH]
        return ops.reshape(a, self.pick(widths))

    def _concat(self) -> Operator | None:
        a = self.source(lambda view: view.width < MAX_WIDTH)
        b = self.source(lambda view: (view.rows, view.size) == (a.rows, a.size))
        return ops.concat(a, b) if a.width + b.width <= MAX_WIDTH else None

    def _im2col(self) -> Operator | None:
        a = self.source()
        channels = self.pick(_divisors(a.width))
        rows = self.pick(_divisors(a.width // channels))
        columns = a.width // channels // rows
        padding = self.pick([0, 1, 2])
        kernel = self.pick([1, 2, 3])
        if kernel > min(rows, columns) + 2 * padding or kernel * kernel * channels > MAX_WIDTH:
            return None
        return ops.im2col(
            a,
            height=rows,
            width=columns,
            channels=channels,
            kernel=kernel,
            stride=self.pick([1, 2, 3]),
            padding=padding,
        )
