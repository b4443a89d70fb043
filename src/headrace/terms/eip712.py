"""EIP-712: the digests that requesters, providers and account owners sign, and their signatures.

The types are those of docs/encoding.md. The digest of Terms is the job's id whether the job was
posted or only signed. Digests are 32 bytes and bound to a chain id and a contract, so a signature
for one chain or deployment is worth nothing on another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from eth_abi.abi import encode
from eth_account.signers.local import LocalAccount
from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature
from eth_typing import Hash32
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError

from headrace.terms.words import (
    ZERO_HASH,
    Ask,
    Terms,
    checked_address,
    checked_hash,
    checked_uint,
)

# How many members a batch may have.
MAX_BATCH = 32
# Half the order of secp256k1: an s above it is the malleable twin of one below.
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0

_Members = tuple[tuple[str, str], ...]  # name, type

_DOMAIN: _Members = (
    ("name", "string"),
    ("version", "string"),
    ("chainId", "uint256"),
    ("verifyingContract", "address"),
)
_TERMS: _Members = (
    ("requester", "address"),
    ("verifier", "address"),
    ("settings", "uint96"),
    ("requirement", "uint256"),
    ("program", "bytes32"),
    ("input_id", "bytes32"),
    ("price_start", "uint80"),
    ("price_cap", "uint80"),
    ("damage_cap", "uint80"),
    ("tip_fixed", "uint80"),
    ("tip_max", "uint80"),
    ("tip_share_bps", "uint16"),
    ("no_show_bps", "uint16"),
    ("max_attempts", "uint8"),
    ("valid_from", "uint40"),
    ("ramp_seconds", "uint32"),
    ("final_deadline", "uint40"),
    ("ack_seconds", "uint32"),
    ("attempt_seconds", "uint32"),
    ("units", "uint32"),
    ("input_bytes", "uint32"),
    ("epoch", "uint24"),
    ("salt", "uint128"),
)
_ASK: _Members = (
    ("provider", "address"),
    ("node", "uint8"),
    ("lane", "uint8"),
    ("epoch", "uint24"),
    ("expiry", "uint40"),
    ("token", "address"),
    ("price_base", "uint80"),
    ("price_per_unit", "uint80"),
    ("max_lock", "uint80"),
    ("max_units", "uint32"),
    ("max_input_bytes", "uint32"),
    ("min_attempt_seconds", "uint32"),
    ("min_ack_seconds", "uint32"),
    ("max_delay", "uint32"),
    ("programs", "bytes32"),
    ("verifier_terms", "bytes32"),
    ("counterparty", "address"),
    ("salt", "uint96"),
)
_AUTHORISE: _Members = (
    ("account", "address"),
    ("books", "uint256"),
    ("allowed", "bool"),
    ("nonce", "uint256"),
    ("deadline", "uint256"),
)


def _type(name: str, members: _Members) -> str:
    return f"{name}({','.join(f'{kind} {member}' for member, kind in members)})"


_TERMS_TYPE = _type("Terms", _TERMS)
_DOMAIN_HASH = keccak(text=_type("EIP712Domain", _DOMAIN))
_TERMS_HASH = keccak(text=_TERMS_TYPE)
_BATCH_HASH = keccak(text="Batch(Terms terms,bytes32[] inputs)" + _TERMS_TYPE)
_ASK_HASH = keccak(text=_type("Ask", _ASK))
_AUTHORISE_HASH = keccak(text=_type("Authorise", _AUTHORISE))
_HEADRACE = "Headrace"
_VAULT = "Headrace Vault"
_VERSION = "1"


@dataclass(frozen=True, slots=True)
class Domain:
    """
    Which deployment a signature is for: the chain's id and the contract that checks it (JobEscrow
    for terms, batches and asks, the Vault for authorisations).
    """

    chain_id: int
    contract: str

    def __post_init__(self) -> None:
        checked_uint("chain_id", self.chain_id, 256)
        object.__setattr__(self, "contract", checked_address("contract", self.contract))


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorise:
    """
    That `account` lets the Vault's books in the mask `books` reserve its free balance, or no longer
    (`allowed`), until `deadline`, unix seconds. `nonce` is the account's in the Vault.
    """

    account: str
    books: int
    allowed: bool
    nonce: int
    deadline: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "account", checked_address("account", self.account))
        for name in ("books", "nonce", "deadline"):
            checked_uint(name, getattr(self, name), 256)


def job_id(terms: Terms, domain: Domain) -> bytes:
    """The digest of `terms`: what the requester signs, and the job's id."""
    return _digest(domain, _HEADRACE, _terms_hash(terms))


def batch_id(terms: Terms, inputs: Sequence[bytes], domain: Domain) -> bytes:
    """
    The digest of a batch: `terms`, whose own input must be zero, for each of at most 32 `inputs`.
    ValueError if either is not so.
    """
    _check_batch(terms, inputs)
    members = keccak(b"".join(inputs))
    return _digest(domain, _HEADRACE, keccak(_BATCH_HASH + _terms_hash(terms) + members))


