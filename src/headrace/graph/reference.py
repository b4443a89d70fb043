"""What every operator means, in plain Python integers: slow, obvious, the rest must equal it."""

from headrace.graph.model import Model, Opcode, Operator

Rows = list[list[int]]


def requantise(acc: int, mult: int, shift: int, lo: int, hi: int) -> int:
    """Return `clamp((acc * mult + 2^(shift-1)) >> shift, lo, hi)`, where `>>` is floor."""
    scaled = (acc * mult + (1 << (shift - 1))) >> shift
    return max(lo, min(hi, scaled))


def matmul_element(
    row: list[int], weights: list[int], bias: int, mult: int, shift: int, lo: int, hi: int
) -> int:
    """Return one output element of a MATMUL from its source row and its column's weights."""
    acc = bias
    for x, w in zip(row, weights, strict=True):
        acc += x * w
    return requantise(acc, mult, shift, lo, hi)


def argmax_element(row: list[int]) -> int:
    """Return the least index of the row's greatest element."""
    best = 0
    for index, x in enumerate(row):
        if x > row[best]:
            best = index
    return best


def apply(operator: Operator, source: Rows) -> Rows:
    """Return the operator's output, (T, width_out), for a source of (T, width_in)."""
    if operator.opcode == Opcode.ARGMAX:
        return [[argmax_element(row)] for row in source]
    columns = list(
        zip(
            operator.weights.tolist(),
            operator.bias.tolist(),
            operator.mult.tolist(),
            operator.shift.tolist(),
            strict=True,
        )
    )
    return [
        [
            matmul_element(row, weights, bias, mult, shift, operator.lo, operator.hi)
            for weights, bias, mult, shift in columns
        ]
        for row in source
    ]


def run(model: Model, rows: Rows) -> list[Rows]:
    """Return every operator's output for an input of (T, input_width) rows."""
    tensors = [rows]
    for operator in model.operators:
        tensors.append(apply(operator, tensors[operator.source]))
    return tensors[1:]
