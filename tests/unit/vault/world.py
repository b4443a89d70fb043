"""A vault with three books, and accounts with money in it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.harness import Chain, Contract, Receipt

ESCROW, REGISTRY, THIRD = 1, 2, 4
ALL = ESCROW | REGISTRY | THIRD
M80 = 2**80 - 1
START = 1_000


@dataclass
class World:
    """The vault, its surroundings, and how the tests look at them."""

    chain: Chain
    token: Contract
    vault: Contract

    def __post_init__(self) -> None:
        accounts = self.chain.accounts
        # Accounts stand in for the books: to the vault a book is an address.
        self.owner, self.sink, self.escrow, self.registry, self.third = accounts[1:6]
        self.alice, self.bob, self.carol, self.dave = accounts[6:10]
        self.books = [self.escrow, self.registry, self.third]

    def equip(self, account: Any, amount: int) -> None:
        """Gives `account` tokens that the vault may pull."""
        self.token.drip(amount, sender=account)
        self.token.approve(self.vault, 2**256 - 1, sender=account)

    def fund(self, account: Any, amount: int = START, books: int = ALL) -> None:
        """Puts `amount` into what is free of `account`, which authorises `books`."""
        self.equip(account, amount)
        self.vault.deposit_and_authorise(amount, books, sender=account)

    def lanes(self, account: Any) -> tuple[int, int, int, int]:
        """What is free of `account`, and what each of the three books has reserved of it."""
        word = self.vault.account_of(account)
        reserved = (word.reserved_escrow, word.reserved_registry)
        assert reserved == tuple(self.vault.reserved_of(account, i) for i in (0, 1))
        assert word.free == self.vault.free_of(account)
        return (word.free, *reserved, self.vault.reserved_of(account, 2))

    def assert_conserved(self, accounts: Iterable[Any] | None = None, donated: int = 0) -> None:
        """The sum of all that the accounts and the sink have is what the vault has."""
        everyone = accounts or (self.alice, self.bob, self.carol, self.dave)
        held = self.vault.total_held()
        assert sum(sum(self.lanes(a)) for a in everyone) + self.vault.sunk() == held
        assert self.token.balanceOf(self.vault) == held + donated


def deploy_vault(chain: Chain, token: Any, **changed: Any) -> Contract:
    """A vault with the accounts of `World` around it, or with what `changed` names instead."""
    names = ("owner", "sink_receiver", "escrow", "registry")
    arguments = dict(zip(names, chain.accounts[1:5], strict=True)) | changed
    return chain.deploy("Vault", token, *arguments.values())


def seen(receipt: Receipt, emitter: Contract) -> list[tuple[Any, ...]]:
    """The events of `emitter`, in order: name and arguments."""
    return [(e.name, *e.args) for e in receipt.events if e.address == emitter.address]
