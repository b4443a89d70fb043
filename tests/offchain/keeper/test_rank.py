"""Every keeper has a place of its own at each job, and its turn comes when those before it fail."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from headrace.chain.abi import checksummed
from headrace.keeper.rank import may_act, rank, turn_at
from headrace.keeper.roster import HORIZON, MOST, Roster

addresses = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
keeper_sets = st.lists(addresses, min_size=1, max_size=8, unique=True)
job_ids = st.binary(min_size=32, max_size=32)


@given(job_ids, keeper_sets)
def test_the_keepers_of_a_job_have_all_ranks_once(job_id, keepers):
    assert sorted(rank(job_id, keeper, keepers) for keeper in keepers) == list(range(len(keepers)))


@given(job_ids, keeper_sets, st.randoms())
def test_it_does_not_matter_how_the_keepers_are_written_down(job_id, keepers, random):
    shuffled = [*keepers, *keepers]
    random.shuffle(shuffled)
    for keeper in keepers:
        upper = "0x" + keeper[2:].upper()
        assert rank(job_id, keeper, keepers) == rank(job_id, upper, shuffled)


@given(job_ids, keeper_sets, addresses)
def test_one_more_keeper_moves_others_back_by_one_at_most(job_id, keepers, newcomer):
    others = [keeper for keeper in keepers if keeper != newcomer]
    for keeper in others:
        before = rank(job_id, keeper, others)
        assert rank(job_id, keeper, [*others, newcomer]) in (before, before + 1)


@given(job_ids, addresses)
def test_a_keeper_that_knows_no_other_is_first(job_id, keeper):
    assert rank(job_id, keeper, []) == 0
    assert may_act(job_id, keeper, [], due_at=100, now=100, stagger_seconds=30)
    assert not may_act(job_id, keeper, [], due_at=100, now=99, stagger_seconds=30)


@given(job_ids, keeper_sets, st.integers(0, 2**40), st.integers(1, 600))
def test_turns_are_a_stagger_apart_and_last(job_id, keepers, due_at, stagger):
    turns = sorted(turn_at(job_id, keeper, keepers, due_at, stagger) for keeper in keepers)
    assert turns == [due_at + n * stagger for n in range(len(keepers))]
    for keeper in keepers:
        turn = turn_at(job_id, keeper, keepers, due_at, stagger)
        assert not may_act(job_id, keeper, keepers, due_at, turn - 1, stagger)
        assert may_act(job_id, keeper, keepers, due_at, turn, stagger)
        assert may_act(job_id, keeper, keepers, due_at, turn + 10**6, stagger)


@given(
    st.fractions(1, 60, max_denominator=64),
    st.integers(1, MOST - 1),
    st.fractions(0, 1, max_denominator=64),
    job_ids,
)
def test_neighbours_who_measure_a_little_differently_still_come_a_block_apart(
    pace, place, share, job_id
):
    """The first of two has measured more than the second, as far as the module says."""
    names = [keeper_number(number) for number in range(MOST + 1)]
    keepers = sorted(names, key=lambda keeper: rank(job_id, keeper, names))
    more = pace * (1 + share * Fraction(2, 3 * place))
    first = turn_at(job_id, keepers[place], keepers, 0, 3 * more)
    second = turn_at(job_id, keepers[place + 1], keepers, 0, 3 * pace)
    assert second - first > pace - 1


def test_jobs_are_spread_over_the_keepers():
    keepers = ["0x" + bytes([n] * 20).hex() for n in range(3)]
    firsts = [0, 0, 0]
    for number in range(3_000):
        ranks = [rank(number.to_bytes(32), keeper, keepers) for keeper in keepers]
        firsts[ranks.index(0)] += 1
    assert all(800 < first < 1_200 for first in firsts)


ME = "0x" + "aa" * 20


def keeper_number(number: int) -> str:
    return checksummed(f"0x{number:040x}")


def test_who_has_matched_lately_is_on_the_roster():
    roster = Roster(ME, told=[keeper_number(1)])
    assert set(roster.keepers(0)) == {checksummed(ME), keeper_number(1)}
    roster.saw(keeper_number(2), 100)
    roster.saw(keeper_number(2), 90)
    assert keeper_number(2) in roster.keepers(100 + HORIZON)
    assert keeper_number(2) not in roster.keepers(101 + HORIZON)
    assert keeper_number(1) in roster.keepers(10**9)


def test_no_number_of_names_delays_a_job_by_more_than_a_few_staggers():
    roster = Roster(ME)
    for number in range(1, 1_000):
        roster.saw(keeper_number(number), number)
    known = roster.keepers(1_000)
    assert len(known) == MOST + 1
    # The latest are those that count.
    assert keeper_number(999) in known
    assert keeper_number(1) not in known
    assert max(rank(bytes([job]) * 32, ME, known) for job in range(256)) <= MOST


@given(st.permutations([(keeper_number(n), 10 * n) for n in range(1, 12)]))
def test_the_order_in_which_matches_are_heard_of_does_not_matter(matches):
    roster = Roster(ME)
    for keeper, at in matches:
        roster.saw(keeper, at)
    assert set(roster.keepers(120)) == {
        checksummed(ME),
        *(keeper_number(n) for n in range(12 - MOST, 12)),
    }
