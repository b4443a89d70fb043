"""What may happen in a market, step by step."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import strategies as st

from headrace.chain.jobs import Job
from headrace.chain.views import JobState
from headrace.daemon.actions import Action
from headrace.keeper.decide import VOID_GRACE, plan
from headrace.keeper.state import asks_verifier
from headrace.market.book import LiveAsk, OpenJob
from headrace.terms.words import ZERO_HASH, Terms, verifier_terms
from tests.offchain.keeper.ledger import PENDING, Refused, opened
from tests.offchain.keeper.model import Model
from tests.offchain.keeper.picture import picture
from tests.offchain.keeper.states import EAGER, FALLS, KEEPER, OTHER_KEEPER, stands
from tests.offchain.market.worlds import MAKERS, NODE, World, make_provider
from tests.offchain.terms.examples import (
    CODE_HASH,
    REQUESTER,
    SETTINGS,
    T0,
    UNIT,
    VERIFIER,
    address,
    make_terms,
)

# Settings of a verifier that wants to be asked about every claim.
ALWAYS = SETTINGS | 1 << 90
WATCHER, ANSWERER = address(0xD2), address(0xD3)
# What is put on the board isn't on the chain, and stays when a block is taken back.
BOARD = ("ask", "bid", "batch")
ANEW = ("ask", "ask", "batch", "post", "bid", "post")
BEGUN = ("ask", "ask", "ask", "post", "post", "bid", "batch")
KINDS = (
    *("ask", "ask", "bid", "batch", "batch", "post", "post", "post"),
    *("match", "match", "match", "claim", "claim", "contest", "rule", "decline"),
    *("demand", "demand_node", "answer_node", "end", "round", "withdraw", "wait", "wait"),
    *("life", "life", "life", "life", "life"),
)
# Seconds: to the end of a deadline, of an attempt, of a window.
WAITS = (1, 59, 301, 601, 601, 700)
Step = tuple[str, int, int]
_CLAIMED = JobState.CLAIMED, JobState.CONTESTED


def fresh(money: int = 60, capacity: int = 3) -> Model:
    """An empty market whose providers have a node of so many places and so much each."""
    world = World(now=T0, free=dict.fromkeys(MAKERS, money * UNIT))
    world.free[REQUESTER] = money * UNIT
    nodes = {0: replace(NODE, capacity=capacity).pack(), 1: NODE.pack()}
    for maker in MAKERS:
        state = make_provider()
        words = {index: replace(state.nodes[0], word=word) for index, word in nodes.items()}
        world.providers[maker] = replace(state, nodes=words)
    return Model(world)


def happen(model: Model, step: Step) -> None:
    """One step, a second after the one before; nothing but time passes if it isn't possible."""
    name, a, b = step
    model.world.now += 1
    with suppress(Refused):
        _STEPS[name](model, a, b)


# ---- the board


