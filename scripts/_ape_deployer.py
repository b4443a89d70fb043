"""
An account of Ape as the Deployer of `headrace.chain.deployment`: Ape signs and sends, no more.
"""

import subprocess
from pathlib import Path
from typing import Any

from ape.api import AccountAPI, ProviderAPI
from ape.exceptions import ApeException, ContractLogicError, TransactionNotFoundError

from headrace.chain.abi import checksummed
from headrace.chain.rpc import Rpc
from headrace.errors import Rejected, RetryLater, UsageError
from headrace.settings import load

DEPLOYMENTS = Path("deployments")


class ApeDeployer:
    """Sends with `account`, which must not ask anything: see `unlocked`."""

    def __init__(self, account: AccountAPI, provider: ProviderAPI) -> None:
        self._account = account
        self._provider = provider

    @property
    def address(self) -> str:
        """The account, checksummed."""
        return checksummed(str(self._account.address))

    def send(self, *, nonce: int, to: str | None, data: bytes) -> bytes:
        """As `deployment.Deployer.send`."""
        fields: dict[str, Any] = {
            "sender": self.address,
            "nonce": nonce,
            "data": data,
            # The next step waits by itself until the chain shows this one.
            "required_confirmations": 0,
        }
        if to is not None:
            fields["receiver"] = to
        ecosystem = self._provider.network.ecosystem
        try:
            receipt = self._account.call(ecosystem.create_transaction(**fields))
        except ContractLogicError as error:
            raise Rejected(error.revert_message or "reverted without a reason") from error
        except TransactionNotFoundError as error:
            raise RetryLater(str(error)) from error
        except ApeException as error:
            raise RetryLater(f"{type(error).__name__}: {error}") from error
        return bytes.fromhex(str(receipt.txn_hash).removeprefix("0x"))


def unlocked(account: AccountAPI) -> AccountAPI:
    """
    The account, signing without a prompt. A keyfile's passphrase is taken from
    HEADRACE_PASSPHRASE_FILE or HEADRACE_PASSPHRASE; test accounts need none.
    """
    if not hasattr(account, "set_autosign"):
        return account
    passphrase = load().passphrase_of_account()
    if passphrase is None:
        raise UsageError(
            "set HEADRACE_PASSPHRASE_FILE (or HEADRACE_PASSPHRASE) to the account's passphrase"
        )
    try:
        account.set_autosign(True, passphrase=passphrase)
    except ApeException as error:
        raise UsageError(f"account {account.alias} can't be unlocked: {error}") from None
    return account


def files_of(provider: ProviderAPI) -> tuple[Path, Path]:
    """The parameters and the manifest of the connected network."""
    network = provider.network
    return (
        DEPLOYMENTS / f"{network.name}.params.json",
        DEPLOYMENTS / f"{network.ecosystem.name}-{network.name}.json",
    )


def rpc_of(provider: ProviderAPI) -> Rpc:
    """A connection of our own to the node that Ape is connected to."""
    url = getattr(provider, "http_uri", None) or getattr(provider, "uri", None)
    if not url:
        raise UsageError(f"the provider {provider.name} has no HTTP URL")
    return Rpc(str(url))


def commit() -> str:
    """The commit of the sources, with `-dirty` if they differ from it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"
