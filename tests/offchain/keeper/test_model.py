"""The keeper's plans against a model of the contracts: every move goes through, none is left."""

import ast
from collections import Counter
from inspect import getsource
from random import Random

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from headrace.keeper import decide as decide_module
from headrace.keeper.decide import Move, Planned, Policy, plan
from headrace.market.book import Book
from tests.offchain.keeper.happenings import edges, models
from tests.offchain.keeper.ledger import Refused
from tests.offchain.keeper.model import Model
from tests.offchain.keeper.picture import picture
from tests.offchain.keeper.states import EAGER, KEEPER
from tests.offchain.terms.examples import address

POLICIES = st.sampled_from([EAGER, Policy()])


def planned(model: Model, policy: Policy = EAGER) -> Planned:
    return plan(picture(model), model.now, KEEPER, policy)


def due(model: Model, policy: Policy = EAGER) -> tuple[Move, ...]:
    return planned(model, policy).moves


def subjects(move: Move) -> list[bytes]:
    """The jobs that a move ends or begins; of a batch its digest."""
    if move.function == "finalise_batch":
        return [job_id for job_id, _ in move.args[1]]
    if move.function in ("match", "match_batch", "cancel"):
        return [bytes.fromhex(move.key.split(":")[1])]
    return [] if move.function in ("sweep", "settle_demand") else [move.args[0]]


# ---- every kind of move


