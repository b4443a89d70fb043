"""What the Rpc makes of what a node may answer, over real HTTP."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from eth_abi import encode

from headrace.chain.rpc import NodeError, Rpc, revert_reason
from headrace.errors import HeadraceError, Rejected, RetryLater, Unreachable, UsageError

SECRET = "S3CRET"


class Node:
    """An HTTP server that answers as `reply` says: (status, headers, body), or None to hang up."""

    def __init__(self) -> None:
        self.reply: Callable[[Any], tuple[int, dict[str, str], bytes] | None] = lambda body: None
        self.bodies: list[Any] = []
        self.connections = 0
        node = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                node.connections += 1
                super().setup()

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                node.bodies.append(body)
                answer = node.reply(body)
                if answer is None:
                    self.close_connection = True
                    return
                status, headers, content = answer
                self.send_response(status)
                for key, value in headers.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v3/{SECRET}"

    def says(self, content: Any, status: int = 200, **headers: str) -> None:
        """Answer everything with this."""
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.reply = lambda body: (status, headers, raw)

    def fails(self, **error: Any) -> None:
        """Answer every request with a JSON-RPC error."""
        self.reply = lambda body: (
            200,
            {},
            json.dumps({"jsonrpc": "2.0", "id": body["id"], "error": error}).encode(),
        )


@pytest.fixture
def node() -> Iterator[Node]:
    server = Node()
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture
def rpc(node: Node) -> Iterator[Rpc]:
    connection = Rpc(node.url, timeout=1.0)
    yield connection
    connection.close()


def error_string(reason: str) -> str:
    return "0x08c379a0" + encode(["string"], [reason]).hex()


def results(body: Any) -> tuple[int, dict[str, str], bytes]:
    asked = body if isinstance(body, list) else [body]
    answers = [{"jsonrpc": "2.0", "id": b["id"], "result": b["params"][0]} for b in reversed(asked)]
    return 200, {}, json.dumps(answers if isinstance(body, list) else answers[0]).encode()


def test_keeps_one_connection_and_the_order_of_a_batch(node, rpc):
    node.reply = results
    assert rpc.call("echo", "a") == "a"
    assert rpc.batch([("echo", (str(i),)) for i in range(250)]) == [str(i) for i in range(250)]
    assert [len(body) for body in node.bodies[1:]] == [100, 100, 50]
    assert node.connections == 1


@pytest.mark.parametrize(
    ("code", "message", "data", "reason"),
    [
        (3, "execution reverted: x", error_string("vault: y"), "vault: y"),
        (-32000, "execution reverted", {"data": error_string("z")}, "z"),
        (3, "execution reverted: only words", None, "only words"),
        (3, "execution reverted", "0x", "reverted without a reason"),
        (3, "execution reverted", "0x4e487b71" + "11".rjust(64, "0"), "panic 0x11"),
        (3, "execution reverted", "0xdeadbeef", "reverted with 0xdeadbeef"),
        (3, "execution reverted", "0x08c379a0ff", "reverted with 0x08c379a0"),
        (3, "execution reverted", "no hex", "reverted without a reason"),
    ],
)
def test_a_revert_is_rejected_with_its_reason(node, rpc, code, message, data, reason):
    node.fails(code=code, message=message, data=data)
    with pytest.raises(Rejected) as caught:
        rpc.eth_call("0x" + "00" * 20, b"")
    assert caught.value.reason == reason


def test_reads_only_a_bounded_piece_of_revert_data():
    huge = bytes.fromhex(error_string("a" * 100_000)[2:])
    assert revert_reason(huge[:2_048]) == "reverted with 0x08c379a0"


@pytest.mark.parametrize(
    ("status", "content", "kind", "message"),
    [
        (429, b"", RetryLater, "slow down"),
        (200, {"id": 1, "error": {"code": -32005, "message": "limit"}}, RetryLater, "slow down"),
        (502, b"<html>bad gateway</html>", Unreachable, "HTTP 502"),
        (200, b"[]", Unreachable, "not JSON-RPC"),
        (200, {"id": 99, "result": "0x1"}, Unreachable, "unanswered"),
        (200, {"id": 1}, Unreachable, "without a result"),
        (200, {"id": 1, "result": None}, Unreachable, "a number is due"),
        (200, {"id": 1, "result": "zz"}, Unreachable, "a number is due"),
        (200, {"id": 1, "error": {"code": -32601, "message": "no such method"}}, NodeError, "such"),
        (200, {"id": 1, "error": "nonsense"}, NodeError, "nonsense"),
    ],
)
def test_every_kind_of_bad_answer_has_its_error(node, rpc, status, content, kind, message):
    node.says(content, status)
    with pytest.raises(kind, match=message):
        rpc.chain_id()


def test_a_batch_refused_as_a_whole_fails_every_request(node, rpc):
    node.says({"id": None, "error": {"code": -32600, "message": "batch too large"}})
    outcomes = rpc.outcomes([("a", ()), ("b", ())])
    assert [type(outcome) for outcome in outcomes] == [NodeError, NodeError]


def test_an_unanswered_request_of_a_batch_fails_alone(node, rpc):
    def answer(body: Any) -> tuple[int, dict[str, str], bytes]:
        return results(body[:1])

    node.reply = answer
    first, second = rpc.outcomes([("a", ("1",)), ("b", ("2",))])
    assert first == "1"
    assert isinstance(second, Unreachable)


def test_a_connection_that_was_closed_is_opened_again_once(node, rpc):
    hang_ups = [True, False]
    node.reply = lambda body: None if hang_ups.pop(0) else results(body)
    assert rpc.call("echo", "0x1") == "0x1"
    hang_ups[:] = [True, True]
    with pytest.raises(Unreachable, match="can't be reached"):
        rpc.call("echo", "0x1")
    hang_ups[:] = [True, False]
    with pytest.raises(Unreachable):
        rpc.call("eth_sendTransaction", {})
    assert hang_ups == [False]


def test_gives_up_on_a_node_that_does_not_answer(node):
    wait = threading.Event()
    node.reply = lambda body: wait.wait(5) and None
    with pytest.raises(Unreachable, match=r"within 0\.1 s"):
        Rpc(node.url, timeout=0.1).chain_id()
    wait.set()


def test_no_error_shows_more_of_the_url_than_its_host(node, rpc):
    answers = [None, (200, {}, b"x"), (429, {}, b""), (500, {}, b"{}")]
    for answer in answers:
        node.reply = lambda body, answer=answer: answer
        with pytest.raises(HeadraceError) as caught:
            rpc.chain_id()
        error: BaseException | None = caught.value
        assert SECRET not in str(error)
        assert error.__suppress_context__ or error.__context__ is None
    assert SECRET not in repr(rpc)


def test_the_wrong_chain_is_named(node, rpc):
    node.says({"id": 1, "result": "0x1"})
    with pytest.raises(UsageError, match="serves chain 1, not 5"):
        rpc.check_chain(5)


@pytest.mark.parametrize("url", ["ws://x", "127.0.0.1:8545", "http://", "file:///etc/passwd"])
def test_refuses_what_is_no_http_url(url):
    with pytest.raises(UsageError, match="RPC URL"):
        Rpc(url)


def test_a_header_is_asked_for_by_number_tag_or_hash(node, rpc):
    def answer(body: Any) -> tuple[int, dict[str, str], bytes]:
        content = {"id": body["id"], "result": None}
        return 200, {}, json.dumps(content).encode()

    node.reply = answer
    assert rpc.header(18) is None
    rpc.header("finalized")
    rpc.header("0x" + "12" * 32)
    asked = [(body["method"], body["params"][0]) for body in node.bodies]
    assert asked == [
        ("eth_getBlockByNumber", "0x12"),
        ("eth_getBlockByNumber", "finalized"),
        ("eth_getBlockByHash", "0x" + "12" * 32),
    ]
