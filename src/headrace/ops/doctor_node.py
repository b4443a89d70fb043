"""The doctor's checks that need the node: each node of the settings, then the chain behind it."""

import time
from collections.abc import Sequence
from typing import Any

from headrace.chain import accounts
from headrace.chain.abi import checksummed
from headrace.chain.contracts import Vault
from headrace.chain.endpoints import connect
from headrace.chain.manifest import Deployment
from headrace.chain.rpc import Header, NodeError, Rpc, header_request, to_header
from headrace.daemon.sending import open_outbox, outbox_path
from headrace.errors import HeadraceError, RetryLater, Unreachable, UsageError
from headrace.ops.checkup import unsupported
from headrace.ops.finding import Finding, bad, ok, silent
from headrace.settings import GWEI, Settings

# Seconds that a clock may be wrong, and that a head may be old.
_SKEW = 30
_OLD = 600
_ETHER = 10**18
# Nodes that a game goes down in the largest trees, one after the other.
_LEVELS = 8
_START_NODE = "start the node, or name another one with HEADRACE_RPC_URL"


def examine(
    settings: Settings, deployment: Deployment | None, daemon: str = "keeper"
) -> list[Finding]:
    """The findings about every node of the settings, and about the account on the chain."""
    try:
        urls = [url.strip() for url in settings.url().split(",") if url.strip()]
        nodes = [connect(url, timeout=min(settings.rpc_timeout, 10)) for url in urls]
    except UsageError as error:
        return [bad("node", str(error), "put the node's URL into HEADRACE_RPC_URL")]
    findings: list[Finding] = []
    is_asked = False
    for node in nodes:
        try:
            found = _node(node, deployment)
            findings += found
            if deployment is not None and not is_asked and found[0].is_ok:
                is_asked = True
                findings += _chain(node, settings, deployment, daemon)
        except (Unreachable, RetryLater) as error:
            findings.append(silent(f"node {node.host}", str(error), _START_NODE))
        except HeadraceError as error:
            findings.append(bad(f"node {node.host}", str(error), _START_NODE))
        finally:
            node.close()
    return findings


def _node(node: Rpc, deployment: Deployment | None) -> list[Finding]:
    """Whether it serves the right chain and understands what the daemons ask."""
    name = f"node {node.host}"
    chain_id = node.chain_id()
    if deployment is not None and chain_id != deployment.chain_id:
        detail = f"serves chain {chain_id}, the manifest is of chain {deployment.chain_id}"
        return [bad(name, detail, "use a node of that chain, or its manifest")]
    genesis = node.header(0)
    if deployment is not None and (genesis is None or genesis.hash != deployment.genesis):
        detail = f"serves another chain with the id {chain_id}"
        return [bad(name, detail, "a local chain was started anew: deploy again")]
    head = node.head()
    findings = [ok(name, f"chain {chain_id}, block {head.number}"), _clock(node, head)]
    return [*findings, _finality(node), _logs(node, head, deployment), _batches(node)]


def _clock(node: Rpc, head: Header) -> Finding:
    name = "clock"
    ahead = head.timestamp - time.time()
    if ahead > _SKEW:
        detail = f"the latest block of {node.host} is {ahead:.0f} s in the future"
        return bad(name, detail, "put this machine's clock right (chronyc makestep)")
    if ahead < -_OLD:
        detail = f"the latest block of {node.host} is {-ahead:.0f} s old"
        return bad(name, detail, "the node is not in sync, or this machine's clock is ahead")
    return ok(name, f"{abs(ahead):.0f} s from the latest block's")


def _finality(node: Rpc) -> Finding:
    try:
        final = node.header("finalized")
    except NodeError as error:
        final, why = None, str(error)
    else:
        why = "it knows no final block"
    if final is None:
        detail = f"{node.host} has no tag `finalized`: {why}"
        return ok("final tag", f"{detail}; depth decides instead")
    return ok("final tag", f"{node.host} knows it: block {final.number}")


def _logs(node: Rpc, head: Header, deployment: Deployment | None) -> Finding:
    name = "logs by hash"
    wanted: dict[str, Any] = {"blockHash": "0x" + head.hash.hex()}
    if deployment is not None:
        wanted["address"] = deployment.address("JobEscrow")
    try:
        answer = node.call("eth_getLogs", wanted)
    except NodeError as error:
        detail = f"{node.host} refuses eth_getLogs by block hash: {error}"
        return bad(name, detail, "use another node: without it reorganisations can't be told")
    if not isinstance(answer, list):
        return bad(name, f"{node.host} gives no list of logs", "use another node")
    return ok(name, f"{node.host} takes it")