def kinds() -> set[str]:
    """Every call that `decide.py` can name, read off its source."""
    found = set()
    for node in ast.walk(ast.parse(getsource(decide_module))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Move":
            given_as = {keyword.arg: keyword.value for keyword in node.keywords}
            names = [
                {n.value for n in ast.walk(given_as[part]) if isinstance(n, ast.Constant)}
                for part in ("contract", "function")
            ]
            found |= {f"{contract}.{name}" for contract in names[0] for name in names[1]}
    return found


def test_the_drawn_markets_meet_every_move_that_a_keeper_can_make():
    met: Counter[str] = Counter()

    @settings(max_examples=130, derandomize=True, database=None, phases=[Phase.generate])
    @given(models())
    def tally(model: Model) -> None:
        while moves := due(model):
            met.update({move.what for move in moves})
            met.update(["a batch of which some are on record"] * partly(model, moves))
            met.update(["a job that is tried again"] * again(model, moves))
            model.apply(moves, KEEPER)

    tally()
    wanted = kinds() | {"a batch of which some are on record", "a job that is tried again"}
    assert len(wanted) == 13
    assert {what: met[what] for what in wanted if met[what] < 3} == {}
    assert met.keys() == wanted


def partly(model: Model, moves: tuple[Move, ...]) -> bool:
    batches = (model.bids[subjects(m)[0]] for m in moves if m.function == "match_batch")
    return any(len(model.members_left(batch)) < batch.count for batch in batches)


def again(model: Model, moves: tuple[Move, ...]) -> bool:
    matched = (subjects(move)[0] for move in moves if move.function == "match")
    return any(job_id in model.jobs and model.jobs[job_id].attempts for job_id in matched)


# ---- whatever the market


@given(models(), POLICIES)
def test_every_move_goes_through_and_then_there_is_nothing_left(model: Model, policy: Policy):
    moves = due(model, policy)
    for number in range(2 * len(model.jobs) + len(model.bids) + 4):
        if not moves:
            break
        before = dict(model.world.free)
        # What can be ended is ended at once. That leaves fees, and frees money and places.
        late = {m.function for m in moves} - {"match", "match_batch"}
        assert number == 0 or late <= ({"settle_demand", "sweep"} if number == 1 else set())
        model.apply(moves, KEEPER)
        is_dry = all(amount <= before.get(who, 0) for who, amount in model.world.free.items())
        only_matches = late == set()
        moves = due(model, policy)
        assert not moves or not is_dry or not only_matches, moves
    assert moves == ()
    assert set(model.paid.values()) <= {1}


@given(models(), POLICIES)
def test_a_plan_is_the_same_each_time_and_all_of_it_is_good_now(model: Model, policy: Policy):
    found = planned(model, policy)
    assert found == planned(model, policy)
    assert all(move.is_good(model.now) for move in found.moves)
    keys = [move.key for move in found.moves]
    assert len(keys) == len(set(keys))
    assert not set(keys) & found.withheld.keys()
    touched = [job_id for move in found.moves for job_id in subjects(move)]
    assert len(touched) == len(set(touched))
    over = {job.id for job in model.jobs.values() if not job.state.is_live}
    assert not over & set(touched)
    # Every job that could be matched is, or it is counted why not.
    matched = {subjects(m)[0] for m in found.moves if m.function in ("match", "match_batch")}
    left_out = {shortfall.job_id for shortfall in found.market.shortfalls}
    left_out |= {bytes.fromhex(key.split(":")[1]) for key in found.withheld if "match" in key}
    assert matched | left_out == set(picture(model).book.job_ids())


@given(models(), st.randoms(use_true_random=False))
def test_nothing_is_reserved_twice(model: Model, random: Random):
    """Whichever moves of a plan get into a block, and in whatever order, each goes through."""
    moves = list(due(model))
    random.shuffle(moves)
    model.apply(moves[: random.randint(0, len(moves))], KEEPER)


@given(models(), st.data())
def test_what_was_not_made_before_a_crash_is_decided_again_and_nothing_else(
    model: Model, data: st.DataObject
):
    moves = due(model)
    made = data.draw(st.integers(0, len(moves)))
    model.apply(moves[:made], KEEPER)
    again = due(model)
    assert not model.done & {move.key for move in again}
    # Claims are put together anew, what is free now may go to another, more is kept to be swept.
    moving = ("match", "match_batch", "finalise_batch", "sweep")
    left = [move for move in moves[made:] if move.function not in moving]
    assert {move.key for move in left} <= {move.key for move in again}
    swept = [{m.args for m in some if m.function == "sweep"} for some in (moves[made:], again)]
    assert swept[0] <= swept[1]


def refusal(model: Model, move: Move, now: int) -> str:
    """Why the contracts refuse a move at `now`; "" if they don't."""
    then = model.clone()
    then.world.now = now
    try:
        then.call(move, KEEPER)
    except Refused as error:
        return str(error)
    return ""


ENDS = ("expire", "void_claim", "cancel", "finalise", "finalise_batch")


@given(models())
def test_no_move_is_made_too_early_too_late_or_twice(model: Model):
    """The contracts refuse each move a second time, and a second outside its bounds."""
    for move in due(model):
        after = model.clone()
        after.call(move, KEEPER)
        assert refusal(after, move, model.now)
        if move.deadline is not None:
            over = {"too_late", "expired"}
            assert over & set(refusal(model, move, move.deadline + 1).split())
            assert not over & set(refusal(model, move, move.deadline).split())
        if move.function in ENDS:
            assert refusal(model, move, move.not_before - 1)
            assert not refusal(model, move, move.not_before)


@given(models())
def test_every_move_goes_through_at_each_last_second_and_the_one_after(model: Model):
    ends = {at for some in edges(model)[:2] for at in some}
    for now in sorted({at + late for at in ends for late in (0, 1)})[:12]:
        then = model.clone()
        then.world.now = now
        then.apply(due(then), KEEPER)


@given(models(), st.data())
def test_a_claim_with_a_payment_under_way_is_not_paid_again(model: Model, data: st.DataObject):
    payments = [m for m in due(model) if m.function.startswith("finalise")]
    claims = [job_id for move in payments for job_id in subjects(move)]
    busy = frozenset(data.draw(st.sets(st.sampled_from(claims)) if claims else st.just(set())))
    found = plan(picture(model, busy=busy), model.now, KEEPER, EAGER).moves
    paid = [job_id for m in found if m.function.startswith("finalise") for job_id in subjects(m)]
    assert sorted(paid) == sorted(set(claims) - busy)


@given(models(), st.integers(2, 5))
def test_at_the_first_moment_each_match_is_one_keepers(model: Model, count: int):
    keepers = tuple(address(0x700 + number) for number in range(count))
    policy = Policy(patience=0, stagger_blocks=5, sweep_from=1)
    state = picture(model, keepers=keepers)
    shares = [
        {m.key for m in plan(state, model.now, keeper, policy).moves if "match" in m.function}
        for keeper in keepers
    ]
    alone = {m.key for m in due(model) if "match" in m.function}
    assert set().union(*shares) == alone
    assert sum(map(len, shares)) == len(alone)


@given(models(), st.randoms(use_true_random=False))
def test_a_plan_is_the_same_whatever_the_order_in_which_things_were_heard_of(
    model: Model, random: Random
):
    before = planned(model)
    other = model.clone()
    jobs, bids, asks = (
        random.sample(list(items), len(items))
        for items in (model.jobs.items(), model.bids.items(), [*model.world.book.asks()])
    )
    other.jobs, other.bids = dict(jobs), dict(bids)
    other.world.book = Book(asks=asks)
    assert planned(other) == before
