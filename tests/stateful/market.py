"""The contracts and their model side by side: every move is made on both.

A move is tried whether it is legal or not: the model (tests/models/job_world.py) says by which
reason the contracts must refuse it, or what it does.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from eth_utils import keccak

from headrace.terms import eip712, money
from headrace.terms.words import ZERO_ADDRESS, ZERO_HASH, Ask, Record, Terms
from tests.harness import Account, Contract, Receipt, reverts
from tests.models.job_money import Moves
from tests.models.job_world import Job, Verifier, World
from tests.system import CLAIMED, DAY, HOOKS, NONE, STANDS, UNIT, Balance, System

NOTHING = keccak(text="nothing")
CAPACITIES = (3, 5, 2)
PRICES = (0, 500_009, 2 * UNIT)


class Look(NamedTuple):
    """What the contracts have on record at one moment."""

    lanes: dict[str, Balance]
    jobs: list[Any]
    providers: list[Any]
    sunk: int
    total_held: int
    balance: int


class Market:
    """Three requesters (one is a provider too), three providers, three keepers, two verifiers."""

    def __init__(self, system: System, levy: int) -> None:
        self.system, self.chain, self.escrow = system, system.chain, system.escrow
        self.providers = system.providers[:3]
        self.requesters = [*system.requesters[:2], self.providers[1]]
        self.keepers = [*system.keepers[:2], self.providers[0]]
        self.refuters = [system.watchers[0].address, ZERO_ADDRESS, self.requesters[0].address]
        self.names = [account.address for account in self.providers]
        operators = {name: system.operators[i].address for i, name in enumerate(self.names)}
        payouts = {name: system.payouts[i].address for i, name in enumerate(self.names)}
        capacity = dict(zip(self.names, CAPACITIES, strict=True))
        self.world = World(system.parameters.delay_max, capacity, operators, payouts)
        self.batches: list[tuple[Terms, list[Job]]] = []
        for provider, places in zip(self.providers, CAPACITIES, strict=True):
            system.registry.set_node(0, system.node(capacity=places).pack(), sender=provider)
        # The first hears of every move and is asked about every claim, the other as FaultProof is.
        self.quiet = self.chain.deploy("DummyVerifier", self.escrow)
        self.quiet.set_hooks(0)
        for verifier, hooks in ((system.dummy, HOOKS), (self.quiet, 0)):
            policy = money.Policy(is_enabled=False, charge_bps=0, keeper_fee=0)
            known = Verifier(verifier.address, hooks, levy, 2, policy)
            self.world.verifiers[verifier.address] = known
            verifier.set_price(levy, 0, 2)
            self.enact(verifier, 57, 150_001)
        # Enough for some jobs, not for all.
        for account in {a.address: a for a in (*self.requesters, *self.providers)}.values():
            out = system.vault.free_of(account) - 27 * UNIT
            system.vault.withdraw(out, system.stranger, sender=account)
        self.world.lanes = system.balances()
        self.world.sunk = system.vault.sunk()

    # -- helpers --

    @property
    def now(self) -> int:
        """The second of the next transaction."""
        return self.chain.now() + 1

    def tried(self, reason: str, move: Callable[[], Receipt]) -> Receipt | None:
        """Makes a move that has to fail with `reason`, or to succeed if it is empty."""
        if not reason:
            return move()
        with reverts(reason):
            move()
        return None

    def verifier_of(self, terms: Terms) -> Contract:
        """The contract that the terms name."""
        return self.quiet if terms.verifier == self.quiet.address else self.system.dummy

    def account(self, address: str) -> Account:
        """Who has this address."""
        return self.system.account_at(address)

    def wait_until(self, second: int) -> None:
        """The next transaction is in that second, unless it is over."""
        if second > self.now:
            self.chain.travel(second - self.now)

    def look(self) -> "Look":
        """All that the contracts have on record, in one request."""
        system = self.system
        accounts = [*self.world.lanes]
        asked = [
            *((system.vault, "account_of", account) for account in accounts),
            *((self.escrow, "job", job.job_id) for job in self.world.jobs),
            *((system.registry, "provider_of", name) for name in self.names),
            (system.vault, "sunk"),
            (system.vault, "total_held"),
            (system.token, "balanceOf", system.vault),
        ]
        answers = iter(system.ask_all(asked))
        lanes = {a: Balance(*next(answers)[:3]) for a in accounts}
        jobs = [next(answers) for _ in self.world.jobs]
        providers = [next(answers) for _ in self.names]
        return Look(lanes, jobs, providers, *answers)

    # -- offers --

    def make_terms(self, who: int, kind: int, **changes: Any) -> Terms:
        """Terms of a requester; the bits of `kind` choose among a few values of each field."""
        verifier = (self.system.dummy, self.quiet)[kind & 1]
        requester = self.requesters[who].address
        now = self.chain.now()
        attempt_seconds = (200, 3_600)[kind >> 1 & 1]
        fields: dict[str, Any] = {
            "requester": requester,
            "verifier": verifier.address,
            "settings": self.world.verifiers[verifier.address].hooks | (600, 90)[kind >> 2 & 1],
            "max_attempts": 1 + (kind >> 3 & 3),
            "attempt_seconds": attempt_seconds,
            "ack_seconds": (60, attempt_seconds)[kind >> 5 & 1],
            "final_deadline": now + (2 * DAY, 700)[(kind >> 6 & 3) == 3],
            "damage_cap": (300_017, 1_000_003)[kind >> 8 & 1],
            "price_start": (5 * UNIT, 3 * UNIT)[(kind >> 9 & 3) == 3],
            "epoch": self.world.epochs[requester],
        }
        return self.system.terms(**(fields | changes))

    def make_ask(self, provider: int, terms: Terms, base: int) -> Ask:
        """An offer that fits the terms, at one of three prices."""
        return self.system.ask(
            provider,
            settings=terms.settings,
            verifier=self.verifier_of(terms),
            price_base=PRICES[base],
            min_ack_seconds=0,
            epoch=1 if self.names[provider] in self.world.leaving else 0,
        )

    def add(self, terms: Terms) -> Job:
        """A job that is only signed so far."""
        return self.world.add(Job(self.system.job_id(terms), terms))

    def add_batch(self, who: int, kind: int, count: int) -> int:
        """A batch that is only signed so far; gives its number."""
        terms = self.make_terms(who, kind, input_id=ZERO_HASH)
        packed = terms.pack()
        members = []
        for i in range(count):
            input_id = keccak(text=f"input {i} of {terms.salt}")
            members.append(self.add(Terms.unpack((*packed[:4], input_id, *packed[5:]))))
        self.batches.append((terms, members))
        return len(self.batches) - 1

    # -- moves of the requester --

    def post(self, job: Job) -> None:
        sender = self.account(job.terms.requester)
        reason = self.world.why_not_post(job, self.now)
        if self.tried(reason, partial(self.escrow.post_job, job.terms.pack(), sender=sender)):
            self.world.post(job)

    def cancel(self, job: Job, by_requester: bool = True) -> None:
        sender = self.account(job.terms.requester) if by_requester else self.system.stranger
        reason = self.world.why_not_cancel(job, self.now, by_requester)
        move = partial(self.system.cancel, job.terms, sender, job.excluded)
        if self.tried(reason, move):
            self.world.cancel(job)

    # -- matches --

    def match(self, job: Job, provider: int, keeper: int, base: int) -> None:
        system, now, by = self.system, self.now, self.keepers[keeper]
        ask = self.make_ask(provider, job.terms, base)
        reason = self.world.why_not_match([job], ask, by.address, now)
        record = self.world.agreed(job, ask, by.address, now)
        move = partial(
            self.escrow.match,
            job.terms.pack(),
            system.sign_terms(job.terms) if job.state == NONE else b"",
            ask.pack(),
            system.sign_ask(ask),
            [],
            [exclusion.pack() for exclusion in job.excluded],
            sender=by,
        )
        if receipt := self.tried(reason, move):
            assert isinstance(record, Record)
            event = receipt.only("BidMatched" if job.state == NONE else "Matched")
            assert Record.unpack(event.record) == record
            self.world.match(job, record)

    def match_batch(self, number: int, provider: int, keeper: int, base: int) -> None:
        terms, members = self.batches[number]
        now, by = self.now, self.keepers[keeper]
        ask = self.make_ask(provider, terms, base)
        fresh = [job for job in members if job.state == NONE]
        record = self.world.agreed(Job(b"", terms), ask, by.address, now)
        if isinstance(record, str):
            reason = record
        elif not fresh:
            reason = "match: nothing to match"
        else:
            reason = self.world.why_not_match(fresh, ask, by.address, now)
        inputs = [job.terms.input_id for job in members]
        move = partial(
            self.escrow.match_batch,
            terms.pack(),
            inputs,
            self.system.sign_batch(terms, inputs),
            ask.pack(),
            self.system.sign_ask(ask),
            [],
            sender=by,
        )
        if receipt := self.tried(reason, move):
            assert isinstance(record, Record)
            event = receipt.only("BatchMatched")
            assert event.batch_id == eip712.batch_id(terms, inputs, self.system.domain)
            assert Record.unpack(event.record) == record
            assert [e.job_id for e in receipt.named("MemberMatched")] == [j.job_id for j in fresh]
            assert len(receipt.named("Skipped")) == len(members) - len(fresh)
            for job in fresh:
                self.world.match(job, record)

    # -- what follows a match --

    def record_of(self, job: Job) -> Record:
        """Its record, or some other where it has none: it is refused for its state then."""
        if job.record is not None:
            return job.record
        provider = int(self.names[0], 16) << 96
        return Record.unpack((provider, provider, provider, provider, 0, 0, 0, provider))

    def commitment_of(self, job: Job) -> bytes:
        """What its provider claims, or something else."""
        return job.commitment if job.record else NOTHING

    def move(self, name: str, job: Job, reason: str, sender: Account) -> Receipt | None:
        """A move that names the job by its id and record."""
        arguments: list[Any] = [job.job_id, self.record_of(job).pack()]
        if name not in ("expire", "decline"):
            arguments.append(self.commitment_of(job))
        call = partial(self.escrow.transact, name, tuple(arguments), sender=sender)
        return self.tried(reason, call)

    def worker(self, job: Job) -> Account:
        """Who may claim."""
        record = self.record_of(job)
        if job.record is None:
            return self.account(record.provider)
        return self.account((record.provider, record.operator)[record.matched_at % 2])

    def claim(self, job: Job) -> None:
        now = self.now
        reason = self.world.why_not_claim(job, now)
        if self.move("submit_claim", job, reason, self.worker(job)):
            self.world.claim(job, now)

    def decline(self, job: Job) -> None:
        now = self.now
        reason = self.world.why_not_decline(job, now)
        if self.move("decline", job, reason, self.worker(job)):
            self.world.decline(job, now)

    def expire(self, job: Job, keeper: int = 0) -> None:
        now, caller = self.now, self.keepers[keeper]
        if self.move("expire", job, self.world.why_not_expire(job, now), caller):
            self.world.expire(job, caller.address, now)

    def contest(self, job: Job) -> None:
        contest = self.verifier_of(job.terms).contest
        record, commitment = self.record_of(job).pack(), self.commitment_of(job)
        reason = self.world.why_not_contest(job, self.now)
        if job.record is None:
            reason = "escrow: no claim" if self.is_by_name(job) else "contest: not the verifier"
        if self.tried(reason, partial(contest, job.terms.pack(), record, commitment)):
            self.world.contest(job)

    def is_by_name(self, job: Job) -> bool:
        """Whether the record that stands in for the job's names the job's verifier."""
        return self.record_of(job).verifier == job.terms.verifier

    def finalise(self, job: Job) -> None:
        reason = self.world.why_not_finalise(job, self.now)
        if self.move("finalise", job, reason, self.system.stranger):
            self.world.finalise(job)

    def refute(self, job: Job) -> None:
        now = self.now
        reason = self.world.why_not_refute(job, now)
        if self.move("refute", job, reason, self.system.stranger):
            self.world.refute(job, now)

    def void(self, job: Job) -> None:
        reason = self.world.why_not_void(job, self.now)
        if self.move("void_claim", job, reason, self.system.stranger):
            self.world.void(job)

    def many(self, name: str, job: Job, hostile: Job) -> None:
        """All jobs with the record of `job`, with another, or one of them again, in the middle."""
        record, now = job.running, self.now
        jobs = [other for other in self.world.jobs if other.record == record]
        jobs.insert(1, hostile)
        is_claim = name == "submit_claims"
        sender = self.worker(job) if is_claim else self.system.stranger
        items = [(other.job_id, self.commitment_of(other)) for other in jobs]
        receipt = self.escrow.transact(name, (record.pack(), items), sender=sender)
        skipped = []
        for other in jobs:
            if bits := (self.world.claim_bits if is_claim else self.world.final_bits)(
                other, record, now
            ):
                skipped.append((other.job_id, bits))
            elif is_claim:
                self.world.claim(other, now)
            else:
                self.world.finalise(other)
        assert receipt.named("Skipped") == skipped

    def rule(self, job: Job, verdict: int, not_before: int, refuter: int) -> None:
        """The verifier's verdict on a claim, set by hand."""
        who = self.refuters[refuter]
        self.verifier_of(job.terms).rule(job.claim_id, verdict, not_before, who)
        job.ruling = (verdict, not_before, who)

    def open(self, job: Job) -> None:
        """The blinded commitment of a claim that its verifier knows."""
        is_known = job.terms.verifier == self.system.dummy.address
        if is_known and job.state == CLAIMED and not job.ruling[0]:
            self.system.dummy.open_claim(job.claim_id, job.job_id, job.claim_id)
            job.ruling = (STANDS, job.time + job.running.window, ZERO_ADDRESS)

    # -- money and governance --

    def enact(self, verifier: Contract, charge_bps: int, keeper_fee: int) -> None:
        self.system.enact(verifier, charge_bps, keeper_fee)
        policy = money.Policy(is_enabled=True, charge_bps=charge_bps, keeper_fee=keeper_fee)
        self.world.verifiers[verifier.address].policy = policy

    def stop(self, verifier: Contract) -> None:
        self.escrow.stop_verifier(verifier, sender=self.system.owner)
        policy = money.Policy(is_enabled=False, charge_bps=0, keeper_fee=0)
        self.world.verifiers[verifier.address].policy = policy

    def deposit(self, account: Account, amount: int) -> None:
        self.system.deposit(account, amount)
        self._shift(account.address, amount)
        self.world.unauthorised.discard(account.address)

    def withdraw(self, account: Account, amount: int) -> None:
        if amount:
            self.system.vault.withdraw(amount, self.system.stranger, sender=account)
            self._shift(account.address, -amount)

    def _shift(self, account: str, amount: int) -> None:
        old = self.world.lanes[account]
        self.world.lanes[account] = Balance(old.free + amount, old.escrow, old.registry)

    def sweep(self, provider: Account) -> None:
        """What is kept for the sink goes there; the bond stays."""
        self.system.registry.sweep(provider, sender=self.system.stranger)
        kept = self.world.lanes[provider.address].registry - self.system.parameters.min_bond
        moves = Moves(sunk=kept)
        moves.registry[provider.address] -= kept
        self.world.apply(moves)
