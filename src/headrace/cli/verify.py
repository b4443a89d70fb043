"""`verify`: recompute a job's claim here, and show where it is wrong."""

from typing import Any

import click
import numpy as np

from headrace import formats
from headrace.cli.answer import Answer
from headrace.cli.app import REFUSED, command
from headrace.cli.ledger import read_ledger
from headrace.cli.session import Session
from headrace.cli.show import fields, hexed, table
from headrace.errors import Rejected
from headrace.formats import AnyModel, AnyTrace
from headrace.input_forms import Array
from headrace.store.errors import BlobError

# Elements that are shown of an operator that is wrong.
_SHOWN = 3


@command("verify")
@click.argument("job")
@click.option("--operators", "with_operators", is_flag=True, help="A line for each operator.")
def verify(session: Session, job: str, with_operators: bool) -> Answer:
    """Recompute the claim about JOB and compare it, element by element.

    It takes the model and the input out of the store, and nothing of the provider's: neither its
    word nor its result. Exit code 1 if the claim is wrong.
    """
    ledger = read_ledger(session)
    found = ledger.job(ledger.find(job))
    if found is None or found.commitment is None:
        raise Rejected("there is no claim to verify: nobody has delivered yet")
    terms, commitment = found.terms, found.commitment
    model = session.store.get_model(terms.program)
    with session.step("recomputing the job"):
        form = formats.input_form(model)
        tensor = session.store.get_input(terms.input_id, form, terms.units)
        right = formats.run(model, tensor)
    tensors = formats.tensors_of(right)
    elements = sum(int(each.size) for each in tensors)
    is_right = right.root == commitment
    claimed = right if is_right else _stored(session, model, terms.units, commitment)
    rows = _compare(model, tensors, None if claimed is None else formats.tensors_of(claimed))
    wrong = [row for row in rows if row["wrong"]]
    lines = fields(
        [
            ("job", hexed(found.id)),
            ("claim", hexed(commitment)),
            ("should be", hexed(right.root)),
            ("recomputed", f"{elements} elements of {len(tensors)} operators"),
            ("verdict", _verdict(is_right, claimed, wrong)),
        ]
    )
    if wrong:
        lines += ["the first wrong operator:", *_first(wrong[0])]
    if with_operators:
        lines += table(
            ("operator", "what", "elements", "wrong"),
            [
                (str(row["operator"]), row["what"], str(row["elements"]), _count(row["wrong"]))
                for row in rows
            ],
        )
    return Answer(
        {
            "job": found.id,
            "is_right": is_right,
            "commitment": commitment,
            "right": right.root,
            "elements": elements,
            "has_trace": claimed is not None,
            "operators": rows if with_operators else wrong[:1],
        },
        lines,
        0 if is_right else REFUSED,
    )


def _stored(session: Session, model: AnyModel, units: int, commitment: bytes) -> AnyTrace | None:
    try:
        return session.store.get_trace(commitment, model, units)
    except BlobError:
        return None


def _compare(
    model: AnyModel, right: tuple[Array, ...], claimed: tuple[Array, ...] | None
) -> list[dict[str, Any]]:
    """A row an operator; `wrong` is None where the claim's own numbers aren't known."""
    rows: list[dict[str, Any]] = []
    for index, (name, true) in enumerate(zip(formats.operator_names(model), right, strict=True)):
        row: dict[str, Any] = {
            "operator": index,
            "what": name,
            "elements": int(true.size),
            "wrong": None,
            "first": [],
        }
        if claimed is not None:
            places = np.argwhere(claimed[index] != true)
            row["wrong"] = len(places)
            row["first"] = [
                {
                    "row": int(at[0]),
                    "column": int(at[1]),
                    "claimed": int(claimed[index][tuple(at)]),
                    "right": int(true[tuple(at)]),
                }
                for at in places[:_SHOWN]
            ]
        rows.append(row)
    return rows


def _verdict(is_right: bool, claimed: AnyTrace | None, wrong: list[dict[str, Any]]) -> str:
    if is_right:
        return "right: every element is what the model gives"
    if claimed is None:
        return "WRONG, and its trace isn't in the store: a watcher has to demand it"
    if not wrong:
        return "WRONG in what pads its rows: every element is right"
    return f"WRONG: {sum(row['wrong'] for row in wrong)} elements in {len(wrong)} operators"


def _first(row: dict[str, Any]) -> list[str]:
    return [
        f"  operator {row['operator']} {row['what']}, row {at['row']}, column {at['column']}: "
        f"claimed {at['claimed']}, right {at['right']}"
        for at in row["first"]
    ]


def _count(wrong: int | None) -> str:
    return "?" if wrong is None else str(wrong)
