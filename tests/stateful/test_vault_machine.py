"""Random histories of one vault, compared after every step with a model of a few dictionaries.

All the money that 80 bits can hold is in play, so that a carry from one lane into the next shows.
"""

from collections import Counter
from functools import partial
from itertools import product

from eth_account import Account as Signer
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from headrace.terms.eip712 import Authorise, Domain, authorise_hash, sign
from tests.harness import Chain, reverts
from tests.unit.vault.world import M80, deploy_vault

PEOPLE = range(4)
MAX_BOOKS = 6
FOREVER = 2**40

people = st.sampled_from(PEOPLE)
numbers = st.integers(0, 23)
masks = st.integers(1, 7)
# A share of what is there, in 64ths; the ends are what matters.
shares = st.one_of(st.sampled_from([0, 64]), st.integers(0, 64))
excesses = st.sampled_from([1, 2, 2**80, 2**160, 2**255])


def part(amount: int, share: int) -> int:
    return amount * share // 64


class VaultMachine(RuleBasedStateMachine):
    def __init__(self, chain: Chain) -> None:
        super().__init__()
        self.chain = chain
        self.before = chain.snapshot()
        self.owner, self.sink = chain.accounts[1:3]
        self.books = chain.accounts[3:6]
        self.spare_books = chain.accounts[10:13]
        self.people = chain.accounts[6:10]

    @initialize()
    def deploy(self) -> None:
        self.token = self.chain.deploy("OddToken")
        self.vault = deploy_vault(self.chain, self.token)
        self.vault.add_book(self.books[2], sender=self.owner)
        for number, person in enumerate(self.people):
            self.token.mint(person, M80 // 4 + (M80 % 4 if number == 0 else 0))
            self.token.approve(self.vault, 2**256 - 1, sender=person)
        self.free: Counter[int] = Counter()
        self.reserved: Counter[tuple[int, int]] = Counter()
        self.allowed: Counter[int] = Counter()
        self.nonces: Counter[int] = Counter()
        self.sunk = self.flushed = self.donated = 0
        # Three begin with money in; the fourth comes when a history says so.
        for who in (0, 1, 2):
            self.deposit(who, 40, 7)
            self.reserve(who, who, 30)

    def teardown(self) -> None:
        """Everybody leaves, and nothing stays behind."""
        if hasattr(self, "vault"):
            for (who, book), amount in (+self.reserved).items():
                self.vault.release(self.people[who], amount, sender=self.books[book])
                self.free[who] += amount
            for who, amount in (+self.free).items():
                self.vault.withdraw(amount, self.people[who], sender=self.people[who])
            if self.sunk + self.donated:
                self.vault.flush_sink()
            assert self.vault.total_held() == 0
            assert self.token.balanceOf(self.vault) == 0
            for person in self.people:
                assert self.vault.account_of(person)[:3] == (0, 0, 0)
        self.chain.restore(self.before)

    # -- accounts --

    def wallet(self, who: int) -> int:
        return int(self.token.balanceOf(self.people[who]))

    def give(self, who: int, mask: int, allowed: bool) -> None:
        self.allowed[who] = self.allowed[who] | mask if allowed else self.allowed[who] & ~mask

    @rule(who=people, share=shares, mask=st.integers(0, 7))
    def deposit(self, who: int, share: int, mask: int) -> None:
        person = self.people[who]
        amount = min(part(self.wallet(who), share), M80 - self.held)
        if amount == 0:
            with reverts("vault: deposit is zero"):
                self.vault.simulate.deposit(0, sender=person)
            return
        if mask:
            self.vault.deposit_and_authorise(amount, mask, sender=person)
            self.give(who, mask, True)
        else:
            self.vault.deposit(amount, sender=person)
        self.free[who] += amount

    @rule(who=people, share=shares, to=people)
    def withdraw(self, who: int, share: int, to: int) -> None:
        amount = part(self.free[who], share)
        if amount:
            self.vault.withdraw(amount, self.people[to], sender=self.people[who])
            self.free[who] -= amount

    @rule(who=people, mask=masks, allowed=st.booleans())
    def authorise(self, who: int, mask: int, allowed: bool) -> None:
        change = self.vault.authorise if allowed else self.vault.revoke
        change(mask, sender=self.people[who])
        self.give(who, mask, allowed)
        if not allowed:
            self.nonces[who] += 1

    @rule(who=people, mask=masks, allowed=st.booleans())
    def authorise_by_signature(self, who: int, mask: int, allowed: bool) -> None:
        wanted = Authorise(
            account=self.people[who].address,
            books=mask,
            allowed=allowed,
            nonce=self.nonces[who],
            deadline=FOREVER,
        )
        digest = authorise_hash(wanted, Domain(31337, self.vault.address))
        signed = sign(digest, Signer.from_key(self.people[who].key))
        move = (wanted.account, mask, allowed, FOREVER, signed)
        self.vault.authorise_by_signature(*move)
        self.give(who, mask, allowed)
        self.nonces[who] += 1
        with reverts("vault: wrong signer"):
            self.vault.simulate.authorise_by_signature(*move)

    # -- anyone --

    @precondition(lambda self: self.wallet(0))
    @rule(share=shares)
    def donate(self, share: int) -> None:
        amount = part(self.wallet(0), share)
        self.token.transfer(self.vault, amount, sender=self.people[0])
        self.donated += amount

    @rule()
    def flush(self) -> None:
        if self.sunk + self.donated == 0:
            with reverts("vault: nothing to flush"):
                self.vault.simulate.flush_sink()
            return
        self.vault.flush_sink()
        self.flushed += self.sunk + self.donated
        self.sunk = self.donated = 0

    @precondition(lambda self: len(self.books) < MAX_BOOKS)
    @rule()
    def add_book(self) -> None:
        book = self.spare_books[len(self.books) - 3]
        with reverts("vault: caller is no book"):
            self.vault.simulate.release(self.people[0], 0, sender=book)
        with reverts("vault: no such book"):
            self.vault.simulate.authorise(1 << len(self.books), sender=self.people[0])
        self.vault.add_book(book, sender=self.owner)
        self.books = [*self.books, book]
        for who in PEOPLE:
            self.vault.authorise(1 << (len(self.books) - 1), sender=self.people[who])
            self.give(who, 1 << (len(self.books) - 1), True)

    # -- books --

    def draw_book(self, number: int) -> int:
        return number % len(self.books)

    def draw_lane(self, number: int) -> tuple[int, int]:
        """Somebody, and a book that has reserved something of it (if there is any)."""
        lanes = sorted(key for key, amount in self.reserved.items() if amount) or [(0, 0)]
        return lanes[number % len(lanes)]

    def may(self, who: int, book: int) -> bool:
        return bool(self.allowed[who] >> book & 1)

    @rule(number=numbers, who=people, share=shares)
    def reserve(self, number: int, who: int, share: int) -> None:
        book = self.draw_book(number)
        amount = part(self.free[who], share)
        if not self.may(who, book):
            with reverts("vault: book not authorised"):
                self.vault.simulate.reserve(self.people[who], amount, sender=self.books[book])
            return
        self.vault.reserve(self.people[who], amount, sender=self.books[book])
        self.free[who] -= amount
        self.reserved[who, book] += amount

    @rule(number=numbers, share=shares)
    def release(self, number: int, share: int) -> None:
        who, book = self.draw_lane(number)
        amount = part(self.reserved[who, book], share)
        self.vault.release(self.people[who], amount, sender=self.books[book])
        self.reserved[who, book] -= amount
        self.free[who] += amount

    @rule(number=numbers, to=people, share=shares)
    def pay(self, number: int, to: int, share: int) -> None:
        who, book = self.draw_lane(number)
        amount = part(self.reserved[who, book], share)
        self.vault.pay(self.people[who], self.people[to], amount, sender=self.books[book])
        self.reserved[who, book] -= amount
        self.free[to] += amount

    @rule(number=numbers, share=shares)
    def sink_some(self, number: int, share: int) -> None:
        who, book = self.draw_lane(number)
        amount = part(self.reserved[who, book], share)
        self.vault.sink(self.people[who], amount, sender=self.books[book])
        self.reserved[who, book] -= amount
        self.sunk += amount

    @rule(
        number=numbers,
        payer=people,
        locker=people,
        parts=st.tuples(shares, shares, shares),
    )
    def pledge(self, number: int, payer: int, locker: int, parts: tuple[int, int, int]) -> None:
        book = self.draw_book(number)
        held = part(self.reserved[payer, book], parts[0])
        payment = part(self.free[payer] + held, parts[1])
        left = self.free[locker] + (held - payment if payer == locker else 0)
        lock = part(left, parts[2])
        move = (self.people[payer], held, payment, self.people[locker], lock)
        sender = self.books[book]
        if payment > held and not self.may(payer, book):
            with reverts("vault: payer not authorised"):
                self.vault.simulate.pledge(*move, sender=sender)
            return
        if not self.may(locker, book):
            with reverts("vault: locker not authorised"):
                self.vault.simulate.pledge(*move, sender=sender)
            return
        with reverts("vault: not enough to lock"):
            self.vault.simulate.pledge(*move[:4], left + 1, sender=sender)
        self.vault.pledge(*move, sender=sender)
        self.reserved[payer, book] -= held
        self.free[payer] += held - payment
        self.free[locker] -= lock
        self.reserved[locker, book] += payment + lock

    @rule(
        number=numbers,
        others=st.tuples(people, people, people),
        taken=shares,
        cuts=st.tuples(shares, shares, shares, shares, shares, shares),
        wrong=st.integers(0, 7),
        by=st.sampled_from([-1, 1, 2**80, 2**255]),
    )
    def settle(
        self,
        number: int,
        others: tuple[int, int, int],
        taken: int,
        cuts: tuple[int, ...],
        wrong: int,
        by: int,
    ) -> None:
        account, book = self.draw_lane(number)
        payer = others[0]
        parties = (account, *others)
        out = rest = part(self.reserved[account, book], taken)
        amounts = [out]
        for place, cut in enumerate(cuts):
            # Only book 0 may keep a part for book 1.
            amounts.append(0 if place == 1 and book else part(rest, cut))
            rest -= amounts[-1]
        amounts.append(rest)
        illegal = list(amounts)
        illegal[wrong] = (illegal[wrong] + by) % 2**256
        reason = "vault: out differs from in"
        if illegal[2] and book:
            reason = "vault: only book 0 keeps"
        sender = self.books[book]
        with reverts(reason):
            self.vault.simulate.settle(*self.arguments(parties, illegal), sender=sender)
        self.vault.settle(*self.arguments(parties, amounts), sender=sender)

        _, back, kept, to_free, to_reserved, to_first, to_second, sunk = amounts
        self.reserved[account, book] -= out
        self.reserved[account, 1] += kept
        self.reserved[payer, book] += to_reserved
        credits = (back, to_free, to_first, to_second)
        for who, amount in zip(parties, credits, strict=True):
            self.free[who] += amount
        self.sunk += sunk

    def arguments(self, parties: tuple[int, ...], amounts: list[int]) -> tuple[object, ...]:
        account, payer, first, second = (self.people[who] for who in parties)
        out, back, kept, to_free, to_reserved, to_first, to_second, sunk = amounts
        ours = (account, out, back, kept, payer, to_free, to_reserved)
        return (*ours, first, to_first, second, to_second, sunk)

    # -- what must not go --

    @rule(who=people, excess=excesses)
    def withdraw_too_much(self, who: int, excess: int) -> None:
        amount = min(self.free[who] + excess, 2**256 - 1)
        with reverts("vault: not enough free"):
            self.vault.simulate.withdraw(amount, self.sink, sender=self.people[who])

    @rule(number=numbers, who=people, excess=excesses)
    def books_take_too_much(self, number: int, who: int, excess: int) -> None:
        book = self.draw_book(number)
        person, simulate = self.people[who], self.vault.simulate
        sender = self.books[book]
        most = self.reserved[who, book]
        amount = most + excess
        reason = "vault: not enough reserved" if book < 2 else "vault: not enough in the book"
        with reverts(reason):
            simulate.release(person, amount, sender=sender)
        with reverts(reason):
            simulate.pay(person, self.people[0], amount, sender=sender)
        with reverts(reason):
            simulate.sink(person, amount, sender=sender)
        with reverts(reason):
            simulate.pledge(person, amount, 0, person, 0, sender=sender)
        if amount <= M80:
            move = self.arguments((who,) * 4, [amount, 0, 0, 0, most, excess, 0, 0])
            with reverts(reason):
                simulate.settle(*move, sender=sender)
        if self.may(who, book):
            with reverts("vault: not enough to reserve"):
                simulate.reserve(person, self.free[who] + excess, sender=sender)

    @rule(who=people)
    def outsiders_move(self, who: int) -> None:
        person, simulate = self.people[who], self.vault.simulate
        for sender in (person, self.owner):
            for name, *arguments in (
                ("reserve", person, 0),
                ("release", person, 0),
                ("pay", person, person, 0),
                ("sink", person, 0),
                ("pledge", person, 0, 0, person, 0),
                ("settle", *self.arguments((who,) * 4, [0] * 8)),
            ):
                with reverts("vault: caller is no book"):
                    getattr(simulate, name)(*arguments, sender=sender)

    # -- what always holds --

    @property
    def held(self) -> int:
        return self.free.total() + self.reserved.total() + self.sunk

    @invariant()
    def the_vault_is_the_model(self) -> None:
        if not hasattr(self, "vault"):
            return
        reserved_by = product(PEOPLE, range(2, len(self.books)))
        asked = [("total_held",), ("sunk",)]
        asked += [("account_of", person) for person in self.people]
        asked += [("reserved_of", self.people[who], book) for who, book in reserved_by]
        held, sunk, *rest = self.ask(asked)
        words, reserved = rest[:4], rest[4:]

        expected = [
            (self.free[w], self.reserved[w, 0], self.reserved[w, 1], self.allowed[w])
            for w in PEOPLE
        ]
        assert [tuple(word) for word in words] == expected
        reserved_by = product(PEOPLE, range(2, len(self.books)))
        assert reserved == [self.reserved[key] for key in reserved_by]
        assert (held, sunk) == (self.held, self.sunk)
        assert sum(sum(word[:3]) for word in words) + sum(reserved) == held - sunk
        assert self.token.balanceOf(self.vault) == held + self.donated
        assert self.token.balanceOf(self.sink) == self.flushed

    def ask(self, calls: list[tuple[object, ...]]) -> list[object]:
        """Many views in one HTTP request."""
        functions = [self.vault.abi.function(name, len(args)) for name, *args in calls]
        bodies = [
            {
                "jsonrpc": "2.0",
                "id": i,
                "method": "eth_call",
                "params": [
                    self.chain.request(None, self.vault.address, f.data(tuple(args))),
                    "latest",
                ],
            }
            for i, (f, (_, *args)) in enumerate(zip(functions, calls, strict=True))
        ]
        answers = sorted(self.chain.anvil.post(bodies), key=lambda answer: answer["id"])
        return [
            f.result(bytes.fromhex(answer["result"][2:]))
            for f, answer in zip(functions, answers, strict=True)
        ]


def test_vault_machine(chain: Chain) -> None:
    twice = settings(max_examples=2 * settings().max_examples)
    run_state_machine_as_test(partial(VaultMachine, chain), settings=twice)
