"""`input`: make inputs of jobs."""

from pathlib import Path

import click

from headrace.cli.answer import Answer
from headrace.cli.app import command
from headrace.cli.names import as_id
from headrace.cli.rows import read_rows
from headrace.cli.session import Session
from headrace.cli.show import fields
from headrace.cli.texts import TEXTS, read_texts
from headrace.errors import UsageError
from headrace.formats import AnyModel, input_form, most_units
from headrace.input_forms import SmallInput, fit


@click.group("input")
def input_() -> None:
    """Inputs that jobs can name."""


@command("add")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="What to call it in job files here.")
@click.option(
    "--model", "model", help="What it is for (a name or program id): its form, its texts."
)
@click.option(
    "--tokenizer",
    type=click.Path(path_type=Path),
    help="The tokenizer.json that the model's card names, for a .txt FILE.",
)
def add(
    session: Session, file: Path, name: str | None, model: str | None, tokenizer: Path | None
) -> Answer:
    """Put the rows of FILE into the store: .npy, .csv or .json, whole numbers; or texts.

    Without --model the numbers are from -128 to 127, as models of the first format take them. With
    a --model whose input is text, FILE may be a .txt of one text a line. Whoever runs or checks a
    job reads its input: it is public.
    """
    found = None if model is None else _model(session, model)
    form = None if found is None else input_form(found)
    if file.suffix == TEXTS:
        if found is None or form is None:
            raise UsageError(f"{file}: say which --model the texts are for")
        card = session.store.get_card(found.program)
        tensor = fit(form, read_texts(file, card, form.width, tokenizer))
    else:
        tensor = read_rows(file, form)
    form = form or SmallInput(tensor.shape[1])
    units = tensor.shape[0] // form.rows
    if found is not None and units > most_units(found):
        raise UsageError(f"{file}: {units} units, the model takes {most_units(found)} at once")
    digits = session.store.put_input(form, tensor)
    if name is not None:
        session.names.put("inputs", name, bytes.fromhex(digits))
    size = form.size(units)
    return Answer(
        {"input": f"0x{digits}", "name": name, "units": units, "width": form.width, "bytes": size},
        fields(
            [
                ("input", f"0x{digits}"),
                ("rows", f"{tensor.shape[0]} of {form.width}"),
                ("bytes", str(size)),
            ]
        ),
    )


input_.add_command(add)


def _model(session: Session, model: str) -> AnyModel:
    program = as_id(model) or session.names.all("models").get(model)
    if program is None:
        raise UsageError(f"--model: {model!r} is no program id and no name here")
    return session.store.get_model(program)
