"""What a deployment sets after its contracts are there: the verifiers' books and policies, the
catalogue.

`deploy` is the whole of it. Each setting is read first and sent only if it is missing, so running
it again does nothing new. A policy waits for the escrow's timelock: it is proposed, the manifest
says from when on it can be enacted, and a later run enacts it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from headrace.chain import blueprint
from headrace.chain.abi import Call, Log
from headrace.chain.contract import Owned
from headrace.chain.contracts import JobEscrow, ProviderRegistry, Vault
from headrace.chain.deployment import Contracts, Deployer, WrongDeployment
from headrace.chain.parameters import Parameters
from headrace.chain.rpc import Rpc, to_bytes, to_int
from headrace.errors import Rejected, RetryLater, UsageError

# The books of the verifiers, in their order.
BOOKS = (Vault.FAULT_PROOF_BOOK, Vault.GRAPH_PROOF_BOOK)
# A wait of at most this many seconds for the timelock is sat out.
_SHORT_WAIT = 60


@dataclass(frozen=True, slots=True)
class Result:
    """Where a run of `deploy` ended. `enacts_at` is when the policy can be enacted, 0 if it is."""

    path: Path
    is_complete: bool
    enacts_at: int


@dataclass(frozen=True, slots=True)
class _Proposal:
    charge_bps: int
    keeper_fee: int
    enacts_at: int


def deploy(
    rpc: Rpc,
    deployer: Deployer,
    parameters: Parameters,
    path: Path,
    *,
    commit: str = "unknown",
    say: Callable[[str], None] = lambda line: None,
    patience: float = 120.0,
) -> Result:
    """
    Bring the chain to what `parameters` say and record it in the manifest at `path`. Can be stopped
    and run again at any point. UsageError if the file and the parameters don't go together,
    WrongDeployment if the chain holds something else than the manifest says, RetryLater or
    Unreachable if it is to be run again.
    """
    contracts = Contracts(
        rpc, deployer, parameters, path, commit=commit, say=say, patience=patience
    )
    contracts.create_all()
    return _Wiring(contracts).run()


class _Wiring:
    def __init__(self, contracts: Contracts) -> None:
        self.base = contracts
        self.rpc = contracts.rpc
        self.parameters = contracts.parameters
        self.settings = contracts.record["settings"]
        self.vault = Vault(self.rpc, contracts.address("Vault"))
        self.registry = ProviderRegistry(self.rpc, contracts.address("ProviderRegistry"))
        self.escrow = JobEscrow(self.rpc, contracts.address("JobEscrow"))

    def run(self) -> Result:
        verifiers = [
            _Verifier(self, name, index)
            for name, index in zip(blueprint.VERIFIERS, BOOKS, strict=True)
        ]
        for verifier in verifiers:
            verifier.book()
        self._catalogue()
        # All proposals first: they wait together.
        enacts_at = max(verifier.propose() for verifier in verifiers)
        if enacts_at and self.wait_until(enacts_at):
            enacts_at = max(verifier.propose() for verifier in verifiers)
        elif enacts_at:
            at = datetime.fromtimestamp(enacts_at, UTC).isoformat()
            self.base.say(f"the policies are proposed: run this again after {at} to enact them")
        if not enacts_at:
            self._owners()
        record = self.base.record
        if record["is_complete"] != (not enacts_at):
            record["is_complete"] = not enacts_at
        record["parameters"] = self.parameters.model_dump(mode="json")
        self.base.save()
        return Result(self.base.path, record["is_complete"], enacts_at)

    def send(self, call: Call, contract: Owned | None = None) -> str:
        """Send a setting; the hash of its transaction. `contract` if only its owner may."""
        me = self.base.deployer.address
        if contract is not None and (owner := contract.owner()) != me:
            raise UsageError(
                f"{call.what} is for the owner {owner}, not for {me}: send 0x{call.data.hex()} "
                f"to {call.to} from there, then run this again"
            )
        nonce = self.base.next_nonce()
        self.rpc.eth_call(call.to, call.data, sender=me)
        self.base.say(call.what)
        tx_hash = self.base.deployer.send(nonce=nonce, to=call.to, data=call.data)
        return "0x" + tx_hash.hex()

    # ---- the catalogue

    def _catalogue(self) -> None:
        wanted = [(model.name, model.vram_gib) for model in self.parameters.gpu_models]
        there = self.registry.gpu_models()
        if there[: len(wanted)] != wanted[: len(there)]:
            raise WrongDeployment(
                f"the catalogue on chain begins with {there[: len(wanted)]}: it can only grow"
            )
        for name, vram_gib in wanted[len(there) :]:
            self.send(self.registry.add_gpu_model(name, vram_gib), self.registry)
        if self.registry.gpu_models()[: len(wanted)] != wanted:
            raise RetryLater("the catalogue is not read back yet: run this again")
        self.settings["gpu_models"] = [name for name, _ in wanted]
        self.base.save()

    def wait_until(self, enacts_at: int) -> bool:
        """Sit out a short timelock; False if it is a long one."""
        left = enacts_at - self.rpc.head().timestamp
        if left <= 0:
            return True
        # The chain's clock decides; a chain that stands still until somebody sends stamps the next
        # block with its own.
        if left > _SHORT_WAIT:
            return False
        self.base.say(f"waiting {left} seconds for the policy's timelock")
        time.sleep(left)
        return True

    # ---- the owner

    def _owners(self) -> None:
        wanted = self.parameters.owner
        if wanted is None:
            return
        offered = []
        contracts: tuple[Owned, ...] = (self.vault, self.registry, self.escrow)
        for contract in contracts:
            if contract.owner() != wanted and contract.pending_owner() != wanted:
                self.send(contract.transfer_ownership(wanted), contract)
            if contract.owner() != wanted:
                offered.append(contract.ARTIFACT)
        self.settings["owner"] = {"address": wanted, "has_to_accept": offered}
        if offered:
            self.base.say(f"{wanted} now has to call accept_ownership of {', '.join(offered)}")
        self.base.save()


class _Verifier:
    """One verifier's book in the Vault, and its policy."""

    def __init__(self, wiring: _Wiring, name: str, index: int) -> None:
        self._wiring = wiring
        self._base = wiring.base
        self._name = name
        self._index = index
        self._address = wiring.base.address(name)
        self._settings: dict[str, Any] = wiring.settings.setdefault(name, {})

    # ---- the book

    def book(self) -> None:
        vault = self._wiring.vault
        tx = None
        book = self._book_at(self._index)
        if book is None:
            tx = self._wiring.send(vault.add_book(self._address), vault)
            book = self._book_at(self._index)
        if book != self._address:
            raise WrongDeployment(f"book {self._index} of the vault is {book}, not {self._address}")
        if tx is not None or "book" not in self._settings:
            self._settings["book"] = {"index": self._index, "tx": tx}
        self._base.save()

    def _book_at(self, index: int) -> str | None:
        try:
            book = self._wiring.vault.book_at(index)
        except Rejected:
            return None
        return book if int(book, 16) else None

    # ---- the policy

    def propose(self) -> int:
        """Propose or enact, as far as time allows; returns when to enact, 0 if it is in force."""
        wiring, escrow = self._wiring, self._wiring.escrow
        if self._is_enacted():
            self._policy["state"] = "enacted"
            self._base.save()
            return 0
        proposal = self._proposal()
        if proposal is None:
            wanted = wiring.parameters.policy
            tx = wiring.send(
                escrow.propose_policy(self._address, wanted.charge_bps, wanted.keeper_fee), escrow
            )
            proposal = self._proposal()
            if proposal is None:
                raise RetryLater("the proposal is not read back yet: run this again")
            self._settings["policy"] = {"propose_tx": tx}
        self._policy.update(state="proposed", enacts_at=proposal.enacts_at)
        self._base.save()
        if proposal.enacts_at > wiring.rpc.head().timestamp:
            return proposal.enacts_at
        tx = wiring.send(escrow.enact_policy(self._address))
        if not self._is_enacted():
            raise RetryLater("the policy is not read back yet: run this again")
        self._policy.update(state="enacted", enact_tx=tx)
        self._base.save()
        return 0

    @property
    def _policy(self) -> dict[str, Any]:
        found: dict[str, Any] = self._settings.setdefault("policy", {})
        return found

    def _is_enacted(self) -> bool:
        policy = self._wiring.escrow.policy_of(self._address)
        wanted = self._wiring.parameters.policy
        return (policy.is_enabled, policy.charge_bps, policy.keeper_fee) == (
            True,
            wanted.charge_bps,
            wanted.keeper_fee,
        )

    def _proposal(self) -> _Proposal | None:
        """What is proposed and waits, if it is what we want."""
        escrow = self._wiring.escrow
        try:
            self._wiring.rpc.eth_call(escrow.address, escrow.enact_policy(self._address).data)
        except Rejected as error:
            if error.reason != "policy: too early":
                return None
        last = self._last_proposed()
        wanted = self._wiring.parameters.policy
        if last is None or (last.charge_bps, last.keeper_fee) != (
            wanted.charge_bps,
            wanted.keeper_fee,
        ):
            return None
        return last

    def _last_proposed(self) -> _Proposal | None:
        escrow = self._wiring.escrow
        kind = JobEscrow.abi().events["PolicyProposed"]
        start = self._base.record["contracts"]["JobEscrow"]["block"] or 0
        found = self._wiring.rpc.call(
            "eth_getLogs",
            {
                "address": escrow.address,
                "fromBlock": hex(start),
                "toBlock": "latest",
                "topics": ["0x" + kind.topic.hex(), "0x" + self._address[2:].rjust(64, "0")],
            },
        )
        if not found:
            return None
        item = found[-1]
        topics = tuple(to_bytes(topic, 32) for topic in item["topics"])
        number = to_int(item["blockNumber"])
        log = Log(number, 0, b"", b"", escrow.address, topics, to_bytes(item["data"]), 0)
        args = kind.decode(log).args
        return _Proposal(args["charge_bps"], args["keeper_fee"], args["enacts_at"])
