"""Writes what the Python package needs of each contract to `src/headrace/artifacts/<Name>.json`.

`--check` writes nothing and fails where a file is stale, absent or of a contract that is gone.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version

import click

from scripts.compiler import ROOT, Compiled, CompileError, compile_contract, contract_names

ARTIFACTS = ROOT / "src" / "headrace" / "artifacts"


def main() -> None:
    """Entry point."""
    cli()


@click.command()
@click.option("--check", is_flag=True, help="Compare instead of writing.")
def cli(check: bool) -> None:
    """Build the package's contract artifacts."""
    failed: list[str] = []
    wanted: dict[str, str] = {}
    for name in contract_names():
        try:
            wanted[f"{name}.json"] = artifact(compile_contract(name))
        except CompileError as error:
            # The others are still good: a contract that doesn't compile keeps its last artifact.
            failed.append(str(error))
    if check:
        failed += [
            f"src/headrace/artifacts/{file} is stale: make artifacts"
            for file, text in wanted.items()
            if not (ARTIFACTS / file).is_file() or (ARTIFACTS / file).read_text() != text
        ]
    else:
        ARTIFACTS.mkdir(exist_ok=True)
        for file, text in wanted.items():
            (ARTIFACTS / file).write_text(text)
    known = {f"{name}.json" for name in contract_names()}
    for path in sorted(ARTIFACTS.glob("*.json")):
        if path.name not in known and check:
            failed.append(f"src/headrace/artifacts/{path.name} has no contract: make artifacts")
        elif path.name not in known:
            path.unlink()
    for problem in failed:
        print(problem, file=sys.stderr)
    sys.exit(1 if failed else 0)


def artifact(contract: Compiled) -> str:
    """The committed text: the same for the same sources and compiler."""
    content = {
        "name": contract.name,
        "compiler": f"vyper {version('vyper')}",
        "evm_version": "cancun",
        "abi": contract.abi,
        "bytecode": contract.bytecode,
        "runtime": contract.runtime,
    }
    return json.dumps(content, indent=1) + "\n"


if __name__ == "__main__":
    main()
