"""Compares the contracts with what is written down about them.

- Each interface a contract implements, against its ABI: the compiler's own check of `implements`
  accepts a function that lacks the interface's return value (vyper#5149).
- NatSpec: every external function written in a contract has a notice and documents each
  parameter and what it returns.
- ABI and size against `snapshots/`, so that a change of either is announced; size against its
  limit.

`--write` renews the snapshots instead of comparing.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import click

from scripts.compiler import (
    ROOT,
    Abi,
    Compiled,
    CompileError,
    compile_contract,
    compile_interface,
    compile_natspec,
    contract_names,
)

SIZE_LIMIT = 20 * 1024
SNAPSHOTS = ROOT / "snapshots"
IMPLEMENTS = re.compile(r"^implements:\s*(I\w+)", re.MULTILINE)
GETTER = re.compile(r"arg\d+$")
EXTERNAL = re.compile(r"^@external\n(?:@\w+(?:\([^)]*\))?\n)*def (\w+)\(", re.MULTILINE)


def main() -> None:
    """Entry point: prints the sizes and every problem; exits with 1 where there is one."""
    cli()


@click.command()
@click.option("--write", is_flag=True, help="Renew snapshots/ instead of comparing with it.")
def cli(write: bool) -> None:
    """Check interfaces, NatSpec, ABI snapshots and code sizes of the deployable contracts."""
    problems: list[str] = []
    contracts: list[Compiled] = []
    for name in contract_names():
        try:
            contracts.append(compile_contract(name))
        except CompileError as error:
            problems.append(str(error))
    for contract in contracts:
        problems += check_interfaces(contract) + check_natspec(contract)
    problems += check_sizes(contracts)
    if not problems and write:
        write_snapshots(contracts)
    elif not write:
        problems += check_snapshots(contracts)
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


def check_interfaces(contract: Compiled) -> list[str]:
    """What the contract's interfaces declare and its ABI has otherwise."""
    implemented = set(IMPLEMENTS.findall(contract.path.read_text()))
    own = f"I{contract.name}"
    problems = []
    if (ROOT / "interfaces" / f"{own}.vyi").is_file() and own not in implemented:
        problems.append(f"{contract.name}: has an interface but no `implements: {own}`")
    for interface in sorted(implemented):
        if (ROOT / "interfaces" / f"{interface}.vyi").is_file():
            problems += compare(
                contract.name, interface, contract.abi, compile_interface(interface)
            )
    return problems


def compare(name: str, interface: str, actual: Abi, declared: Abi) -> list[str]:
    """Both ways, for each function and event that the interface names."""
    # A public variable's getter calls its arguments arg0, arg1, ...: only their types can agree.
    getters = {
        item["name"]
        for item in actual
        if item["type"] == "function" and any(GETTER.match(p["name"]) for p in item["inputs"])
    }
    wanted, found = by_name(declared, getters), by_name(actual, getters)
    problems = []
    for key, forms in wanted.items():
        present = found.get(key, set())
        problems += [f"{name}: {interface} declares {form}" for form in sorted(forms - present)]
        problems += [f"{name}: has {form}, not in {interface}" for form in sorted(present - forms)]
    return problems


def by_name(abi: Abi, getters: set[str]) -> dict[tuple[str, str], set[str]]:
    """The written-out forms of each (kind, name): more than one where arguments have defaults."""
    forms: dict[tuple[str, str], set[str]] = {}
    for item in abi:
        if item["type"] in ("function", "event"):
            forms.setdefault((item["type"], item["name"]), set()).add(
                written(item, named=item["name"] not in getters)
            )
    return forms


def written(item: dict[str, Any], *, named: bool) -> str:
    """A function or event on one line, with everything that has to agree."""
    inputs = ", ".join(field(p if named else {**p, "name": ""}) for p in item["inputs"])
    text = f"{item['type']} {item['name']}({inputs})"
    if item["type"] == "event":
        return text
    outputs = ", ".join(field(part) for part in item["outputs"])
    return f"{text} -> ({outputs}) {item['stateMutability']}"


def field(part: dict[str, Any]) -> str:
    """An argument, a returned value or a struct's member."""
    inner = "".join(f"{field(p)};" for p in part.get("components", []))
    marks = ("{" + inner + "}" if inner else "") + (" indexed" if part.get("indexed") else "")
    return f"{part['type']}{marks} {part['name']}".strip()


def check_natspec(contract: Compiled) -> list[str]:
    """External functions written in the contract whose NatSpec has a gap."""
    user, dev = compile_natspec(contract.path)
    noticed = {signature.split("(")[0] for signature in user.get("methods", {})}
    documented: dict[str, dict[str, Any]] = {}
    for signature, entry in dev.get("methods", {}).items():
        documented.setdefault(signature.split("(")[0], {}).update(entry)
    problems = []
    for name in EXTERNAL.findall(contract.path.read_text()):
        where = f"{contract.name}.{name}"
        items = [i for i in contract.abi if i["type"] == "function" and i["name"] == name]
        entry = documented.get(name, {})
        if name not in noticed:
            problems.append(f"{where}: no @notice")
        named = {part["name"] for item in items for part in item["inputs"]}
        gaps = named - set(entry.get("params", {}))
        problems += [f"{where}: no @param {gap}" for gap in sorted(gaps)]
        if any(item["outputs"] for item in items) and not entry.get("returns"):
            problems.append(f"{where}: no @return")
    return problems


def check_sizes(contracts: list[Compiled]) -> list[str]:
    """Prints the table; contracts over the limit."""
    for contract in contracts:
        print(f"{contract.name:<20} {contract.runtime_size:>6} of {SIZE_LIMIT} bytes")
    return [
        f"{c.name}: {c.runtime_size} bytes of code, limit {SIZE_LIMIT}"
        for c in contracts
        if c.runtime_size > SIZE_LIMIT
    ]


def snapshots(contracts: list[Compiled]) -> dict[str, str]:
    """Text of each snapshot by its path under snapshots/."""
    sizes = {contract.name: contract.runtime_size for contract in contracts}
    texts = {f"abi/{c.name}.json": as_json(c.abi) for c in contracts}
    return texts | {"size.json": as_json(sizes)}


def as_json(value: Any) -> str:
    """JSON as it is committed."""
    return json.dumps(value, indent=2) + "\n"


def write_snapshots(contracts: list[Compiled]) -> None:
    """Makes snapshots/ agree with the contracts."""
    wanted = snapshots(contracts)
    (SNAPSHOTS / "abi").mkdir(parents=True, exist_ok=True)
    for stale in (SNAPSHOTS / "abi").glob("*.json"):
        if f"abi/{stale.name}" not in wanted:
            stale.unlink()
    for path, text in wanted.items():
        (SNAPSHOTS / path).write_text(text)


def check_snapshots(contracts: list[Compiled]) -> list[str]:
    """Snapshots that are absent, stale or of a contract that is gone."""
    wanted = snapshots(contracts)
    hint = "(if meant: make snapshots)"
    problems = []
    for path, text in wanted.items():
        file = SNAPSHOTS / path
        if not file.is_file() or file.read_text() != text:
            problems.append(f"snapshots/{path} differs {hint}")
    gone = {f"abi/{p.name}" for p in (SNAPSHOTS / "abi").glob("*.json")} - set(wanted)
    return problems + [f"snapshots/{path} has no contract {hint}" for path in sorted(gone)]


if __name__ == "__main__":
    main()
