"""Inputs as people have them (.npy, .csv, .json) as tensors of whole numbers, and results back."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from headrace.errors import UsageError
from headrace.graph.errors import InputError
from headrace.graph.model import MAX_UNITS, MAX_WIDTH
from headrace.input_forms import Array, InputForm, SmallInput, fit

SUFFIXES = (".npy", ".csv", ".json")
_MOST_BYTES = 1 << 26


def read_rows(path: Path, form: InputForm | None = None) -> Array:
    """
    The tensor in a file: a .npy array, a .csv of whole numbers, or a .json list of lists; one row
    alone will do. It is of this `form`, or int8 in rows of any width if none is given. UsageError
    names the file, and the line where it can.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"{path} is larger than {_MOST_BYTES} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None
    if path.suffix == ".npy":
        return _tensor(path, _npy(path, data), form)
    if path.suffix == ".csv":
        return _tensor(path, np.array(_csv(path, data)), form)
    if path.suffix == ".json":
        return _tensor(path, _json(path, data), form)
    raise UsageError(f"{path}: an input is a {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file")


def write_rows(path: Path, tensor: Array) -> None:
    """Write a tensor as `read_rows` reads it. UsageError if the suffix is another."""
    if path.suffix == ".npy":
        buffer = io.BytesIO()
        np.save(buffer, tensor, allow_pickle=False)
        data = buffer.getvalue()
    elif path.suffix == ".csv":
        data = "".join(",".join(map(str, row)) + "\n" for row in tensor.tolist()).encode()
    elif path.suffix == ".json":
        data = (json.dumps(tensor.tolist()) + "\n").encode()
    else:
        raise UsageError(f"{path}: write to a file that ends in {', '.join(SUFFIXES)}")
    partial = path.with_name(f".{path.name}.new")
    partial.write_bytes(data)
    partial.replace(path)


def _npy(path: Path, data: bytes) -> npt.NDArray[np.generic]:
    try:
        # Never a pickle: the file may be anybody's.
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError):
        raise UsageError(f"{path} is no .npy array of numbers") from None
    if not isinstance(array, np.ndarray):
        raise UsageError(f"{path} holds several arrays")
    return array


def _csv(path: Path, data: bytes) -> list[list[int]]:
    rows: list[list[int]] = []
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no text") from None
    for line, cells in enumerate(csv.reader(io.StringIO(text)), 1):
        if not any(cell.strip() for cell in cells):
            continue
        try:
            rows.append([int(cell) for cell in cells])
        except ValueError:
            raise UsageError(f"{path}:{line}: expected whole numbers") from None
        if len(rows[-1]) != len(rows[0]):
            raise UsageError(
                f"{path}:{line}: {len(rows[-1])} numbers, the rows before have {len(rows[0])}"
            )
    return rows


def _json(path: Path, data: bytes) -> npt.NDArray[np.generic]:
    try:
        content = json.loads(data)
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}:{error.lineno}: not JSON: {error.msg}") from None
    except (ValueError, RecursionError):
        raise UsageError(f"{path} is no JSON") from None
    try:
        return np.array(content)
    except (ValueError, TypeError, OverflowError):
        raise UsageError(f"{path}: expected rows of equally many whole numbers") from None


def _tensor(path: Path, array: npt.NDArray[np.generic], form: InputForm | None) -> Array:
    if array.ndim == 1 and array.size:
        array = array.reshape(1, -1)
    if array.ndim != 2 or not array.size:
        raise UsageError(f"{path}: expected rows of numbers, got the shape {array.shape}")
    if array.dtype.kind not in "iu":
        raise UsageError(f"{path}: expected whole numbers, got {array.dtype}")
    if form is None:
        units, width = array.shape
        if units > MAX_UNITS or width > MAX_WIDTH:
            raise UsageError(
                f"{path}: {units} rows of {width}; a job takes at most {MAX_UNITS} of {MAX_WIDTH}"
            )
        form = SmallInput(width)
    try:
        return fit(form, array)
    except InputError as error:
        raise UsageError(f"{path}: {error}") from None
