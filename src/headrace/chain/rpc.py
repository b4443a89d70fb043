"""JSON-RPC over HTTP: one connection kept alive, batches, time-outs, errors a caller can act on.

Every answer is checked for its shape before it is used. Errors: `Unreachable` when no node answers,
`Throttled` when it asks for patience, `Rejected` with the decoded reason when a contract reverts,
`TooLarge` when an answer would be too long for it, `NodeError` for anything else that the node
complains about. A URL may carry a key, so only its host ever gets into a message or a log.

An `Rpc` is one node. `endpoints.connect` makes one that stands for several.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from itertools import count
from typing import Any, NoReturn
from urllib.parse import urlsplit

import requests
from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from pydantic_core import from_json
from requests.adapters import HTTPAdapter

from headrace.errors import HeadraceError, Rejected, RetryLater, Unreachable, UsageError

log = logging.getLogger(__name__)

BlockTag = int | str
BATCH_SIZE = 100
# Revert data is the other side's: what is decoded of it is bounded.
MAX_REVERT_BYTES = 2_048
_THROTTLED = ("rate limit", "too many requests", "throttl", "exceeded its compute")
_TOO_LARGE = (
    "returned more than",
    "too many results",
    "too many logs",
    "result too large",
    "response size",
    "block range",
    "limited to a",
    "query timeout",
)
_ERROR_SELECTOR = bytes.fromhex("08c379a0")  # Error(string)
_PANIC_SELECTOR = bytes.fromhex("4e487b71")  # Panic(uint256)
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
# A call that the node may have carried out, although its answer was lost.
NOT_TWICE = ("eth_sendTransaction", "evm_", "anvil_")
# Statuses by which servers ask for patience.
_PATIENCE = (429, 503)
_PIECE_BYTES = 1 << 20
# A server that asks for more seconds than this is not waited for that long.
LONGEST_WAIT = 300.0


class NodeError(HeadraceError):
    """The node answered with an error that is not a revert."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"node error {code}: {message}")
        self.code = code
        self.message = message


class TooLarge(NodeError):
    """The answer would be longer than the node gives: ask for less at once."""


