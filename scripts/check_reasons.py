"""Checks the revert reasons of the contracts.

Each is `"<scope>: <what is wrong>"` in lower case, at most 32 bytes, and stands once in the
sources, so that a reason tells which check refused. With `--docs` each is also listed, in
backticks, in `docs/contracts/*.md`, and those pages list none that is gone.
"""

from __future__ import annotations

import ast
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import click

from scripts.compiler import ROOT

FORM = re.compile(r"[a-z][a-z0-9_-]*: [^A-Z]+")
LIMIT = 32
LAYOUT = (tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING)


def main() -> None:
    """Entry point: prints every problem; exits with 1 where there is one."""
    cli()


@click.command()
@click.option("--docs", is_flag=True, help="Compare with docs/contracts/*.md as well.")
def cli(docs: bool) -> None:
    """Check form, uniqueness and documentation of revert reasons."""
    places: dict[str, list[str]] = {}
    problems: list[str] = []
    for folder in ("contracts", "contracts/modules"):
        for path in sorted((ROOT / folder).glob("*.vy")):
            for line, reason in reasons_in(path):
                where = f"{path.relative_to(ROOT)}:{line}"
                if reason is None:
                    problems.append(f"{where}: no reason")
                else:
                    places.setdefault(reason, []).append(where)
    for reason, where_all in places.items():
        if len(where_all) > 1:
            problems.append(f"{', '.join(where_all)}: {reason!r} is not unique")
        if not FORM.fullmatch(reason) or len(reason.encode()) > LIMIT:
            problems.append(f"{where_all[0]}: {reason!r} is not `scope: what` in {LIMIT} bytes")
    if docs:
        problems += compare_docs(set(places))
    print(f"{len(places)} revert reasons")
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


def reasons_in(path: Path) -> Iterator[tuple[int, str | None]]:
    """Line and text of each reason; None for an assert or raise that gives none.

    Vyper's source is made of Python's tokens, which is how its own compiler reads it.
    """
    statement: list[tokenize.TokenInfo] = []
    with path.open("rb") as source:
        for token in tokenize.tokenize(source.readline):
            if token.type == tokenize.NEWLINE:
                yield from reason_of(statement)
                statement = []
            elif token.type not in LAYOUT:
                statement.append(token)


def reason_of(statement: list[tokenize.TokenInfo]) -> Iterator[tuple[int, str | None]]:
    """The reasons in one logical line."""
    words = [token.string for token in statement]
    if len(words) < 2:
        return  # A docstring, or nothing that can fail.
    line, last = statement[0].start[0], statement[-1]
    fails = [word for word in words if word in ("assert", "raise")]
    if fails and last.type == tokenize.STRING:
        yield line, str(ast.literal_eval(last.string))
    elif fails:
        # `raise reason` gives one of the texts put into the variable, which are counted below.
        if last.string != "UNREACHABLE" and words[-2:-1] != ["raise"]:
            yield line, None
    else:
        for token in statement:
            text = ast.literal_eval(token.string) if token.type == tokenize.STRING else ""
            if isinstance(text, str) and FORM.fullmatch(text):
                yield token.start[0], text


def compare_docs(reasons: set[str]) -> list[str]:
    """Reasons that no page lists, and listed ones that no contract gives."""
    pages = sorted((ROOT / "docs" / "contracts").glob("*.md"))
    listed: dict[str, str] = {}
    for page in pages:
        for text in re.findall(r"`\"?([^`\"\n]+)\"?`", page.read_text()):
            if FORM.fullmatch(text):
                listed.setdefault(text, page.name)
    absent = sorted(reasons - set(listed))
    missing = [f"docs/contracts: `{reason}` is not listed" for reason in absent]
    scopes = {reason.split(":")[0] for reason in reasons}
    gone = [
        f"docs/contracts/{listed[text]}: no contract gives `{text}`"
        for text in sorted(set(listed) - reasons)
        if text.split(":")[0] in scopes
    ]
    return missing + gone


if __name__ == "__main__":
    main()
