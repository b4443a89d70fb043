"""Random histories of a market, compared after every step with a model in plain Python.

At the end all is wound up by moves that anyone can make, everybody leaves, and the Vault is empty.
"""

from functools import partial

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from headrace.terms.words import Record
from tests.harness import reverts
from tests.models.job_world import Job
from tests.stateful.market import Market
from tests.system import (
    CLAIMED,
    CONTESTED,
    ESCROW_BOOK,
    FALLS,
    MATCHED,
    NONE,
    OPEN,
    PENDING,
    STANDS,
    UNIT,
    System,
)

RUNNING = (MATCHED, CLAIMED, CONTESTED)
# All moves on one job, in the order in which a job goes.
MOVES = (
    "post",
    "match",
    "claim",
    "claim_many",
    "contest",
    "finalise",
    "finalise_many",
    "refute",
    "expire",
    "decline",
    "void",
    "close",
    "cancel",
)
SELDOM = ("post", "contest", "decline", "void", "close", "cancel")

numbers = st.integers(0, 2**16)
three = st.integers(0, 2)
deals = st.tuples(three, three, three)  # provider, keeper, price
verdicts = st.sampled_from([STANDS, STANDS, FALLS, FALLS, PENDING])


class JobMachine(RuleBasedStateMachine):
    def __init__(self, system: System) -> None:
        super().__init__()
        self.system, self.chain = system, system.chain
        self.before = self.chain.snapshot()

    @initialize(levy=st.integers(0, 40_000), kinds=st.tuples(numbers, numbers, numbers))
    def begin(self, levy: int, kinds: tuple[int, int, int]) -> None:
        """A market with a posted, a signed, a matched and a claimed job."""
        self.market = market = Market(self.system, levy)
        self.world = market.world
        market.post(market.add(market.make_terms(0, kinds[0])))
        market.add(market.make_terms(1, kinds[0]))
        for provider, kind in enumerate(kinds[1:]):
            job = market.add(market.make_terms(provider, kind))
            market.match(job, provider, 0, 1)
        market.claim(job)

    # -- jobs --

    def pick(self, number: int, *states: int) -> Job | None:
        """One of the jobs, in one of these states if any are given."""
        found = [job for job in self.world.jobs if not states or job.state in states]
        return found[number % len(found)] if found else None

    @rule(who=three, kind=numbers, deal=deals, is_posted=st.booleans())
    def new_job(self, who: int, kind: int, deal: tuple[int, int, int], is_posted: bool) -> None:
        """Made, and matched if it can be."""
        job = self.market.add(self.market.make_terms(who, kind))
        if is_posted:
            self.market.post(job)
        if kind % 4:
            self.market.match(job, *deal)

    @rule(who=three, kind=numbers, count=st.integers(1, 3), deal=deals)
    def new_batch(self, who: int, kind: int, count: int, deal: tuple[int, int, int]) -> None:
        """Signed, and matched if it can be; now and then one of its members is on record before."""
        number = self.market.add_batch(who, kind, count)
        if kind % 3 == 0:
            job = self.market.batches[number][1][0]
            self.make("post" if kind % 2 else "cancel", job, kind, deal)
        self.market.match_batch(number, *deal)

    @rule(number=numbers, deal=deals)
    def match_batch_again(self, number: int, deal: tuple[int, int, int]) -> None:
        if self.market.batches:
            self.market.match_batch(number % len(self.market.batches), *deal)

    @rule(number=numbers, deal=deals)
    def advance(self, number: int, deal: tuple[int, int, int]) -> None:
        """A move that is legal now."""
        now = self.market.now
        legal = [
            (move, job)
            for move in MOVES
            for job in self.world.jobs
            if not self.why_not(move, job, deal, now)
        ]
        # What is legal most of the time would be most of what happens.
        if number % 8:
            legal = [(m, j) for m, j in legal if m not in SELDOM] or legal
        if legal:
            move, job = legal[number % len(legal)]
            self.make(move, job, number, deal)

    @rule(number=numbers, move=st.sampled_from(MOVES), deal=deals)
    def any_move(self, number: int, move: str, deal: tuple[int, int, int]) -> None:
        """Any move on any job: the model knows why not."""
        if job := self.pick(number):
            self.make(move, job, number, deal)

    @rule(number=numbers, ends=st.lists(st.tuples(verdicts, three), min_size=1, max_size=3))
    def bring_to_an_end(self, number: int, ends: list[tuple[int, int]]) -> None:
        """Claimed if they aren't yet, judged, and carried out at the last or first second."""
        for verdict, refuter in ends:
            if job := self.pick(number, *RUNNING):
                self.bring_one_to_an_end(job, number, verdict, refuter)

    def bring_one_to_an_end(self, job: Job, number: int, verdict: int, refuter: int) -> None:
        market = self.market
        if job.state == MATCHED:
            market.claim(job)
        if job.is_claimed:
            if number % 5 == 0:
                market.contest(job)
            market.rule(job, verdict, market.now + number % 500, refuter)
            market.wait_until(self.world.verdict(job)[1] + number % 2)
            market.refute(job) if verdict == FALLS else market.finalise(job)

    @rule(number=numbers, verdict=verdicts, refuter=three)
    def judge(self, number: int, verdict: int, refuter: int) -> None:
        if job := self.pick(number, CLAIMED, CONTESTED):
            if number % 3 == 0:
                self.market.open(job)
            else:
                self.market.rule(job, verdict, self.market.now + number % 500, refuter)

    def why_not(self, move: str, job: Job, deal: tuple[int, int, int], now: int) -> str:
        """By the model."""
        world, market = self.world, self.market
        if move == "match":
            if job.state not in (NONE, OPEN):
                return "match: job is not open"
            ask = market.make_ask(deal[0], job.terms, deal[2])
            keeper = market.keepers[deal[1]].address
            return world.why_not_match([job], ask, keeper, now)
        if move in ("cancel", "close"):
            return world.why_not_cancel(job, now, by_requester=move == "cancel")
        single = move.removesuffix("_many")
        return str(getattr(world, f"why_not_{single}")(job, now))

    def make(self, move: str, job: Job, number: int, deal: tuple[int, int, int]) -> None:
        market = self.market
        if move == "match":
            market.match(job, *deal)
        elif move == "close":
            market.cancel(job, by_requester=False)
        elif move == "expire":
            market.expire(job, deal[1])
        elif move.endswith("_many"):
            if job.record is not None:
                name = "submit_claims" if move == "claim_many" else "finalise_batch"
                market.many(name, job, self.pick(number) or job)
        else:
            getattr(market, move)(job)

    @rule(number=numbers, deal=deals)
    def try_again(self, number: int, deal: tuple[int, int, int]) -> None:
        """A job that opened again: not with a provider that failed, then with one that hasn't."""
        found = [job for job in self.world.jobs if job.state == OPEN and job.excluded]
        if found:
            job, names = found[number % len(found)], self.market.names
            failed = [names.index(exclusion.provider) for exclusion in job.excluded]
            self.market.match(job, failed[number % len(failed)], *deal[1:])
            others = [provider for provider in range(3) if provider not in failed]
            if others:
                self.market.match(job, others[number % len(others)], *deal[1:])

    @rule(number=numbers, field=st.sampled_from(["price", "lock", "levy", "tip", "price_cap"]))
    def lie(self, number: int, field: str) -> None:
        """No move takes a record that is off by a unit, or anyone but the provider as provider."""
        job = self.pick(number, *RUNNING)
        if job is None:
            return
        values = {name: getattr(job.running, name) for name in job.running.__slots__}
        bent = Record(**(values | {field: values[field] ^ 1})).pack()
        escrow, stranger = self.system.escrow, self.system.stranger
        if job.state == MATCHED:
            with reverts("escrow: wrong match record"):
                escrow.expire(job.job_id, bent, sender=stranger)
            late = self.world.why_not_claim(job, self.market.now)
            self.market.move("submit_claim", job, late or "escrow: not the provider", stranger)
            self.market.move("decline", job, "escrow: not the provider", stranger)
        else:
            for move in ("finalise", "refute", "void_claim"):
                with reverts("escrow: wrong record"):
                    escrow.transact(move, (job.job_id, bent, job.commitment), sender=stranger)

    # -- time, money, governance --

    @rule(rank=st.integers(0, 3), late=st.booleans(), number=numbers, deal=deals)
    def wait(self, rank: int, late: bool, number: int, deal: tuple[int, int, int]) -> None:
        """
        Until the last second of something, or the one after; what is near comes first. Then comes
        a move for which that makes the difference.
        """
        now = self.market.now
        edges = sorted((e for e in self.edges() if e[0] > now), key=lambda edge: edge[0])
        if edges:
            second, moves, job = edges[min(rank, len(edges) - 1)]
            self.market.wait_until(second + late)
            self.make(moves[number % len(moves)], job, number, deal)

    def edges(self) -> list[tuple[int, tuple[str, ...], Job]]:
        """The last seconds of everything, the moves for which that matters, and of which job."""
        jobs, delay_max = self.world.jobs, self.world.delay_max
        return [(*edge, job) for job in jobs for edge in job.edges(delay_max)]

    @rule(who=st.integers(0, 5), part=st.integers(-8, 8))
    def move_money(self, who: int, part: int) -> None:
        """In, or out with some eighths of what is free; never out with what is reserved."""
        account = [*self.market.requesters, *self.market.providers][who]
        free = self.world.free(account.address)
        if part < 0:
            self.market.withdraw(account, free * -part // 8)
        elif part:
            self.market.deposit(account, part * UNIT)
        else:
            with reverts("vault: not enough free"):
                self.system.vault.withdraw(free + 1, account, sender=account)

    @rule(who=three, what=st.sampled_from(["bids", "book", "book back", "sweep", "exit"]))
    def change_mind(self, who: int, what: str) -> None:
        market, requester = self.market, self.market.requesters[who]
        if what == "bids":
            self.system.escrow.revoke_bids(sender=requester)
            self.world.epochs[requester.address] += 1
        elif what == "book":
            self.system.vault.revoke(ESCROW_BOOK, sender=requester)
            self.world.unauthorised.add(requester.address)
        elif what == "book back":
            self.system.vault.authorise(ESCROW_BOOK, sender=requester)
            self.world.unauthorised.discard(requester.address)
        elif what == "sweep":
            market.sweep(market.providers[who])
        elif who == 2 and not self.world.leaving:
            self.system.registry.begin_exit(sender=market.providers[who])
            self.world.leaving.add(market.names[who])

    @rule(
        is_quiet=st.booleans(),
        price=st.tuples(st.integers(0, 50_000), st.integers(0, 3)),
        policy=st.one_of(st.none(), st.sampled_from([(0, 0), (200, 400_003), (57, 1)])),
        payees=st.lists(st.tuples(three, st.integers(0, 30_000)), max_size=3),
    )
    def govern(
        self,
        is_quiet: bool,
        price: tuple[int, int],
        policy: tuple[int, int] | None,
        payees: list[tuple[int, int]],
    ) -> None:
        """Another price and other payees from the verifier; another policy, or none."""
        verifier = self.market.quiet if is_quiet else self.system.dummy
        known = self.world.verifiers[verifier.address]
        known.levy, known.lock_factor = price
        verifier.set_price(known.levy, 0, known.lock_factor)
        known.payees = [(self.market.refuters[who], amount) for who, amount in payees]
        verifier.set_payees(known.payees)
        if policy:
            self.market.enact(verifier, *policy)
        elif price[1] == 0:
            self.market.stop(verifier)

    # -- what must hold --

    @invariant()
    def the_contracts_are_the_model(self) -> None:
        world, names = self.world, self.market.names
        found = self.market.look()
        assert found.lanes == world.lanes
        for job, slot in zip(world.jobs, found.jobs, strict=True):
            assert slot == (job.state, job.attempt, job.time, job.digest)
        for name, provider in zip(names, found.providers, strict=True):
            assert provider.active == world.active(name) <= world.capacity[name]
            counted = [provider.completions, provider.faults, provider.no_shows, provider.declines]
            assert counted == world.record[name]
        # Money is conserved, and there.
        held = sum(lane.free + lane.escrow + lane.registry for lane in found.lanes.values())
        assert found.sunk == world.sunk
        assert held + found.sunk == found.total_held == found.balance

    @invariant()
    def lanes_are_what_the_jobs_hold(self) -> None:
        for account, lane in self.world.lanes.items():
            assert lane.escrow == self.world.escrow_lane(account)

    # -- the end --

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                self.wind_up()
        finally:
            self.chain.restore(self.before)

    def wind_up(self) -> None:
        """Every job ends by a move that anyone can make; then everybody leaves with all."""
        for _ in range(2):
            self.wait_for_all()
            for job in self.world.jobs:
                self.end(job)
        assert not any(job.held or job.is_running for job in self.world.jobs)
        self.the_contracts_are_the_model()
        self.leave()
        vault = self.system.vault
        assert vault.total_held() == self.system.token.balanceOf(vault) == 0

    def wait_for_all(self) -> None:
        """Until all that can run out has run out."""
        last = max((second for second, _, _ in self.edges()), default=0)
        deadlines = max(job.terms.final_deadline for job in self.world.jobs)
        self.market.wait_until(max(last, deadlines) + 1)

    def end(self, job: Job) -> None:
        anyone = ("finalise", "refute", "expire", "void", "close")
        now = self.market.now
        due = [move for move in anyone if not self.why_not(move, job, (0, 0, 0), now)]
        if job.is_claimed and not job.is_asked and job.ruling[0] == FALLS:
            # A verifier that speaks up without having contested in time is too late, or just not.
            assert due == ["finalise", "refute"]
            due.pop(job.attempt % 2)
        # Whatever has money in it has a way on, and one only.
        assert len(due) == (1 if job.held or job.is_running else 0)
        for move in due:
            self.make(move, job, 0, (0, 0, 0))

    def leave(self) -> None:
        system = self.system
        for provider in system.providers:
            if provider.address not in self.world.leaving:
                system.registry.begin_exit(sender=provider)
        self.chain.travel(system.registry.THAW_SECONDS() + 1)
        for provider in system.providers:
            system.registry.finish_exit(provider, sender=system.stranger)
        for address, lane in system.balances().items():
            assert (lane.escrow, lane.registry) == (0, 0)
            if lane.free:
                account = system.account_at(address)
                system.vault.withdraw(lane.free, account, sender=account)
        if system.vault.sunk():
            system.vault.flush_sink(sender=system.stranger)


def test_job_machine(system: System) -> None:
    more = settings(max_examples=3 * settings().max_examples // 2)
    run_state_machine_as_test(partial(JobMachine, system), settings=more)
