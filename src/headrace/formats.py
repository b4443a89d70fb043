"""The two formats of policy `exact`, behind one set of functions.

Version 1 (headrace.graph) is for models whose whole trace fits one transaction, judged by
FaultProof; version 2 (headrace.graph2) for the others, judged by GraphProof. A model knows which it
is of; whoever runs, keeps or checks work asks here and needs no other case distinction.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from headrace.graph import model_file as small_files
from headrace.graph import tensors as small_tensors
from headrace.graph import trace as small_traces
from headrace.graph.errors import ModelError
from headrace.graph.model import Model as SmallModel
from headrace.graph.model import Opcode as SmallOpcode
from headrace.graph.trace import Trace as SmallTrace
from headrace.graph2 import containers, model_file
from headrace.graph2 import trace as traces
from headrace.graph2.model import Model as GraphModel
from headrace.graph2.opcodes import Opcode as GraphOpcode
from headrace.graph2.trace import Trace as GraphTrace
from headrace.input_forms import Array, GraphInput, InputForm, SmallInput

AnyModel: TypeAlias = SmallModel | GraphModel
AnyTrace: TypeAlias = SmallTrace | GraphTrace
Card: TypeAlias = Mapping[str, Any]

MAX_MODEL_BYTES = max(small_files.MAX_MODEL_BYTES, model_file.MAX_MODEL_BYTES)
"""Most bytes of a model's file."""

SMALL_VERIFIER = "FaultProof"
GRAPH_VERIFIER = "GraphProof"
VERIFIERS = (SMALL_VERIFIER, GRAPH_VERIFIER)
"""The contracts that judge policy `exact`, by their names in the manifest."""


def verifier_of(model: AnyModel) -> str:
    """Which contract judges work of a model."""
    return GRAPH_VERIFIER if isinstance(model, GraphModel) else SMALL_VERIFIER


def most_units(model: AnyModel) -> int:
    """Most units of one job; 0 when not even one can be judged."""
    return model.max_units if isinstance(model, GraphModel) else model.publishable_units


def output_width(model: AnyModel) -> int:
    """Numbers in a row of the result."""
    return model.output.width if isinstance(model, GraphModel) else model.output_width


# ---- models


def dump_model(model: AnyModel, card: Card | None = None) -> bytes:
    """A model's file; only version 2 keeps the card. ModelError when that is no plain JSON."""
    if isinstance(model, GraphModel):
        return model_file.dump_package(model, card)
    return small_files.dump_model(model)


def load_model(data: bytes, program: bytes | None = None) -> AnyModel:
    """The model of a file of either format. ModelError unless it is whole, valid and `program`."""
    if data[: len(model_file.MAGIC)] == model_file.MAGIC:
        return model_file.load_package(data, program).model
    if data and data[: len(small_files.MAGIC)] != small_files.MAGIC:
        raise ModelError("the model file doesn't start as one of a known format")
    return small_files.load_model(data, program)


def load_card(data: bytes, program: bytes | None = None) -> Card:
    """What a model's file says of it; nothing in version 1. ModelError as `load_model`."""
    if data[: len(model_file.MAGIC)] == model_file.MAGIC:
        return model_file.load_package(data, program).card
    load_model(data, program)
    return {}


def input_form(model: AnyModel) -> InputForm:
    """What inputs a model takes."""
    if isinstance(model, GraphModel):
        return GraphInput(model.input)
    return SmallInput(model.input_width)


# ---- runs


def run(model: AnyModel, tensor: Array) -> AnyTrace:
    """Run a model. InputError when it doesn't take the tensor."""
    if isinstance(model, GraphModel):
        return traces.run(model, tensor)
    return small_traces.run(model, tensor)


def result_of(trace: AnyTrace) -> Array:
    """The last operator's output."""
    return trace.tensors[-1] if isinstance(trace, GraphTrace) else trace.result


def tensors_of(trace: AnyTrace) -> tuple[Array, ...]:
    """Every operator's output, padding left out."""
    if isinstance(trace, GraphTrace):
        return trace.tensors
    return tuple(trace.tensor(index) for index in range(trace.model.op_count))


def operator_names(model: AnyModel) -> tuple[str, ...]:
    """What each operator is."""
    kind = GraphOpcode if isinstance(model, GraphModel) else SmallOpcode
    return tuple(kind(operator.opcode).name for operator in model.operators)


def dump_trace(trace: AnyTrace) -> bytes:
    """A trace's package."""
    return containers.dump_trace(trace) if isinstance(trace, GraphTrace) else trace.to_bytes()


def trace_bytes(model: AnyModel, units: int) -> int:
    """The exact length of a trace's package."""
    if isinstance(model, GraphModel):
        return containers.trace_bytes(model, units)
    return units * model.row_bytes


def load_trace(data: bytes, model: AnyModel, units: int) -> AnyTrace:
    """The trace in a package. TraceError unless it is whole."""
    if isinstance(model, GraphModel):
        return containers.load_trace(data, model, units)
    return SmallTrace.from_bytes(model, units, data)


def dump_result(trace: AnyTrace) -> bytes:
    """The package of a trace's result, with its proof."""
    if isinstance(trace, GraphTrace):
        return containers.dump_result(trace)
    return small_tensors.dump_result(trace)


def result_bytes(model: AnyModel, units: int) -> int:
    """The exact length of a result's package."""
    if isinstance(model, GraphModel):
        return containers.result_bytes(model, units)
    return small_tensors.result_bytes(model, units)


def load_result(data: bytes, model: AnyModel, units: int, commitment: bytes) -> Array:
    """The result in a package. TraceError unless the claim of this root commits to it."""
    if isinstance(model, GraphModel):
        return containers.load_result(data, model, units, commitment)
    return small_tensors.load_result(data, model, units, commitment)
