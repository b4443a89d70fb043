"""What a deployment sets after its contracts are there: FaultProof's book, its policy, the
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

from headrace.chain.abi import Call, Log
from headrace.chain.contract import Owned
from headrace.chain.contracts import JobEscrow, ProviderRegistry, Vault
from headrace.chain.deployment import Contracts, Deployer, WrongDeployment
from headrace.chain.parameters import Parameters
from headrace.chain.rpc import Rpc, to_bytes, to_int
from headrace.errors import Rejected, RetryLater, UsageError

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
        self.verifier = contracts.address("FaultProof")

    def run(self) -> Result:
        self._book()
        self._catalogue()
        enacts_at = self._policy()
        if not enacts_at:
            self._owners()
        record = self.base.record
        if record["is_complete"] != (not enacts_at):
            record["is_complete"] = not enacts_at
        record["parameters"] = self.parameters.model_dump(mode="json")
        self.base.save()
        return Result(self.base.path, record["is_complete"], enacts_at)

    def _send(self, call: Call, contract: Owned | None = None) -> str:
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

    # ---- the book

    def _book(self) -> None:
        index = Vault.FAULT_PROOF_BOOK
        book = self._book_at(index)
        if book is None:
            tx = self._send(self.vault.add_book(self.verifier), self.vault)
            self.settings["book"] = {"index": index, "tx": tx}
            book = self._book_at(index)
        if book != self.verifier:
            raise WrongDeployment(f"book {index} of the vault is {book}, not {self.verifier}")
        self.settings.setdefault("book", {"index": index, "tx": None})
        self.base.save()

    def _book_at(self, index: int) -> str | None:
        try:
            book = self.vault.book_at(index)
        except Rejected:
            return None
        return book if int(book, 16) else None

    # ---- the catalogue

    def _catalogue(self) -> None:
        wanted = [(model.name, model.vram_gib) for model in self.parameters.gpu_models]
        there = self.registry.gpu_models()
        if there[: len(wanted)] != wanted[: len(there)]:
            raise WrongDeployment(
                f"the catalogue on chain begins with {there[: len(wanted)]}: it can only grow"
            )
        for name, vram_gib in wanted[len(there) :]:
            self._send(self.registry.add_gpu_model(name, vram_gib), self.registry)
        if self.registry.gpu_models()[: len(wanted)] != wanted:
            raise RetryLater("the catalogue is not read back yet: run this again")
        self.settings["gpu_models"] = [name for name, _ in wanted]
        self.base.save()

    # ---- the policy

    def _policy(self) -> int:
        """Propose and enact, as far as time allows; returns when it can be enacted, 0 if it is."""
        if self._is_enacted():
            self.settings.setdefault("policy", {})["state"] = "enacted"
            self.base.save()
            return 0
        proposal = self._proposal()
        if proposal is None:
            wanted = self.parameters.policy
            tx = self._send(
                self.escrow.propose_policy(self.verifier, wanted.charge_bps, wanted.keeper_fee),
                self.escrow,
            )
            proposal = self._proposal()
            if proposal is None:
                raise RetryLater("the proposal is not read back yet: run this again")
            self.settings["policy"] = {"propose_tx": tx}
        self.settings.setdefault("policy", {})
        self.settings["policy"] |= {"state": "proposed", "enacts_at": proposal.enacts_at}
        self.base.save()
        if not self._wait_until(proposal.enacts_at):
            at = datetime.fromtimestamp(proposal.enacts_at, UTC).isoformat()
            self.base.say(f"the policy is proposed: run this again after {at} to enact it")
            return proposal.enacts_at
        tx = self._send(self.escrow.enact_policy(self.verifier))
        if not self._is_enacted():
            raise RetryLater("the policy is not read back yet: run this again")
        self.settings["policy"] |= {"state": "enacted", "enact_tx": tx}
        self.base.save()
        return 0

    def _is_enacted(self) -> bool:
        policy, wanted = self.escrow.policy_of(self.verifier), self.parameters.policy
        return (policy.is_enabled, policy.charge_bps, policy.keeper_fee) == (
            True,
            wanted.charge_bps,
            wanted.keeper_fee,
        )

    def _proposal(self) -> _Proposal | None:
        """What is proposed and waits, if it is what we want."""
        try:
            self.rpc.eth_call(self.escrow.address, self.escrow.enact_policy(self.verifier).data)
        except Rejected as error:
            if error.reason != "policy: too early":
                return None
        last = self._last_proposed()
        wanted = self.parameters.policy
        if last is None or (last.charge_bps, last.keeper_fee) != (
            wanted.charge_bps,
            wanted.keeper_fee,
        ):
            return None
        return last

    def _last_proposed(self) -> _Proposal | None:
        kind = JobEscrow.abi().events["PolicyProposed"]
        start = self.base.record["contracts"]["JobEscrow"]["block"] or 0
        found = self.rpc.call(
            "eth_getLogs",
            {
                "address": self.escrow.address,
                "fromBlock": hex(start),
                "toBlock": "latest",
                "topics": ["0x" + kind.topic.hex(), "0x" + self.verifier[2:].rjust(64, "0")],
            },
        )
        if not found:
            return None
        item = found[-1]
        topics = tuple(to_bytes(topic) for topic in item["topics"])
        number = to_int(item["blockNumber"])
        log = Log(number, 0, b"", b"", self.escrow.address, topics, to_bytes(item["data"]), 0)
        args = kind.decode(log).args
        return _Proposal(args["charge_bps"], args["keeper_fee"], args["enacts_at"])

    def _wait_until(self, enacts_at: int) -> bool:
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
                self._send(contract.transfer_ownership(wanted), contract)
            if contract.owner() != wanted:
                offered.append(contract.ARTIFACT)
        self.settings["owner"] = {"address": wanted, "has_to_accept": offered}
        if offered:
            self.base.say(f"{wanted} now has to call accept_ownership of {', '.join(offered)}")
        self.base.save()
