"""Keys: web3 keystore files, one per account, readable by their owner only.

A passphrase comes from whoever calls (a file, the environment, a prompt of the command line);
nothing here asks for one.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_typing import Hash32

from headrace.chain.abi import checksummed
from headrace.errors import UsageError

# Rounds of the key derivation: the library's own, and for keys of a local chain where waiting is
# waste.
_LIGHT_ROUNDS = 4_096


@dataclass(frozen=True, slots=True)
class Key:
    """An unlocked key. Its secret is not shown by `repr`."""

    address: str
    _account: LocalAccount = field(repr=False)

    @classmethod
    def of(cls, secret: bytes | str) -> "Key":
        """The key of a secret of 32 bytes (or its hex digits)."""
        account = Account.from_key(secret)
        return cls(checksummed(account.address), account)

    @property
    def secret(self) -> bytes:
        """The secret itself, 32 bytes."""
        return bytes(self._account.key)

    def sign_digest(self, digest: bytes) -> bytes:
        """65 bytes r, s, v over an EIP-712 digest of 32 bytes."""
        return bytes(self._account.unsafe_sign_hash(Hash32(digest)).signature)

    def sign_transaction(self, fields: dict[str, Any]) -> tuple[bytes, bytes]:
        """The raw transaction and its hash."""
        signed = self._account.sign_transaction(fields)
        return bytes(signed.raw_transaction), bytes(signed.hash)


def path_of(folder: Path, name: str) -> Path:
    """The keyfile of the account called `name`."""
    return folder / f"{name}.json"


def create(
    folder: Path,
    name: str,
    passphrase: str,
    *,
    secret: bytes | None = None,
    is_light: bool = False,
) -> Key:
    """
    Make a keyfile with a new key, or with `secret`. `is_light` derives fast, for keys of a local
    chain. UsageError if there is one already, or the passphrase is empty.
    """
    if not passphrase:
        raise UsageError("the passphrase is empty")
    path = path_of(folder, name)
    if path.exists():
        raise UsageError(f"{path} exists already: choose another account name")
    key = Key.of(secret if secret is not None else Account.create().key)
    if is_light:
        locked = Account.encrypt(key.secret, passphrase, kdf="pbkdf2", iterations=_LIGHT_ROUNDS)
    else:
        locked = Account.encrypt(key.secret, passphrase)
    content = json.dumps(locked)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Written whole under another name first: a crash never leaves half a key under the right one.
    partial = path.with_suffix(f".{os.getpid()}.new")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(partial, path)
    except FileExistsError:
        raise UsageError(f"{path} exists already: choose another account name") from None
    finally:
        partial.unlink(missing_ok=True)
    return key


def address_of(folder: Path, name: str) -> str:
    """An account's address, without its passphrase. UsageError if there is no such keyfile."""
    return checksummed("0x" + str(_content(path_of(folder, name))["address"]).removeprefix("0x"))


def load(folder: Path, name: str, passphrase: str) -> Key:
    """
    Unlock a keyfile. UsageError if it is missing, open to others, damaged, or the passphrase is
    wrong.
    """
    path = path_of(folder, name)
    content = _content(path)
    if path.stat().st_mode & 0o077:
        raise UsageError(f"{path} can be read by others: run `chmod 600 {path}`")
    try:
        return Key.of(bytes(Account.decrypt(content, passphrase)))
    except ValueError as error:
        if "MAC mismatch" in str(error):
            raise UsageError(f"wrong passphrase for {path}") from None
        raise UsageError(f"{path} is damaged: {error}") from None
    except (KeyError, TypeError, AttributeError, NotImplementedError):
        raise UsageError(f"{path} is damaged or no keystore file") from None


def names(folder: Path) -> list[str]:
    """The accounts that have a keyfile, sorted."""
    return sorted(path.stem for path in folder.glob("*.json"))


def resolve(folder: Path, text: str, what: str) -> str:
    """An address, or that of a keyfile by its name. UsageError, naming `what`, if neither."""
    if text.startswith("0x"):
        try:
            return checksummed(text)
        except ValueError:
            raise UsageError(f"{what}: {text} is no address") from None
    if text in names(folder):
        return address_of(folder, text)
    raise UsageError(f"{what}: {text!r} is neither an address nor an account of this home")


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise UsageError(f"there is no keyfile {path}: run `headrace init` first") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} can't be read: {error}") from None
    if not isinstance(content, dict) or "address" not in content:
        raise UsageError(f"{path} is no keystore file")
    return content
