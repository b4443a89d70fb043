from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.harness import Chain, Contract
from tests.models.provider import MAX_COMPLETIONS, MAX_COUNT, MAX_WEIGHT, NODES, Word

words = st.builds(
    Word,
    status=st.integers(0, 3),
    is_available=st.integers(0, 1),
    has_payout=st.integers(0, 1),
    epoch=st.integers(0, 2**20 - 1) | st.just(2**20 - 1),
    revoked_lanes=st.integers(0, 2**16 - 1),
    last_seen=st.integers(0, 2**32 - 1),
    active=st.tuples(*[st.integers(0, 63)] * NODES),
    completions=st.integers(0, MAX_COMPLETIONS) | st.integers(MAX_COMPLETIONS - 9, MAX_COMPLETIONS),
    faults=st.integers(0, MAX_COUNT),
    no_shows=st.integers(0, MAX_COUNT) | st.integers(MAX_COUNT - 9, MAX_COUNT),
    declines=st.integers(0, MAX_COUNT),
    good=st.integers(0, MAX_WEIGHT),
    bad=st.integers(0, MAX_WEIGHT),
)


@pytest.fixture(scope="module")
def harness(chain: Chain) -> Contract:
    return chain.deploy("ProviderWordHarness")


@given(word=words)
def test_every_field_is_read_where_the_twin_packs_it(harness: Contract, word: Word) -> None:
    packed = word.pack()
    assert harness.fields(packed) == word.fields()
    assert tuple(harness.active(packed, node) for node in range(NODES)) == word.active
    assert harness.has_active(packed) == any(word.active)


def test_a_full_word_fills_all_256_bits() -> None:
    counts = (MAX_COMPLETIONS, MAX_COUNT, MAX_COUNT, MAX_COUNT, MAX_WEIGHT, MAX_WEIGHT)
    full = Word(3, 1, 1, 2**20 - 1, 2**16 - 1, 2**32 - 1, (63,) * NODES, *counts)
    assert full.pack() == 2**256 - 1


@given(word=words, status=st.integers(0, 3), flag=st.booleans(), lane=st.integers(0, 15))
def test_what_the_provider_sets(
    harness: Contract, word: Word, status: int, flag: bool, lane: int
) -> None:
    packed = word.pack()
    assert harness.with_status(packed, status) == replace(word, status=status).pack()
    assert harness.with_available(packed, flag) == replace(word, is_available=int(flag)).pack()
    assert harness.with_payout(packed, flag) == replace(word, has_payout=int(flag)).pack()
    lanes = word.revoked_lanes | 1 << lane
    assert harness.with_lane_revoked(packed, lane) == replace(word, revoked_lanes=lanes).pack()
    is_last = word.epoch == 2**20 - 1
    after = word if is_last else replace(word, epoch=word.epoch + 1, revoked_lanes=0)
    assert harness.with_next_epoch(packed) == after.pack()


@given(word=words, data=st.data())
def test_what_jobs_set(harness: Contract, word: Word, data: st.DataObject) -> None:
    packed = word.pack()
    node = data.draw(st.integers(0, NODES - 1))
    more = data.draw(st.integers(0, 63 - word.active[node]))
    assert harness.with_taken(packed, node, more) == word.taken(node, more).pack()
    less = data.draw(st.integers(0, word.active[node]))
    assert harness.with_given_back(packed, node, less) == word.taken(node, -less).pack()

    count = data.draw(st.integers(1, 63))
    most = {"completions": MAX_COMPLETIONS} | dict.fromkeys(
        ("faults", "no_shows", "declines"), MAX_COUNT
    )
    for index, (name, limit) in enumerate(most.items()):
        after = replace(word, **{name: min(getattr(word, name) + count, limit)})
        assert harness.with_counted(packed, index, count) == after.pack()


@given(
    word=words,
    now=st.integers(0, 2**33),
    good=st.integers(0, MAX_WEIGHT),
    bad=st.integers(0, MAX_WEIGHT),
)
def test_what_a_sign_of_life_sets(
    harness: Contract, word: Word, now: int, good: int, bad: int
) -> None:
    # The clock of the word ends in 2106; the other fields stay whole.
    after = replace(word, last_seen=min(now, 2**32 - 1), good=good, bad=bad)
    assert harness.with_seen(word.pack(), now, good, bad) == after.pack()
    assert harness.with_bad(word.pack(), bad) == replace(word, bad=bad).pack()
