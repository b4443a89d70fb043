"""The compiled contracts that are shipped with the package."""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from headrace.chain.abi import Abi
from headrace.errors import UsageError


@dataclass(frozen=True, slots=True)
class Artifact:
    """One contract. `runtime` is its code on chain without the immutables that follow it."""

    name: str
    compiler: str
    abi: Abi
    bytecode: bytes
    runtime: bytes


@cache
def load(name: str) -> Artifact:
    """The contract called `name`; UsageError if the package has none."""
    file = resources.files("headrace") / "artifacts" / f"{name}.json"
    try:
        content: dict[str, Any] = json.loads(file.read_text())
    except FileNotFoundError:
        raise UsageError(f"no compiled {name} in the package: run `make build` first") from None
    return Artifact(
        name=name,
        compiler=content["compiler"],
        abi=Abi(content["abi"]),
        bytecode=bytes.fromhex(content["bytecode"].removeprefix("0x")),
        runtime=bytes.fromhex(content["runtime"].removeprefix("0x")),
    )
