"""`input`: make inputs of jobs."""

from pathlib import Path

import click

from headrace.cli.answer import Answer
from headrace.cli.app import command
from headrace.cli.names import as_id
from headrace.cli.rows import read_rows
from headrace.cli.session import Session
from headrace.cli.show import fields
from headrace.errors import UsageError
from headrace.graph.tensors import input_bytes


@click.group("input")
def input_() -> None:
    """Inputs that jobs can name."""


@command("add")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="What to call it in job files here.")
@click.option("--model", "model", help="Check that it fits this model (a name or program id).")
def add(session: Session, file: Path, name: str | None, model: str | None) -> Answer:
    """Put the rows of FILE into the store: .npy, .csv or .json, whole numbers from -128 to 127.

    Whoever runs or checks a job reads its input: it is public.
    """
    tensor = read_rows(file)
    units, width = tensor.shape
    if model is not None:
        _check(session, file, model, units, width)
    digits = session.store.put_tensor(tensor)
    if name is not None:
        session.names.put("inputs", name, bytes.fromhex(digits))
    size = input_bytes(units, width)
    return Answer(
        {"input": f"0x{digits}", "name": name, "units": units, "width": width, "bytes": size},
        fields([("input", f"0x{digits}"), ("rows", f"{units} of {width}"), ("bytes", str(size))]),
    )


input_.add_command(add)


def _check(session: Session, file: Path, model: str, units: int, width: int) -> None:
    program = as_id(model) or session.names.all("models").get(model)
    if program is None:
        raise UsageError(f"--model: {model!r} is no program id and no name here")
    found = session.store.get_model(program)
    if width != found.input_width:
        raise UsageError(f"{file}: rows of {width}, the model takes rows of {found.input_width}")
    if units > found.publishable_units:
        raise UsageError(f"{file}: {units} rows, the model takes {found.publishable_units} at once")
