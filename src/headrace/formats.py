"""The two formats of policy `exact`, behind one set of functions.

Version 1 (headrace.graph) is for models whose whole trace fits one transaction, judged by
FaultProof; version 2 (headrace.graph2) for the others, judged by GraphProof. A model knows which it
is of; whoever runs, keeps or checks work asks here and needs no other case distinction.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from headrace.graph import model_file as small_files
from headrace.graph import tensors as small_tensors
from headrace.graph import trace as small_traces
from headrace.graph.errors import InputError, ModelError
from headrace.graph.model import Model as SmallModel
from headrace.graph.trace import Trace as SmallTrace
from headrace.graph2 import containers, model_file, quads
from headrace.graph2 import trace as traces
from headrace.graph2.model import Model as GraphModel
from headrace.graph2.trace import Trace as GraphTrace

AnyModel: TypeAlias = SmallModel | GraphModel
AnyTrace: TypeAlias = SmallTrace | GraphTrace
Array: TypeAlias = npt.NDArray[Any]

MAX_MODEL_BYTES = max(small_files.MAX_MODEL_BYTES, model_file.MAX_MODEL_BYTES)
"""Most bytes of a model's file."""
MAX_INPUT_BYTES = max(small_tensors.MAX_INPUT_BYTES, containers.MAX_INPUT_BYTES)
"""Most bytes of an input's package."""

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


# ---- models


def dump_model(model: AnyModel) -> bytes:
    """A model's file, without a card."""
    if isinstance(model, GraphModel):
        return model_file.dump_package(model)
    return small_files.dump_model(model)


def load_model(data: bytes, program: bytes | None = None) -> AnyModel:
    """The model of a file of either format. ModelError unless it is whole, valid and `program`."""
    if data[: len(model_file.MAGIC)] == model_file.MAGIC:
        return model_file.load_package(data, program).model
    if data and data[: len(small_files.MAGIC)] != small_files.MAGIC:
        raise ModelError("the model file doesn't start as one of a known format")
    return small_files.load_model(data, program)


# ---- inputs


def input_root(model: AnyModel, tensor: Array) -> bytes:
    """The id of an input, 32 bytes. InputError when the model doesn't take such a tensor."""
    if isinstance(model, GraphModel):
        containers.units_of(model.input, tensor)
        return quads.tensor_root(model.input, tensor)
    return small_tensors.tensor_root(tensor)


def input_bytes(model: AnyModel, units: int) -> int:
    """The exact length of an input's package: what a job's `input_bytes` has to allow."""
    if isinstance(model, GraphModel):
        return containers.input_bytes(model.input, units)
    return small_tensors.input_bytes(units, model.input_width)


def dump_input(model: AnyModel, tensor: Array) -> bytes:
    """An input's package. InputError when the tensor has another shape or type."""
    if isinstance(model, GraphModel):
        return containers.dump_input(model.input, tensor)
    return small_tensors.dump_input(tensor)


def load_input(data: bytes, input_id: bytes, model: AnyModel, units: int) -> Array:
    """The input in a package. InputError unless it is whole, of `units` units and has this id."""
    if isinstance(model, GraphModel):
        return containers.load_input(data, input_id, model.input, units)
    return small_tensors.load_input(data, input_id, units, model.input_width)


def input_units(data: bytes, model: AnyModel) -> int:
    """How many units a package says it has. InputError when it isn't for such a model."""
    if isinstance(model, GraphModel):
        units, view = containers.input_shape(data)
        if view != model.input:
            raise InputError("the input is for a model of another shape")
        return units
    units, width = small_tensors.input_shape(data)
    if width != model.input_width:
        raise InputError(f"the input has rows of {width}, the model takes {model.input_width}")
    return units


def as_input(model: AnyModel, values: npt.ArrayLike) -> Array:
    """Whole numbers as an input of the model. InputError says what doesn't fit."""
    given = np.asarray(values)
    if given.dtype.kind not in "iu" or given.ndim != 2 or not given.size:
        raise InputError(f"an input is rows of whole numbers, not {given.dtype} of {given.shape}")
    width = model.input.width if isinstance(model, GraphModel) else model.input_width
    kind = model.input.dtype if isinstance(model, GraphModel) else np.dtype(np.int8)
    if given.shape[1] != width:
        raise InputError(f"the input has rows of {given.shape[1]}, the model takes rows of {width}")
    bounds = np.iinfo(kind)
    if int(given.min()) < bounds.min or int(given.max()) > bounds.max:
        raise InputError(
            f"numbers must be from {bounds.min} to {bounds.max}; these are {given.min()} to "
            f"{given.max()}"
        )
    units, rest = divmod(given.shape[0], model.input.rows if isinstance(model, GraphModel) else 1)
    if rest or not 1 <= units <= most_units(model):
        raise InputError(f"{units} units, the model takes 1 to {most_units(model)}")
    return np.ascontiguousarray(given, dtype=kind)


# ---- runs


def run(model: AnyModel, tensor: Array) -> AnyTrace:
    """Run a model. InputError when it doesn't take the tensor."""
    if isinstance(model, GraphModel):
        return traces.run(model, tensor)
    return small_traces.run(model, tensor)


def result_of(trace: AnyTrace) -> Array:
    """The last operator's output."""
    return trace.tensors[-1] if isinstance(trace, GraphTrace) else trace.result


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
