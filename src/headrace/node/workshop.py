"""Where a node's work is done: inputs come in, runs go on beside the loop, traces are kept."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from headrace import formats
from headrace.chain.jobs import Job
from headrace.daemon.bench import Bench
from headrace.errors import RetryLater, Unreachable
from headrace.formats import AnyModel, AnyTrace
from headrace.node.config import NodeConfig, load_model
from headrace.node.record import AttemptKey, Contradiction, NodeRecord
from headrace.node.work import Publisher, Unusable, Worker, fetch, kept_trace
from headrace.store.blobs import BlobStore
from headrace.store.errors import BlobError

log = logging.getLogger(__name__)

# Runs at once, however many jobs the node takes.
MAX_PLACES = 8
# Traces that are kept in memory, to answer several demands of one claim.
MAX_TRACES = 2


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why an attempt can't be run; with an `is_final` one it never will. "" is none."""

    why: str = ""
    is_final: bool = False


class Workshop:
    """The runs and traces of one node. What must outlast the process is in the record."""

    def __init__(
        self,
        config: NodeConfig,
        record: NodeRecord,
        store: BlobStore,
        own: BlobStore,
        *,
        worker: Worker,
        publisher: Publisher,
    ) -> None:
        """`store` is everybody's, `own` has the node's copies of models."""
        self._record = record
        self._store = store
        self._own = own
        self._models = dict(config.models)
        self._worker = worker
        self._publisher = publisher
        self._bench: Bench[AttemptKey, AnyTrace] = Bench(min(config.capacity, MAX_PLACES))
        self._trouble: dict[AttemptKey, Trouble] = {}
        self._said: dict[AttemptKey, str] = {}
        self._traces: dict[bytes, AnyTrace] = {}

    @property
    def running(self) -> frozenset[AttemptKey]:
        """The attempts that are being run."""
        return self._bench.running

    def trouble(self, key: AttemptKey) -> Trouble:
        """Why an attempt can't be run now."""
        return self._trouble.get(key, Trouble())

    def keep_only(self, attempts: Collection[AttemptKey]) -> None:
        """Forget what was the matter with all others."""
        for gone in [key for key in self._trouble if key not in attempts]:
            del self._trouble[gone]
        for gone in [key for key in self._said if key not in attempts]:
            del self._said[gone]

    def in_trouble(self, key: AttemptKey, why: str, *, is_final: bool) -> None:
        """An attempt can't be run; what is new of it is logged."""
        self._trouble[key] = Trouble(why, is_final)
        if self._said.get(key) != why:
            self._said[key] = why
            log.warning("can't run", extra={"job": key[0], "attempt": key[1], "why": why})

    def _model(self, job: Job) -> AnyModel | None:
        """The job's model: one that is served, or that was when the job was matched."""
        program = job.terms.program
        if program not in self._models:
            try:
                self._models[program] = load_model(program, self._store, self._own)
            except BlobError:
                return None
        return self._models[program]

    def fetch(self, key: AttemptKey, job: Job) -> None:
        """Get an attempt's input and begin to run it, if there is a place."""
        model = self._model(job)
        if model is None:
            program = f"0x{job.terms.program.hex()}"
            self.in_trouble(key, f"program {program} isn't served here", is_final=True)
            return
        if not self._bench.has_place and key not in self._trouble:
            return
        try:
            tensor = fetch(self._store, model, job.terms)
        except Unusable as error:
            self.in_trouble(key, str(error), is_final=error.is_final)
            return
        self._trouble.pop(key, None)

        def work(model: AnyModel = model) -> AnyTrace:
            trace = self._worker.run(model, tensor)
            _ = trace.root  # hashed here, beside the loop
            return trace

        if self._bench.start(key, work):
            log.info("running", extra={"job": job.id, "attempt": job.attempt})

    def collect(self, attempts: Mapping[AttemptKey, Job]) -> None:
        """Take what has been run since, of those attempts that still count."""
        for done in self._bench.collect():
            job = attempts.get(done.key)
            if job is None:
                continue
            trace = done.value
            if trace is None:
                why = f"the worker failed: {done.error!r}"
                self.in_trouble(done.key, why, is_final=True)
            elif trace.model.program != job.terms.program or trace.units != job.terms.units:
                why = "the worker gave the trace of another job"
                self.in_trouble(done.key, why, is_final=True)
            else:
                self._keep(done.key, trace)

    def _keep(self, key: AttemptKey, trace: AnyTrace) -> None:
        try:
            self._record.compute(key, trace.root, formats.dump_trace(trace))
        except Contradiction as error:
            self.in_trouble(key, str(error), is_final=True)
        else:
            log.info("computed", extra={"job": key[0], "attempt": key[1], "root": trace.root})

    def recall(self, key: AttemptKey, job: Job) -> None:
        """Get a claim's trace back: from the store, or by running the job again."""
        model = self._model(job)
        if model is not None and job.commitment is not None:
            try:
                trace = self._store.get_trace(job.commitment, model, job.terms.units)
            except BlobError:
                pass
            else:
                self._keep(key, trace)
                return
        self.fetch(key, job)

    def _trace(self, job: Job, root: bytes) -> AnyTrace | None:
        """A claim's trace, as it is kept: the last few with their trees."""
        if root not in self._traces:
            model = self._model(job)
            if model is None:
                return None
            trace = kept_trace(model, job.terms.units, root, self._record.trace(root))
            if trace is None:
                return None
            self._traces[root] = trace
            while len(self._traces) > MAX_TRACES:
                del self._traces[next(iter(self._traces))]
        return self._traces[root]

    def answer(self, job: Job, root: bytes) -> AnyTrace | None:
        """What is given where a claim's trace is demanded; None if it can't be had."""
        trace = self._trace(job, root)
        return None if trace is None else self._publisher.answer(trace)

    def publish(self, key: AttemptKey, job: Job) -> None:
        """Put an attempt's trace where everybody can check it."""
        entry = self._record.entry(key)
        root = None if entry is None else entry.root
        trace = None if root is None else self._trace(job, root)
        if trace is None:
            self._record.published(key)  # nothing there that could be
            return
        try:
            self._publisher.publish(trace)
        except (RetryLater, Unreachable) as error:
            # The claim doesn't wait for it: a trace that is demanded goes to the chain.
            if self._said.get(key) != str(error):
                self._said[key] = str(error)
                log.error("can't publish", extra={"job": job.id, "why": str(error)})
            return
        self._record.published(key)
        log.info("published", extra={"job": job.id, "root": root})
