"""What inputs a model takes: shape and type, and their packages, for both formats."""

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from headrace.graph import tensors as small_tensors
from headrace.graph.errors import InputError
from headrace.graph.model import MAX_UNITS as SMALL_MAX_UNITS
from headrace.graph2 import containers, quads
from headrace.graph2.model import MAX_UNITS as GRAPH_MAX_UNITS
from headrace.graph2.views import View

Array: TypeAlias = npt.NDArray[Any]

MAX_INPUT_BYTES = max(small_tensors.MAX_INPUT_BYTES, containers.MAX_INPUT_BYTES)
"""Most bytes of an input's package."""


class InputForm(Protocol):
    """The form of a model's inputs. A tensor has `rows` rows of `width` numbers for each unit."""

    @property
    def rows(self) -> int:
        """Rows of a unit."""

    @property
    def width(self) -> int:
        """Numbers in a row."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numbers' type."""

    @property
    def most_units(self) -> int:
        """Most units that the format allows; a model may take fewer."""

    def root(self, tensor: Array) -> bytes:
        """The id of an input, 32 bytes. InputError when the tensor has another form."""

    def size(self, units: int) -> int:
        """The exact length of a package: what a job's `input_bytes` has to allow."""

    def dump(self, tensor: Array) -> bytes:
        """The package of a tensor. InputError when it has another form."""

    def load(self, data: bytes, input_id: bytes, units: int) -> Array:
        """The tensor in a package. InputError unless it is whole, of this form and this id."""

    def units(self, data: bytes) -> int:
        """How many units a package says it has. InputError when it is of another form."""


@dataclass(frozen=True, slots=True)
class SmallInput:
    """Inputs of version 1: int8, a row a unit."""

    width: int

    @property
    def rows(self) -> int:
        """See `InputForm`."""
        return 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """See `InputForm`."""
        return np.dtype(np.int8)

    @property
    def most_units(self) -> int:
        """See `InputForm`."""
        return SMALL_MAX_UNITS

    def root(self, tensor: Array) -> bytes:
        """See `InputForm`."""
        return small_tensors.tensor_root(tensor)

    def size(self, units: int) -> int:
        """See `InputForm`."""
        return small_tensors.input_bytes(units, self.width)

    def dump(self, tensor: Array) -> bytes:
        """See `InputForm`."""
        return small_tensors.dump_input(tensor)

    def load(self, data: bytes, input_id: bytes, units: int) -> Array:
        """See `InputForm`."""
        return small_tensors.load_input(data, input_id, units, self.width)

    def units(self, data: bytes) -> int:
        """See `InputForm`."""
        units, width = small_tensors.input_shape(data)
        if width != self.width:
            raise InputError(f"the input has rows of {width}, the model takes {self.width}")
        return units


@dataclass(frozen=True, slots=True)
class GraphInput:
    """Inputs of version 2, by the view of tensor 0."""

    view: View

    @property
    def rows(self) -> int:
        """See `InputForm`."""
        return self.view.rows

    @property
    def width(self) -> int:
        """See `InputForm`."""
        return self.view.width

    @property
    def dtype(self) -> np.dtype[Any]:
        """See `InputForm`."""
        return self.view.dtype

    @property
    def most_units(self) -> int:
        """See `InputForm`."""
        return GRAPH_MAX_UNITS

    def root(self, tensor: Array) -> bytes:
        """See `InputForm`."""
        containers.units_of(self.view, tensor)
        return quads.tensor_root(self.view, tensor)

    def size(self, units: int) -> int:
        """See `InputForm`."""
        return containers.input_bytes(self.view, units)

    def dump(self, tensor: Array) -> bytes:
        """See `InputForm`."""
        return containers.dump_input(self.view, tensor)

    def load(self, data: bytes, input_id: bytes, units: int) -> Array:
        """See `InputForm`."""
        return containers.load_input(data, input_id, self.view, units)

    def units(self, data: bytes) -> int:
        """See `InputForm`."""
        units, view = containers.input_shape(data)
        if view != self.view:
            raise InputError("the input is for a model of another shape")
        return units


def fit(form: InputForm, values: npt.ArrayLike) -> Array:
    """Return whole numbers as an input of this form; InputError says what doesn't fit."""
    given = np.asarray(values)
    if given.dtype.kind not in "iu" or given.ndim != 2 or not given.size:
        raise InputError(f"an input is rows of whole numbers, not {given.dtype} of {given.shape}")
    if given.shape[1] != form.width:
        raise InputError(f"rows of {given.shape[1]}, the model takes rows of {form.width}")
    bounds = np.iinfo(form.dtype)
    if int(given.min()) < bounds.min or int(given.max()) > bounds.max:
        raise InputError(
            f"numbers must be from {bounds.min} to {bounds.max}, as the model takes them; these "
            f"are {given.min()} to {given.max()}"
        )
    units, rest = divmod(given.shape[0], form.rows)
    if rest or not 1 <= units <= form.most_units:
        raise InputError(
            f"{given.shape[0]} rows; an input has 1 to {form.most_units} units of {form.rows}"
        )
    return np.ascontiguousarray(given, dtype=form.dtype)
