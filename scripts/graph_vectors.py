"""Test vectors of the integer graph, version 2, for other implementations.

`python -m scripts.graph_vectors` writes docs/vectors/int8-graph-2.json; `--check` compares it. The
numbers come from the plain Python reference, drawn with a generator that is easy to copy.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from headrace.graph2 import builders, quads, reference
from headrace.graph2.encoding import encode
from headrace.graph2.model import GraphBuilder, Model
from headrace.graph2.opcodes import Opcode
from headrace.graph2.operators import Params
from headrace.graph2.trace import Trace
from headrace.graph2.views import View

PATH = Path(__file__).resolve().parents[1] / "docs" / "vectors" / "int8-graph-2.json"
UNITS = 2
_SEQ, _HEADS, _CHANNELS = 4, 2, 32
_WIDTH = _HEADS * _CHANNELS


class Draw:
    """x -> 6364136223846793005 x + 1442695040888963407 mod 2^64; the top 32 bits are drawn."""

    def __init__(self) -> None:
        """Start at 1."""
        self._state = 1

    def number(self, low: int, high: int) -> int:
        """The next number of low..high."""
        self._state = (self._state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        return low + (self._state >> 32) % (high - low + 1)

    def array(self, low: int, high: int, *shape: int) -> Any:
        """Numbers of low..high in this shape."""
        count = int(np.prod(shape))
        return np.array([self.number(low, high) for _ in range(count)]).reshape(shape)

    def params(self, columns: int) -> Params:
        """Parameters for so many columns."""
        mult = self.array(-(1 << 30), 1 << 30, columns)
        return Params.of(mult, self.array(30, 40, columns), self.array(-500, 500, columns))


def model(draw: Draw) -> Model:
    """A model with every opcode."""
    graph = GraphBuilder(1, _SEQ, 2)
    add, ids = graph.add, graph.input
    mask = add(builders.affine(ids, lo=0, hi=1))
    words = add(builders.gather(ids, draw.array(-(1 << 15), (1 << 15) - 1, 12, _WIDTH), size=2))
    table = draw.array(-(1 << 15), (1 << 15) - 1, _SEQ, _WIDTH)
    x = add(
        builders.add_constant(
            words, table, constant_size=2, mult_a=1 << 20, mult_b=1 << 20, shift=21, size=2
        )
    )
    total = add(builders.rowsum(x, Params.of((1 << 20) // _WIDTH, 20), fold=_SEQ))
    centred = add(
        builders.add(x, total, mult_a=1 << 20, mult_b=-(1 << 20), shift=21, stat=True, size=2)
    )
    root = add(builders.isqrt(add(builders.rowdot(centred, fold=_SEQ, shift=8))))
    inverse = add(builders.recip(root, power=30))
    normed = add(builders.mul(centred, inverse, draw.params(_WIDTH), stat=True, shift=12, size=2))
    small = add(builders.affine(normed, draw.params(_WIDTH)))
    keys, queries, values = (
        add(builders.matmul(small, draw.array(-128, 127, _WIDTH, _WIDTH), draw.params(_WIDTH)))
        for _ in range(3)
    )
    turned = add(builders.transpose(values, seq=_SEQ))
    scored = add(
        builders.scores(
            queries,
            keys,
            Params.of(1 << 22, 24),
            heads=_HEADS,
            seq=_SEQ,
            mask=mask,
            lo=-(1 << 15),
            hi=(1 << 14) - 1,
        )
    )
    greatest = add(builders.pick(scored, add(builders.argmax(scored, fold=_SEQ))))
    rising = np.sort(draw.array(0, (1 << 15) - 1, 257))
    weights = add(builders.lut16(scored, rising, stat=greatest))
    share = add(builders.recip(add(builders.rowsum(weights, fold=_SEQ)), power=44))
    mixed = add(
        builders.context(
            weights,
            turned,
            draw.params(_WIDTH),
            heads=_HEADS,
            seq=_SEQ,
            scale=share,
            scale_shift=30,
        )
    )
    looked = add(builders.lut8(mixed, draw.array(-128, 127, 256)))
    both = add(builders.concat(mixed, looked))
    flat = add(builders.reshape(both, _WIDTH))
    add(builders.im2col(flat, height=8, width=4, channels=2, kernel=3, stride=2, padding=1))
    add(builders.add(mixed, looked, mult_a=1 << 30, mult_b=-(1 << 29), shift=31))
    return graph.build(8)


def _views() -> Iterator[dict[str, int]]:
    for rows, width, size in (
        (1, 1, 1),
        (3, 33, 1),
        (1, 384, 1),
        (12, 32, 2),
        (1, 384, 2),
        (1, 384, 4),
        (1, 1100, 1),
        (2, 1536, 2),
        (1, 4096, 1),
        (1, 4096, 4),
    ):
        view = View(0, rows, width, size)
        yield {
            "rows": rows,
            "width": width,
            "size": size,
            "word": view.word,
            "split": view.split,
            "block": view.block,
            "pack": view.pack,
            "leaf_bytes": view.leaf_bytes,
            "leaves_at_5_units": view.leaves(5),
            "height_at_5_units": view.height(5),
        }


def vectors() -> dict[str, Any]:
    """All vectors, as JSON has them."""
    draw = Draw()
    made = model(draw)
    ids = draw.array(0, 13, UNITS, _SEQ)
    ids[0, 2:] = 0
    outputs = reference.run(made, ids.tolist())
    tensors = tuple(
        np.array(output, dtype=operator.out.dtype)
        for operator, output in zip(made.operators, outputs, strict=True)
    )
    trace = Trace(made, UNITS, tensors)
    given = ids.astype(made.input.dtype)
    return {
        "format": 2,
        "views": list(_views()),
        "model": {
            "input": made.input.word,
            "max_units": made.max_units,
            "levels": made.levels,
            "graph_root": "0x" + made.graph_root.hex(),
            "program": "0x" + made.program.hex(),
        },
        "units": UNITS,
        "input": ids.tolist(),
        "input_id": "0x" + quads.tensor_root(made.input, given).hex(),
        "operators": [
            {
                "name": Opcode(operator.opcode).name,
                "descriptor": [
                    "0x" + (part if isinstance(part, bytes) else part.to_bytes(32, "big")).hex()
                    for part in operator.descriptor
                ],
                "constants": [leaf.hex() for leaf in operator.constant_leaves],
                "first_leaf": encode(operator.out, tensor)[0].tobytes().hex(),
                "tensor_root": "0x" + trace.tensor_trees[index].root.hex(),
                "output": tensor.tolist(),
            }
            for index, (operator, tensor) in enumerate(zip(made.operators, tensors, strict=True))
        ],
        "commitment": "0x" + trace.root.hex(),
    }


def main() -> int:
    """Write or check the file; the exit code."""
    text = json.dumps(vectors(), indent=None, separators=(",", ":")) + "\n"
    if "--check" in sys.argv[1:]:
        if PATH.read_text() != text:
            print(f"{PATH.name} is not what the code gives: python -m scripts.graph_vectors")
            return 1
        print(f"{PATH.name}: as the code gives it")
        return 0
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_text(text)
    print(f"{PATH.name}: {len(text)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
