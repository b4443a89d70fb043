"""What was put where: the record of a deployment, written after each step, checked before use."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_utils.crypto import keccak

from headrace.chain.contracts import JobEscrow, ProviderRegistry, Token, Vault
from headrace.chain.graph_rules import GraphModels, GraphProof, GraphRules
from headrace.chain.rpc import Rpc
from headrace.chain.rules import FaultProof, MatchRules
from headrace.errors import UsageError
from headrace.terms.words import checked_address, checked_hash

FORMAT = 1
# The token first, then in the order of their creation. A deployment may lack version 2 of policy
# `exact`: it then has no large models.
REQUIRED = ("Token", "Vault", "ProviderRegistry", "MatchRules", "JobEscrow", "FaultProof")
NAMES = (
    *REQUIRED,
    "GraphModels",
    "GraphRowRules",
    "GraphElementRules",
    "GraphFormRules",
    "GraphRules",
    "GraphProof",
)


@dataclass(frozen=True, slots=True)
class Placed:
    """
    A contract on the chain; `code_hash` is keccak256 of its code, `block` that of its creation.
    """

    address: str
    code_hash: bytes
    block: int


@dataclass(frozen=True, slots=True)
class Deployment:
    """Which contracts belong together on which chain."""

    path: Path
    chain_id: int
    genesis: bytes
    contracts: dict[str, Placed]
    is_complete: bool

    @classmethod
    def load(cls, path: Path) -> "Deployment":
        """From a manifest. UsageError says what is wrong with the file."""
        content = read(path)
        if content is None:
            raise UsageError(
                f"there is no deployment manifest {path}: set HEADRACE_MANIFEST, "
                "or run `headrace up`"
            )
        try:
            contracts = {
                name: Placed(
                    address=checked_address(name, entry["address"]),
                    code_hash=checked_hash(name, _bytes(entry["code_hash"])),
                    block=int(entry["block"] or 0),
                )
                for name, entry in content["contracts"].items()
            }
            missing = [name for name in REQUIRED if name not in contracts]
            if missing:
                raise UsageError(f"{path} has no {missing[0]}: run the deployment again")
            return cls(
                path=path,
                chain_id=int(content["chain_id"]),
                genesis=checked_hash("genesis", _bytes(content["genesis"])),
                contracts=contracts,
                is_complete=bool(content["is_complete"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"{path} is no deployment manifest: {error!r}") from None

    def verify(self, rpc: Rpc) -> None:
        """
        UsageError if the node serves another chain, or if a contract is missing there or has other
        code than the manifest says.
        """
        rpc.check_chain(self.chain_id)
        genesis = rpc.header(0)
        if genesis is None or genesis.hash != self.genesis:
            raise UsageError(
                f"the node at {rpc.host} serves another chain with the id {self.chain_id} than the "
                f"one of {self.path} (a local chain that was started anew?)"
            )
        names = list(self.contracts)
        requests = [("eth_getCode", (self.contracts[name].address, "latest")) for name in names]
        for name, answer in zip(names, rpc.batch(requests), strict=True):
            place = self.contracts[name]
            code = _bytes(answer)
            if not code:
                raise UsageError(f"{self.path}: there is no {name} at {place.address}")
            if keccak(code) != place.code_hash:
                raise UsageError(
                    f"{self.path}: the code at {place.address} is not the {name} that was deployed"
                )

    def address(self, name: str) -> str:
        """The address of one of `NAMES`."""
        return self.contracts[name].address

    @property
    def start_block(self) -> int:
        """The first block that can hold an event."""
        placed = [self.contracts[name].block for name in REQUIRED[1:]]
        return min(placed)

    def token(self, rpc: Rpc) -> Token:
        """The token's client."""
        return Token(rpc, self.address("Token"))

    def vault(self, rpc: Rpc) -> Vault:
        """The Vault's client."""
        return Vault(rpc, self.address("Vault"))

    def registry(self, rpc: Rpc) -> ProviderRegistry:
        """The ProviderRegistry's client."""
        return ProviderRegistry(rpc, self.address("ProviderRegistry"))

    def rules(self, rpc: Rpc) -> MatchRules:
        """The MatchRules' client."""
        return MatchRules(rpc, self.address("MatchRules"))

    def escrow(self, rpc: Rpc) -> JobEscrow:
        """The JobEscrow's client."""
        return JobEscrow(rpc, self.address("JobEscrow"))

    def fault_proof(self, rpc: Rpc) -> FaultProof:
        """The FaultProof's client."""
        return FaultProof(rpc, self.address("FaultProof"))

    def graph_models(self, rpc: Rpc) -> GraphModels:
        """The GraphModels' client."""
        return GraphModels(rpc, self.address("GraphModels"))

    def graph_rules(self, rpc: Rpc) -> GraphRules:
        """The GraphRules' client."""
        return GraphRules(rpc, self.address("GraphRules"))

    def graph_proof(self, rpc: Rpc) -> GraphProof:
        """The GraphProof's client."""
        return GraphProof(rpc, self.address("GraphProof"))


def read(path: Path) -> dict[str, Any] | None:
    """A manifest's content; None if there is no file. UsageError if it is of another format."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} can't be read: {error}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UsageError(f"{path} is no deployment manifest of format {FORMAT}")
    return content


def write(path: Path, content: dict[str, Any]) -> None:
    """Replace a manifest in one step: after a crash it is the old or the new one, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with partial.open("w") as file:
        file.write(json.dumps(content, indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _bytes(value: Any) -> bytes:
    return bytes.fromhex(str(value).removeprefix("0x"))