def _ask(model: Model, a: int, b: int) -> None:
    """A provider that is there makes an offer."""
    maker, settings = MAKERS[a % 4], ALWAYS if b % 5 == 0 else SETTINGS
    state = model.world.providers[maker]
    record = replace(state.record, last_seen=model.now)
    model.world.providers[maker] = replace(state, record=record)
    model.world.ask(
        maker,
        (1 + b % 12) * UNIT // 2,
        node=a // 4 % 2,
        expiry=model.now + (300, 86_400)[a // 8 % 4 > 0],
        verifier_terms=verifier_terms(VERIFIER, CODE_HASH, settings),
    )


def _terms(model: Model, a: int, b: int, **changes: Any) -> Terms:
    values: dict[str, Any] = {
        "requester": MAKERS[0] if a % 5 == 0 else REQUESTER,
        "settings": ALWAYS if b % 5 == 0 else SETTINGS,
        "salt": len(model.jobs) + len(model.bids) + 1,
        "damage_cap": UNIT // 10 * (b % 3),
        "price_start": b // 3 % 8 * UNIT,
        "price_cap": (8 + b // 24 % 8) * UNIT,
        "tip_share_bps": a // 5 % 11 * 1_000,
        "max_attempts": 1 + a // 55 % 3,
        "valid_from": model.now,
        "final_deadline": model.now + (300 if b // 5 % 4 == 0 else 7_200),
    }
    return make_terms(**(values | changes))


def _post(model: Model, a: int, b: int) -> None:
    """A job is posted, perhaps one that was signed as a member of a batch."""
    batches = [bid for bid in model.bids.values() if bid.inputs]
    if batches and b % 4 == 0:
        batch = batches[a % len(batches)]
        model.post(replace(batch.terms, input_id=batch.inputs[b % len(batch.inputs)]))
    else:
        model.post(_terms(model, a, b))


def _bid(model: Model, a: int, b: int) -> None:
    model.sign(_terms(model, a, b))


def _batch(model: Model, a: int, b: int) -> None:
    inputs = tuple(bytes([i + 1]) * 32 for i in range(1 + a % 3))
    model.sign(_terms(model, a, b, input_id=ZERO_HASH), inputs)


# ---- the chain


def _among(model: Model, number: int, *states: JobState) -> Job:
    jobs = [job for job in model.jobs.values() if job.state in states]
    if not jobs:
        raise Refused("there is none")
    return jobs[number % len(jobs)]


def match_call(model: Model, wanted: OpenJob, live: LiveAsk) -> Action:
    """A match of the pair, as any keeper may try it."""
    name, args = "match", (wanted.terms, wanted.signature, live.ask, live.signature)
    proof = live.proof(wanted.terms.program)
    if wanted.inputs:
        name = "match_batch"
        return Action("", "JobEscrow", name, (wanted.terms, wanted.inputs, *args[1:], proof))
    return Action("", "JobEscrow", name, (*args, proof, wanted.excluded))


def _match(model: Model, a: int, b: int) -> None:
    """Somebody matches the first pair that fits, whatever it costs."""
    jobs = [opened(job) for job in model.jobs.values() if job.state == JobState.OPEN]
    wanted = [*jobs, *(bid for key, bid in model.bids.items() if key not in model.jobs)]
    pairs = [(job, live) for job in wanted for live in model.world.book.asks()]
    for number in range(min(len(pairs), 12)):
        job, live = pairs[(a + number) % len(pairs)]
        with suppress(Refused):
            model.call(match_call(model, job, live), (KEEPER, OTHER_KEEPER)[b % 2])
            return


def _claim(model: Model, a: int, b: int) -> None:
    _claim_all(model, _among(model, a, JobState.MATCHED))


def _claim_all(model: Model, first: Job) -> None:
    """A provider claims all that it runs under one record."""
    for job in list(model.jobs.values()):
        if job.state == JobState.MATCHED and job.record == first.record:
            model.claim(job)


def _contest(model: Model, a: int, b: int) -> None:
    _contested(model, _among(model, a, JobState.CLAIMED), b)


def _rule(model: Model, a: int, b: int) -> None:
    _ruled(model, _among(model, a, *_CLAIMED), b)


def _demand(model: Model, a: int, b: int) -> None:
    _demanded(model, _among(model, a, *_CLAIMED), b)


def _demand_node(model: Model, a: int, b: int) -> None:
    _node_demanded(model, _among(model, a, *_CLAIMED), b)


def _answer_node(model: Model, a: int, b: int) -> None:
    _answered(model, _among(model, a, *_CLAIMED), b)


def _contested(model: Model, job: Job, b: int) -> None:
    model.contest(job)


def _ruled(model: Model, job: Job, b: int) -> None:
    if asks_verifier(job):
        now = model.now
        verdicts = (FALLS, FALLS, stands(now), stands(now + 50), stands(now + 1_500), None, PENDING)
        model.rule(job, verdicts[b % len(verdicts)])


def _demanded(model: Model, job: Job, b: int) -> None:
    model.demand(job, WATCHER)


def _node_demanded(model: Model, job: Job, b: int) -> None:
    for _ in range(1 + b % 2):
        model.demand_node(job, WATCHER)


def _answered(model: Model, job: Job, b: int) -> None:
    model.answer_node(job, ANSWERER)


def _decline(model: Model, a: int, b: int) -> None:
    model.decline(_among(model, a, JobState.MATCHED))


def _end(model: Model, a: int, b: int) -> None:
    """Another keeper ends what it may, or a requester gives up."""
    job = _among(model, a, *(state for state in JobState if state.is_live))
    if job.state == JobState.OPEN:
        by = OTHER_KEEPER if b % 4 else job.terms.requester
        call = "cancel", (job.terms, job.excluded)
    elif job.state == JobState.MATCHED:
        by, call = OTHER_KEEPER, ("expire", (job.id, job.record))
    else:
        name = ("finalise", "refute", "void_claim")[b % 3]
        by, call = OTHER_KEEPER, (name, (job.id, job.record, job.commitment))
    model.call(Action("", "JobEscrow", *call), by)


def _round(model: Model, a: int, b: int) -> None:
    """Another keeper makes some of the moves that are due."""
    moves = plan(picture(model), model.now, OTHER_KEEPER, EAGER).moves
    start = a % (len(moves) + 1)
    model.apply(moves[start : start + 1 + b % 3], OTHER_KEEPER)


def _withdraw(model: Model, a: int, b: int) -> None:
    """Somebody takes its free money away, or brings some."""
    who = (*MAKERS, REQUESTER)[a % 5]
    model.world.free[who] = b % 40 * UNIT


def _wait(model: Model, a: int, b: int) -> None:
    model.world.now += WAITS[a % len(WAITS)]


def _life(model: Model, a: int, b: int) -> None:
    """A job is matched, claimed, and disputed in one of many ways; then time goes by."""
    _match(model, b, a)
    running = [job for job in model.jobs.values() if job.state == JobState.MATCHED]
    if not running or a % 8 == 0:
        return
    last = max(running, key=lambda job: job.record.matched_at if job.record else 0)
    _claim_all(model, last)
    for bit, move in enumerate((_demanded, _node_demanded, _answered, _contested, _ruled)):
        if a >> bit & 1:
            with suppress(Refused):
                move(model, model.jobs[last.id], b)
    model.world.now += (0, 0, 501, 601)[a >> 5 & 3]


_STEPS = {name: globals()[f"_{name}"] for name in KINDS}


@st.composite
def steps(
    draw: st.DrawFn, least: int, most: int, kinds: Sequence[str] = KINDS, begun: Sequence[str] = ()
) -> list[Step]:
    """
    From `least` to `most` steps of these `kinds`, after those `begun` with. They come out of one
    drawn seed: drawn one by one they are too much alike to lead far. Fewer of them are simpler.
    """
    count = draw(st.integers(least, most))
    random = Random(draw(st.integers(0, 2**32 - 1)))
    names = [*begun, *(random.choice(kinds) for _ in range(count))]
    return [(name, random.randrange(1_000), random.randrange(1_000)) for name in names]


@st.composite
def models(draw: st.DrawFn) -> Model:
    """A market after dozens of steps, at a time when something may run out, and some new jobs."""
    model = fresh(draw(st.integers(15, 90)), draw(st.integers(1, 4)))
    for step in draw(steps(15, 50, begun=BEGUN)):
        happen(model, step)
    wait = draw(st.sampled_from([None, None, None, 0, 601, 7_201, 260_000, 260_000]))
    if wait is None:
        ends = draw(st.sampled_from(draw(st.sampled_from(edges(model)))))
        model.world.now = max(model.now, ends + draw(st.integers(0, 1)))
    else:
        model.world.now += wait
    at = model.now
    for name, a, b in draw(steps(0, 2, BOARD, begun=ANEW)):
        with suppress(Refused):
            _STEPS[name](model, a, b)
    assert model.now == at
    return model


def edges(model: Model) -> list[list[int]]:
    """The last seconds, from now on, of claims, of attempts, of jobs and of offers, if any."""
    claims, attempts, jobs = {0}, {0}, {bid.terms.final_deadline for bid in model.bids.values()}
    offers = {ask.ask.expiry for ask in model.world.book.asks()}
    claims |= {case.due for case in model.cases.values()}
    for job in model.jobs.values():
        jobs.add(job.terms.final_deadline)
        attempts |= {job.claim_until, job.decline_until}
        if job.state.is_claimed and job.record is not None:
            outcome = model.outcome(job)
            claims |= {job.claimed_at + job.record.window, outcome.not_before if outcome else 0}
            claims.add(job.claimed_at + model.world.snapshot.delay_max + VOID_GRACE)
    found = ([at for at in sorted(ends) if at >= model.now] for ends in (claims, attempts, jobs))
    return [ends for ends in (*found, sorted(offers)) if ends]