def _batches(node: Rpc) -> Finding:
    outcomes = node.outcomes([header_request("latest"), ("eth_chainId", ())])
    for outcome in outcomes:
        if isinstance(outcome, HeadraceError):
            detail = f"{node.host} refuses several requests at once: {outcome}"
            return bad("batches", detail, "use a node that takes JSON-RPC batches")
    return ok("batches", f"{node.host} takes them, block {to_header(outcomes[0]).number}")


# ---- the chain


def _chain(node: Rpc, settings: Settings, deployment: Deployment, daemon: str) -> list[Finding]:
    findings = [_contracts(node, deployment), _fees(node, settings)]
    try:
        address = settings.signer_address if settings.signer() is not None else None
        address = address or accounts.address_of(settings.keys_folder, settings.account)
    except UsageError:
        return findings  # said already
    findings += [_balance(node, settings, address), _outbox(node, settings, deployment, address)]
    return [*findings, *(_demands(node, deployment, address) if daemon == "watch" else ())]


def _contracts(node: Rpc, deployment: Deployment) -> Finding:
    try:
        deployment.verify(node)
        problem = unsupported(node, deployment)
    except UsageError as error:
        return bad("contracts", str(error), "use the manifest of this deployment")
    if problem is not None:
        return bad("contracts", problem, "check out the commit that the deployment is from")
    count = len(deployment.contracts)
    return ok("contracts", f"all {count} are the manifest's, and of this program's version")


def _fees(node: Rpc, settings: Settings) -> Finding:
    base = node.head().base_fee
    shown = f"a unit of gas costs {base / GWEI:.3g} gwei, the cap is {settings.max_fee_gwei:g}"
    if base > settings.max_fee:
        return bad("fees", shown, "raise HEADRACE_MAX_FEE_GWEI, or wait")
    return ok("fees", shown)


def _balance(node: Rpc, settings: Settings, address: str) -> Finding:
    balance, reserve = node.balance(address), settings.reserve
    shown = f"{address} has {balance / _ETHER:.6f} for gas"
    if balance < reserve:
        detail = f"{shown}, less than the reserve of {reserve / _ETHER:.6f}"
        return bad("balance", detail, "send it some, or lower HEADRACE_RESERVE_GWEI")
    return ok("balance", shown)


def _demands(node: Rpc, deployment: Deployment, address: str) -> list[Finding]:
    """Whether a watcher can pay for what it demands: else what is withheld from it never falls."""
    account = deployment.vault(node).account_of(address)
    wanted = [("proof", Vault.FAULT_PROOF_BOOK, deployment.fault_proof(node).read("DEMAND_FEE"))]
    if "GraphProof" in deployment.contracts:
        levels = deployment.graph_proof(node).demand_fee() * _LEVELS
        wanted.append(("graph", Vault.GRAPH_PROOF_BOOK, levels))
    findings = []
    for book, index, fee in wanted:
        name = f"demands ({book})"
        if not account.books >> index & 1:
            detail = f"{address} has not authorised the book: withheld data can't be demanded"
            findings.append(bad(name, detail, f"run `headrace authorise {book}`"))
        elif account.free < fee:
            detail = f"{account.free} token units are free, a demand may take {fee}"
            findings.append(bad(name, detail, "run `headrace deposit AMOUNT`"))
        else:
            findings.append(ok(name, f"{account.free} token units are free for fees"))
    return findings


def _outbox(node: Rpc, settings: Settings, deployment: Deployment, address: str) -> Finding:
    path = outbox_path(settings, deployment, checksummed(address))
    is_shared = settings.database() is not None
    if not is_shared and not path.exists():
        return ok("outbox", f"{path} will be made at the first start")
    place = "on the database server" if is_shared else str(path)
    try:
        outbox = open_outbox(settings, deployment, checksummed(address), is_daemon=False)
    except Unreachable as error:
        return silent("outbox", str(error), "start the database server")
    except HeadraceError as error:
        return bad("outbox", str(error), "never delete it while transactions are open")
    try:
        # The chain first: whoever shares the book writes down before it sends.
        used = node.nonce(address)
        latched, open_now, own = outbox.latched(), outbox.unsettled(), outbox.accounted()
    finally:
        outbox.close()
    if latched is not None:
        advice = "see HeadraceForeignNonce in docs/runbook.md before `headrace keeper release`"
        return bad("outbox", latched, advice)
    if own is not None and used > own:
        detail = f"the key has sent {used} transactions, {place} accounts for {own}"
        advice = (
            "if it stays so, another program sends with it: HeadraceForeignNonce in the runbook"
        )
        return bad("outbox", detail, advice)
    return ok("outbox", f"{place}, {_count(open_now)} under way")


def _count(txs: Sequence[object]) -> str:
    return f"{len(txs)} transaction{'' if len(txs) == 1 else 's'}"
