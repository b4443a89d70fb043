"""Who is engaged: keys, deposits, registrations, the model on chain, a process per daemon."""

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from headrace.chain.accounts import Key
from headrace.chain.catalogue import read_catalogue
from headrace.chain.manifest import Deployment
from headrace.daemon.context import Context
from headrace.errors import HeadraceError
from headrace.graph2.model import Model as GraphModel
from headrace.market.book import LiveAsk
from headrace.market.postings import read_ask
from headrace.terms.jobfile import Catalogue, read_node
from headrace.terms.words import ZERO_HASH
from scripts.demo.acts import CHECKS
from scripts.demo.cast import PROVIDERS, Provider
from scripts.demo.stage import Stage
from scripts.demo.works import Work

UNIT = 10**6
DEPOSIT = 600 * UNIT
BOND = 10 * UNIT
# Books of the Vault, as a mask: JobEscrow, the Registry, FaultProof, GraphProof.
ESCROW, REGISTRY, PROOF, GRAPH = 1, 2, 4, 8
_PATIENCE = 60.0


@dataclass(frozen=True)
class Playbill:
    """Everybody's account: `names` by address, and who does what."""

    names: dict[str, str]
    requesters: dict[str, Key]
    providers: dict[str, Key]
    keeper: str
    catalogue: Catalogue

    def start_daemons(self, stage: Stage) -> None:
        """A process each: the watcher, the providers' nodes, the keeper, and a rival keeper."""
        stage.start("watcher", ["-m", "headrace.watch"])
        for provider in PROVIDERS:
            module = "scripts.demo.cast" if provider.role else "headrace.node"
            arguments = [provider.role] if provider.role else []
            path = str(node_file(stage, provider.name))
            stage.start(provider.name, ["-m", module, *arguments, path])
        stage.start("keeper", ["-m", "headrace.keeper"])
        # The dearer provider's own keeper: it hears of no other offer.
        stage.start("rival", ["-m", "headrace.keeper"], HEADRACE_BOARD=str(rival_board(stage)))

    def wait_for_asks(self, stage: Stage) -> None:
        """Until every node has published its offer; the rival's keeper gets its master's alone."""
        until = time.monotonic() + _PATIENCE
        while len(stage.board.names("ask")) < len(PROVIDERS):
            stage.check_running()
            if time.monotonic() > until:
                raise HeadraceError("not every node has published an offer")
            time.sleep(0.1)
        haven = self.providers["haven"].address.lower()
        source = stage.board.path / "asks"
        target = rival_board(stage) / "asks"
        target.mkdir(parents=True, exist_ok=True)
        for file in source.glob("*.json"):
            if json.loads(file.read_text())["ask"]["provider"].lower() == haven:
                shutil.copy(file, target / file.name)

    def ask_of(self, context: Context, name: str) -> LiveAsk:
        """The offer that a provider has published."""
        for offer in context.board.list("ask"):
            ask = read_ask(offer.payload, context.token.address, context.domain)
            if ask.ask.provider == self.providers[name].address:
                return ask
        raise HeadraceError(f"{name} has no offer on the board")


def node_file(stage: Stage, name: str) -> Path:
    """Where a provider's node file is."""
    return stage.folder / f"{name}.yaml"


def rival_board(stage: Stage) -> Path:
    """The board of the rival's keeper."""
    return stage.folder / "rival-board"


def engage(stage: Stage, works: Mapping[str, Work]) -> Playbill:
    """Give everybody a key, money in the Vault and what they need on chain."""
    deployment = stage.deployment
    token, vault = deployment.token(stage.rpc), deployment.vault(stage.rpc)
    catalogue = read_catalogue(token, deployment.registry(stage.rpc))
    for work in works.values():
        stage.store.put_model(work.model)
        _register_model(stage, deployment, work)

    def engaged(name: str, books: int) -> Key:
        key = stage.key(name)
        stage.send(key, token.drip(DEPOSIT))
        stage.send(key, token.approve(vault.address, DEPOSIT))
        stage.send(key, vault.deposit_and_authorise(DEPOSIT, books))
        return key

    requesters = {name: engaged(name, ESCROW) for name in ("lab", "studio", "reader")}
    keeper, rival = engaged("keeper", ESCROW), engaged("rival", ESCROW)
    watcher = engaged("watcher", ESCROW | PROOF | GRAPH)
    providers = {}
    for provider in PROVIDERS:
        key = engaged(provider.name, ESCROW | REGISTRY)
        path = node_file(stage, provider.name)
        path.write_text(_node_text(provider, works[provider.work].model.program))
        spec = read_node(path.read_text(), str(path), catalogue).node
        registry = deployment.registry(stage.rpc)
        stage.send(key, registry.register(key.address, key.address, BOND, spec))
        providers[provider.name] = key
    everyone = requesters | {"keeper": keeper, "rival": rival, "watcher": watcher} | providers
    return Playbill(
        names={key.address: name for name, key in everyone.items()},
        requesters=requesters,
        providers=providers,
        keeper=keeper.address,
        catalogue=catalogue,
    )


def _register_model(stage: Stage, deployment: Deployment, work: Work) -> None:
    model = work.model
    if isinstance(model, GraphModel):
        registry = deployment.graph_models(stage.rpc)
        call = registry.register_model(
            model.descriptors, model.input.word, model.max_units, ZERO_HASH
        )
        stage.send(stage.owner, call)
        stage.send(stage.owner, registry.list_mirror(model.program, stage.store_path.as_uri()))
        return
    call = deployment.fault_proof(stage.rpc).register_model(
        model.descriptors, model.input_width, model.max_units, ZERO_HASH
    )
    stage.send(stage.owner, call)


def _node_text(provider: Provider, program: bytes) -> str:
    return f"""gpu: {provider.gpu}
region: {provider.region}
capacity: 8
latency: {provider.latency}
benchmark: {provider.benchmark}
offer:
  models: ['0x{program.hex()}']
  base: {provider.base}
  per_unit: {provider.per_unit}
  max_lock: 60
  max_units: 100
  max_input: 64 KiB
  min_attempt: 10s
  min_acknowledge: 5s
  max_delay: 5m
  valid: 1h
  policy: exact
  check: {CHECKS[provider.work]}
"""
