"""What each ONNX operator becomes: a value of the network, or a constant."""

import math
from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.graph.errors import ModelError
from headrace.graph2.importer.network import Best, Dense, Norm, Patches, Relu, Reshape, Sum, Turn
from headrace.graph2.importer.onnx_values import (
    Floats,
    Function,
    Value,
    attribute,
    constant,
    integers,
    only,
)

if TYPE_CHECKING:
    from headrace.graph2.importer.onnx_reader import Reader


def channels_first(reader: "Reader", value: Value, label: str) -> Value:
    """An image whose rows are places, as one row in ONNX's order."""
    channels, height, width = value.dims
    name = value.name
    if height * width > 1 and channels > 1:
        name = reader.add(Turn(reader.fresh(label), (name,), height * width))
    name = reader.add(Reshape(reader.fresh(label), (name,), prod(value.dims)))
    return replace(value, name=name, pixels=False)


def _channels_last(reader: "Reader", value: Value, label: str) -> str:
    """An image as one row, place by place: what patches are taken from."""
    channels, height, width = value.dims
    value = reader.settled(value, label)
    name = value.name
    if not value.pixels:
        if channels == 1:
            return name
        name = reader.add(Reshape(reader.fresh(label), (name,), height * width))
        name = reader.add(Turn(reader.fresh(label), (name,), channels))
    return reader.add(Reshape(reader.fresh(label), (name,), prod(value.dims)))


def _gemm(reader: "Reader", node: Any, label: str) -> Value:
    value = _rows(reader, node, label)
    only(node, label, transA=(0,))
    weights = reader.constant(node, 1, label) * float(attribute(node, "alpha", 1.0))
    if not attribute(node, "transB", 0):
        weights = weights.T
    bias = np.zeros(len(weights))
    if reader.has(node, 2):
        given = reader.constant(node, 2, label) * float(attribute(node, "beta", 1.0))
        bias = _spread(given, len(weights), label)
    return _dense(reader, value, weights, bias, label)


def _matmul(reader: "Reader", node: Any, label: str) -> Value:
    value = _rows(reader, node, label)
    weights = reader.constant(node, 1, label)
    if weights.ndim != 2:
        raise ModelError(f"{label}: a constant of {weights.ndim} dimensions, not 2")
    return _dense(reader, value, weights.T, np.zeros(weights.shape[1]), label)


def _rows(reader: "Reader", node: Any, label: str) -> Value:
    value = reader.plain(reader.value(node, 0, label), label)
    if len(value.dims) > 2:
        raise ModelError(f"{label} reads an image: flatten it first")
    return value


def _spread(values: Floats, width: int, label: str) -> Floats:
    if values.size not in (1, width):
        raise ModelError(f"{label}: {values.size} biases for {width} columns")
    return np.broadcast_to(values.reshape(-1), (width,)).copy()


def _dense(reader: "Reader", value: Value, weights: Floats, bias: Floats, label: str) -> Value:
    if weights.ndim != 2 or weights.shape[1] != value.dims[-1]:
        raise ModelError(f"{label}: weights {weights.shape[::-1]} for a width of {value.dims[-1]}")
    name = reader.add(Dense(reader.fresh(label), (value.name,), weights, bias))
    return Value(name, (*value.dims[:-1], len(weights)))


def _conv(reader: "Reader", node: Any, label: str) -> Value:
    value = reader.value(node, 0, label)
    weights = reader.constant(node, 1, label)
    if len(value.dims) != 3 or weights.ndim != 4:
        raise ModelError(f"{label} isn't a convolution over images")
    out, channels, kernel, other = weights.shape
    if kernel != other or channels != value.dims[0]:
        raise ModelError(f"{label}: a kernel {weights.shape} for {value.dims[0]} channels")
    pads = set(attribute(node, "pads", [0]))
    strides = set(attribute(node, "strides", [1]))
    if len(pads) != 1 or len(strides) != 1:
        raise ModelError(f"{label}: padding or strides differ between sides")
    shape = (list(weights.shape[2:]),)
    only(node, label, group=(1,), auto_pad=(b"NOTSET",), dilations=([1, 1],), kernel_shape=shape)
    _, height, width = value.dims
    row = _channels_last(reader, value, label)
    patches = Patches(
        reader.fresh(label), (row,), (height, width, channels), kernel, strides.pop(), pads.pop()
    )
    down, across = patches.places()
    name = reader.add(patches)
    bias = np.zeros(out)
    if reader.has(node, 2):
        bias = _spread(reader.constant(node, 2, label), out, label)
    flat = weights.transpose(0, 2, 3, 1).reshape(out, -1)
    name = reader.add(Dense(reader.fresh(label), (name,), flat, bias))
    return Value(name, (out, down, across), pixels=True)


