"""Compiles the repository's Vyper sources, one contract at a time, with a cache.

The cache key is the text of a contract and of everything it imports from this repository, so that a
broken or half-written contract stops nobody but those who need it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / "build" / "compiled"
CONTRACT_FOLDERS = ("contracts", "contracts/mocks", "contracts/harness")
IMPORT_FOLDERS = (*CONTRACT_FOLDERS, "contracts/modules", "interfaces")
IMPORT_LINE = re.compile(r"^(?:from\s+(\S+)\s+)?import\s+(\w+(?:\.\w+)*)", re.MULTILINE)

Abi = list[dict[str, Any]]


class CompileError(Exception):
    """The compiler refused a source; the message is the compiler's own."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """What the compiler made of one contract. `bytecode` and `runtime` are 0x-prefixed hex."""

    name: str
    path: Path
    abi: Abi
    bytecode: str
    runtime: str

    @property
    def runtime_size(self) -> int:
        """Bytes of code on chain, without the immutables that are appended at deployment."""
        return (len(self.runtime) - 2) // 2


def source_of(name: str) -> Path:
    """Path of the contract called `name`, which is unique among contracts, mocks and harnesses."""
    found = [p for folder in CONTRACT_FOLDERS if (p := ROOT / folder / f"{name}.vy").is_file()]
    if len(found) != 1:
        places = ", ".join(str(p.relative_to(ROOT)) for p in found) or "nowhere"
        raise CompileError(f"contract {name}: expected one source, found {places}")
    return found[0]


def contract_names(*folders: str) -> list[str]:
    """Sorted names of the contracts directly in `folders` (by default the deployable ones)."""
    return sorted(p.stem for f in folders or ("contracts",) for p in (ROOT / f).glob("*.vy"))


def closure(path: Path) -> list[Path]:
    """`path` and every file of this repository that it imports, directly or not, sorted."""
    seen: set[Path] = set()
    todo = [path]
    while todo:
        current = todo.pop()
        if current in seen:
            continue
        seen.add(current)
        for _, target in IMPORT_LINE.findall(current.read_text()):
            stem = target.rsplit(".", 1)[-1]
            todo += [
                found
                for folder in IMPORT_FOLDERS
                for suffix in (".vy", ".vyi")
                if (found := ROOT / folder / (stem + suffix)).is_file()
            ]
    return sorted(seen)


def source_hash(path: Path) -> str:
    """Digest of the compiler's version and of the closure of `path`: the cache key."""
    digest = hashlib.sha256(f"vyper {version('vyper')}".encode())
    for file in closure(path):
        digest.update(f"\0{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def compile_contract(name: str) -> Compiled:
    """Compiles `contracts/**/<name>.vy`, or takes it from the cache. Raises CompileError."""
    path = source_of(name)
    entry = _cached(path, "abi,bytecode,bytecode_runtime")
    return Compiled(name, path, json.loads(entry[0]), entry[1], entry[2])


def compile_interface(name: str) -> Abi:
    """The ABI that `interfaces/<name>.vyi` declares. Raises CompileError."""
    abi: Abi = json.loads(_cached(ROOT / "interfaces" / f"{name}.vyi", "abi")[0])
    return abi


def compile_natspec(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """User and developer documentation of the contract at `path`. Raises CompileError."""
    user, dev = _cached(path, "userdoc,devdoc")
    return json.loads(user), json.loads(dev)


def _cached(path: Path, formats: str) -> list[str]:
    CACHE.mkdir(parents=True, exist_ok=True)
    entry_name = f"{path.stem}.{formats.replace(',', '-')}"
    cached = CACHE / f"{entry_name}.json"
    # One process compiles while the others wait for its result.
    with (CACHE / f"{entry_name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        key = source_hash(path)
        if cached.is_file():
            entry = json.loads(cached.read_text())
            if entry["key"] == key:
                return list(entry["output"])
        output = _run(path, formats)
        # A rename, so that whoever reads without the lock never sees half a file.
        partial = cached.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps({"key": key, "output": output}))
        partial.replace(cached)
    return output


def _run(path: Path, formats: str) -> list[str]:
    arguments = ["-p", ".", "-f", formats, str(path.relative_to(ROOT))]
    # The compiler as a process of its own: its memory goes with it, and `python -m` needs no PATH.
    done = subprocess.run(
        [sys.executable, "-m", "vyper.cli.vyper_compile", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout.strip().splitlines()
    if done.returncode or len(output) != len(formats.split(",")):
        raise CompileError(f"{path.relative_to(ROOT)}:\n{done.stderr.strip() or done.stdout}")
    return output


def main() -> None:
    """Compiles every contract of the repository and says which fail."""
    failed = 0
    for name in contract_names(*CONTRACT_FOLDERS):
        try:
            size = compile_contract(name).runtime_size
        except CompileError as error:
            failed += 1
            sys.stderr.write(f"{error}\n")
        else:
            sys.stdout.write(f"{name:<28} {size:>6} bytes\n")
    if failed:
        raise SystemExit(f"{failed} contract(s) do not compile")


if __name__ == "__main__":
    main()
