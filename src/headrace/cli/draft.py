"""From a job file to terms: names become ids, what the file leaves open comes from the chain."""

import secrets
from dataclasses import dataclass, replace
from pathlib import Path

from headrace.chain.contract import Contract
from headrace.cli.names import as_id
from headrace.cli.rows import SUFFIXES, read_rows
from headrace.cli.session import Session
from headrace.cli.texts import TEXTS, read_texts
from headrace.errors import Rejected, UsageError
from headrace.formats import input_form
from headrace.input_forms import Array, InputForm, SmallInput, fit
from headrace.store.errors import BlobError, MissingBlob
from headrace.terms import eip712
from headrace.terms.filetext import JobFileError, read_section
from headrace.terms.jobfile import JobFile, read_job
from headrace.terms.unmet import check_form
from headrace.terms.words import ZERO_HASH, FaultProofSettings, Terms


@dataclass(frozen=True, slots=True)
class Input:
    """An input of a job: its id, rows, bytes, and whether this store has it."""

    id: bytes
    units: int
    size: int
    is_stored: bool


@dataclass(frozen=True, slots=True)
class Draft:
    """
    What a job file comes to: `terms` with no input in them, and its `inputs`. `levels` is in how
    many moves a withheld byte is forced out. `drawn_at` is the time of the block it was drawn up
    at.
    """

    path: Path
    file: JobFile
    terms: Terms
    inputs: tuple[Input, ...]
    levels: int
    drawn_at: int

    @property
    def jobs(self) -> tuple[Terms, ...]:
        """The terms of each job, in the order of the inputs."""
        return tuple(replace(self.terms, input_id=each.id) for each in self.inputs)

    @property
    def delay(self) -> int:
        """D, the bound on a claim's whole delay, in seconds."""
        return FaultProofSettings.unpack(self.terms.settings).delay_over(self.levels)


@dataclass(frozen=True, slots=True)
class Judge:
    """Who judges work of a model: the verifier, what inputs it takes, and its `levels`."""

    verifier: Contract
    form: InputForm
    levels: int


class _Drawing:
    """One file being read; its errors name line and field."""

    def __init__(self, session: Session, path: Path) -> None:
        self._session = session
        self._path = path
        self.text = read_text(path)

    def wrong(self, field: str, problem: str) -> JobFileError:
        return read_section(self.text, str(self._path)).error(field, problem)

    def program(self, written: str) -> bytes:
        known = self._session.names.all("models")
        program = as_id(written) or known.get(written)
        if program is None:
            hint = (
                f"known: {', '.join(sorted(known))}" if known else "`headrace model add` adds one"
            )
            raise self.wrong("model", f"{written!r} is no program id and no name here; {hint}")
        return program

    def judge(self, program: bytes) -> Judge:
        """Who judges work of a model, wherever it is registered."""
        session = self._session
        try:
            small = session.fault_proof.model_of(program)
        except Rejected as error:
            if error.reason != "model: not registered":
                raise
            small = None
        if small is not None:
            return Judge(session.fault_proof, SmallInput(small.input_width), 1)
        large = session.graph_models.model_of(program) if session.has_graphs else None
        if large is None:
            raise self.wrong("model", "nobody has registered it: run `headrace model add FILE`")
        # The chain keeps only hashes of a large model: what its inputs are is in its package.
        try:
            model = session.store.get_model(program)
        except BlobError as error:
            raise self.wrong("model", f"its package is needed here: {error}") from None
        return Judge(session.graph_proof, input_form(model), large.levels)

    def rows(self, path: Path, form: InputForm, program: bytes) -> Array:
        """The rows of an input's file; of texts by the tokenizer that the model's card names."""
        if path.suffix != TEXTS:
            return read_rows(path, form)
        return fit(form, read_texts(path, self._session.store.get_card(program), form.width, None))

    def input(self, written: str, form: InputForm, file: JobFile, program: bytes) -> Input:
        store = self._session.store
        input_id = as_id(written) or self._session.names.all("inputs").get(written)
        try:
            if input_id is None:
                path = self._path.parent / written
                if path.suffix not in (*SUFFIXES, TEXTS) or not path.is_file():
                    raise self.wrong(
                        "input",
                        f"{written!r} is no input's id, no name here, and no file beside this "
                        f"({', '.join((*SUFFIXES, TEXTS))})",
                    )
                input_id = bytes.fromhex(store.put_input(form, self.rows(path, form, program)))
            units = store.input_units(input_id, form)
            store.get_input(input_id, form, units)
        except MissingBlob:
            if file.units is None:
                raise self.wrong(
                    "input", f"{written} isn't in the store, so `units` has to say its rows"
                ) from None
            return Input(input_id or ZERO_HASH, file.units, form.size(file.units), False)
        except (BlobError, UsageError) as error:
            if isinstance(error, JobFileError):
                raise
            raise self.wrong("input", str(error)) from None
        if file.units not in (None, units):
            raise self.wrong("units", f"{written} has {units} rows")
        return Input(input_id, units, form.size(units), True)


def read_text(path: Path) -> str:
    """A file's text; UsageError if it can't be read."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(f"{path} can't be read: {reason}") from None


def draw(session: Session, path: Path, requester: str) -> Draft:
    """
    The jobs in the file at `path`, valid from the latest block on. JobFileError names line and
    field; Rejected carries the reason for which the contracts would refuse such terms.
    """
    drawing = _Drawing(session, path)
    file = read_job(drawing.text, str(path), session.catalogue)
    program = drawing.program(file.model)
    judge = drawing.judge(program)
    inputs = tuple(drawing.input(each, judge.form, file, program) for each in file.inputs)
    if len({each.id for each in inputs}) != len(inputs):
        raise drawing.wrong("input", "the same input is listed twice")
    if len(inputs) > eip712.MAX_BATCH:
        raise drawing.wrong("input", f"a job file has at most {eip712.MAX_BATCH} inputs")
    if len({each.units for each in inputs}) > 1:
        raise drawing.wrong("input", "the inputs of one job file must have equally many rows")
    now = session.head().timestamp
    try:
        terms = file.terms(
            requester=requester,
            verifier=judge.verifier.address,
            program=program,
            input_id=ZERO_HASH,
            units=inputs[0].units,
            input_bytes=inputs[0].size,
            now=now,
            epoch=session.escrow.bid_epoch(requester),
            salt=secrets.randbits(128),
        )
    except ValueError as error:
        raise JobFileError(str(path), 1, "", str(error)) from None
    check_form(terms, int(session.rules.read("ATTEMPT_MAX")))
    # The verifier itself says whether it can judge such a job.
    judge.verifier.read("quote", program, terms.units, terms.settings, terms.price_cap)
    return Draft(path, file, terms, inputs, judge.levels, now)
