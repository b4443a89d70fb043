"""Block filters and receipts, as nodes give them."""

import pytest
from eth_bloom import BloomFilter
from hypothesis import given
from hypothesis import strategies as st

from headrace.chain.logs import LogParser, Malformed, may_hold, of_receipts, to_log
from headrace.chain.rpc import Header

ADDRESS = "0x" + "ab" * 20
HEADER = Header(7, b"\x07" * 32, b"\x06" * 32, 1_007, 1)
LOG = {
    "address": ADDRESS,
    "blockNumber": "0x7",
    "blockHash": "0x" + "07" * 32,
    "logIndex": "0x2",
    "transactionHash": "0x" + "11" * 32,
    "topics": ["0x" + "22" * 32],
    "data": "0x1234",
}


@given(st.lists(st.binary(min_size=20, max_size=20), max_size=8))
def test_a_filter_never_denies_what_is_in_it(addresses):
    bloom = int(BloomFilter.from_iterable(addresses)).to_bytes(256)
    assert all(may_hold(bloom, "0x" + address.hex()) for address in addresses)


@given(st.binary(min_size=20, max_size=20), st.binary(min_size=20, max_size=20))
def test_a_filter_agrees_with_the_library(inside, asked):
    bloom = BloomFilter.from_iterable([inside])
    assert may_hold(int(bloom).to_bytes(256), "0x" + asked.hex()) == (asked in bloom)


@pytest.mark.parametrize("bloom", [b"", bytes(255), bytes(257)])
def test_without_a_filter_everything_may_be_there(bloom):
    assert may_hold(bloom, ADDRESS)
    assert not may_hold(bytes(256), ADDRESS)


def test_a_log_has_its_blocks_time_and_a_checked_address():
    log = to_log(LOG, {7: HEADER})
    assert (log.block_number, log.log_index, log.timestamp) == (7, 2, 1_007)
    assert log.address == "0xABaBaBaBABabABabAbAbABAbABabababaBaBABaB"
    assert log.data == b"\x12\x34"


def test_receipts_give_the_logs_of_our_contracts_in_order():
    other = LOG | {"address": "0x" + "cd" * 20}
    answer = [
        {"blockHash": LOG["blockHash"], "logs": [LOG | {"logIndex": "0x5"}, other]},
        {"blockHash": LOG["blockHash"], "logs": [LOG]},
        {"blockHash": LOG["blockHash"], "logs": []},
    ]
    assert [log.log_index for log in of_receipts(answer, HEADER, [ADDRESS])] == [2, 5]


@pytest.mark.parametrize(
    "answer",
    [
        "0x",
        [5],
        [{"logs": None, "blockHash": LOG["blockHash"]}],
        [{"logs": [], "blockHash": "0x" + "08" * 32}],
        [{"logs": []}],
        [{"logs": [LOG, LOG], "blockHash": LOG["blockHash"]}],
        [{"logs": [LOG | {"blockHash": "0x" + "08" * 32}], "blockHash": LOG["blockHash"]}],
    ],
)
def test_receipts_that_can_not_be_are_refused(answer):
    with pytest.raises(Malformed):
        of_receipts(answer, HEADER, [ADDRESS])


@given(
    field=st.sampled_from(sorted(LOG)),
    value=st.one_of(
        st.none(), st.integers(), st.text(max_size=8), st.lists(st.integers(), max_size=2)
    ),
)
def test_any_other_value_is_a_log_or_refused(field, value):
    try:
        logs = LogParser({7: HEADER}, [ADDRESS]).parse([LOG | {field: value}])
    except Malformed:
        return
    assert all(len(topic) == 32 for topic in logs[0].topics)
    assert (logs[0].block_hash, len(logs[0].tx_hash)) == (HEADER.hash, 32)
