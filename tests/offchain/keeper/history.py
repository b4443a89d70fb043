"""Histories of real transactions, and pictures of them that can be compared.

A move is tried whatever the state: what the contracts refuse is no move. What is looked at is what
a keeper that has followed along knows, beside what one knows that has read all of it just now.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from eth_utils import keccak

from headrace.daemon.context import View
from headrace.errors import RetryLater
from headrace.keeper.reading import Reader
from headrace.keeper.reads import (
    Key,
    Reads,
    account_key,
    epoch_key,
    node_key,
    places_key,
    policy_key,
)
from headrace.keeper.state import State
from headrace.market.snapshot import Snapshot
from headrace.terms.words import ZERO_HASH, Exclusion, Terms
from tests.harness import Account, Reverted
from tests.offchain.keeper.stage import Stage
from tests.system import DAY, ESCROW_BOOK, FALLS, STANDS, UNIT, VOID_GRACE, Attempt
from tests.unit.fault_proof.court import small_model

INPUTS = tuple(keccak(text=f"member {n}") for n in range(3))


class History:
    """A chain on which anything may happen, with a keeper's reader beside it."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.system, self.chain = stage, stage.system, stage.system.chain
        self.attempts: list[Attempt] = []
        self.posted: list[Terms] = []
        system = self.system
        self.chain.mine(2)
        self._begun = self.chain.block_number() - 1
        for provider in range(3):
            stage.ask(provider, (2 + provider) * UNIT)
        stage.bid(stage.terms())
        stage.bid(stage.terms(input_id=ZERO_HASH, requester=system.requesters[1].address), INPUTS)
        self.keeper = stage.keeper(system.keepers[0])
        self.context = self.keeper._context
        self.reader: Reader = self.keeper._reader

    # ---- moves; `a` and `b` choose among what there is

    def _provider(self, a: int) -> int:
        return a % 3

    def _person(self, a: int) -> Account:
        """A requester, a provider, a payout or a keeper: everybody who may come by money."""
        system = self.system
        people = [*system.requesters[:2], *system.providers[:3], *system.payouts[1:2]]
        return [*people, *system.keepers[:2]][a % 8]

    def _attempt(self, a: int) -> Attempt:
        return self.attempts[a % len(self.attempts)]

    def heartbeat(self, a: int, b: int) -> None:
        i = self._provider(a)
        self.system.registry.heartbeat(
            self.system.providers[i].address, sender=self.system.providers[i]
        )

    def availability(self, a: int, b: int) -> None:
        provider = self.system.providers[self._provider(a)]
        self.system.registry.set_available(provider.address, b % 2 == 0, sender=provider)

    def node(self, a: int, b: int) -> None:
        word = 0 if b % 4 == 0 else self.system.node(capacity=1 + b % 5).pack()
        self.system.registry.set_node(b % 2, word, sender=self.system.providers[self._provider(a)])

    def epoch(self, a: int, b: int) -> None:
        provider = self.system.providers[self._provider(a)]
        if b % 2:
            self.system.registry.bump_epoch(provider.address, sender=provider)
        else:
            self.system.registry.revoke_lane(provider.address, b % 16, sender=provider)

    def operator(self, a: int, b: int) -> None:
        provider = self.system.providers[self._provider(a)]
        self.system.registry.rotate_operator(self._person(b).address, sender=provider)

    def payout(self, a: int, b: int) -> None:
        provider = self.system.providers[self._provider(a)]
        self.system.registry.set_payout(self._person(b).address, sender=provider)

    def exit(self, a: int, b: int) -> None:
        provider = self.system.providers[self._provider(a)]
        if b % 2:
            self.system.registry.begin_exit(sender=provider)
        else:
            self.system.registry.finish_exit(provider.address, sender=self.system.stranger)

    def register(self, a: int, b: int) -> None:
        provider, system = self.system.requesters[a], self.system
        system.registry.register(
            provider, provider, system.parameters.min_bond, system.node().pack(), sender=provider
        )

    def sweep(self, a: int, b: int) -> None:
        provider = self.system.providers[self._provider(a)]
        self.system.registry.sweep(provider.address, sender=self.system.stranger)

    def money(self, a: int, b: int) -> None:
        person, vault = self._person(a), self.system.vault
        match b % 4:
            case 0:
                self.system.deposit(person, UNIT + b)
            case 1:
                vault.withdraw(1 + b, self.system.stranger, sender=person)
            case 2:
                vault.revoke(ESCROW_BOOK, sender=person)
            case _:
                vault.authorise(ESCROW_BOOK, sender=person)

    def flush(self, a: int, b: int) -> None:
        self.system.vault.flush_sink(sender=self.system.stranger)

    def bids(self, a: int, b: int) -> None:
        self.system.escrow.revoke_bids(sender=self.system.requesters[a % 2])

    def post(self, a: int, b: int) -> None:
        requester = self.system.requesters[a % 2].address
        make = self.stage.terms if b % 2 else self.system.terms
        terms = make(
            requester=requester,
            max_attempts=1 + b % 3,
            final_deadline=self.chain.now() + (300 if b % 5 == 0 else 10 * DAY),
        )
        self.posted.append(self.system.post(terms))

    def match(self, a: int, b: int) -> None:
        if a % 3 == 0 or not self.posted:
            terms = self.system.terms(requester=self.system.requesters[a % 2].address)
        else:
            terms = self.posted[b % len(self.posted)]
        is_exact = terms.verifier == self.system.fault_proof.address
        changes = {"programs": terms.program, "settings": terms.settings} if is_exact else {}
        verifier = self.system.fault_proof if is_exact else self.system.dummy
        ask = self.system.ask(self._provider(b), verifier=verifier, **changes)
        excluded = self._excluded(terms)
        keeper = self._person(a + b)
        self.attempts.append(self.system.match(terms, ask, excluded=excluded, keeper=keeper))

    def _excluded(self, terms: Terms) -> list[Exclusion]:
        job = self.context.jobs.jobs.get(self.system.job_id(terms))
        return [] if job is None else list(job.excluded)

    def batch(self, a: int, b: int) -> None:
        terms = self.system.terms(
            requester=self.system.requesters[a % 2].address, input_id=ZERO_HASH
        )
        ask = self.system.ask(self._provider(b))
        self.attempts += self.system.match_batch(terms, INPUTS[: 1 + b % 3], ask)

    def life(self, a: int, b: int) -> None:
        """A job from its match to one of its endings."""
        self.match(a, b)
        index = len(self.attempts) - 1
        if b % 5 == 0:
            self.decline(index, b)
        elif b % 5 == 1:
            self.expire(index, a)
        else:
            self.claim(index, b)
            (self.finalise, self.finalise, self.refute)[b % 3](index, a)

    def claim(self, a: int, b: int) -> None:
        attempt = self._attempt(a)
        self.system.claim(attempt, sender=self.system.account_at(attempt.record.provider))

    def decline(self, a: int, b: int) -> None:
        attempt = self._attempt(a)
        self.system.decline(attempt, sender=self.system.account_at(attempt.record.provider))

    def expire(self, a: int, b: int) -> None:
        self.system.expire(self._attempt(a), sender=self._person(b))

    def finalise(self, a: int, b: int) -> None:
        attempt = self._attempt(a)
        if attempt.terms.verifier == self.system.dummy.address:
            self.system.rule(attempt, STANDS)
        else:
            self.chain.travel(attempt.record.window + 1)
        self.system.finalise(attempt)

    def refute(self, a: int, b: int) -> None:
        attempt = self._attempt(a)
        self.system.rule(attempt, FALLS, self._person(b))
        self.system.refute(attempt)

    def payees(self, a: int, b: int) -> None:
        """Whom the verifier has paid out of a levy or a slash from now on."""
        payees = [(self._person(a).address, 1 + b)] if b % 4 else []
        self.system.dummy.set_payees(payees, sender=self.system.owner)

    def void(self, a: int, b: int) -> None:
        self.chain.travel(self.system.parameters.delay_max + VOID_GRACE + 1)
        self.system.void(self._attempt(a))

    def demand(self, a: int, b: int) -> None:
        attempt = self._attempt(a)
        ref = attempt.terms.pack(), attempt.record.pack(), attempt.commitment
        self.system.fault_proof.demand_trace(ref, sender=self.system.watchers[0])

    def cancel(self, a: int, b: int) -> None:
        terms = self.posted[a % len(self.posted)] if self.posted else self.system.terms()
        self.system.cancel(terms, excluded=self._excluded(terms))

    def policy(self, a: int, b: int) -> None:
        if b % 3 == 0:
            self.system.escrow.stop_verifier(self.system.fault_proof, sender=self.system.owner)
        else:
            self.system.enact(self.system.fault_proof, b % 200, b)

    def model(self, a: int, b: int) -> None:
        model = small_model()
        self.system.fault_proof.register_model(
            model.descriptors, model.input_width, model.max_units - b % 3, bytes(32)
        )

    def time(self, a: int, b: int) -> None:
        self.chain.travel((1, 70, 3_700, 40 * DAY)[a % 4])

    def rollback(self, a: int, b: int) -> None:
        """The latest blocks are undone, and other ones come in their place."""
        # To a block of this history at most: of others the node may no longer have the state, and
        # goes back to one with nothing in it.
        depth = min(1 + a % 12, self.chain.block_number() - self._begun)
        self.chain.rpc("anvil_rollback", depth)
        self.chain.travel(2 + b % 50)
        if b % 2:
            self.chain.mine(depth)

    def try_move(self, name: str, a: int, b: int) -> None:
        """Make a move, if the contracts let it be made."""
        with suppress(Reverted):
            if self.attempts or name not in NEEDS_ATTEMPT:
                move: Callable[[int, int], None] = getattr(self, name)
                move(a, b)

    @contextmanager
    def branch(self) -> Iterator[None]:
        """What happens inside will not have happened."""
        snapshot = self.chain.snapshot()
        yield
        self.chain.restore(snapshot)
        self.chain.travel(2)

    # ---- what is known

    def look(self) -> View:
        """The chain to its head; a branch that is still shorter is given time to grow."""
        while True:
            try:
                view = self.context.look()
            except RetryLater:
                self.chain.mine()
                continue
            self.reader.take(view.jobs)
            self.keeper._offers.refresh(view.now)
            return view

    def keys(self) -> list[Key]:
        """Words of everybody, whether the market asks for them or not."""
        system = self.system
        people = sorted({self._person(a).address for a in range(8)})
        providers = [provider.address for provider in system.providers[:3]]
        keys = [kind(person) for person in people for kind in (account_key, epoch_key)]
        keys += [kind(p, n) for p in providers for n in (0, 1) for kind in (node_key, places_key)]
        return [*keys, *(policy_key(v.address) for v in (system.dummy, system.fault_proof))]

    def check(self) -> None:
        """What is known is what there is, to the last word."""
        view = self.look()
        reader, known = self.reader, self.reader.known
        state = reader.read(view, with_kept=True)
        known.words(self.keys())
        known.providers([provider.address for provider in self.system.providers[:3]])
        keys = list(known._words)
        right = dict(zip(keys, Reads(self.context).ask(keys, view.head), strict=True))
        ours = {
            key: word.at(view.now) if key[0] == "provider" else word
            for key, word in known._words.items()
        }
        # An aged record that isn't known to the unit is read again when it is asked for.
        unsure = [key for key, word in ours.items() if key[0] == "provider" and word is None]
        wrong = {key: (word, right[key]) for key, word in ours.items() if word != right[key]}
        assert set(wrong) <= set(unsure), wrong
        afresh = Reader(self.context, self.keeper._offers)
        # Where to look is the fold's; jobs that are over are no longer in it.
        afresh._paid, afresh._claims = reader._paid, reader._claims
        ours, right = plain(state), plain(afresh.read(view, with_kept=True))
        assert {k: (w, right[k]) for k, w in ours.items() if w != right[k]} == {}


