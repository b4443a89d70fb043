"""A job's own work: get the input, run the model, put the trace where others can get it.

`Worker` and `Publisher` are where another way of working is put in: a GPU backend, a remote store,
or the liars of a demonstration.
"""

from collections import OrderedDict
from threading import Lock
from typing import Protocol

from headrace import formats
from headrace.errors import HeadraceError
from headrace.formats import AnyModel, AnyTrace
from headrace.graph2 import trace as graph_traces
from headrace.graph2.model import Model as GraphModel
from headrace.graph2.numpy_backend import Plan
from headrace.input_forms import Array
from headrace.store.blobs import BlobStore
from headrace.store.errors import BlobError
from headrace.terms.words import Terms


class Worker(Protocol):
    """Runs models. Called beside the loop, several at once if the node takes several jobs."""

    def run(self, model: AnyModel, tensor: Array) -> AnyTrace:
        """The trace of `model` on an input that it takes. May raise: then no claim."""


class Publisher(Protocol):
    """Makes results available. Called in the loop's thread; Unreachable is tried again later."""

    def publish(self, trace: AnyTrace) -> None:
        """Put trace and result where requesters and watchers look; before the claim is sent."""

    def answer(self, trace: AnyTrace) -> AnyTrace | None:
        """What demands on this claim are answered from; None: they are not."""


# Models whose weights are kept ready to multiply.
_MAX_PLANS = 4


class NumpyWorker:
    """The honest worker: every operator exactly, with numpy. For several threads."""

    def __init__(self) -> None:
        """Nothing is ready yet."""
        self._lock = Lock()
        self._plans: OrderedDict[bytes, Plan] = OrderedDict()

    def run(self, model: AnyModel, tensor: Array) -> AnyTrace:
        """See `Worker`."""
        if isinstance(model, GraphModel):
            return graph_traces.run(model, tensor, self._plan(model))
        return formats.run(model, tensor)

    def _plan(self, model: GraphModel) -> Plan:
        with self._lock:
            plan = self._plans.pop(model.program, None) or Plan(model)
            self._plans[model.program] = plan
            while len(self._plans) > _MAX_PLANS:
                self._plans.popitem(last=False)
        return plan


class StorePublisher:
    """The honest publisher: into the shared store, and all of it when asked."""

    def __init__(self, store: BlobStore) -> None:
        """Publish into `store`."""
        self._store = store

    def publish(self, trace: AnyTrace) -> None:
        """See `Publisher`."""
        self._store.put_trace(trace)
        self._store.put_result(trace)

    def answer(self, trace: AnyTrace) -> AnyTrace | None:
        """See `Publisher`."""
        return trace


class Unusable(HeadraceError):
    """A job's input can't be run. `is_final`: and never will, whatever is put into the store."""

    def __init__(self, why: str, *, is_final: bool) -> None:
        """Keep both."""
        super().__init__(why)
        self.is_final = is_final


def fetch(store: BlobStore, model: AnyModel, terms: Terms) -> Array:
    """
    The input that `terms` name, whole and checked against its id. Unusable if it is missing, isn't
    what its id promises, or isn't what the terms say of it.
    """
    most = formats.most_units(model)
    if not 1 <= terms.units <= most:
        raise Unusable(f"{terms.units} units, the model takes 1 to {most}", is_final=True)
    form = formats.input_form(model)
    size = form.size(terms.units)
    if terms.input_bytes < size:
        raise Unusable(
            f"the terms promise {terms.input_bytes} bytes, an input of {terms.units} units has "
            f"{size}",
            is_final=True,
        )
    try:
        return store.get_input(terms.input_id, form, terms.units)
    except BlobError as error:
        raise Unusable(str(error), is_final=False) from error


def kept_trace(model: AnyModel, units: int, root: bytes, data: bytes | None) -> AnyTrace | None:
    """The trace of `units` units in `data`; None if it isn't the one with this root."""
    if data is None:
        return None
    try:
        trace = formats.load_trace(data, model, units)
    except HeadraceError:
        return None
    return trace if trace.root == root else None
