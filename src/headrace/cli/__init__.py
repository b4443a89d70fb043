"""The command line: `headrace ...`.

Every command answers with lines for people or, with `--json`, with one JSON document on stdout.
Whatever else is said (progress, logs, errors) goes to stderr. Exit codes: 0 done, 1 refused, 2 the
call or a file has to be changed, 3 something can't be reached. Amounts go in and out in whole
tokens with decimals, and are integers in between.
"""

from headrace.cli.app import cli


def main() -> None:
    """The program's entry."""
    cli(prog_name="headrace")
