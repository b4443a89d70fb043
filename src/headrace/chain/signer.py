"""Who signs a key's transactions: a keyfile of this process, or a signer on another machine.

A remote signer speaks JSON-RPC `eth_signTransaction` over HTTP (web3signer, clef, and nodes that
hold keys do). It is not believed: what comes back must be the transaction that was asked for,
signed by the account that was asked for, or it is thrown away.
"""

from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests
import rlp
from eth_account import Account
from eth_utils.crypto import keccak

from headrace.chain.abi import checksummed
from headrace.errors import HeadraceError, RetryLater, Unreachable, UsageError

# The fields of a transaction of type 2, as they are encoded before the signature's.
_FIELDS = (
    "chainId",
    "nonce",
    "maxPriorityFeePerGas",
    "maxFeePerGas",
    "gas",
    "to",
    "value",
    "data",
)
_DYNAMIC_FEE = 2
_MOST_BYTES = 1 << 20


class BadSignature(HeadraceError):
    """A signer returned something other than what it was asked to sign."""


class Signer(Protocol):
    """Signs transactions of type 2 for one account. `headrace.chain.accounts.Key` is one."""

    @property
    def address(self) -> str:
        """The account, checksummed."""

    def sign_transaction(self, fields: dict[str, Any]) -> tuple[bytes, bytes]:
        """
        The raw transaction and its hash, for fields as web3 names them: ints, `to` as a checksummed
        address, `data` as bytes. Unreachable or RetryLater if it can't be had now.
        """


class RemoteSigner:
    """A signer behind HTTP, for one of its accounts."""

    def __init__(self, url: str, address: str, *, timeout: float = 3.0) -> None:
        """
        `timeout` in seconds, short, because a nonce is held while it signs. UsageError if the URL
        can't be one. Nothing is asked yet.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError("the signer's URL must start with http:// or https:// and name a host")
        self.host = parts.hostname if parts.port is None else f"{parts.hostname}:{parts.port}"
        self._url = url
        self._address = checksummed(address)
        self._timeout = timeout
        self._session = requests.Session()
        # A signer is on this machine or in this network: never by a proxy of the environment.
        self._session.trust_env = False

    def __repr__(self) -> str:
        return f"RemoteSigner({self._address} at {self.host})"

    @property
    def address(self) -> str:
        """The account it signs for."""
        return self._address

    def check(self) -> None:
        """UsageError if the signer doesn't hold the account; Unreachable if it doesn't answer."""
        answer = self._ask("eth_accounts", [])
        held = answer if isinstance(answer, list) else []
        if self._address.lower() not in {str(account).lower() for account in held}:
            raise UsageError(f"the signer at {self.host} does not hold {self._address}")

    def sign_transaction(self, fields: dict[str, Any]) -> tuple[bytes, bytes]:
        """As `Signer`. BadSignature if what comes back is anything else than what was asked."""
        request = {
            "from": self._address,
            "to": fields["to"],
            "data": "0x" + fields["data"].hex(),
            **{name: hex(fields[name]) for name in _FIELDS if name not in ("to", "data")},
            "type": hex(_DYNAMIC_FEE),
        }
        answer = self._ask("eth_signTransaction", [request])
        if isinstance(answer, Mapping):  # geth and clef wrap it
            answer = answer.get("raw")
        try:
            raw = bytes.fromhex(str(answer).removeprefix("0x"))
        except ValueError:
            raise BadSignature(f"the signer at {self.host} returned no transaction") from None
        self._check(raw, fields)
        return raw, keccak(raw)

    def _check(self, raw: bytes, fields: Mapping[str, Any]) -> None:
        wanted = [
            _number(fields[name]) if isinstance(fields[name], int) else _data(fields[name])
            for name in _FIELDS
        ]
        try:
            if raw[:1] != bytes([_DYNAMIC_FEE]):
                raise ValueError("another type")
            parts = rlp.decode(raw[1:])
            is_ours = list(parts[:8]) == wanted and list(parts[8]) == [] and len(parts) == 12
            signed_by = Account.recover_transaction(raw)
        except Exception as error:
            # Whatever a decoder of strange bytes raises: they are no transaction.
            raise BadSignature(
                f"the signer at {self.host} returned no transaction ({type(error).__name__})"
            ) from None
        if not is_ours:
            raise BadSignature(f"the signer at {self.host} signed another transaction")
        if checksummed(signed_by) != self._address:
            raise BadSignature(f"the signer at {self.host} signed with another key")

    def _ask(self, method: str, params: list[Any]) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        try:
            response = self._session.post(self._url, json=body, timeout=self._timeout)
            content = response.json() if len(response.content) <= _MOST_BYTES else None
        except ValueError:
            content = None
        except requests.RequestException:
            # `from None`: what requests raises carries the whole URL.
            raise Unreachable(f"the signer at {self.host} can't be reached") from None
        if not isinstance(content, Mapping):
            raise Unreachable(f"the signer at {self.host} gave no proper answer")
        if content.get("error") is not None:
            error = content["error"]
            message = error.get("message") if isinstance(error, Mapping) else error
            raise RetryLater(f"the signer at {self.host} refuses: {str(message)[:200]}")
        return content.get("result")


def _number(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8)


def _data(value: str | bytes) -> bytes:
    return bytes.fromhex(value[2:]) if isinstance(value, str) else value
