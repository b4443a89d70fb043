"""The board is read once a posting; rubbish is left out, and looked at again."""

from pathlib import Path
from typing import Any

import pytest

from headrace.keeper.offers import RECHECK, Offers
from headrace.market.postings import ask_posting
from headrace.store.board import Board
from headrace.terms.eip712 import job_id
from tests.offchain.market.test_postings import DOMAIN, SIGNER, TOKEN, signed_ask, signed_bid
from tests.offchain.terms.examples import PROGRAM, make_ask, make_terms


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


@pytest.fixture
def offers(board: Board) -> Offers:
    return Offers(board, TOKEN, DOMAIN)


def post_bid(board: Board, **changes: Any) -> bytes:
    terms = make_terms(requester=SIGNER.address, **changes)
    digest = job_id(terms, DOMAIN)
    board.post("bid", digest, signed_bid(terms))
    return digest


def test_what_is_posted_is_there_until_it_is_taken_down(board: Board, offers: Offers):
    assert not offers.refresh(0)
    ask = signed_ask()
    board.post("ask", ask.ask_hash, ask_posting(ask))
    digest = post_bid(board)
    assert offers.refresh(0)
    assert offers.asks == (ask,)
    assert [bid.job_id for bid in offers.bids] == [digest]
    assert not offers.refresh(1)
    board.remove("ask", ask.ask_hash)
    assert offers.refresh(1)
    assert offers.asks == ()
    assert len(offers.bids) == 1


def test_a_posting_under_another_hash_is_left_out(board: Board, offers: Offers, caplog):
    board.post("ask", b"\x05" * 32, ask_posting(signed_ask()))
    assert not offers.refresh(0)
    assert offers.asks == ()
    assert [record.why for record in caplog.records] == [
        "it is posted under another hash than its own"
    ]


def test_rubbish_in_the_place_of_an_ask_does_not_keep_it_out_for_long(
    board: Board, offers: Offers, caplog
):
    ask = signed_ask()
    board.post("ask", ask.ask_hash, {"ask": "rubbish"})
    assert not offers.refresh(100)
    board.post("ask", ask.ask_hash, ask_posting(ask))
    assert not offers.refresh(100 + RECHECK - 1)
    assert offers.refresh(100 + RECHECK)
    assert offers.asks == (ask,)
    assert len(caplog.records) == 1


def test_rubbish_is_complained_about_once(board: Board, offers: Offers, caplog):
    board.post("bid", b"\x05" * 32, {})
    for now in range(0, 10 * RECHECK, RECHECK):
        offers.refresh(now)
    assert len(caplog.records) == 1


def test_one_bad_posting_spoils_nothing_else(board: Board, offers: Offers):
    (board.path / "asks").mkdir(parents=True)
    (board.path / "asks" / f"{'7' * 64}.json").write_text("{ no json")
    board.post("ask", b"\x06" * 32, {})
    for salt in (1, 2):
        ask = signed_ask(make_ask(programs=PROGRAM, salt=salt))
        board.post("ask", ask.ask_hash, ask_posting(ask))
    assert offers.refresh(0)
    assert [ask.ask.salt for ask in offers.asks] in ([1, 2], [2, 1])
