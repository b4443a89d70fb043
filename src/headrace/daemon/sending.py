"""What a process sends with, by its settings: the key's signer, and the book of what it has signed.

A daemon holds the lease of its key; the command line shares the book without it, one transaction at
a time.
"""

from pathlib import Path

from headrace.chain.lease import FileLease
from headrace.chain.manifest import Deployment
from headrace.chain.outbox import Outbox
from headrace.chain.postgres_outbox import open_shared
from headrace.chain.signer import RemoteSigner
from headrace.errors import UsageError
from headrace.settings import Settings


def outbox_path(settings: Settings, deployment: Deployment, address: str) -> Path:
    """
    The outbox of a key on a deployment's chain: shared by everything on this machine that sends
    with the key. A local chain that was started anew has a file of its own.
    """
    chain = f"{deployment.chain_id}-{deployment.genesis[:4].hex()}"
    return settings.home / "outbox" / f"{address.lower()}-{chain}.db"


def open_outbox(
    settings: Settings, deployment: Deployment, address: str, *, is_daemon: bool
) -> Outbox:
    """
    The key's book: on the database server if the settings name one, else a file of the home. For a
    daemon with the lease: UsageError if another process has it, RetryLater for a standby.
    """
    url = settings.database()
    if url is not None:
        return open_shared(
            url,
            chain_id=deployment.chain_id,
            genesis=deployment.genesis,
            address=address,
            with_lease=is_daemon,
            is_standby=settings.standby,
        )
    path = outbox_path(settings, deployment, address)
    lease = FileLease.take(path, is_standby=settings.standby) if is_daemon else None
    return Outbox(path, chain_id=deployment.chain_id, address=address, lease=lease)


def remote_signer(settings: Settings) -> RemoteSigner | None:
    """
    The signer of another machine that the settings name, which holds the account; None for a
    keyfile. UsageError if it doesn't hold it, Unreachable if it doesn't answer now.
    """
    url = settings.signer()
    if url is None:
        return None
    if settings.signer_address is None:
        raise UsageError(
            "set HEADRACE_SIGNER_ADDRESS to the account that the signer is to sign for"
        )
    signer = RemoteSigner(url, settings.signer_address)
    signer.check()
    return signer
