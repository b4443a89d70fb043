"""The deployed contracts and the people, with money in the Vault and providers in the Registry."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from headrace.terms import eip712
from headrace.terms.words import Node
from tests.harness import Account, Chain, Contract

DAY = 86_400
UNIT = 10**6  # one token

# Books of the Vault.
ESCROW_BOOK, REGISTRY_BOOK, FAULT_PROOF_BOOK = 1, 2, 4
VOID_GRACE = 2 * DAY


@dataclass(frozen=True)
class Parameters:
    """What the system is deployed with. Times in seconds, amounts in token units."""

    attempt_max: int = DAY
    delay_max: int = 2 * DAY
    timelock: int = DAY
    min_bond: int = 5 * UNIT
    heartbeat_ttl: int = 200 * DAY
    half_life: int = 90 * DAY
    weight_cap: int = 10 * UNIT
    demand_fee: int = UNIT // 10
    window: tuple[int, int] = (10, DAY)
    reply: tuple[int, int] = (5, DAY // 4)
    charge_bps: int = 57
    keeper_fee: int = 150_001
    levy: int = 31_337
    lock_factor: int = 2
    funds: int = 1_000 * UNIT
    capacity: int = 40


@dataclass(frozen=True)
class Balance:
    """An account's lanes in the Vault."""

    free: int
    escrow: int
    registry: int