def _relu(reader: "Reader", node: Any, label: str) -> Value:
    value = reader.value(node, 0, label)
    if value.function is not None:
        return _unary(reader, node, label)
    name = reader.add(Relu(reader.fresh(label), (value.name,)))
    return replace(value, name=name)


def _flatten(reader: "Reader", node: Any, label: str) -> Value:
    only(node, label, axis=(1,))
    value = reader.plain(reader.value(node, 0, label), label)
    return _flat(reader, value, (prod(value.dims),), label)


def _reshape(reader: "Reader", node: Any, label: str) -> Value:
    value = reader.plain(reader.value(node, 0, label), label)
    only(node, label, allowzero=(0,))
    target = integers(reader.constant(node, 1, label))
    if not 2 <= len(target) <= 4 or target[0] not in (-1, 0, 1):
        raise ModelError(f"{label}: the shape {target} doesn't keep the batch")
    given = (1, *value.dims)
    dims = [
        given[at] if size == 0 and at < len(given) else size
        for at, size in enumerate(target[1:], start=1)
    ]
    if dims.count(-1) == 1 and target[0] != -1:
        known = prod(size for size in dims if size != -1)
        dims[dims.index(-1)] = prod(value.dims) // max(known, 1)
    if min(dims) < 1 or prod(dims) != prod(value.dims):
        raise ModelError(f"{label}: {value.dims} can't have the shape {target}")
    return _flat(reader, value, tuple(dims), label)


def _flat(reader: "Reader", value: Value, dims: tuple[int, ...], label: str) -> Value:
    def width(shape: tuple[int, ...]) -> int:
        return prod(shape) if len(shape) == 3 else shape[-1]

    if width(dims) == width(value.dims):
        return replace(value, dims=dims)
    name = reader.add(Reshape(reader.fresh(label), (value.name,), width(dims)))
    return replace(value, name=name, dims=dims)


def _argmax(reader: "Reader", node: Any, label: str) -> Value:
    value = reader.plain(reader.value(node, 0, label), label)
    axis = attribute(node, "axis", 0)
    if len(value.dims) > 2 or axis not in (-1, len(value.dims)):
        raise ModelError(f"{label}: only the last dimension's index is offered")
    only(node, label, select_last_index=(0,))
    name = reader.add(Best(reader.fresh(label), (value.name,)))
    return replace(value, name=name, dims=(*value.dims[:-1], 1))


def _layer_norm(reader: "Reader", node: Any, label: str) -> Value:
    value = _rows(reader, node, label)
    only(node, label, axis=(-1, len(value.dims)))
    width = value.dims[-1]
    gamma = _spread(reader.constant(node, 1, label), width, label)
    beta = np.zeros(width)
    if reader.has(node, 2):
        beta = _spread(reader.constant(node, 2, label), width, label)
    epsilon = float(attribute(node, "epsilon", 1e-5))
    name = reader.add(Norm(reader.fresh(label), (value.name,), gamma, beta, epsilon))
    return replace(value, name=name)


def _same(reader: "Reader", node: Any, label: str) -> Value:
    return reader.value(node, 0, label)


def _constant(reader: "Reader", node: Any, label: str) -> Floats:
    value = attribute(node, "value", None)
    if value is not None:
        return constant(value, label)
    for name in ("value_float", "value_int", "value_floats", "value_ints"):
        found = attribute(node, name, None)
        if found is not None:
            return np.asarray(found, dtype=np.float64)
    raise ModelError(f"{label} holds no number")


