"""A local folder of content: inputs, models, traces, results, each checked against its own name."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from headrace import formats
from headrace.errors import UsageError
from headrace.formats import MAX_MODEL_BYTES, AnyModel, AnyTrace, Card
from headrace.graph.encoding import Int8
from headrace.graph.errors import InputError, ModelError, TraceError
from headrace.graph.merkle import keccak
from headrace.graph.tensors import (
    dump_input,
    input_bytes,
    input_shape,
    load_input,
    tensor_root,
)
from headrace.input_forms import MAX_INPUT_BYTES, Array, InputForm
from headrace.store.errors import CorruptBlob, MissingBlob, OversizedBlob
from headrace.store.files import hex_id, read_at_most, write_whole

MAX_BLOB = 1 << 26
"""Most bytes of a blob unless the caller says otherwise (64 MiB)."""

Id = bytes | str
Content = TypeVar("Content")


class BlobStore:
    """A folder that several processes share.

    Ids are 32 bytes, or their hex digits with or without 0x. `get*` never returns content that
    doesn't match its id: it raises MissingBlob, CorruptBlob or OversizedBlob. What is put twice is
    the same; a corrupt blob is healed by putting it again.
    """

    def __init__(self, path: Path) -> None:
        """Use the folder at `path`; it is made when something is first put."""
        self.path = path

    def _place(self, kind: str, name: str) -> Path:
        return self.path / kind / name[:2] / name

    def _write(self, kind: str, name: Id, data: bytes) -> str:
        digits = hex_id(name)
        place = self._place(kind, digits)
        if read_at_most(place, len(data)) != data:
            write_whole(place, data)
        return digits

    def _read(
        self, kind: str, name: Id, most: int, load: Callable[[bytes], Content], *, exact: bool
    ) -> Content:
        digits = hex_id(name)
        data = read_at_most(self._place(kind, digits), most)
        if data is None:
            raise MissingBlob(digits, f"not in {self.path}")
        if not data:
            raise CorruptBlob(digits, "the file is empty")
        if len(data) > most:
            if exact:
                raise CorruptBlob(digits, f"the file is longer than {most} bytes")
            raise OversizedBlob(digits, f"the file is longer than {most} bytes")
        try:
            return load(data)
        except (InputError, ModelError, TraceError) as error:
            raise CorruptBlob(digits, str(error)) from error

    def has(self, name: Id) -> bool:
        """Say whether a plain blob of this id is there; its content isn't looked at."""
        return self._place("blobs", hex_id(name)).is_file()

    def put(self, data: bytes) -> str:
        """Keep `data`, at least one byte; return its id, the Keccak-256 as 64 hex digits."""
        if not data:
            raise UsageError("an empty blob can't be kept")
        return self._write("blobs", keccak(data), data)

    def get(self, name: Id, max_bytes: int = MAX_BLOB) -> bytes:
        """Return the bytes whose Keccak-256 is `name`, at most `max_bytes` of them."""
        digits = hex_id(name)

        def checked(data: bytes) -> bytes:
            if keccak(data).hex() != digits:
                raise CorruptBlob(digits, "the content has another hash")
            return data

        return self._read("blobs", digits, max_bytes, checked, exact=False)

    def put_tensor(self, tensor: Int8) -> str:
        """Keep a (T, width) int8 input; return its id, the tensor root."""
        return self._write("tensors", tensor_root(tensor), dump_input(tensor))

    def get_tensor(self, root: Id, units: int, width: int) -> Int8:
        """Return the (units, width) int8 input whose tensor root is `root`."""
        expected = bytes.fromhex(hex_id(root))

        def load(data: bytes) -> Int8:
            return load_input(data, expected, units, width)

        return self._read("tensors", expected, input_bytes(units, width), load, exact=True)

    def tensor_shape(self, root: Id) -> tuple[int, int]:
        """Return (units, width) as the input of this id says itself; `get_tensor` checks it."""
        return self._read("tensors", root, MAX_INPUT_BYTES, input_shape, exact=True)

    def put_input(self, form: InputForm, tensor: Array) -> str:
        """Keep an input of this form; return its id, the tensor root."""
        return self._write("tensors", form.root(tensor), form.dump(tensor))

    def get_input(self, root: Id, form: InputForm, units: int) -> Array:
        """Return the input of `units` units whose tensor root is `root`."""
        expected = bytes.fromhex(hex_id(root))

        def load(data: bytes) -> Array:
            return form.load(data, expected, units)

        return self._read("tensors", expected, form.size(units), load, exact=True)

    def input_units(self, root: Id, form: InputForm) -> int:
        """Return how many units the input of this id says it has; `get_input` checks it."""
        return self._read("tensors", root, MAX_INPUT_BYTES, form.units, exact=True)

    def put_model(self, model: AnyModel, card: Card | None = None) -> str:
        """Keep a model and, of version 2, what is said of it; return its program id."""
        return self._write("models", model.program, formats.dump_model(model, card))

    def get_card(self, program: Id, max_bytes: int = MAX_MODEL_BYTES) -> Card:
        """Return what the file of this model says of it; nobody's word but who put it there."""
        expected = bytes.fromhex(hex_id(program))
        return self._read(
            "models",
            expected,
            max_bytes,
            lambda data: formats.load_card(data, expected),
            exact=False,
        )

    def get_model(self, program: Id, max_bytes: int = MAX_MODEL_BYTES) -> AnyModel:
        """Return the validated model that has this program id."""
        expected = bytes.fromhex(hex_id(program))
        return self._read(
            "models",
            expected,
            max_bytes,
            lambda data: formats.load_model(data, expected),
            exact=False,
        )

    def put_trace(self, trace: AnyTrace) -> str:
        """Keep a trace, right or wrong; return its root."""
        return self._write("traces", trace.root, formats.dump_trace(trace))

    def get_trace(self, root: Id, model: AnyModel, units: int) -> AnyTrace:
        """Return the trace of `units` units of `model` that has this root: a claim's."""
        expected = bytes.fromhex(hex_id(root))

        def load(data: bytes) -> AnyTrace:
            trace = formats.load_trace(data, model, units)
            if trace.root != expected:
                raise TraceError("the trace has another root")
            return trace

        most = formats.trace_bytes(model, units)
        return self._read("traces", expected, most, load, exact=True)

    def put_result(self, trace: AnyTrace) -> str:
        """Keep a trace's result with its proof; return the trace's root."""
        return self._write("results", trace.root, formats.dump_result(trace))

    def get_result(self, root: Id, model: AnyModel, units: int) -> Array:
        """Return the result, rows of the output's width, that a claim of this root commits to."""
        expected = bytes.fromhex(hex_id(root))

        def load(data: bytes) -> Array:
            return formats.load_result(data, model, units, expected)

        most = formats.result_bytes(model, units)
        return self._read("results", expected, most, load, exact=True)