class Stage:
    """Everything in its place, nothing done yet."""

    def __init__(self, chain: Chain, parameters: Parameters | None = None) -> None:
        self.chain = chain
        self.parameters = parameters or Parameters()
        people = iter(chain.accounts)

        def some(count: int) -> list[Account]:
            return list(itertools.islice(people, count))

        (self.owner,) = some(1)
        self.requesters = some(4)
        self.providers = some(6)
        # Operator i works for provider i; the first provider is its own operator and payout.
        self.operators = [self.providers[0], *some(5)]
        self.payouts = [self.providers[0], *some(1), *self.providers[2:]]
        self.keepers = some(4)
        self.watchers = some(3)
        (self.sink_receiver, self.stranger) = some(2)
        self._deploy()
        self._fund()
        self._register()

    def _deploy(self) -> None:
        chain, owner, p = self.chain, self.owner, self.parameters
        self.token = chain.deploy("FaucetToken", sender=owner)
        names = ("vault", "registry", "rules", "escrow", "fault_proof")
        at = {name: chain.create_address(owner, i) for i, name in enumerate(names)}
        self.vault = self._place(
            "Vault",
            at["vault"],
            self.token,
            owner,
            self.sink_receiver,
            at["escrow"],
            at["registry"],
        )
        self.registry = self._place(
            "ProviderRegistry",
            at["registry"],
            at["vault"],
            at["escrow"],
            owner,
            p.min_bond,
            p.heartbeat_ttl,
            p.attempt_max,
            p.delay_max,
            p.half_life,
            p.weight_cap,
        )
        self.rules = self._place(
            "MatchRules",
            at["rules"],
            at["escrow"],
            at["vault"],
            at["registry"],
            self.token,
            p.attempt_max,
            p.delay_max,
        )
        self.escrow = self._place(
            "JobEscrow",
            at["escrow"],
            at["vault"],
            at["registry"],
            at["rules"],
            owner,
            p.delay_max,
            p.timelock,
        )
        self.fault_proof = self._place(
            "FaultProof",
            at["fault_proof"],
            at["escrow"],
            at["vault"],
            p.demand_fee,
            *p.window,
            *p.reply,
        )
        self.dummy = chain.deploy("DummyVerifier", self.escrow, sender=owner)
        self.dummy.set_price(p.levy, 0, p.lock_factor, sender=owner)
        self.vault.add_book(self.fault_proof, sender=owner)
        self.registry.add_gpu_model("H100", 80, sender=owner)
        self.registry.add_gpu_model("A100", 80, sender=owner)
        for verifier in (self.fault_proof, self.dummy):
            self.escrow.propose_policy(verifier, p.charge_bps, p.keeper_fee, sender=owner)
        chain.travel(p.timelock)
        for verifier in (self.fault_proof, self.dummy):
            self.escrow.enact_policy(verifier, sender=owner)
        self.domain = eip712.Domain(int(chain.rpc("eth_chainId"), 16), self.escrow.address)

    def _place(self, name: str, address: str, *args: Any) -> Contract:
        contract = self.chain.deploy(name, *args, sender=self.owner)
        assert contract.address == address, f"{name} is not where it was expected"
        return contract

    def _fund(self) -> None:
        books = ESCROW_BOOK | REGISTRY_BOOK | FAULT_PROOF_BOOK
        for account in (*self.requesters, *self.providers, *self.watchers):
            self.deposit(account, self.parameters.funds, books)

    def _register(self) -> None:
        for provider, operator, payout in zip(
            self.providers, self.operators, self.payouts, strict=True
        ):
            self.registry.register(
                operator, payout, self.parameters.min_bond, self.node().pack(), sender=provider
            )

    def deposit(self, account: Account, amount: int, books: int = ESCROW_BOOK) -> None:
        """Gives `account` tokens and puts them into the Vault, for `books` to reserve."""
        self.token.drip(amount, sender=account)
        self.token.approve(self.vault, amount, sender=account)
        self.vault.deposit_and_authorise(amount, books, sender=account)

    def node(self, **changes: Any) -> Node:
        """What every provider's node 0 is."""
        node = Node(
            gpu_model=0,
            vram_gib=80,
            gpu_count=8,
            region=3,
            capacity=self.parameters.capacity,
            latency_class=2,
            flags=1,
            benchmark=5_000,
        )
        return replace(node, **changes)

    def account_at(self, address: str) -> Account:
        """The chain's account with this address."""
        return next(a for a in self.chain.accounts if a.address == address)

    # -- money --

    @property
    def people(self) -> list[str]:
        """Everybody who may have money in the Vault."""
        return [account.address for account in self.chain.accounts[:32]]

    def balances(self, *more: str) -> dict[str, Balance]:
        """The lanes of everybody, and of the accounts in `more`."""
        addresses = [*self.people, *more]
        answers = self.ask_all([(self.vault, "account_of", address) for address in addresses])
        return {a: Balance(*word[:3]) for a, word in zip(addresses, answers, strict=True)}

    def changes(self, before: Mapping[str, Balance]) -> dict[str, Balance]:
        """What changed since, for those it changed for; amounts may be negative."""
        now = self.balances(*(set(before) - set(self.people)))
        return {
            account: Balance(
                new.free - old.free, new.escrow - old.escrow, new.registry - old.registry
            )
            for account, old in before.items()
            if (new := now[account]) != old
        }

    def assert_conserved(self, *more: str) -> None:
        """All money in the Vault is somebody's or the sink's, and is there."""
        held = sum(b.free + b.escrow + b.registry for b in self.balances(*more).values())
        total = self.vault.total_held()
        assert held + self.vault.sunk() == total == self.token.balanceOf(self.vault)

    def ask_all(self, questions: Sequence[tuple[Any, ...]]) -> list[Any]:
        """What views answer, asked for in one request: contract, function's name, arguments."""
        functions = [c.abi.function(name, len(args)) for c, name, *args in questions]
        body = [
            {
                "jsonrpc": "2.0",
                "id": i,
                "method": "eth_call",
                "params": [{"to": c.address, "data": "0x" + f.data(tuple(args)).hex()}, "latest"],
            }
            for i, (f, (c, _, *args)) in enumerate(zip(functions, questions, strict=True))
        ]
        answers = sorted(self.chain.anvil.post(body), key=lambda answer: answer["id"])
        return [
            function.result(bytes.fromhex(answer["result"][2:]))
            for function, answer in zip(functions, answers, strict=True)
        ]
