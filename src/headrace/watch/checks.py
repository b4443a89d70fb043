"""Checks one claim: recomputes it, finds the fault, and makes sure twice before money is spent."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

from headrace.errors import HeadraceError
from headrace.graph import reference
from headrace.graph.check import ClaimFacts, NotProven, check
from headrace.graph.claimed import ClaimedTrace
from headrace.graph.encoding import Int8
from headrace.graph.faults import Examination, Fault, Finding, examine
from headrace.graph.model import Model
from headrace.graph.trace import Trace
from headrace.store.blobs import BlobStore
from headrace.store.errors import BlobError
from headrace.terms.words import Terms

# Models and recomputed roots that are kept in memory.
MAX_MODELS = 16

K = TypeVar("K")
V = TypeVar("V")


class Unchecked(HeadraceError):
    """The claim can't be judged (now): something is missing, or the two backends disagree."""


@dataclass(frozen=True, slots=True)
class Report:
    """
    What a check has found. `right_root` is what the claim should be; `fault` is the proof if it is
    another and its trace is at hand.
    """

    right_root: bytes
    is_good: bool
    fault: Fault | None = None


class Kept(Generic[K, V]):
    """The last `most` values by key; for several threads."""

    def __init__(self, most: int) -> None:
        """Empty."""
        self._most = most
        self._lock = Lock()
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The value of `key`, made if it isn't kept."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        with self._lock:
            self._values[key] = value
            while len(self._values) > self._most:
                self._values.popitem(last=False)
        return value


class Checker:
    """Checks claims against the models and inputs of a store. May be used by several threads."""

    def __init__(self, store: BlobStore) -> None:
        """Nothing is loaded yet."""
        self._store = store
        self._models: Kept[bytes, Model] = Kept(MAX_MODELS)

    def model(self, program: bytes) -> Model:
        """The model, whole and validated. Unchecked if the store hasn't got it."""
        try:
            return self._models.get(program, lambda: self._load(program))
        except BlobError as error:
            raise Unchecked(f"no model: {error}") from error

    def _load(self, program: bytes) -> Model:
        model = self._store.get_model(program)
        if not isinstance(model, Model):
            raise Unchecked("the model is of another format than the claim's verifier judges")
        return model

    def check(self, terms: Terms, commitment: bytes, published: Trace | None = None) -> Report:
        """
        Recompute a job and compare it with a claim about it. The claim's trace is `published`, or
        the store's. Unchecked if the model or the input can't be had.
        """
        model = self.model(terms.program)
        try:
            tensor = self._store.get_tensor(terms.input_id, terms.units, model.input_width)
        except BlobError as error:
            raise Unchecked(f"no input: {error}") from error
        claimed = published or self._stored(model, terms.units, commitment)
        found = examine(
            model, tensor, commitment, None if claimed is None else ClaimedTrace.of(claimed)
        )
        if found.finding == Finding.HONEST:
            return Report(found.right.root, is_good=True)
        if found.fault is None:
            _require_reference(model, tensor, found)
        else:
            _require_proof(model, terms, commitment, found.fault)
        return Report(found.right.root, is_good=False, fault=found.fault)

    def _stored(self, model: Model, units: int, commitment: bytes) -> Trace | None:
        try:
            found = self._store.get_trace(commitment, model, units)
        except BlobError:
            return None
        return found if isinstance(found, Trace) else None


def _require_proof(model: Model, terms: Terms, commitment: bytes, fault: Fault) -> None:
    """Unchecked unless the proof convicts by the contract's own rules, in plain integers."""
    facts = ClaimFacts.of(model, terms.units, terms.input_id, commitment)
    try:
        shown = check(facts, fault.function, fault.arguments)
    except NotProven as error:
        raise Unchecked(f"the proof does not convict: {error}") from error
    if (shown.claimed, shown.right) != (fault.claimed, fault.right):
        raise Unchecked(f"the backends disagree: {fault.right} and {shown.right}")


def _require_reference(model: Model, tensor: Int8, found: Examination) -> None:
    """Unchecked unless the slow backend gives the same trace: a demand costs a fee."""
    rows = reference.run(model, tensor.tolist())
    for index, expected in enumerate(rows):
        if found.right.tensor(index).tolist() != expected:
            raise Unchecked(f"the backends disagree on operator {index}")
