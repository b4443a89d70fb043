"""Offers are posted, listed, taken down; whatever else lies in the folder is passed over."""

import json
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import UsageError
from headrace.graph.merkle import keccak
from headrace.store.board import MAX_OFFER_BYTES, Board
from headrace.store.errors import CorruptBlob, MissingBlob

NAME = keccak(b"an offer").hex()


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path / "board")


def test_an_offer_is_posted_listed_and_removed(board: Board) -> None:
    payload = {"signature": "0x1234", "ask": {"salt": 2**95, "node": 1}}
    board.post("ask", "0x" + NAME, payload)
    assert board.get("ask", NAME) == payload
    assert board.list("ask") == ((NAME, payload),)
    assert board.list("bid") == ()
    with pytest.raises(MissingBlob, match="no such bid"):
        board.get("bid", NAME)
    assert board.remove("ask", NAME) is True
    assert board.remove("ask", NAME) is False
    assert board.list("ask") == ()


def test_offers_are_listed_by_name_and_replaced_whole(board: Board) -> None:
    names = sorted(keccak(bytes([i])).hex() for i in range(5))
    for name in reversed(names):
        board.post("bid", name, {"first": name})
    board.post("bid", names[2], {"second": 1})
    assert [offer.name for offer in board.list("bid")] == names
    assert board.get("bid", names[2]) == {"second": 1}


def test_a_board_that_nobody_has_used(board: Board) -> None:
    assert board.list("ask") == ()
    assert board.remove("ask", NAME) is False
    assert not board.path.exists()


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[1]",
        b"null",
        b'"text"',
        b"[" * 60_000,
        b'{"a": ' + b"9" * 5_000 + b"}",
        b'{"a": "' + b"x" * MAX_OFFER_BYTES + b'"}',
    ],
)
def test_junk_in_place_of_an_offer(board: Board, junk: bytes) -> None:
    board.post("ask", NAME, {"good": True})
    other = keccak(b"other").hex()
    (board.path / "asks" / f"{other}.json").write_bytes(junk)
    assert board.list("ask") == ((NAME, {"good": True}),)
    with pytest.raises(CorruptBlob):
        board.get("ask", other)


def test_other_files_in_the_folder(board: Board, tmp_path: Path) -> None:
    board.post("ask", NAME, {"good": True})
    folder = board.path / "asks"
    (folder / "README.md").write_text("hello")
    (folder / ".tmp-1-ab").write_text("{}")
    (folder / f"{NAME.upper()}.json").write_text("{}")
    (folder / f"0x{NAME}.json").write_text("{}")
    (folder / NAME).write_text("{}")
    (folder / f"{keccak(b'folder').hex()}.json").mkdir()
    outside = tmp_path / "outside.json"
    outside.write_text(json.dumps({"stolen": 1}))
    (folder / f"{keccak(b'link').hex()}.json").symlink_to(outside)
    assert board.list("ask") == ((NAME, {"good": True}),)


@pytest.mark.parametrize("name", ["../../x", "x" * 64, "", b"1", NAME + ".json"])
def test_names_that_are_no_hashes(board: Board, name: str | bytes) -> None:
    for call in (
        lambda: board.post("ask", name, {}),
        lambda: board.get("ask", name),
        lambda: board.remove("ask", name),
    ):
        with pytest.raises(UsageError):
            call()
    assert not board.path.exists()


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"a": {1, 2}}, "plain JSON"),
        ({"a": b"bytes"}, "plain JSON"),
        ({"a": float("nan")}, "plain JSON"),
        ([1], "JSON object"),
        ({"a": "x" * MAX_OFFER_BYTES}, "at most 65536 bytes"),
    ],
)
def test_payloads_that_are_no_offers(board: Board, payload: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        board.post("ask", NAME, payload)
    assert not board.path.exists()


def test_kinds_are_asks_and_bids(board: Board) -> None:
    kind: Any = "../secrets"
    with pytest.raises(UsageError, match=r"no '\.\./secrets'"):
        board.post(kind, NAME, {})
