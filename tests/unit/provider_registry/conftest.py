"""A registry with the real Vault behind it; the tests speak for JobEscrow, a plain account."""

from dataclasses import dataclass
from typing import Any

import pytest
from eth_utils import keccak

from headrace.terms.words import Node
from tests.harness import Account, Chain, Contract, Receipt
from tests.models.provider import ACTIVE, Word

MIN_BOND = 100_000_000
HEARTBEAT_TTL = 3_600
ATTEMPT_MAX = 7_200
DELAY_MAX = 10_800
THAW_SECONDS = ATTEMPT_MAX + DELAY_MAX + 48 * 3_600
HALF_LIFE = 30 * 86_400
WEIGHT_CAP = 10_000_000

# How a job ends: `IProviderRegistry.Ending`, a flag each.
ENDINGS = {"COMPLETION": 1, "FAULT": 2, "NO_SHOW": 4, "DECLINE": 8, "VOID": 16}

# (name, GiB) of the catalogue that the tests start with.
MODELS = [("RTX 4090", 24), ("A100", 80), ("H100", 80)]
SPEC = Node(
    gpu_model=1,
    vram_gib=40,
    gpu_count=2,
    region=7,
    capacity=5,
    latency_class=2,
    flags=1,
    benchmark=1_000,
)


@dataclass
class World:
    """The contracts and the cast."""

    chain: Chain
    token: Contract
    vault: Contract
    registry: Contract
    owner: Account
    escrow: Account
    provider: Account
    operator: Account
    payee: Account
    stranger: Account

    def fund(self, account: Account, amount: int) -> None:
        """Puts `amount` into the Vault for `account`, which lets both books reserve."""
        self.token.mint(account, amount)
        self.token.approve(self.vault, amount, sender=account)
        self.vault.deposit_and_authorise(amount, 0b11, sender=account)

    def enlist(self, account: Account, operator: Account, payout: Account | None = None) -> Receipt:
        """Registers `account` with the least bond and one node of SPEC."""
        self.fund(account, MIN_BOND)
        return self.registry.register(
            operator, payout or account, MIN_BOND, SPEC.pack(), sender=account
        )

    def engage(self, **changes: Any) -> Receipt:
        """The escrow takes places; by default one, as the operator's ask allows."""
        arguments = {
            "account": self.provider,
            "node": 0,
            "signer": self.operator,
            "requirement": 0,
            "epoch": 0,
            "lane": 0,
            "count": 1,
        } | changes
        sender = arguments.pop("sender", self.escrow)
        timestamp = arguments.pop("timestamp", None)
        return self.registry.engage(*arguments.values(), sender=sender, timestamp=timestamp)

    def disengage(
        self, ending: str, weight: int = 0, count: int = 1, node: int = 0, **options: Any
    ) -> Receipt:
        """The escrow gives places back."""
        return self.registry.disengage(
            self.provider, node, ENDINGS[ending], weight, count, sender=self.escrow, **options
        )

    def record(self) -> Any:
        """What is on record of the provider."""
        return self.registry.provider_of(self.provider)


def deploy(chain: Chain) -> World:
    """Token, Vault and registry, which know each other, with the catalogue but no provider."""
    deployer, owner, escrow, provider, operator, payee, stranger = chain.accounts[:7]
    token = chain.deploy("OddToken", sender=deployer)
    # The Vault comes before the registry and has to know it: its address is foretold by the nonce.
    registry_at = chain.create_address(deployer, ahead=1)
    vault = chain.deploy("Vault", token, owner, stranger, escrow, registry_at, sender=deployer)
    registry = chain.deploy("ProviderRegistry", *arguments(vault, escrow, owner), sender=deployer)
    assert registry.address == registry_at
    for name, vram_gib in MODELS:
        registry.add_gpu_model(name, vram_gib, sender=owner)
    return World(chain, token, vault, registry, owner, escrow, provider, operator, payee, stranger)


def arguments(vault: Any, escrow: Any, owner: Any) -> list[Any]:
    """The constructor's arguments."""
    bounds = [MIN_BOND, HEARTBEAT_TTL, ATTEMPT_MAX, DELAY_MAX, HALF_LIFE, WEIGHT_CAP]
    return [vault, escrow, owner, *bounds]


@pytest.fixture(scope="session")
def empty(chain: Chain) -> World:
    """Nobody is registered."""
    return deploy(chain)


@pytest.fixture
def world(empty: World) -> World:
    """`provider` is registered, with `operator` and one node."""
    empty.enlist(empty.provider, empty.operator)
    return empty


def set_word(world: World, word: Word) -> None:
    """
    Puts a provider's word straight into storage: for what takes a million moves to come about.
    """
    slot = word_slot(world)
    world.chain.rpc(
        "anvil_setStorageAt", world.registry.address, hex(slot), f"0x{word.pack():064x}"
    )


def word_slot(world: World) -> int:
    """Storage slot of the provider's word: `words` is found by what a registration left there."""
    packed = bytes(12) + bytes.fromhex(world.provider.address[2:])
    for base in range(200):
        # Vyper hashes the slot of a mapping before the key.
        slot = int.from_bytes(keccak(base.to_bytes(32, "big") + packed), "big")
        if world.chain.storage(world.registry, slot) >> 252 == ACTIVE << 2 | 2:
            return slot
    raise AssertionError("no word of the provider")
