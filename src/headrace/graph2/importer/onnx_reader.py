"""ONNX files as float networks: read from hostile bytes, refused with the node's name.

One input, one output, ONNX's own operators, constants inside the file. The first dimension of every
value is the batch: one unit each. Arithmetic on one value (GELU with Erf, SiLU) is one table.
"""

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.errors import UsageError
from headrace.graph.errors import ModelError
from headrace.graph2.importer import onnx_nodes as nodes
from headrace.graph2.importer.fixed import grid
from headrace.graph2.importer.lower import Imported, quantise
from headrace.graph2.importer.network import INPUT, Dense, Network, Node, Table
from headrace.graph2.importer.onnx_values import Value, constant, label_of
from headrace.graph2.views import MAX_ROWS, MAX_WIDTH

Floats = npt.NDArray[np.float64]

MAX_FILE_BYTES = 1 << 28
MAX_NODES = 4_096
_OWN_DOMAINS = ("", "ai.onnx")


def import_onnx(
    data: bytes, samples: npt.ArrayLike, *, size: int = 1, max_units: int = 256
) -> Imported:
    """Return the integer graph of an ONNX file; its input has `size` 1 or 2 bytes an element.

    `samples` (n, ...) floats calibrate it; the greatest fixes what a step of the input is worth.
    Raises ModelError for a file that can't be read, or that holds what the format can't express.
    """
    network = read_onnx(data)
    given = np.asarray(samples, dtype=np.float64)
    units = len(given) if given.ndim else 0
    if not units or given.size != units * network.rows * network.width:
        raise ModelError(f"samples {given.shape} for {network.rows} rows of {network.width}")
    if not np.isfinite(given).all() or size not in (1, 2):
        raise ModelError("samples are finite numbers, an element of the input has 1 or 2 bytes")
    high = (1 << (8 * size - 1)) - 1
    unit = float(grid(max(float(np.abs(given).max()), 1e-9) / high))
    whole = np.clip(np.rint(given / unit), -high, high).reshape(-1, network.width)
    return quantise(network, whole.astype(f"i{size}"), unit, max_units=max_units)


def read_onnx(data: bytes) -> Network:
    """Return the float network of an ONNX file; ModelError as `import_onnx`."""
    try:
        import onnx
    except ImportError as error:
        raise UsageError("ONNX files need onnx: install headrace[models]") from error
    if not data or len(data) > MAX_FILE_BYTES:
        raise ModelError(f"an ONNX file has 1 to {MAX_FILE_BYTES} bytes, not {len(data)}")
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's own errors have no common base
        raise ModelError("the file is no ONNX model") from error
    return Reader(model.graph).read()


