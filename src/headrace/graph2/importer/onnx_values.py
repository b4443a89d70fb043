"""What the ONNX reader knows of values and constants."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.graph.errors import ModelError

Floats = npt.NDArray[np.float64]
Function = Callable[[Floats], Floats]

MAX_CONSTANT = 1 << 26
"""Most elements of one constant."""

MAX_COST = 256


@dataclass(frozen=True, eq=False)
class Value:
    """A value while the file is read.

    `name` in the network; `dims` of one unit as ONNX has them; `pixels`: its rows are the places of
    an image and its columns the channels, which ONNX has the other way round; `function` is
    still to be applied to each element, in `cost` steps.
    """

    name: str
    dims: tuple[int, ...]
    pixels: bool = False
    function: Function | None = None
    cost: int = 0

    def apply(self, x: Floats) -> Floats:
        """The pending function's values."""
        return x if self.function is None else self.function(x)

    def then(self, function: Function, label: str, cost: int = 1) -> "Value":
        """The value with another function pending, in place of the one there is."""
        if cost > MAX_COST:
            raise ModelError(f"{label}: more than {MAX_COST} steps of arithmetic on one value")
        return replace(self, function=function, cost=cost)


def attribute(node: Any, name: str, default: Any) -> Any:
    """Return a node's attribute, or the default."""
    from onnx import helper

    for found in node.attribute:
        if found.name == name:
            return helper.get_attribute_value(found)
    return default


def only(node: Any, label: str, **wanted: Any) -> None:
    """ModelError unless the attributes have one of these values (the first is ONNX's default)."""
    for name, (default, *others) in wanted.items():
        found = attribute(node, name, default)
        found = list(found) if isinstance(found, list | tuple) else found
        if found != default and found not in others:
            raise ModelError(f"{label}: {name} {found!r} isn't supported")


def label_of(node: Any) -> str:
    """How an error calls a node."""
    return f"node {node.name or node.output[0] if node.output else node.name!r} ({node.op_type})"


def constant(tensor: Any, what: str) -> Floats:
    """Return a constant as floats; ModelError when it lies outside the file or is too large."""
    from onnx import TensorProto, numpy_helper

    if tensor.data_location == TensorProto.EXTERNAL or len(tensor.external_data):
        raise ModelError(f"{what} lies outside the file")
    if any(dim < 0 for dim in tensor.dims) or prod(tensor.dims) > MAX_CONSTANT:
        raise ModelError(f"{what} has the shape {tuple(tensor.dims)}: too large")
    try:
        made = numpy_helper.to_array(tensor)
    except Exception as error:  # whatever a hostile tensor runs into
        raise ModelError(f"{what} can't be read") from error
    if made.dtype.kind not in "fiub" or not np.isfinite(made).all():
        raise ModelError(f"{what} holds something else than finite numbers")
    return made.astype(np.float64)


def integers(values: Sequence[float] | Floats) -> list[int]:
    """Whole numbers of a constant."""
    return [int(value) for value in np.asarray(values).reshape(-1)]
