"""What a match asks for, on chain and in `headrace.terms.requirement`: the same bits."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.terms import requirement as rule
from headrace.terms.words import Node, Requirement
from tests.harness import Chain, Contract, repository_file, reverts
from tests.models.provider import Word

TTL, HALF_LIFE = 3_600, 2_592_000
REASONS = [
    "registry: not active",
    "registry: unavailable",
    "registry: stale",
    "registry: no such node",
    "registry: wrong gpu model",
    "registry: too few gpus",
    "registry: too little vram",
    "registry: wrong region",
    "registry: latency too high",
    "registry: not attested",
    "registry: benchmark too low",
    "registry: too few completions",
    "registry: fault rate too high",
    "registry: weight too low",
    "registry: no place left",
]


def near(most: int) -> st.SearchStrategy[int]:
    """Small numbers meet each other at their edges; the rest of the field is there too."""
    return st.integers(0, 4) | st.integers(0, most)


nodes = st.builds(
    Node,
    gpu_model=st.integers(0, 6) | st.sampled_from([95, 96, 255, 256, 65_535]),
    vram_gib=near(2**16 - 1),
    gpu_count=near(255),
    region=st.integers(0, 31),
    capacity=st.integers(0, 63),
    latency_class=near(255),
    flags=st.integers(0, 1),
    benchmark=near(2**32 - 1),
)
requirements = st.builds(
    Requirement,
    gpu_mask=st.integers(0, 127) | st.integers(0, 2**96 - 1),
    region_mask=st.integers(0, 2**32 - 1),
    min_vram_gib=near(2**16 - 1),
    min_gpu_count=near(255),
    max_latency_class=near(255),
    flags=st.integers(0, 1) | st.integers(0, 255),
    min_benchmark=near(2**32 - 1),
    min_completions=near(2**16 - 1),
    max_fault_bps=st.integers(0, 12_000) | st.integers(0, 2**16 - 1),
    min_weight=near(2**24 - 1),
)
records = st.builds(
    Word,
    status=st.sampled_from([1, 1, 1, 0, 2, 3]),
    is_available=st.sampled_from([1, 1, 0]),
    last_seen=st.integers(1_800_000_000, 1_800_000_000 + 9_999),
    active=st.tuples(*[st.integers(0, 63)] * 8),
    completions=near(2**20 - 1),
    good=st.integers(0, 5 << 16) | st.integers(0, 2**40 - 1),
    bad=st.integers(0, 5 << 16) | st.integers(0, 2**40 - 1),
)


@pytest.fixture(scope="module")
def harness(chain: Chain) -> Contract:
    return chain.deploy("RequirementsHarness")


def both(
    harness: Contract, wanted: Requirement, node: Node, word: Word, index: int, count: int, now: int
) -> tuple[int, int]:
    """The bits on chain and those of the twin."""
    good, bad = word.weights(now, HALF_LIFE)
    record = rule.ProviderRecord(
        status=word.status,
        is_available=bool(word.is_available),
        last_seen=word.last_seen,
        heartbeat_ttl=TTL,
        active=word.active[index],
        completions=word.completions,
        good_weight=good,
        bad_weight=bad,
    )
    ours = rule.unmet_bits(wanted.pack(), node.pack(), record, now, count)
    given = (wanted.pack(), node.pack(), word.pack(), index, count, now, TTL, HALF_LIFE)
    return harness.unmet(*given), ours


GOOD_NODE = Node(
    gpu_model=95, vram_gib=2, gpu_count=2, region=31, capacity=2, latency_class=2, benchmark=2
)
GOOD_WORD = Word(
    status=1,
    is_available=1,
    last_seen=1_800_000_000,
    completions=2,
    active=(1, 2, 2, 2, 2, 2, 2, 2),
    good=3 << 16,
    bad=1 << 16,
)
EDGE = Requirement(
    gpu_mask=1 << 95,
    region_mask=1 << 31,
    min_vram_gib=2,
    min_gpu_count=2,
    max_latency_class=2,
    min_benchmark=2,
    min_completions=2,
    max_fault_bps=2_500,
    min_weight=3,
)


@given(
    wanted=requirements,
    node=nodes,
    word=records,
    index=st.integers(0, 7),
    count=st.integers(1, 32),
    elapsed=st.integers(0, 2 * TTL) | st.integers(0, 5 * HALF_LIFE),
)
@settings(max_examples=120)
@example(wanted=EDGE, node=GOOD_NODE, word=GOOD_WORD, index=0, count=1, elapsed=0)
def test_random_words_fail_the_same_bits_on_chain(
    harness: Contract,
    wanted: Requirement,
    node: Node,
    word: Word,
    index: int,
    count: int,
    elapsed: int,
) -> None:
    now = word.last_seen + elapsed
    on_chain, ours = both(harness, wanted, node, word, index, count, now)
    assert on_chain == ours


def test_meets_at_the_edge_and_fails_one_beyond_it(harness: Contract) -> None:
    now = GOOD_WORD.last_seen

    def bits(
        wanted: Requirement = EDGE,
        node: Node = GOOD_NODE,
        word: Word = GOOD_WORD,
        count: int = 1,
        now: int = now,
    ) -> tuple[str, ...]:
        on_chain, ours = both(harness, wanted, node, word, 0, count, now)
        assert on_chain == ours
        return rule.bit_names(on_chain)

    loose = replace(EDGE, min_weight=0, max_fault_bps=0)
    assert bits() == ()
    assert bits(loose, now=now + TTL) == ()
    assert bits(loose, now=now + TTL + 1) == ("stale",)
    assert bits(word=replace(GOOD_WORD, status=2)) == ("not_active",)
    assert bits(word=replace(GOOD_WORD, is_available=0)) == ("unavailable",)
    assert bits(node=replace(GOOD_NODE, gpu_model=94)) == ("gpu_model",)
    assert bits(node=replace(GOOD_NODE, gpu_model=96)) == ("gpu_model",)
    assert bits(replace(EDGE, min_gpu_count=3)) == ("gpu_count",)
    assert bits(replace(EDGE, min_vram_gib=3)) == ("vram",)
    assert bits(node=replace(GOOD_NODE, region=30)) == ("region",)
    assert bits(replace(EDGE, max_latency_class=1)) == ("latency",)
    assert bits(replace(EDGE, flags=1)) == ("attestation",)
    assert bits(replace(EDGE, flags=1), node=replace(GOOD_NODE, flags=1)) == ()
    assert bits(replace(EDGE, min_benchmark=3)) == ("benchmark",)
    assert bits(replace(EDGE, min_completions=3)) == ("completions",)
    assert bits(replace(EDGE, max_fault_bps=2_499)) == ("fault_rate",)
    assert bits(replace(EDGE, min_weight=4)) == ("weight",)
    assert bits(word=replace(GOOD_WORD, good=(3 << 16) - 1)) == ("weight",)
    assert bits(count=2) == ("capacity",)
    gone = bits(Requirement(), node=Node.unpack(0))
    assert gone == ("no_node", "capacity")


def test_zero_asks_for_nothing(harness: Contract) -> None:
    poor = Node(gpu_model=500, vram_gib=0, gpu_count=0, region=0, capacity=1, latency_class=255)
    word = Word(status=1, is_available=1, last_seen=1_800_000_000, bad=5)
    assert both(harness, Requirement(), poor, word, 0, 1, word.last_seen) == (0, 0)


def test_old_weights_count_for_what_is_left_of_them(harness: Contract) -> None:
    wanted = Requirement(min_weight=3)
    later = GOOD_WORD.last_seen + 1
    on_chain, ours = both(harness, wanted, GOOD_NODE, GOOD_WORD, 0, 1, later)
    assert on_chain == ours == rule.WEIGHT


def test_refuses_with_the_reason_of_the_lowest_bit(harness: Contract) -> None:
    for index, reason in enumerate(REASONS):
        for bits in (1 << index, 0x7FFF & ~((1 << index) - 1)):
            with reverts(reason):
                harness.refuse(bits)


def test_names_are_those_of_the_page() -> None:
    page = Path(repository_file("docs", "encoding.md")).read_text()
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in page[page.index("## `unmet` bits") :].splitlines()
        if line.startswith("|")
    ]
    tables: list[dict[int, str]] = [{}]
    for row in cells:
        if row[0] == "bit":
            tables.append({})
        for bit, name in (row[0:2], row[-2:]):
            if bit.isdigit():
                tables[-1][int(bit)] = name
    requester, provider = tables[1:3]
    assert dict(rule.REQUESTER_BITS) == requester
    assert dict(rule.PROVIDER_BITS) == provider
    values = {1 << bit: name for bit, name in requester.items() if bit < 15}
    assert {getattr(rule, name.upper()): name for name in values.values()} == values


def test_names_of_bits() -> None:
    assert rule.bit_names(0) == ()
    assert rule.bit_names(1 << 4 | 1 << 14 | 1 << 22) == ("gpu_model", "capacity", "funds")
    assert rule.bit_names(1 | 1 << 13, rule.PROVIDER_BITS) == ("signer", "attempt_seconds")
    assert rule.bit_names(1 << 15) == ("bit_15",)


def test_words_that_are_not_of_their_layout_are_refused() -> None:
    record = rule.ProviderRecord(
        status=1, is_available=True, last_seen=0, heartbeat_ttl=1, active=0
    )
    with pytest.raises(ValueError, match="Node: spare bits are set"):
        rule.unmet_bits(0, 1, record, 0)
    with pytest.raises(ValueError, match="256 bits"):
        rule.unmet_bits(2**256, 0, record, 0)


def test_a_requirement_has_no_field_the_rule_forgets() -> None:
    """Every field, set to the hardest value there is, is what some bit is about."""
    record = rule.ProviderRecord(
        status=1, is_available=True, last_seen=0, heartbeat_ttl=9, active=0, bad_weight=5
    )
    node = replace(GOOD_NODE, gpu_model=0, region=0)
    hardest = {"gpu_mask": 2, "region_mask": 2, "max_latency_class": 1, "max_fault_bps": 1}
    found = set()
    for item in fields(Requirement):
        value = hardest.get(item.name, 255)
        bits = rule.unmet_bits(Requirement(**{item.name: value}).pack(), node.pack(), record, 0)
        assert bits.bit_count() == 1, item.name
        found.add(bits)
    assert len(found) == len(fields(Requirement))
