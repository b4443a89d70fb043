"""A signer elsewhere signs what it is asked to sign, and is caught when it doesn't."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from eth_keys import KeyAPI
from eth_keys.backends import CoinCurveECCBackend, get_backend

from headrace.chain.accounts import Key
from headrace.chain.outbox import Outbox
from headrace.chain.sender import Sender
from headrace.chain.signer import BadSignature, RemoteSigner
from headrace.errors import RetryLater, Unreachable, UsageError
from tests.offchain.chain.till import CHAIN_ID, OTHER, Bench

KEY = Key.of((77).to_bytes(32))
FIELDS = {
    "type": 2,
    "chainId": CHAIN_ID,
    "nonce": 0,
    "to": OTHER,
    "data": b"\x01\x02",
    "value": 0,
    "gas": 50_000,
    "maxFeePerGas": 9,
    "maxPriorityFeePerGas": 1,
}


class SignerServer:
    """A JSON-RPC signer with one key; `twist` changes what it signs, `answer` what it says."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self.signs_with = key
        self.twist: Callable[[dict[str, Any]], None] = lambda fields: None
        self.answer: Callable[[str], Any] = lambda raw: raw
        self.error: str | None = None
        self.requests: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = json.dumps(outer.reply(json.loads(self.rfile.read(length)))).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def reply(self, request: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        head = {"jsonrpc": "2.0", "id": request["id"]}
        if self.error is not None:
            return head | {"error": {"code": -32000, "message": self.error}}
        if request["method"] == "eth_accounts":
            return head | {"result": [self.key.address.lower()]}
        asked = dict(request["params"][0])
        assert asked.pop("from") == self.key.address
        fields = {
            name: value if name in ("to", "data") else int(value, 16)
            for name, value in asked.items()
        }
        self.twist(fields)
        raw, _ = self.signs_with.sign_transaction(fields)
        return head | {"result": self.answer("0x" + raw.hex())}

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[SignerServer]:
    made = SignerServer(KEY)
    yield made
    made.stop()


def test_it_returns_the_same_bytes_as_the_key_itself(server):
    signer = RemoteSigner(server.url, KEY.address)
    assert signer.sign_transaction(FIELDS) == KEY.sign_transaction(FIELDS)
    server.answer = lambda raw: {"raw": raw, "tx": {}}
    assert signer.sign_transaction(FIELDS | {"data": b"", "nonce": 256}) == KEY.sign_transaction(
        FIELDS | {"data": b"", "nonce": 256}
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("chainId", 1),
        ("nonce", 1),
        ("to", "0x" + "00" * 18 + "0124"),
        ("value", 1),
        ("gas", 50_001),
        ("maxFeePerGas", 10),
        ("maxPriorityFeePerGas", 2),
        ("data", "0x0103"),
    ],
)
def test_a_signer_that_changes_a_field_is_caught(server, name, value):
    server.twist = lambda fields: fields.update({name: value})
    with pytest.raises(BadSignature, match="signed another transaction"):
        RemoteSigner(server.url, KEY.address).sign_transaction(FIELDS)


def test_a_signer_that_adds_an_access_list_is_caught(server):
    server.twist = lambda fields: fields.update(
        {"accessList": [{"address": OTHER, "storageKeys": []}]}
    )
    with pytest.raises(BadSignature, match="signed another transaction"):
        RemoteSigner(server.url, KEY.address).sign_transaction(FIELDS)


def test_a_signer_with_another_key_is_caught(server):
    server.signs_with = Key.of((78).to_bytes(32))
    with pytest.raises(BadSignature, match="signed with another key"):
        RemoteSigner(server.url, KEY.address).sign_transaction(FIELDS)


@pytest.mark.parametrize("nonsense", ["0x", "0x02", "0x02c0", "zz", None, 7, ["0x02"], "0x01" * 9])
def test_a_signer_that_talks_nonsense_is_caught(server, nonsense):
    server.answer = lambda raw: nonsense
    with pytest.raises(BadSignature, match="returned no transaction"):
        RemoteSigner(server.url, KEY.address).sign_transaction(FIELDS)


def test_a_signer_that_refuses_or_is_away_is_asked_again_later(server):
    signer = RemoteSigner(server.url, KEY.address)
    server.error = "locked"
    with pytest.raises(RetryLater, match="refuses: locked"):
        signer.sign_transaction(FIELDS)
    away = RemoteSigner("http://secret@127.0.0.1:1/token", KEY.address)
    with pytest.raises(Unreachable, match="can't be reached") as caught:
        away.sign_transaction(FIELDS)
    assert "secret" not in str(caught.value)
    assert "token" not in str(caught.value) + repr(away)


def test_it_says_at_once_if_the_signer_does_not_hold_the_key(server):
    RemoteSigner(server.url, KEY.address).check()
    with pytest.raises(UsageError, match="does not hold"):
        RemoteSigner(server.url, OTHER).check()
    with pytest.raises(UsageError, match="must start with http"):
        RemoteSigner("ftp://127.0.0.1", KEY.address)


def test_a_sender_works_with_it_and_no_nonce_is_lost_while_it_is_away(bench: Bench, server):
    server.key = server.signs_with = bench.key
    signer = RemoteSigner(server.url, bench.key.address)
    outbox = Outbox(bench.folder / "remote.sqlite", chain_id=CHAIN_ID, address=signer.address)
    sender = Sender(bench.rpc, signer, outbox, chain_id=CHAIN_ID)
    server.error = "locked"
    with pytest.raises(RetryLater, match="refuses"):
        sender.submit("drip:1", bench.token.drip(3))
    assert outbox.of_action("drip:1") is None
    server.error = None
    assert sender.submit("drip:1", bench.token.drip(3)).nonce == 0
    bench.mine()
    assert [tx.state for tx in sender.settle()] == ["mined"]
    assert bench.balance == 3


def test_keys_of_this_process_sign_with_coincurve():
    # Pure Python takes ten times as long for a signature.
    assert isinstance(get_backend(), CoinCurveECCBackend)
    assert isinstance(KeyAPI().backend, CoinCurveECCBackend)
