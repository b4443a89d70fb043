"""Asks a node for headers and for the logs of some contracts, and believes no answer unseen.

Near the head logs are asked for by block hash, which a node that lacks the block refuses instead of
answering with nothing. Further back they are asked for by ranges. A block with more logs than the
node gives at once is read from its receipts.
"""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from headrace.chain.abi import Log
from headrace.chain.ahead import Ahead
from headrace.chain.logs import LogParser, Malformed, may_hold, of_receipts
from headrace.chain.rpc import Header, NodeError, Rpc, TooLarge, header_request, to_header, to_int
from headrace.errors import HeadraceError, RetryLater


class LogReader:
    """Reads the logs of `addresses` from one node, or from several behind one `Rpc`."""

    def __init__(self, rpc: Rpc, addresses: Sequence[str]) -> None:
        """`addresses` in any case."""
        self._rpc = rpc
        self._addresses = [address.lower() for address in addresses]
        self._ahead: Ahead[tuple[Header, Any]] = Ahead()

    def headers(self, numbers: Sequence[int]) -> list[Header]:
        """The headers of blocks below the head. RetryLater if the node lacks one."""
        answers = self._rpc.batch([header_request(number) for number in numbers])
        if any(answer is None for answer in answers):
            raise RetryLater("the node does not know a block below its head")
        headers = [to_header(answer) for answer in answers]
        if [header.number for header in headers] != list(numbers):
            raise Malformed("the node answered with other blocks")
        return headers

    def chain(self, first: int, last: int) -> list[Header]:
        """The headers from `first` to `last`, each the parent of the next. RetryLater if not."""
        headers = self.headers(range(first, last + 1))
        for parent, child in pairwise(headers):
            if child.parent != parent.hash:
                raise RetryLater("the chain is being rewritten")
        return headers

    def of_blocks(self, headers: Sequence[Header]) -> list[Log]:
        """The logs of blocks near the head, by their hashes. RetryLater if one is gone."""
        requests = [
            ("eth_getLogs", ({"address": self._addresses, "blockHash": "0x" + h.hash.hex()},))
            for h in headers
        ]
        logs: list[Log] = []
        for header, answer in zip(headers, self._rpc.outcomes(requests), strict=True):
            if isinstance(answer, TooLarge):
                logs += self.of_receipts(header)
                continue
            if isinstance(answer, NodeError):  # how nodes word a block that they no longer have
                raise RetryLater(f"logs can't be had now: {answer}")
            if isinstance(answer, HeadraceError):
                raise answer
            found = LogParser({header.number: header}, self._addresses).parse(answer)
            self._compare_with_bloom(header, found)
            logs += found
        return logs

    def _compare_with_bloom(self, header: Header, logs: Sequence[Log]) -> None:
        there = {log.address.lower() for log in logs}
        if not all(may_hold(header.bloom, address) for address in there):
            raise Malformed("the node answered with logs that are not in the block's filter")
        if logs or not header.bloom:
            return
        if not any(may_hold(header.bloom, address) for address in self._addresses):
            return
        # Nothing, although the filter says perhaps: its receipts say for certain.
        try:
            missing = self.of_receipts(header)
        except NodeError:
            return  # not every node has them; the second reading at finality remains
        if missing:
            raise Malformed("the node answered with no logs for a block that has some")

    def of_receipts(self, header: Header) -> list[Log]:
        """
        A block's logs from its receipts. NodeError if the node doesn't give these, RetryLater if it
        no longer has the block.
        """
        answer = self._rpc.call("eth_getBlockReceipts", "0x" + header.hash.hex())
        if answer is None:
            raise RetryLater("the node does not know a block any more")
        return of_receipts(answer, header, self._addresses)

    def of_range(self, first: int, last: int) -> tuple[list[Header], list[Log]]:
        """
        The logs from block `first` to `last`, with the headers of those two and of every block that
        has logs. NodeError or TooLarge if the node wants smaller ranges; a single block that is too
        large for it comes from its receipts.
        """
        with _no_collection():
            return self._of_range(first, last)

    def prepare(self, first: int, last: int) -> None:
        """Ask for a range that `of_range` will be called with next, if there is a line free."""
        if (spare := self._rpc.spare()) is not None:
            self._ahead.ask(first, last, lambda: self._fetch(spare, first, last))

    def _fetch(self, rpc: Rpc, first: int, last: int) -> tuple[Header, Any]:
        # The last header from before: if it is still the same afterwards, the logs are of its
        # branch, also those that are not there.
        header = rpc.header(last)
        if header is None:
            raise RetryLater("the node does not know a block below its head")
        wanted = {"address": self._addresses, "fromBlock": hex(first), "toBlock": hex(last)}
        return header, rpc.call("eth_getLogs", wanted)

    def _of_range(self, first: int, last: int) -> tuple[list[Header], list[Log]]:
        try:
            before, answer = self._ahead.take(first, last) or self._fetch(self._rpc, first, last)
        except TooLarge:
            if first < last:
                raise
            (header,) = self.headers([first])
            return [header], self.of_receipts(header)
        if not isinstance(answer, list):
            raise Malformed("the node answered with no list of logs")
        try:
            texts = {item["blockNumber"] for item in answer}
        except (TypeError, KeyError):
            raise Malformed("the node answered with a log that is none") from None
        numbers = {to_int(text) for text in texts}
        if not all(first <= number <= last for number in numbers):
            raise Malformed("the node answered with logs of other blocks")
        # Their time is needed, and a hash that all logs of a block agree with. The first header
        # shows that the range follows on what was read before.
        headers = self.headers(sorted(numbers | {first, last}))
        if headers[-1].hash != before.hash:
            raise RetryLater("the chain is being rewritten")
        parser = LogParser({header.number: header for header in headers}, self._addresses)
        return headers, parser.parse(answer)


@contextmanager
def _no_collection() -> Iterator[None]:
    """
    No garbage collection meanwhile: a large answer is very many objects without a cycle among them,
    which the collector would walk again and again. It costs a quarter of the time otherwise.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