class Throttled(RetryLater):
    """The node asks for patience. `wait` is for how many seconds, None if it doesn't say."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Header:
    """
    What is kept of a block; `base_fee` in wei, zero before EIP-1559. `bloom` is the filter of its
    logs, 256 bytes; empty if the node does not give it.
    """

    number: int
    hash: bytes
    parent: bytes
    timestamp: int
    base_fee: int
    bloom: bytes = field(default=b"", repr=False, compare=False)


class Rpc:
    """A connection to one node. Not to be shared between threads."""

    def __init__(self, url: str, *, timeout: float = 20.0) -> None:
        """
        `url` is http or https, `timeout` in seconds for connecting and each answer. UsageError if
        the URL can't be one. Nothing is sent yet.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError("the RPC URL must start with http:// or https:// and name a host")
        self.host = parts.hostname if parts.port is None else f"{parts.hostname}:{parts.port}"
        self._url = url
        self._timeout = timeout
        self._ids = count(1)
        # What the last answer's header said about patience.
        self._wait: float | None = None
        self._session = requests.Session()
        # A proxy of the environment is for the outside; it would break a local chain.
        self._session.trust_env = parts.hostname not in _LOOPBACK
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=4, max_retries=0)
        self._session.mount(f"{parts.scheme}://", adapter)

    def __repr__(self) -> str:
        return f"Rpc({self.host})"

    def close(self) -> None:
        """Drop the connection."""
        self._session.close()

    # ---- other nodes

    def second(self) -> "Rpc | None":
        """Another node of the same chain to ask for its opinion; None if there is none."""
        return None

    @property
    def is_alone(self) -> bool:
        """Whether there is no other node that `second` could ever give."""
        return True

    def spare(self) -> "Rpc | None":
        """A second connection to the same node, for one other thread; None if there is none."""
        return None

    def distrust(self, why: str) -> None:
        """The caller saw an answer that can't be right, or an old one: ask elsewhere from now."""

    # ---- requests

    def call(self, method: str, *params: Any) -> Any:
        """The result of one request."""
        outcome = self.outcomes([(method, params)])[0]
        if isinstance(outcome, HeadraceError):
            raise outcome
        return outcome

    def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """The results of several requests, in their order. The first one that failed is raised."""
        results = self.outcomes(calls)
        for result in results:
            if isinstance(result, HeadraceError):
                raise result
        return results

    def outcomes(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """As `batch`, but with each failed request's error in the place of its result."""
        results: list[Any] = []
        for start in range(0, len(calls), BATCH_SIZE):
            results += self._outcomes(calls[start : start + BATCH_SIZE])
        return results

    def _outcomes(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        bodies = [
            {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)}
            for method, params in calls
        ]
        once = any(method.startswith(NOT_TWICE) for method, _ in calls)
        answer = self._post(bodies if len(bodies) > 1 else bodies[0], may_repeat=not once)
        answers = answer if isinstance(answer, list) else [answer]
        by_id: dict[Any, Any] = {
            item.get("id"): item for item in answers if isinstance(item, Mapping)
        }
        if len(by_id) == 1 and len(bodies) > 1 and (error := answers[0].get("error")):
            # The node answers a batch that it refuses as a whole with one error.
            failure = _failure(error, self._wait)
            return [failure] * len(bodies)
        return [self._result(by_id.get(body["id"])) for body in bodies]

    def _result(self, item: Mapping[str, Any] | None) -> Any:
        if item is None:
            return Unreachable(f"{self.host} left a request of a batch unanswered")
        if (error := item.get("error")) is not None:
            return _failure(error, self._wait)
        if "result" not in item:
            return Unreachable(f"{self.host} answered without a result")
        return item["result"]

    def _post(self, body: Any, *, may_repeat: bool) -> Any:
        try:
            response = self._session.post(self._url, json=body, timeout=self._timeout, stream=True)
            # In large pieces: by itself it takes ten kB at a time.
            content = b"".join(response.iter_content(_PIECE_BYTES))
        except requests.ConnectionError:
            # A kept-alive connection may have been closed by the node while it was idle.
            if may_repeat:
                return self._post(body, may_repeat=False)
            self._unreachable("can't be reached")
        except requests.Timeout:
            self._unreachable(f"did not answer within {self._timeout:g} s")
        except requests.RequestException:
            self._unreachable("gave no proper answer")
        self._wait = retry_after(response.headers)
        if response.status_code == 429 or (
            response.status_code in _PATIENCE and self._wait is not None
        ):
            said = "a while" if self._wait is None else f"{self._wait:g} s"
            raise Throttled(f"{self.host} asks to slow down (wait: {said})", self._wait)
        try:
            answer = from_json(content)
        except ValueError:
            self._unreachable(f"answered with HTTP {response.status_code} and no JSON")
        if not isinstance(answer, Mapping | list) or not answer:
            self._unreachable("answered with something that is not JSON-RPC")
        return answer

    def _unreachable(self, what: str) -> NoReturn:
        # `from None`: what requests raises carries the whole URL.
        raise Unreachable(f"the node at {self.host} {what}") from None

    # ---- reads

    def chain_id(self) -> int:
        """The chain's id."""
        return to_int(self.call("eth_chainId"))

    def check_chain(self, expected: int) -> None:
        """UsageError if the node serves another chain than `expected`."""
        actual = self.chain_id()
        if actual != expected:
            raise UsageError(
                f"the node at {self.host} serves chain {actual}, not {expected}: "
                "check the RPC URL and the manifest"
            )

    def header(self, tag: BlockTag) -> Header | None:
        """The block at a number, tag or hash (0x and 64 digits); None if unknown."""
        method, params = header_request(tag)
        result = self.call(method, *params)
        return None if result is None else to_header(result)

    def head(self) -> Header:
        """The latest block."""
        header = self.header("latest")
        if header is None:
            raise RetryLater(f"{self.host} has no latest block yet")
        return header

    def code(self, address: str, block: BlockTag = "latest") -> bytes:
        """A contract's code; empty if there is none."""
        return to_bytes(self.call("eth_getCode", address, to_tag(block)))

    def balance(self, address: str) -> int:
        """An account's balance in wei."""
        return to_int(self.call("eth_getBalance", address, "latest"))

    def nonce(self, address: str, tag: str = "latest") -> int:
        """How many transactions of an account are in blocks up to `tag`."""
        return to_int(self.call("eth_getTransactionCount", address, tag))

    def eth_call(
        self, to: str, data: bytes, *, sender: str | None = None, block: BlockTag = "latest"
    ) -> bytes:
        """What a call returns at the end of `block`. Rejected if it reverts."""
        request = {"to": to, "data": "0x" + data.hex()}
        if sender is not None:
            request["from"] = sender
        return to_bytes(self.call("eth_call", request, to_tag(block)))

    def receipt(self, tx_hash: bytes) -> Mapping[str, Any] | None:
        """A transaction's receipt as the node words it; None while it is not in a block."""
        result = self.call("eth_getTransactionReceipt", "0x" + tx_hash.hex())
        if result is not None and not isinstance(result, Mapping):
            raise Unreachable(f"{self.host} answered with a receipt that is none")
        return result


def to_tag(block: BlockTag) -> str:
    """A block number or tag as requests want it."""
    return hex(block) if isinstance(block, int) else block


def header_request(tag: BlockTag) -> tuple[str, tuple[Any, ...]]:
    """The request for a header, as `batch` takes it."""
    if isinstance(tag, str) and len(tag) == 66:
        return "eth_getBlockByHash", (tag, False)
    return "eth_getBlockByNumber", (to_tag(tag), False)


def to_int(value: object) -> int:
    """A quantity of an answer; Unreachable if it is none."""
    if not isinstance(value, str):
        raise Unreachable(f"the node answered {value!r:.40} where a number is due")
    try:
        return int(value, 16)
    except ValueError:
        raise Unreachable(f"the node answered {value!r:.40} where a number is due") from None


def to_bytes(value: object, length: int | None = None) -> bytes:
    """Data of an answer, of `length` bytes if given; Unreachable if it is something else."""
    try:
        data = bytes.fromhex(value[2:]) if isinstance(value, str) else None
    except ValueError:
        data = None
    if data is None or (length is not None and len(data) != length):
        raise Unreachable(f"the node answered {value!r:.40} where bytes are due")
    return data


def to_header(item: object) -> Header:
    """A block of an answer; Unreachable if it is none."""
    if not isinstance(item, Mapping):
        raise Unreachable(f"the node answered {item!r:.40} where a block is due")
    return Header(
        number=to_int(item.get("number")),
        hash=to_bytes(item.get("hash"), 32),
        parent=to_bytes(item.get("parentHash"), 32),
        timestamp=to_int(item.get("timestamp")),
        base_fee=to_int(item.get("baseFeePerGas", "0x0")),
        bloom=to_bytes(item.get("logsBloom", "0x")),
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """
    How many seconds a server asks to wait, at most `LONGEST_WAIT`; None if it doesn't say. A date
    counts from the server's own clock, so that ours may be wrong.
    """
    said = headers.get("Retry-After")
    if said is None:
        return None
    try:
        seconds = float(said)
    except ValueError:
        try:
            until, now = parsedate_to_datetime(said), parsedate_to_datetime(headers["Date"])
            seconds = (until - now).total_seconds()
        except (ValueError, TypeError, KeyError):
            return None
    return min(max(seconds, 0.0), LONGEST_WAIT) if seconds == seconds else None


def _failure(error: object, wait: float | None) -> HeadraceError:
    if not isinstance(error, Mapping):
        return NodeError(0, str(error)[:200])
    code = error.get("code")
    code = code if isinstance(code, int) else 0
    message = str(error.get("message", ""))[:300]
    lowered = message.lower()
    if code == 3 or "revert" in lowered:
        return Rejected(_revert_reason(error.get("data"), message))
    # Before the codes: -32005 stands for both kinds of limit.
    if any(word in lowered for word in _TOO_LARGE):
        return TooLarge(code, message)
    if code in (429, -32005) or any(word in lowered for word in _THROTTLED):
        return Throttled(f"the node asks to slow down: {message}", wait)
    return NodeError(code, message)


def _revert_reason(data: object, message: str) -> str:
    if isinstance(data, Mapping):  # some providers wrap it once more
        data = data.get("data")
    try:
        raw = bytes.fromhex(data[2 : 2 + 2 * MAX_REVERT_BYTES]) if isinstance(data, str) else b""
    except ValueError:
        raw = b""
    return revert_reason(raw) or _plain(message)


def revert_reason(data: bytes) -> str:
    """The reason in the data of a revert; empty if there is none that can be read."""
    selector, body = data[:4], data[4:]
    try:
        if selector == _ERROR_SELECTOR:
            return str(decode(["string"], body)[0])
        if selector == _PANIC_SELECTOR:
            return f"panic 0x{decode(['uint256'], body)[0]:x}"
    except (DecodingError, UnicodeDecodeError, OverflowError):
        pass
    return f"reverted with 0x{selector.hex()}" if len(selector) == 4 else ""


def _plain(message: str) -> str:
    _, colon, reason = message.partition("reverted: ")
    return reason if colon else "reverted without a reason"
