"""The decoders of fixed places agree with eth-abi on every event, and on what is no event."""

import json
import random
from pathlib import Path

import pytest
from eth_abi import encode
from hypothesis import given
from hypothesis import strategies as st

import headrace
from headrace.chain.abi import Abi, BadAnswer, EventType, Log, decode_values

ARTIFACTS = sorted((Path(headrace.__file__).parent / "artifacts").glob("*.json"))
EVENTS = [
    event
    for path in ARTIFACTS
    for event in Abi(json.loads(path.read_text())["abi"]).events.values()
]
STATIC = [
    "uint256", "uint8", "uint96", "int256", "int64", "bool", "address", "bytes32", "bytes4",
    "uint256[3]", "address[2]", "(uint256,address)", "(bytes32,bool,int8)",
]  # fmt: skip


def log_of(topics: tuple[bytes, ...], data: bytes) -> Log:
    return Log(1, 0, bytes(32), bytes(32), "0x", topics, data, 0)


def slowly(event: EventType, log: Log) -> dict[str, object]:
    indexed = [(name, kind) for name, kind, is_indexed in event.inputs if is_indexed]
    rest = [(name, kind) for name, kind, is_indexed in event.inputs if not is_indexed]
    if len(log.topics) != 1 + len(indexed):
        raise BadAnswer("topics")
    args: dict[str, object] = {}
    for (name, kind), topic in zip(indexed, log.topics[1:], strict=True):
        (args[name],) = decode_values([kind], topic, event.name)
    values = decode_values([kind for _, kind in rest], log.data, event.name)
    return args | {name: value for (name, _), value in zip(rest, values, strict=True)}


def outcome(read, *args) -> object:
    try:
        return read(*args)
    except BadAnswer:
        return BadAnswer


def word(draw: random.Random) -> bytes:
    """Words of every kind: small numbers, padded ones, addresses, noise."""
    noise = draw.randbytes(32)
    cut = draw.choice([0, 1, 12, 28, 31, 32])
    return draw.choice([bytes(cut) + noise[cut:], noise[:cut] + bytes(32 - cut), b"\xff" * 32])


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
@given(seed=st.integers(0, 2**32), length=st.integers(-40, 64))
def test_every_event_reads_as_eth_abi_reads_it(event, seed, length):
    draw = random.Random(seed)
    count = sum(is_indexed for _, _, is_indexed in event.inputs)
    words = max(0, 32 * 16 + length)
    data = b"".join(word(draw) for _ in range(words // 32 + 1))[:words]
    log = log_of((event.topic, *(word(draw) for _ in range(count))), data)
    fast = outcome(lambda: dict(event.decode(log).args))
    assert fast == outcome(slowly, event, log)


@given(kinds=st.lists(st.sampled_from(STATIC), min_size=1, max_size=5), seed=st.integers(0, 2**32))
def test_every_static_type_reads_as_eth_abi_reads_it(kinds, seed):
    draw = random.Random(seed)
    event = EventType("E", tuple((f"a{i}", kind, False) for i, kind in enumerate(kinds)))
    data = b"".join(word(draw) for _ in range(draw.randrange(16)))
    log = log_of((event.topic,), data)
    fast = outcome(lambda: dict(event.decode(log).args))
    assert fast == outcome(slowly, event, log)


def test_values_come_back_as_they_went_in():
    kinds = ["uint8", "int16", "bool", "address", "bytes4", "(uint256,address)", "uint256[2]"]
    owner = "0x" + "ab" * 20
    values = [255, -5, True, owner, b"\x01\x02\x03\x04", (2**256 - 1, owner), [1, 2]]
    event = EventType("E", tuple((f"a{i}", kind, False) for i, kind in enumerate(kinds)))
    args = list(event.decode(log_of((event.topic,), encode(kinds, values))).args.values())
    checked = "0x" + "aB" * 20
    assert [str(args[3]).lower(), args[5][1].lower()] == [checked.lower()] * 2
    assert args[:3] + args[4:5] + [args[5][0], args[6]] == [
        *values[:3],
        values[4],
        2**256 - 1,
        [1, 2],
    ]


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        ("uint8", 256),
        ("address", 1 << 160),
        ("bool", 2),
        ("int8", 128),
        ("bytes31", 1),
    ],
)
def test_padding_that_is_none_is_refused(kind, bad):
    event = EventType("E", (("a", kind, False),))
    with pytest.raises(BadAnswer, match="E: not what its ABI says"):
        event.decode(log_of((event.topic,), bad.to_bytes(32)))


def test_the_number_of_topics_counts():
    event = EventType("E", (("a", "uint256", True),))
    for topics in ((event.topic,), (event.topic, bytes(32), bytes(32))):
        with pytest.raises(BadAnswer, match="topics"):
            event.decode(log_of(topics, b""))
