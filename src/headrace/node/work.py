"""A job's own work: get the input, run the model, put the trace where others can get it.

`Worker` and `Publisher` are where another way of working is put in: a GPU backend, a remote store,
or the liars of a demonstration.
"""

from typing import Protocol

from headrace.errors import HeadraceError
from headrace.graph import trace as traces
from headrace.graph.encoding import Int8
from headrace.graph.model import Model
from headrace.graph.tensors import input_bytes
from headrace.graph.trace import Trace
from headrace.store.blobs import BlobStore
from headrace.store.errors import BlobError
from headrace.terms.words import Terms


class Worker(Protocol):
    """Runs models. Called beside the loop, several at once if the node takes several jobs."""

    def run(self, model: Model, tensor: Int8) -> Trace:
        """The trace of `model` on a (units, input_width) int8 input. May raise: then no claim."""


class Publisher(Protocol):
    """Makes results available. Called in the loop's thread; Unreachable is tried again later."""

    def publish(self, trace: Trace) -> None:
        """Put trace and result where requesters and watchers look; before the claim is sent."""

    def answer(self, trace: Trace) -> bytes | None:
        """What is published on chain when this claim's trace is demanded; None for nothing."""


class NumpyWorker:
    """The honest worker: every operator exactly, with numpy."""

    def run(self, model: Model, tensor: Int8) -> Trace:
        """See `Worker`."""
        return traces.run(model, tensor)


class StorePublisher:
    """The honest publisher: into the shared store, and all of it when asked."""

    def __init__(self, store: BlobStore) -> None:
        """Publish into `store`."""
        self._store = store

    def publish(self, trace: Trace) -> None:
        """See `Publisher`."""
        self._store.put_trace(trace)
        self._store.put_result(trace)

    def answer(self, trace: Trace) -> bytes | None:
        """See `Publisher`."""
        return trace.to_bytes()


class Unusable(HeadraceError):
    """A job's input can't be run. `is_final`: and never will, whatever is put into the store."""

    def __init__(self, why: str, *, is_final: bool) -> None:
        """Keep both."""
        super().__init__(why)
        self.is_final = is_final


def fetch(store: BlobStore, model: Model, terms: Terms) -> Int8:
    """
    The (units, input_width) int8 input that `terms` name, whole and checked against its id.
    Unusable if it is missing, isn't what its id promises, or isn't what the terms say of it.
    """
    if not 1 <= terms.units <= model.publishable_units:
        most = model.publishable_units
        raise Unusable(f"{terms.units} rows, the model takes 1 to {most}", is_final=True)
    size = input_bytes(terms.units, model.input_width)
    if terms.input_bytes < size:
        raise Unusable(
            f"the terms promise {terms.input_bytes} bytes, an input of {terms.units} rows of "
            f"{model.input_width} has {size}",
            is_final=True,
        )
    try:
        return store.get_tensor(terms.input_id, terms.units, model.input_width)
    except BlobError as error:
        raise Unusable(str(error), is_final=False) from error


def kept_trace(model: Model, units: int, root: bytes, data: bytes | None) -> Trace | None:
    """The trace of `units` rows in `data`; None if it isn't the one with this root."""
    if data is None:
        return None
    try:
        trace = Trace.from_bytes(model, units, data)
    except HeadraceError:
        return None
    return trace if trace.root == root else None
