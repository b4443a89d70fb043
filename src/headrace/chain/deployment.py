"""Puts the protocol on a chain, step by step, so that it can be stopped and run again anywhere.

Every step looks first whether it is done: on record, or on the chain although a crash kept it off
the record. A creation's nonce is written down before it is sent, so what stands at the predicted
address is recognised, and what is sent again is the same transaction. If another program has used
up a nonce of the group (see blueprint.py), the group is put up anew and what was there is listed as
abandoned. After each step what was set is read back, and the manifest is written.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol

from eth_utils.crypto import keccak

from headrace.chain import blueprint, manifest
from headrace.chain.abi import Abi, Call
from headrace.chain.contract import Query, read_many
from headrace.chain.parameters import Parameters
from headrace.chain.rpc import Rpc, to_int
from headrace.errors import HeadraceError, RetryLater, UsageError

_CODE_LIMIT = 24_576
_REPLANS = 3


class Deployer(Protocol):
    """Whoever signs: a keyfile account of Ape, or a key of ours."""

    @property
    def address(self) -> str:
        """The account, checksummed."""

    def send(self, *, nonce: int, to: str | None, data: bytes) -> bytes:
        """
        Sign and send; returns the hash once the transaction is in a block. `to` None creates.
        Rejected if it reverts, RetryLater if it is in no block in time.
        """


class WrongDeployment(HeadraceError):
    """The chain holds something else than the plan: a person has to look."""


class _ForeignNonce(Exception):
    """The nonce that a creation was planned for is used, and nothing of ours is there."""


class Contracts:
    """The part of a deployment that creates contracts. Settings come after it (wiring.py)."""

    def __init__(
        self,
        rpc: Rpc,
        deployer: Deployer,
        parameters: Parameters,
        path: Path,
        *,
        commit: str = "unknown",
        say: Callable[[str], None] = lambda line: None,
        patience: float = 120.0,
    ) -> None:
        """
        `path` is the manifest's, `say` gets a line for each step, `patience` is how many seconds a
        transaction that is under way is waited for.
        """
        self.rpc = rpc
        self.deployer = deployer
        self.parameters = parameters
        self.path = path
        self.say = say
        self._commit = commit
        self._patience = patience
        self.record = self._begin()

    # ---- the manifest

    def _begin(self) -> dict[str, Any]:
        p = self.parameters
        self.rpc.check_chain(p.chain_id)
        genesis = self.rpc.header(0)
        if genesis is None:
            raise RetryLater(f"{self.rpc.host} does not know its first block")
        fresh = {
            "format": manifest.FORMAT,
            "chain_id": p.chain_id,
            "genesis": "0x" + genesis.hash.hex(),
            "commit": self._commit,
            "compiler": blueprint.artifact("Vault").compiler,
            "sources": blueprint.sources_hash(),
            "deployer": self.deployer.address,
            "parameters": p.model_dump(mode="json"),
            "is_complete": False,
            "nonces": {},
            "planned_at": self.rpc.head().number,
            "contracts": {},
            "abandoned": [],
            "settings": {},
        }
        old = manifest.read(self.path)
        if old is None:
            manifest.write(self.path, fresh)
            return fresh
        for key, what in (("chain_id", "chain"), ("genesis", "chain"), ("deployer", "account")):
            if old[key] != fresh[key]:
                raise UsageError(
                    f"{self.path} is of another {what} ({key} {old[key]}, not {fresh[key]}): "
                    "move it away to deploy anew"
                )
        if old["sources"] != fresh["sources"]:
            raise UsageError(
                f"the contracts have changed since {self.path} was begun (at commit "
                f"{old['commit']}): go back to it, or move the file away to deploy anew"
            )
        self._check_parameters(old["parameters"])
        return old

    def _check_parameters(self, old: dict[str, Any]) -> None:
        # What can be changed afterwards: wiring.py does.
        free = {"policy", "gpu_models", "owner"}
        new = self.parameters.model_dump(mode="json")
        changed = [key for key in new if key not in free and old.get(key) != new[key]]
        if changed:
            raise UsageError(
                f"{changed[0]} was {old.get(changed[0])} when {self.path} was begun and can't be "
                f"changed: put it back, or move the file away to deploy anew"
            )

    def save(self) -> None:
        """Write the manifest as it is now."""
        manifest.write(self.path, self.record)

    def address(self, name: str) -> str:
        """Where a contract is."""
        return str(self.record["contracts"][name]["address"])

    # ---- creations

    def create_all(self) -> None:
        """The token, the group and the verifiers, as far as they are not there."""
        if self.parameters.token is None:
            self._until_placed("Token", ["Token"])
        else:
            self._adopt_token(self.parameters.token)
        self._until_placed("Vault", list(blueprint.GROUP))
        for name in blueprint.LATER:
            self._until_placed(name, [name])

    def _adopt_token(self, address: str) -> None:
        if "Token" in self.record["contracts"]:
            self._check_placed("Token")
            return
        code = self.rpc.code(address)
        if not code:
            raise UsageError(f"token: there is no contract at {address}")
        self.record["contracts"]["Token"] = {
            "address": address,
            "args": None,
            "tx": None,
            "block": None,
            "code_hash": "0x" + keccak(code).hex(),
        }
        self.save()

    def _until_placed(self, first: str, names: Sequence[str]) -> None:
        """Create `names` at nonces in a row, again from `first` if a nonce was taken by others."""
        for _ in range(_REPLANS):
            self._plan(names)
            try:
                for name in names:
                    self._place(name)
            except _ForeignNonce:
                self._abandon(first, names)
            else:
                return
        raise WrongDeployment(
            f"another program keeps sending with {self.deployer.address}: "
            "stop it and run this again"
        )

    def _plan(self, names: Sequence[str]) -> None:
        nonces = self.record["nonces"]
        if all(name in nonces for name in names):
            return
        start = self.next_nonce()
        for offset, name in enumerate(names):
            nonces[name] = start + offset
        self.record["planned_at"] = self.rpc.head().number
        self.save()

    def _abandon(self, first: str, names: Sequence[str]) -> None:
        nonces = self.record["nonces"]
        self.say(
            f"another transaction of {self.deployer.address} took a planned nonce: "
            f"planning again from {first} on"
        )
        for name in names:
            nonces.pop(name, None)
            placed = self.record["contracts"].pop(name, None)
            if placed is not None:
                self.record["abandoned"].append({"name": name, "address": placed["address"]})
        self.save()

    def _place(self, name: str) -> None:
        if name in self.record["contracts"]:
            self._check_placed(name)
            return
        nonce = self.record["nonces"][name]
        address = blueprint.created_address(self.deployer.address, nonce)
        tx_hash = None
        if not self.rpc.code(address):
            current = self.next_nonce()
            if not self.rpc.code(address):
                if current > nonce:
                    raise _ForeignNonce
                if current < nonce:
                    raise RetryLater(f"{self.rpc.host} is behind: it knows {current} transactions")
                args = self._arguments(name)
                artifact = blueprint.artifact(name)
                data = artifact.abi.init_code(artifact.bytecode, args)
                self.say(f"creating {name}")
                tx_hash = self.deployer.send(nonce=nonce, to=None, data=data)
        self._adopt(name, address, nonce, tx_hash)

    def _arguments(self, name: str) -> tuple[Any, ...]:
        owner = self.deployer.address
        return blueprint.arguments(name, self.parameters, owner, self._addresses())

    def _addresses(self) -> dict[str, str]:
        """Where everything is, or is going to be."""
        planned = {
            name: blueprint.created_address(self.deployer.address, nonce)
            for name, nonce in self.record["nonces"].items()
        }
        return planned | {name: self.address(name) for name in self.record["contracts"]}

    def _adopt(self, name: str, address: str, nonce: int, tx_hash: bytes | None) -> None:
        """Take what stands at the planned address for ours, if it is."""
        code = self.rpc.code(address)
        artifact = blueprint.artifact(name)
        if not code.startswith(artifact.runtime) or len(code) > _CODE_LIMIT:
            self._wrong(f"the code at {address} is not {name}'s")
        self._read_back(name, address)
        where = self._creation(nonce, tx_hash)
        self.record["contracts"][name] = {
            "address": address,
            "args": [_text(arg) for arg in self._arguments(name)],
            "tx": where and "0x" + where[0].hex(),
            "block": where and where[1],
            "code_hash": "0x" + keccak(code).hex(),
        }
        self.save()
        self.say(f"{name} is at {address}")

    def _read_back(self, name: str, address: str) -> None:
        expected = list(blueprint.checks(name, self.parameters, self._addresses()))
        abi: Abi = blueprint.artifact(name).abi
        queries: list[Query[Any]] = []
        for view, args, _ in expected:
            function = abi.functions[view]
            call = Call(address, function.encode(args), f"{name}.{view}")
            queries.append(Query(call, function.decode))
        for (view, _, value), answer in zip(expected, read_many(self.rpc, queries), strict=True):
            if answer != value:
                self._wrong(f"{name}.{view} at {address} is {answer}, not {value}")

    def _check_placed(self, name: str) -> None:
        placed = self.record["contracts"][name]
        code = self.rpc.code(placed["address"])
        if "0x" + keccak(code).hex() != placed["code_hash"]:
            self._wrong(f"the code at {placed['address']} is not the {name} on record")

    def _wrong(self, what: str) -> NoReturn:
        raise WrongDeployment(f"{what} (see {self.path})")

    def _creation(self, nonce: int, tx_hash: bytes | None) -> tuple[bytes, int] | None:
        """
        Hash and block of the creation with our `nonce`: searched for if a crash lost the hash.
        """
        if tx_hash is not None:
            receipt = self.rpc.receipt(tx_hash)
            return None if receipt is None else (tx_hash, to_int(receipt["blockNumber"]))
        ours = self.deployer.address.lower()
        for number in range(self.record["planned_at"], self.rpc.head().number + 1):
            block = self.rpc.call("eth_getBlockByNumber", hex(number), True)
            for tx in block["transactions"]:
                if tx["from"].lower() == ours and to_int(tx["nonce"]) == nonce:
                    return bytes.fromhex(tx["hash"][2:]), number
        return None

    # ---- nonces

    def next_nonce(self) -> int:
        """
        The account's next nonce, once nothing of it is under way: what a crash left behind has to
        be in a block first. RetryLater if that takes too long.
        """
        until = time.monotonic() + self._patience
        while True:
            mined = self.rpc.nonce(self.deployer.address, "latest")
            if self.rpc.nonce(self.deployer.address, "pending") <= mined:
                return mined
            if time.monotonic() > until:
                raise RetryLater(
                    f"a transaction of {self.deployer.address} is not in a block yet: "
                    "run this again later"
                )
            time.sleep(0.2)


def _text(value: Any) -> Any:
    # Amounts pass what JSON readers keep exact.
    return str(value)