def _erf(x: Floats) -> Floats:
    return np.array([math.erf(value) for value in x.reshape(-1)]).reshape(x.shape)


def _sigmoid(x: Floats) -> Floats:
    made: Floats = 0.5 * (1 + np.tanh(0.5 * x))
    return made


def _gelu(x: Floats) -> Floats:
    return 0.5 * x * (1 + _erf(x * math.sqrt(0.5)))


def _gelu_tanh(x: Floats) -> Floats:
    made: Floats = 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return made


def _rectified(x: Floats) -> Floats:
    return np.maximum(x, 0.0)


_UNARY: dict[str, Function] = {
    "Erf": _erf,
    "Gelu": _gelu,
    "Relu": _rectified,
    "Sigmoid": _sigmoid,
    "Tanh": np.tanh,
}


def _unary(reader: "Reader", node: Any, label: str) -> Value:
    value = reader.value(node, 0, label)
    function = _UNARY[node.op_type]
    if node.op_type == "Gelu":
        only(node, label, approximate=(b"none", b"tanh"))
        if attribute(node, "approximate", b"none") == b"tanh":
            function = _gelu_tanh
    before = value.apply
    return value.then(lambda x: function(before(x)), label, value.cost + 1)


_BINARY: dict[str, Callable[[Floats, Floats], Floats]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Pow": np.power,
}


def _binary(reader: "Reader", node: Any, label: str) -> Value:
    """Arithmetic with a number, of one value with itself, a bias, or the sum of two values."""
    if len(node.input) != 2 or not any(name in reader.values for name in node.input):
        raise ModelError(f"{label}: two inputs, one of them a value of the network")
    function = _BINARY[node.op_type]
    constants = [reader.constants.get(name) for name in node.input]
    if constants[0] is None and constants[1] is None:
        return _two(reader, node, label, function)
    place = 0 if constants[1] is not None else 1
    value, number = reader.value(node, place, label), constants[1 - place]
    if number is None:
        raise ModelError(f"{label}: a constant is missing")
    if node.op_type == "Add" or (node.op_type == "Sub" and place == 0):
        biased = reader.with_bias(value, number if node.op_type == "Add" else -number, label)
        if biased is not None:
            return biased
    if number.size != 1:
        raise ModelError(f"{label}: a constant of {number.size} elements, not a single number")
    scalar, before = number.reshape(()), value.apply
    if place == 0:
        return value.then(lambda x: function(before(x), scalar), label, value.cost + 1)
    return value.then(lambda x: function(scalar, before(x)), label, value.cost + 1)


def _two(
    reader: "Reader", node: Any, label: str, function: Callable[[Floats, Floats], Floats]
) -> Value:
    left, right = (reader.value(node, place, label) for place in (0, 1))
    first, second = left.apply, right.apply
    if left.name == right.name and left.dims == right.dims:
        cost = left.cost + right.cost + 1
        return left.then(lambda x: function(first(x), second(x)), label, cost)
    if node.op_type != "Add":
        raise ModelError(f"{label} of two values can't be expressed, only their sum")
    left, right = reader.settled(left, label), reader.settled(right, label)
    if left.pixels != right.pixels:
        left, right = reader.plain(left, label), reader.plain(right, label)
    if left.dims != right.dims:
        raise ModelError(f"{label} adds {left.dims} and {right.dims}")
    return replace(left, name=reader.add(Sum(reader.fresh(label), (left.name, right.name))))


HANDLERS: dict[str, Callable[["Reader", Any, str], Value | Floats]] = {
    "Add": _binary,
    "ArgMax": _argmax,
    "Constant": _constant,
    "Conv": _conv,
    "Div": _binary,
    "Dropout": _same,
    "Erf": _unary,
    "Flatten": _flatten,
    "Gelu": _unary,
    "Gemm": _gemm,
    "Identity": _same,
    "LayerNormalization": _layer_norm,
    "MatMul": _matmul,
    "Mul": _binary,
    "Pow": _binary,
    "Relu": _relu,
    "Reshape": _reshape,
    "Sigmoid": _unary,
    "Sub": _binary,
    "Tanh": _unary,
}
"""By ONNX's operator; whatever isn't here is refused."""
