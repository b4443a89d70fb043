"""Compares a deployment's manifest with the chain, claim by claim."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from headrace.chain import blueprint, manifest
from headrace.chain.contract import Contract
from headrace.chain.manifest import Deployment
from headrace.chain.parameters import Parameters
from headrace.chain.rpc import Rpc
from headrace.chain.wiring import BOOKS
from headrace.errors import UsageError


@dataclass(frozen=True, slots=True)
class Finding:
    """One claim and whether it holds."""

    what: str
    is_true: bool


def audit(rpc: Rpc, deployment: Deployment) -> list[Finding]:
    """
    Every claim of the manifest. UsageError if it is of another chain, a contract is missing, or the
    file has no parameters; the claims about what is there come as findings.
    """
    deployment.verify(rpc)
    record = manifest.read(deployment.path) or {}
    if "parameters" not in record:
        raise UsageError(f"{deployment.path} has no parameters")
    parameters = Parameters.of(record["parameters"], deployment.path)
    findings = [Finding("the chain, its first block and the hash of every contract's code", True)]
    findings += _code(rpc, deployment, parameters)
    findings += _constants(rpc, deployment, parameters)
    findings += _settings(rpc, deployment, parameters, record)
    return findings


def _code(rpc: Rpc, deployment: Deployment, parameters: Parameters) -> Iterator[Finding]:
    names = list(blueprint.CREATED)
    if parameters.token is None:
        names.insert(0, "Token")
    for name in names:
        code = rpc.code(deployment.address(name))
        is_ours = code.startswith(blueprint.artifact(name).runtime)
        yield Finding(f"{name} is what this checkout compiles to", is_ours)


def _constants(rpc: Rpc, deployment: Deployment, p: Parameters) -> Iterator[Finding]:
    at = {name: deployment.address(name) for name in manifest.NAMES}
    for name in blueprint.CREATED:
        functions = blueprint.artifact(name).abi.functions
        for view, args, expected in blueprint.checks(name, p, at):
            call = functions[view].encode(args)
            answer: Any = functions[view].decode(rpc.eth_call(at[name], call))
            shown = f"{name}.{view}({', '.join(map(str, args))})"
            yield Finding(f"{shown} is {expected}", answer == expected)


def _settings(
    rpc: Rpc, deployment: Deployment, p: Parameters, record: dict[str, Any]
) -> Iterator[Finding]:
    vault, escrow = deployment.vault(rpc), deployment.escrow(rpc)
    registry = deployment.registry(rpc)
    verifiers = {name: deployment.address(name) for name in blueprint.VERIFIERS}
    for (name, verifier), index in zip(verifiers.items(), BOOKS, strict=True):
        yield Finding(f"book {index} of the vault is {name}", vault.book_at(index) == verifier)
    models = [(model.name, model.vram_gib) for model in p.gpu_models]
    there = registry.gpu_models()[: len(models)]
    yield Finding(f"the catalogue begins with the {len(models)} GPU models", there == models)
    wanted = (p.policy.charge_bps, p.policy.keeper_fee)
    for name, verifier in verifiers.items():
        policy = escrow.policy_of(verifier)
        is_wanted = (policy.charge_bps, policy.keeper_fee) == wanted
        yield Finding(f"the policy of {name} is in force", policy.is_enabled and is_wanted)
    owners = {record["deployer"], p.owner}
    contracts: tuple[Contract, ...] = (vault, registry, escrow)
    for contract in contracts:
        owner = contract.read("owner")
        yield Finding(f"{contract.ARTIFACT} is owned by {owner}", owner in owners)
    yield Finding("the manifest says that it is complete", bool(record["is_complete"]))
