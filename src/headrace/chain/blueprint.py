"""What a deployment consists of: which contracts, made of what, and what each must answer then.

Pure description. Vault, ProviderRegistry, MatchRules and JobEscrow name one another in their
constructors, so their addresses are predicted from the deployer's nonces: they are one group, of
which a part alone is worth nothing. The verifiers, and what they work with, come after them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import rlp
from eth_utils.crypto import keccak

from headrace.chain import artifacts
from headrace.chain.abi import checksummed
from headrace.chain.parameters import Parameters

GROUP = ("Vault", "ProviderRegistry", "MatchRules", "JobEscrow")
# The verifiers of policy `exact`: of small models, and of those of version 2.
VERIFIERS = ("FaultProof", "GraphProof")
_RULES = ("GraphRowRules", "GraphElementRules", "GraphFormRules")
# What comes after the group, each after what it names.
LATER = ("FaultProof", "GraphModels", *_RULES, "GraphRules", "GraphProof")
CREATED = (*GROUP, *LATER)
# The token's artifact has another name: on a real network the token is somebody else's.
ARTIFACTS = {"Token": "FaucetToken"}

Addresses = Mapping[str, str]
# A view, its arguments, and what it must answer.
Check = tuple[str, tuple[Any, ...], Any]


def artifact(name: str) -> artifacts.Artifact:
    """The compiled contract of a name in a manifest."""
    return artifacts.load(ARTIFACTS.get(name, name))


def created_address(deployer: str, nonce: int) -> str:
    """Where a contract goes that `deployer` creates with its transaction number `nonce`."""
    encoded = rlp.encode([bytes.fromhex(deployer[2:]), nonce])
    return checksummed("0x" + keccak(encoded)[12:].hex())


def arguments(name: str, p: Parameters, owner: str, at: Addresses) -> tuple[Any, ...]:
    """The constructor's arguments. `at` needs the addresses of all that it names."""
    if name == "Vault":
        escrow, registry = at["JobEscrow"], at["ProviderRegistry"]
        return (at["Token"], owner, p.sink_receiver, escrow, registry)
    if name == "ProviderRegistry":
        times = (p.heartbeat_ttl, p.attempt_max, p.delay_max, p.half_life)
        return (at["Vault"], at["JobEscrow"], owner, p.min_bond, *times, p.weight_cap)
    if name == "MatchRules":
        partners = (at["JobEscrow"], at["Vault"], at["ProviderRegistry"])
        return (*partners, at["Token"], p.attempt_max, p.delay_max)
    if name == "JobEscrow":
        partners = (at["Vault"], at["ProviderRegistry"], at["MatchRules"])
        return (*partners, owner, p.delay_max, p.timelock)
    if name == "FaultProof":
        bounds = (p.window.min, p.window.max, p.reply.min, p.reply.max)
        return (at["JobEscrow"], at["Vault"], p.demand_fee, *bounds)
    if name == "GraphModels":
        return (p.min_mirrors,)
    if name == "GraphRules":
        return tuple(at[rules] for rules in _RULES)
    if name == "GraphProof":
        bounds = (p.window.min, p.window.max, p.reply.min, p.reply.max)
        judges = (at["GraphModels"], at["GraphRules"])
        return (at["JobEscrow"], at["Vault"], *judges, p.node_fee, *bounds)
    return ()


def checks(name: str, p: Parameters, at: Addresses) -> Iterator[Check]:
    """What a contract must answer if it was made of `arguments`, all that can't change later."""
    if name == "Vault":
        yield "TOKEN", (), at["Token"]
        yield "SINK_RECEIVER", (), p.sink_receiver
        yield "book_at", (0,), at["JobEscrow"]
        yield "book_at", (1,), at["ProviderRegistry"]
    elif name == "ProviderRegistry":
        yield "VAULT", (), at["Vault"]
        yield "ESCROW", (), at["JobEscrow"]
        yield "MIN_BOND", (), p.min_bond
        yield "HEARTBEAT_TTL", (), p.heartbeat_ttl
        yield "THAW_SECONDS", (), p.attempt_max + p.delay_max + 48 * 3_600
        yield "HALF_LIFE", (), p.half_life
        yield "WEIGHT_CAP", (), p.weight_cap
    elif name == "MatchRules":
        yield "ESCROW", (), at["JobEscrow"]
        yield "VAULT", (), at["Vault"]
        yield "REGISTRY", (), at["ProviderRegistry"]
        yield "TOKEN", (), at["Token"]
        yield "ATTEMPT_MAX", (), p.attempt_max
        yield "DELAY_MAX", (), p.delay_max
    elif name == "JobEscrow":
        yield "VAULT", (), at["Vault"]
        yield "REGISTRY", (), at["ProviderRegistry"]
        yield "RULES", (), at["MatchRules"]
        yield "DELAY_MAX", (), p.delay_max
        yield "TIMELOCK", (), p.timelock
    elif name == "GraphModels":
        yield "MIN_MIRRORS", (), p.min_mirrors
    elif name == "GraphRules":
        yield "ROW_RULES", (), at["GraphRowRules"]
        yield "ELEMENT_RULES", (), at["GraphElementRules"]
        yield "FORM_RULES", (), at["GraphFormRules"]
    elif name in VERIFIERS:
        is_graph = name == "GraphProof"
        yield "ESCROW", (), at["JobEscrow"]
        yield "VAULT", (), at["Vault"]
        if is_graph:
            yield "MODELS", (), at["GraphModels"]
            yield "RULES", (), at["GraphRules"]
        yield "DEMAND_FEE", (), p.node_fee if is_graph else p.demand_fee
        yield "MIN_WINDOW", (), p.window.min
        yield "MAX_WINDOW", (), p.window.max
        yield "MIN_REPLY", (), p.reply.min
        yield "MAX_REPLY", (), p.reply.max


def sources_hash() -> str:
    """One digest of all that is deployed: another one is another version of the contracts."""
    return "0x" + keccak(b"".join(artifact(name).bytecode for name in CREATED)).hex()