NEEDS_ATTEMPT = frozenset({"claim", "decline", "expire", "finalise", "refute", "void", "demand"})
MOVES = (
    *("heartbeat", "availability", "node", "epoch", "operator", "payout", "exit", "sweep"),
    *("money", "money", "flush", "bids", "post", "post", "match", "match", "batch"),
    *("life", "life", "life", "life", "life", "life"),
    *("claim", "claim", "decline", "expire", "finalise", "finalise", "refute", "void", "demand"),
    *("cancel", "payees", "policy", "model", "time", "time", "rollback", "rollback"),
)


def plain(state: State) -> dict[str, Any]:
    """A picture as values that can be compared."""
    names = ("attempted", "overdue", "due", "outcomes", "batches", "fees", "node_fees", "kept")
    return {
        **{name: getattr(state, name) for name in names},
        "jobs": list(state.book.jobs()),
        "asks": list(state.book.asks()),
        **_snapshot(state.snapshot, list(state.book.jobs())),
    }


def _snapshot(snapshot: Snapshot, jobs: list[Any]) -> dict[str, Any]:
    names = ("now", "keeper", "providers", "free", "bid_epochs", "attempt_max", "delay_max")
    return {
        **{name: getattr(snapshot, name) for name in names},
        "verifiers": {
            name: (v.policy, v.code_hash, [v.quote(job.terms, UNIT) for job in jobs])
            for name, v in snapshot.verifiers.items()
        },
    }
