"""How fast a chain goes is measured over a stretch that doesn't depend on the head's own number."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.chain.db import ChainDb
from headrace.chain.pace import DEFAULT, LEAST, MOST, block_seconds, made_at
from headrace.chain.rpc import Header

T0 = 1_700_000_000


def header(number: int, timestamp: int) -> Header:
    return Header(
        number=number,
        hash=number.to_bytes(32),
        parent=bytes(32),
        timestamp=timestamp,
        base_fee=1,
    )


@pytest.mark.parametrize("seconds", [1, 2, 12, 60])
@pytest.mark.parametrize("head", [16, 17, 40, 64, 1_000])
def test_a_chain_that_keeps_time_is_measured_as_it_is(seconds: int, head: int):
    assert block_seconds(head, lambda number: T0 + seconds * number) == seconds


def test_the_average_is_over_64_blocks_between_multiples_of_16():
    # 32 blocks of 2 s, then of 3: the stretch is from 48 to 112, whatever the head up to 127.
    def time_of(number: int) -> int:
        return T0 + 2 * number + max(0, number - 80)

    for head in (112, 113, 127):
        assert block_seconds(head, time_of) == Fraction(5, 2)
    assert block_seconds(128, time_of) == Fraction(64 * 2 + 48, 64)


@pytest.mark.parametrize(("lowest", "blocks"), [(0, 64), (48, 48), (49, 32), (80, 16), (81, None)])
def test_with_fewer_headers_less_is_measured_and_with_too_few_nothing(lowest: int, blocks: int):
    def time_of(number: int) -> int | None:
        return T0 + number * number if number >= lowest else None

    expected = DEFAULT if blocks is None else Fraction(96**2 - (96 - blocks) ** 2, blocks)
    assert block_seconds(96, time_of) == (expected if blocks is None else min(expected, MOST))
    assert block_seconds(96, lambda number: None if number == 96 else T0) == DEFAULT


@pytest.mark.parametrize("head", [0, 1, 15])
def test_a_chain_that_has_just_begun_is_taken_for_one_of_two_seconds(head: int):
    assert block_seconds(head, lambda number: T0 + 12 * number) == DEFAULT == 2


def test_it_is_never_less_than_a_second_nor_more_than_a_minute():
    assert block_seconds(64, lambda number: T0 + number // 4) == LEAST == 1
    assert block_seconds(64, lambda _: T0) == LEAST
    assert block_seconds(64, lambda number: T0 + 100 * number) == MOST == 60


@given(st.lists(st.integers(0, 30), min_size=160, max_size=160), st.integers(64, 159))
def test_whoever_is_a_few_blocks_behind_measures_the_same_but_at_an_edge(gaps, head):
    times = [T0]
    for gap in gaps:
        times.append(times[-1] + gap)
    edge = head - head % 16
    for behind in range(edge, head + 1):
        assert block_seconds(behind, times.__getitem__) == block_seconds(head, times.__getitem__)


def test_when_a_block_was_made_is_read_or_reckoned_back_from_the_head():
    head = header(100, T0)
    assert made_at(90, head, Fraction(2), {90: T0 - 33}.get) == T0 - 33
    assert made_at(90, head, Fraction(5, 2), {}.get) == T0 - 25
    # A node that is ahead of what was read has signed at a block that is not known yet.
    assert made_at(101, head, Fraction(2), {}.get) == T0


def test_the_times_are_those_of_the_headers_that_are_kept(tmp_path):
    db = ChainDb(tmp_path / "chain.db", chain_id=1, genesis=bytes(32), escrow="0x0")
    assert db.time_of(1) is None
    db.append([header(number, T0 + 12 * number) for number in range(1, 101)], [], keep=40)
    assert db.time_of(100) == T0 + 1_200
    assert db.time_of(61) == T0 + 732
    assert db.time_of(60) is None
    # Of the stretches only the one from 80 to 96 has both ends.
    assert block_seconds(100, db.time_of) == 12
    db.close()
