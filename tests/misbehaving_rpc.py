"""A real HTTP server in front of anvil that misbehaves as nodes and their providers do.

    with Proxy(anvil.url) as proxy:
        proxy.fails = status(429, {"Retry-After": "7"})   # whole requests
        proxy.changes = without_logs                      # single answers of the node

Both are functions and may be changed at any time; `times` ends a fault by itself.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

Request = Mapping[str, Any]
# (status, headers, content); None hangs up without an answer.
Reply = tuple[int, Mapping[str, str], bytes] | None
# What happens to a whole HTTP request. FORWARD lets it through.
Fails = Callable[[list[Request]], Reply | str]
# What becomes of one answer: method, parameters and the node's result or error.
Changes = Callable[[str, list[Any], dict[str, Any]], dict[str, Any]]

FORWARD = "forward"


def forward(requests: list[Request]) -> Reply | str:
    """No fault."""
    return FORWARD


def unchanged(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
    """No change."""
    return answer


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed in the middle of a request is no news."""


class Proxy:
    """The server. `seen` counts requests by method, also those that never reached the node."""

    def __init__(self, upstream: str) -> None:
        """In front of the node at the URL `upstream`, on a port of its own."""
        self._upstream = urlsplit(upstream)
        self.fails: Fails = forward
        self.changes: Changes = unchanged
        # Methods of which the node gets every request twice.
        self.doubles: set[str] = set()
        self.seen: Counter[str] = Counter()
        self.posts = 0
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body in one packet: two would wait 40 ms for each other.
            wbufsize = 1 << 16
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                reply = proxy.reply(content)
                if reply is None:
                    self.close_connection = True
                    return
                status, headers, body = reply
                # Without a date of its own: a fault may set one.
                self.send_response_only(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def heal(self) -> None:
        """Behave from now on."""
        self.fails, self.changes = forward, unchanged
        self.doubles = set()

    def reply(self, content: bytes) -> Reply:
        """What a request's content is answered with."""
        parsed = json.loads(content)
        requests = parsed if isinstance(parsed, list) else [parsed]
        self.posts += 1
        self.seen.update(request["method"] for request in requests)
        fault = self.fails(requests)
        if not isinstance(fault, str):
            return fault
        if self.doubles & {request["method"] for request in requests}:
            self._forward(content)
        answers = self._forward(content)
        by_id = {request["id"]: request for request in requests}
        changed = [
            self._change(by_id[answer["id"]], answer)
            for answer in (answers if isinstance(answers, list) else [answers])
        ]
        body = changed if isinstance(answers, list) else changed[0]
        return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()

    def _change(self, request: Request, answer: dict[str, Any]) -> dict[str, Any]:
        return self.changes(request["method"], list(request.get("params", [])), answer)

    def _forward(self, content: bytes) -> Any:
        connection = HTTPConnection(self._upstream.hostname or "", self._upstream.port, timeout=60)
        try:
            connection.request("POST", "/", content, {"Content-Type": "application/json"})
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def ask(self, method: str, *params: Any) -> Any:
        """The node's own result, past every fault."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return self._forward(json.dumps(body).encode()).get("result")


# ---- faults of whole requests


def hang_up(requests: list[Request]) -> Reply | str:
    """The connection is closed without an answer."""
    return None


def status(code: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Fails:
    """Every request gets this HTTP status."""
    return lambda requests: (code, headers or {}, body)


def throttled_in_200(headers: Mapping[str, str] | None = None) -> Fails:
    """HTTP 200, with an error in it that says to slow down."""

    def fail(requests: list[Request]) -> Reply | str:
        error = {"code": -32005, "message": "daily request count exceeded, request rate limited"}
        answers = [{"jsonrpc": "2.0", "id": r["id"], "error": error} for r in requests]
        return 200, headers or {}, json.dumps(answers if len(answers) > 1 else answers[0]).encode()

    return fail


def delayed(seconds: float) -> Fails:
    """Every answer comes late."""

    def fail(requests: list[Request]) -> Reply | str:
        time.sleep(seconds)
        return FORWARD

    return fail


def times(count: int, fault: Fails) -> Fails:
    """`fault` for the first `count` requests."""
    left = [count]

    def fail(requests: list[Request]) -> Reply | str:
        if left[0] <= 0:
            return FORWARD
        left[0] -= 1
        return fault(requests)

    return fail


def only(methods: set[str], fault: Fails) -> Fails:
    """`fault` for requests with one of `methods` among them."""

    def fail(requests: list[Request]) -> Reply | str:
        hit = any(request["method"] in methods for request in requests)
        return fault(requests) if hit else FORWARD

    return fail


# ---- faults of single answers


def of_logs(change: Callable[[list[Any]], Any]) -> Changes:
    """`change` of every list of logs that has any."""

    def changes(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method == "eth_getLogs" and answer.get("result"):
            return answer | {"result": change(answer["result"])}
        return answer

    return changes


def of_blocks(change: Callable[[dict[str, Any]], Any]) -> Changes:
    """`change` of every block."""

    def changes(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method.startswith("eth_getBlockBy") and answer.get("result"):
            return answer | {"result": change(dict(answer["result"]))}
        return answer

    return changes


def result_of(wanted: str, result: Any) -> Changes:
    """Every request of the method `wanted` gets this result."""

    def changes(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method != wanted:
            return answer
        return {"jsonrpc": "2.0", "id": answer["id"], "result": result}

    return changes


def error_for(wanted: str, code: int, message: str) -> Changes:
    """Every request of the method `wanted` gets this error."""

    def changes(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method != wanted:
            return answer
        return {"jsonrpc": "2.0", "id": answer["id"], "error": {"code": code, "message": message}}

    return changes


def too_many(limit: int) -> Changes:
    """No more than `limit` logs in one answer."""

    def changes(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method == "eth_getLogs" and len(answer.get("result") or ()) > limit:
            error = {"code": -32005, "message": f"query returned more than {limit} results"}
            return {"jsonrpc": "2.0", "id": answer["id"], "error": error}
        return answer

    return changes


def both(*all_changes: Changes) -> Changes:
    """One change after the other."""

    def changes(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
        for change in all_changes:
            answer = change(method, params, answer)
        return answer

    return changes


class Behind:
    """A node that stands still at the block `number`, but still serves all below it."""

    def __init__(self, proxy: Proxy, number: int) -> None:
        """`proxy` is whose node is asked for its old head."""
        self._proxy = proxy
        self.number = number

    def __call__(self, method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
        """As `Changes`."""
        result = answer.get("result")
        if method == "eth_blockNumber":
            result = hex(self.number)
        elif method == "eth_getBlockByNumber" and params[0] == "latest":
            result = self._proxy.ask(method, hex(self.number), False)
        elif method == "eth_getBlockByNumber" and result is not None:
            result = result if int(result["number"], 16) <= self.number else None
        elif method == "eth_getLogs" and result:
            if "blockHash" in params[0] and int(result[0]["blockNumber"], 16) > self.number:
                error = {"code": -32000, "message": "unknown block"}
                return {"jsonrpc": "2.0", "id": answer["id"], "error": error}
            result = [log for log in result if int(log["blockNumber"], 16) <= self.number]
        else:
            return answer
        return answer | {"result": result}
