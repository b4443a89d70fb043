"""Logs as nodes word them, made ours: each one checked to be what was asked for.

A node may lag, lie or be rebuilding its index, so an answer counts as a whole or not at all. What
is not right is `RetryLater`: nothing is written, and the same is asked again, perhaps elsewhere.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from eth_utils.crypto import keccak

from headrace.chain.abi import Log, checksummed
from headrace.chain.rpc import Header, to_bytes
from headrace.errors import HeadraceError, RetryLater

_BLOOM_BYTES = 256
_TOPIC_SIZES = {(32,) * count for count in range(5)}


class Malformed(RetryLater):
    """An answer that can't be right, whatever the state of the chain: the node is at fault."""


def to_log(item: object, headers: Mapping[int, Header]) -> Log:
    """One log of an answer, in one of `headers`, of any contract. `Malformed` if it is none."""
    return LogParser(headers, None).parse([item])[0]


class LogParser:
    """
    Takes logs in `headers` (by block number) and of `addresses` (any if None). Headers and
    addresses are compared as texts, as nodes write them: a block's logs share both.
    """

    def __init__(self, headers: Mapping[int, Header], addresses: Iterable[str] | None) -> None:
        """`addresses` in any case."""
        self._headers = headers
        self._places: dict[Any, tuple[Header, str]] = {}
        self._addresses: dict[str, str] = {}
        self._is_open = addresses is None
        for address in addresses or ():
            self._addresses[address.lower()] = checksummed(address)

    def parse(self, answer: object) -> list[Log]:
        """The logs of an answer in the chain's order. `Malformed` if one of them can't be right."""
        if not isinstance(answer, list):
            raise Malformed("the node answered with no list of logs")
        try:
            logs = self._logs(answer)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Malformed("the node answered with a log that is none") from None
        except Malformed:
            raise
        except HeadraceError as error:
            raise Malformed(str(error)) from None
        places = [(log.block_number, log.log_index) for log in logs]
        if any(after <= before for before, after in pairwise(places)):
            logs.sort(key=lambda log: (log.block_number, log.log_index))
            if len(set(places)) != len(places):
                raise Malformed("the node answered with a log twice")
        return logs

    def _logs(self, answer: list[Any]) -> list[Log]:
        # Written flat: this runs once for every event there ever was.
        logs = []
        unhex = bytes.fromhex
        addresses, places = self._addresses, self._places
        known_tx: Any = ()  # no JSON is equal to it
        tx_hash = b""
        for item in answer:
            number = item["blockNumber"]
            header, block_hash = places.get(number) or self._place(number)
            given_hash = item["blockHash"]
            # In capitals it is the same hash.
            if given_hash != block_hash and str(given_hash).lower() != block_hash:
                raise Malformed("the node answered with a log of another block")
            if item.get("removed"):
                raise Malformed("the node answered with a log of another block")
            given = item["address"]
            address = addresses.get(given) or self._address(str(given))
            topics = tuple([unhex(topic[2:]) for topic in item["topics"]])
            if tuple(map(len, topics)) not in _TOPIC_SIZES:
                raise ValueError
            if (given_tx := item["transactionHash"]) != known_tx:
                known_tx, tx_hash = given_tx, unhex(given_tx[2:])
                if len(tx_hash) != 32:
                    raise ValueError
            index = int(item["logIndex"], 16)
            if index < 0:
                raise ValueError
            data = unhex(item["data"][2:])
            logs.append(
                Log(
                    header.number,
                    index,
                    header.hash,
                    tx_hash,
                    address,
                    topics,
                    data,
                    header.timestamp,
                )
            )
        return logs

    def _place(self, number: Any) -> tuple[Header, str]:
        header = self._headers.get(int(number, 16))
        if header is None:
            raise Malformed("the node answered with a log of another block")
        place = self._places[number] = (header, "0x" + header.hash.hex())
        return place

    def _address(self, given: str) -> str:
        if len(to_bytes(given)) != 20:
            raise ValueError
        lowered = given.lower()
        if lowered not in self._addresses:
            if not self._is_open:
                raise Malformed("the node answered with a log of another contract")
            self._addresses[lowered] = checksummed(given)
        self._addresses[given] = self._addresses[lowered]
        return self._addresses[given]


def of_receipts(answer: object, header: Header, addresses: Sequence[str]) -> list[Log]:
    """The logs of `addresses` in a block, from all its receipts. `Malformed` if they can't be."""
    if not isinstance(answer, list):
        raise Malformed("the node answered with no list of receipts")
    wanted = {address.lower() for address in addresses}
    found: list[Any] = []
    for receipt in answer:
        if not isinstance(receipt, Mapping) or not isinstance(receipt.get("logs"), list):
            raise Malformed("the node answered with a receipt that is none")
        if str(receipt.get("blockHash")).lower() != "0x" + header.hash.hex():
            raise Malformed("the node answered with a receipt of another block")
        found += [
            log
            for log in receipt["logs"]
            if isinstance(log, Mapping) and str(log.get("address")).lower() in wanted
        ]
    return LogParser({header.number: header}, addresses).parse(found)


def may_hold(bloom: bytes, address: str) -> bool:
    """
    Whether a block with this `bloom` may hold a log of `address`. False is certain, True is not:
    filters of full blocks answer so for many that are not in them.
    """
    if len(bloom) != _BLOOM_BYTES:
        return True
    digest = keccak(bytes.fromhex(address[2:]))
    for start in (0, 2, 4):
        bit = int.from_bytes(digest[start : start + 2]) & 2047
        if not bloom[_BLOOM_BYTES - 1 - bit // 8] >> bit % 8 & 1:
            return False
    return True
