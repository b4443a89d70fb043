"""Runs mamushi (format) over every Vyper source and natrix (lint) over those that are deployed.

natrix compiles each file twice, so a file that has passed is not linted again until it, something
it imports or the rules change. `--fix` reformats in place.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from scripts.compiler import IMPORT_FOLDERS, ROOT, source_hash

TOOLS = ROOT / ".venv-lint" / "bin"
PASSED = ROOT / "build" / "lint"
NATRIX_FOLDERS = ("contracts", "contracts/modules")


def main() -> None:
    """Entry point."""
    cli()


@click.command()
@click.option("--fix", is_flag=True, help="Reformat in place; lint nothing.")
def cli(fix: bool) -> None:
    """Format and lint the Vyper sources."""
    sources = [
        path
        for folder in IMPORT_FOLDERS
        for suffix in ("*.vy", "*.vyi")
        for path in sorted((ROOT / folder).glob(suffix))
    ]
    if fix:
        mamushi = [str(TOOLS / "mamushi"), "-l", "100"]
        sys.exit(subprocess.run([*mamushi, *map(str, sources)], check=False).returncode)
    PASSED.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(2) as pool:
        problems = [problem for problem in pool.map(check, sources) if problem]
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(sources)} Vyper sources, {len(problems)} with problems")
    sys.exit(1 if problems else 0)


def check(path: Path) -> str:
    """What the tools say against a source; empty when it passes."""
    rules = (ROOT / "pyproject.toml").read_bytes() + (ROOT / "requirements-lint.lock").read_bytes()
    key = source_hash(path) + hashlib.sha256(rules).hexdigest()
    stamp = PASSED / path.name
    if stamp.is_file() and stamp.read_text() == key:
        return ""
    relative = str(path.relative_to(ROOT))
    said = run("mamushi", "-l", "100", "--check", relative)
    if path.suffix == ".vy" and str(path.parent.relative_to(ROOT)) in NATRIX_FOLDERS:
        said += run("natrix", "lint", relative)
    if not said:
        stamp.write_text(key)
    return said


def run(tool: str, *arguments: str) -> str:
    """Output of a tool that found something; empty when it found nothing."""
    done = subprocess.run(
        [str(TOOLS / tool), *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return (done.stdout + done.stderr) if done.returncode else ""


if __name__ == "__main__":
    main()