class Reader:
    """Turns a graph's nodes into a Network, in their order."""

    def __init__(self, graph: Any) -> None:
        """Read constants and the input."""
        self.graph = graph
        self.nodes: list[Node] = []
        self.constants: dict[str, Floats] = {}
        self.values: dict[str, Value] = {}
        self.made_later = {name for node in graph.node for name in node.output if name}
        for tensor in graph.initializer:
            self.constants[tensor.name] = constant(tensor, f"the constant {tensor.name!r}")
        self.rows, self.width = self._input()

    def read(self) -> Network:
        """The network; ModelError naming the node that can't be taken."""
        if not 1 <= len(self.graph.node) <= MAX_NODES:
            raise ModelError(f"a graph has 1 to {MAX_NODES} nodes, not {len(self.graph.node)}")
        if len(self.graph.output) != 1:
            raise ModelError(f"the graph has {len(self.graph.output)} outputs, not one")
        for node in self.graph.node:
            self._node(node)
        name = self.graph.output[0].name
        if name not in self.values:
            raise ModelError(f"nothing makes the output {name!r}")
        last = self.plain(self.values[name], "the output")
        if not self.nodes or last.name != self.nodes[-1].name:
            raise ModelError(f"the output {name!r} isn't what the last node makes")
        return Network(self.rows, self.width, tuple(self.nodes))

    def _input(self) -> tuple[int, int]:
        given = [item for item in self.graph.input if item.name not in self.constants]
        if len(given) != 1:
            raise ModelError(f"the graph has {len(given)} inputs, not one")
        name, shape = given[0].name, given[0].type.tensor_type.shape.dim
        dims = [dim.dim_value if dim.HasField("dim_value") else 0 for dim in shape]
        if not 2 <= len(dims) <= 4:
            raise ModelError(f"the input {name!r} has {len(dims)} dimensions, not 2 to 4")
        if min(dims[1:]) < 1:
            raise ModelError(f"the input {name!r} has a dynamic shape: only the batch may be open")
        if dims[0] > 1:
            raise ModelError(f"the input {name!r} has a fixed batch of {dims[0]}")
        unit = tuple(dims[1:])
        rows, width = (1, prod(unit)) if len(unit) == 3 else (prod(unit[:-1]), unit[-1])
        if rows > MAX_ROWS or width > MAX_WIDTH:
            raise ModelError(f"the input {name!r} is {rows} x {width}: too large")
        self.values[name] = Value(INPUT, unit)
        return rows, width

    def _node(self, node: Any) -> None:
        label = label_of(node)
        if node.domain not in _OWN_DOMAINS:
            raise ModelError(f"{label} is of the unknown domain {node.domain!r}")
        for name in node.input:
            if name and name not in self.values and name not in self.constants:
                later = name in self.made_later
                why = "made later: a cycle, or out of order" if later else "made by nothing"
                raise ModelError(f"{label} reads {name!r}, {why}")
        if any(name in self.values or name in self.constants for name in node.output):
            raise ModelError(f"{label} makes a value that there already is")
        handler = nodes.HANDLERS.get(node.op_type)
        if handler is None:
            raise ModelError(f"{label} can't be expressed: unknown operator")
        made = handler(self, node, label)
        if isinstance(made, Value):
            self.values[node.output[0]] = made
        else:
            self.constants[node.output[0]] = made

    def value(self, node: Any, place: int, label: str) -> Value:
        """The value that a node reads at a place; ModelError when it is a constant or missing."""
        if place >= len(node.input) or node.input[place] not in self.values:
            raise ModelError(f"{label}: input {place} must be a value of the network")
        return self.values[node.input[place]]

    def constant(self, node: Any, place: int, label: str) -> Floats:
        """The constant that a node reads at a place."""
        if place >= len(node.input) or node.input[place] not in self.constants:
            raise ModelError(f"{label}: input {place} must be a constant of the file")
        return self.constants[node.input[place]]

    def has(self, node: Any, place: int) -> bool:
        """Whether there is an input at a place."""
        return place < len(node.input) and bool(node.input[place])

    def add(self, node: Node) -> str:
        """Append a node; returns its name."""
        self.nodes.append(node)
        return node.name

    def fresh(self, label: str) -> str:
        """A name for another node of an ONNX node."""
        return f"{label} #{len(self.nodes)}"

    def settled(self, value: Value, label: str) -> Value:
        """The value with its pending function applied by a table."""
        if value.function is None:
            return value
        name = self.add(Table(self.fresh(label), (value.name,), value.function))
        return replace(value, name=name, function=None)

    def plain(self, value: Value, label: str) -> Value:
        """The value settled, in ONNX's order: an image in one row, channel by channel."""
        value = self.settled(value, label)
        return nodes.channels_first(self, value, label) if value.pixels else value

    def with_bias(self, value: Value, bias: Floats, label: str) -> Value | None:
        """The value with `bias` put into the dense layer that has just made it, if it was that."""
        last = self.nodes[-1] if self.nodes else None
        if not isinstance(last, Dense) or value.name != last.name or value.function is not None:
            return None
        if bias.ndim > 1 and prod(bias.shape[:-1]) != 1:
            return None
        if value.pixels or bias.size != last.bias.size or self._is_shared(value):
            return None
        self.nodes[-1] = replace(last, bias=last.bias + bias.reshape(-1))
        return value

    def _is_shared(self, value: Value) -> bool:
        names = {name for name, other in self.values.items() if other.name == value.name}
        reads = sum(name in names for node in self.graph.node for name in node.input)
        return reads > 1 or self.graph.output[0].name in names