def ask_hash(ask: Ask, token: str, domain: Domain) -> bytes:
    """The digest of `ask`, whose amounts are in `token` (the Vault's)."""
    values = asdict(ask) | {"token": checked_address("token", token)}
    return _digest(domain, _HEADRACE, _struct_hash(_ASK_HASH, _ASK, values))


def authorise_hash(message: Authorise, domain: Domain) -> bytes:
    """The digest of an authorisation; the domain's contract is the Vault."""
    return _digest(domain, _VAULT, _struct_hash(_AUTHORISE_HASH, _AUTHORISE, asdict(message)))


def sign(digest: bytes, account: LocalAccount) -> bytes:
    """
    The 65 bytes r, s, v (27 or 28, s in the lower half) of `account` over a digest of this module.
    """
    return bytes(account.unsafe_sign_hash(Hash32(checked_hash("digest", digest))).signature)


def recover(digest: bytes, signature: bytes) -> str:
    """
    The address whose key made a 65-byte signature. ValueError if it is none, or if it is the
    malleable twin (s in the upper half), which the contracts refuse too.
    """
    if len(signature) != 65:
        raise ValueError(f"signature: expected 65 bytes, got {len(signature)}")
    r, s, v = signature[:32], signature[32:64], signature[64]
    if v not in (27, 28):
        raise ValueError(f"signature: v is {v}, not 27 or 28")
    if int.from_bytes(s) > _HALF_ORDER:
        raise ValueError("signature: s is in the upper half")
    try:
        key = Signature(r + s + bytes([v - 27])).recover_public_key_from_msg_hash(
            checked_hash("digest", digest)
        )
    except (BadSignature, ValidationError) as error:
        raise ValueError(f"signature: {error}") from None
    return str(key.to_checksum_address())


def terms_message(terms: Terms, domain: Domain) -> dict[str, Any]:
    """
    `terms` as wallets take it (eth_signTypedData_v4), so that every field is shown by its name.
    """
    return _message("Terms", {"Terms": _TERMS}, domain, _HEADRACE, asdict(terms))


def batch_message(terms: Terms, inputs: Sequence[bytes], domain: Domain) -> dict[str, Any]:
    """A batch as wallets take it; see `batch_id`."""
    _check_batch(terms, inputs)
    types: dict[str, _Members] = {
        "Batch": (("terms", "Terms"), ("inputs", "bytes32[]")),
        "Terms": _TERMS,
    }
    return _message(
        "Batch", types, domain, _HEADRACE, {"terms": asdict(terms), "inputs": list(inputs)}
    )


def ask_message(ask: Ask, token: str, domain: Domain) -> dict[str, Any]:
    """`ask` as wallets take it; see `ask_hash`."""
    values = asdict(ask) | {"token": checked_address("token", token)}
    return _message("Ask", {"Ask": _ASK}, domain, _HEADRACE, values)


def authorise_message(message: Authorise, domain: Domain) -> dict[str, Any]:
    """An authorisation as wallets take it; the domain's contract is the Vault."""
    return _message("Authorise", {"Authorise": _AUTHORISE}, domain, _VAULT, asdict(message))


def _terms_hash(terms: Terms) -> bytes:
    return _struct_hash(_TERMS_HASH, _TERMS, asdict(terms))


def _struct_hash(type_hash: bytes, members: _Members, values: Mapping[str, Any]) -> bytes:
    return keccak(
        type_hash + encode([kind for _, kind in members], [values[name] for name, _ in members])
    )


def _digest(domain: Domain, name: str, struct_hash: bytes) -> bytes:
    separator = keccak(
        _DOMAIN_HASH
        + keccak(text=name)
        + keccak(text=_VERSION)
        + encode(["uint256", "address"], [domain.chain_id, domain.contract])
    )
    return keccak(b"\x19\x01" + separator + struct_hash)


def _check_batch(terms: Terms, inputs: Sequence[bytes]) -> None:
    if terms.input_id != ZERO_HASH:
        raise ValueError("input_id: a batch's own input must be zero")
    if not 0 < len(inputs) <= MAX_BATCH:
        raise ValueError(f"inputs: expected 1 to {MAX_BATCH}, got {len(inputs)}")
    for index, input_id in enumerate(inputs):
        checked_hash(f"inputs[{index}]", input_id)


def _message(
    primary: str,
    types: Mapping[str, _Members],
    domain: Domain,
    name: str,
    values: Mapping[str, Any],
) -> dict[str, Any]:
    listed = {"EIP712Domain": _DOMAIN, **types}
    return {
        "types": {
            title: [{"name": member, "type": kind} for member, kind in members]
            for title, members in listed.items()
        },
        "primaryType": primary,
        "domain": {
            "name": name,
            "version": _VERSION,
            "chainId": domain.chain_id,
            "verifyingContract": domain.contract,
        },
        "message": dict(values),
    }
