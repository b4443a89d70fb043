"""MATMULs by torch's int8 product with int32 sums, on a device that has it; the rest by numpy.

Sums of at most 4,096 products of int8 are below 2^27, so int32 holds them whatever order a device
adds in: the output is the same as everywhere, byte for byte.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.errors import HeadraceError
from headrace.graph2.freivalds import Challenge
from headrace.graph2.model import Model
from headrace.graph2.numpy_backend import Plan
from headrace.graph2.opcodes import Opcode
from headrace.graph2.operators import Operator

Array = npt.NDArray[Any]

_TILE = 8
"""CUDA's int8 product wants widths that are multiples of it."""
_LEAST_ROWS = 32
"""and more rows than 16."""


class NoTorch(HeadraceError):
    """torch, its int8 product or the device is missing."""


class WrongProduct(HeadraceError):
    """The device has computed a product that isn't one: nothing may be claimed from it."""


def device_for(name: str | None = None) -> Any:
    """Return torch's device `name`, by default the GPU. NoTorch says what is missing."""
    try:
        torch = import_module("torch")
    except ImportError as error:
        raise NoTorch("torch isn't installed") from error
    if not hasattr(torch, "_int_mm"):
        raise NoTorch(f"torch {torch.__version__} has no int8 product")
    if name is None:
        if not torch.cuda.is_available():
            raise NoTorch("torch sees no GPU")
        name = "cuda"
    try:
        device = torch.device(name)
        torch.zeros(1, dtype=torch.int8, device=device)
    except (RuntimeError, AssertionError) as error:
        raise NoTorch(f"torch can't use {name}: {error}") from error
    return device


class TorchPlan(Plan):
    """A model ready to run with its MATMULs' weights on a device.

    With `verify` every product is checked by Freivalds' test, so that a device that computes
    wrongly (overheated, overclocked, its memory without ECC) costs a job and not a stake.
    """

    def __init__(self, model: Model, *, device: str | None = None, verify: bool = False) -> None:
        """Move the weights. NoTorch when that can't be."""
        self.device = device_for(device)
        self._torch: Any = import_module("torch")
        super().__init__(model)
        self._on_device: dict[int, Any] = {}
        self._challenges: dict[int, Challenge] = {}
        for op in model.operators:
            if op.opcode == Opcode.MATMUL and op.weights is not None:
                self._on_device[id(op)] = self._moved(op.weights.T)
                if verify:
                    self._challenges[id(op)] = Challenge(op.weights)

    def _moved(self, values: Array, rows: int = _TILE) -> Any:
        """The matrix on the device, filled up with zeros to whole tiles."""
        height, width = values.shape
        filled = np.zeros(
            (max(rows, -(-height // _TILE) * _TILE), -(-width // _TILE) * _TILE), dtype=np.int8
        )
        filled[:height, :width] = values
        return self._torch.from_numpy(filled).to(self.device)

    def accumulate(self, op: Operator, a: Array) -> npt.NDArray[np.int32]:
        """Return the sums of a MATMUL of this plan's model before Q, (R, out.width) int32.

        WrongProduct when they are checked and wrong.
        """
        weights = self._on_device[id(op)]
        sums = self._torch._int_mm(self._moved(a, _LEAST_ROWS), weights)
        made: npt.NDArray[np.int32] = sums.cpu().numpy()[: a.shape[0], : op.out.width]
        challenge = self._challenges.get(id(op))
        if challenge is not None and not challenge.holds(a, made):
            raise WrongProduct(f"{self.device} computed a product of {a.shape} wrongly")
        return made

    def apply(self, op: Operator, tensors: Sequence[Array], units: int) -> Array:
        """Return one operator's output, of its view's type."""
        if id(op) not in self._on_device:
            return super().apply(op, tensors, units)
        sums = self.accumulate(op, tensors[op.a.tensor])
        made = self.requantise(op, sums.astype(np.int64))
        return np.ascontiguousarray(made, dtype=op.out.dtype)
