"""Asks: one good one on the board, renewed in time, and nothing that isn't worth its signature."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace.chain.accounts import Key
from headrace.errors import UsageError
from headrace.market.book import LiveAsk
from headrace.market.postings import read_ask
from headrace.node.asks import Asks, Market
from headrace.node.config import NodeConfig
from headrace.node.record import NodeRecord
from headrace.store.board import Board
from headrace.terms.jobfile import Offer
from headrace.terms.words import ZERO_ADDRESS
from tests.offchain.node.fakes import DOMAIN, KEY, OWNER, SETTINGS, FakeChain
from tests.offchain.terms.examples import CODE_HASH, VERIFIER, address

TOKEN = address(0x53)
MARKET = Market(verifier=VERIFIER, code_hash=CODE_HASH, token=TOKEN, domain=DOMAIN)
LIFE = 4_000


def make_offer(**changes: Any) -> Offer:
    values: dict[str, Any] = {
        "models": ("small",),
        "settings": SETTINGS,
        "price_base": 10**6,
        "price_per_unit": 5,
        "max_lock": 10**8,
        "max_units": 100,
        "max_input_bytes": 65_536,
        "min_attempt_seconds": 10,
        "min_ack_seconds": 5,
        "max_delay": 3_600,
        "valid": LIFE,
        "lane": 1,
        "counterparty": ZERO_ADDRESS,
    }
    return Offer(**(values | changes))


class Stall:
    """One node's asks over a board; `restart` is a new process with what is on disk."""

    def __init__(self, folder: Path) -> None:
        self.world = FakeChain(folder)
        self.board = Board(folder / "board")
        self.folder = folder
        self.restart()

    def restart(self, *, key: Key = KEY, market: Market = MARKET, **changes: Any) -> None:
        config = NodeConfig(
            provider=OWNER,
            index=0,
            capacity=1,
            offer=make_offer(**changes),
            models={self.world.model.program: self.world.model},
        )
        self.record = NodeRecord(self.folder / "node.db", {})
        self.asks = Asks(config, {"FaultProof": market}, key, self.board, self.record)

    def keep(self, **changes: Any) -> list[LiveAsk]:
        """What is on the board after one round."""
        provider = replace(self.world.provider, **changes)
        self.asks.keep(provider, self.world.now)
        return [read_ask(offer.payload, TOKEN, DOMAIN) for offer in self.board.list("ask")]


@pytest.fixture
def stall(tmp_path: Path) -> Stall:
    return Stall(tmp_path)


def test_an_ask_says_what_the_file_says(stall: Stall):
    (ask,) = stall.keep(epoch=4)
    assert ask.signer == KEY.address
    assert (ask.ask.provider, ask.ask.node, ask.ask.lane, ask.ask.epoch) == (OWNER, 0, 1, 4)
    assert (ask.ask.price_base, ask.ask.price_per_unit) == (10**6, 5)
    assert ask.ask.expiry == stall.world.now + LIFE
    assert ask.programs == (stall.world.model.program,)


def test_it_stays_the_same_through_rounds_and_restarts(stall: Stall):
    first = stall.keep()
    stall.world.later(10)
    assert stall.keep() == first
    stall.restart()
    assert stall.keep() == first


def test_it_is_renewed_a_quarter_of_its_life_before_its_end(stall: Stall):
    (first,) = stall.keep()
    stall.world.later(LIFE * 3 // 4 - 1)
    assert stall.keep() == [first]
    stall.world.later(1)
    (second,) = stall.keep()
    assert second.ask_hash != first.ask_hash
    assert second.ask.expiry == stall.world.now + LIFE


def test_it_is_signed_anew_after_an_epoch_bump(stall: Stall):
    (first,) = stall.keep()
    (second,) = stall.keep(epoch=1)
    assert (first.ask.epoch, second.ask.epoch) == (0, 1)
    stall.restart()
    assert stall.keep(epoch=1) == [second]


@pytest.mark.parametrize(
    "change", [{"price_base": 2}, {"max_delay": 5}, {"counterparty": OWNER}, {"lane": 2}]
)
def test_a_changed_file_makes_another_ask(stall: Stall, change: dict[str, Any]):
    (first,) = stall.keep()
    stall.restart(**change)
    (second,) = stall.keep()
    assert first.ask_hash != second.ask_hash


def test_a_new_operator_signs_its_own(stall: Stall):
    stall.keep()
    key = Key.of(b"\x22" * 32)
    stall.restart(key=key)
    (ask,) = stall.keep(operator=key.address)
    assert ask.signer == key.address


def test_a_verifier_with_other_code_is_another_offer(stall: Stall):
    (first,) = stall.keep()
    stall.restart(market=replace(MARKET, code_hash=b"\x0d" * 32))
    (second,) = stall.keep()
    assert first.ask.verifier_terms != second.ask.verifier_terms


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": 0}, "register it first"),
        ({"status": 2}, "register it first"),
        ({"operator": address(5)}, "asks must be signed by"),
        ({"revoked_lanes": 0b10}, "lane 1 is revoked"),
    ],
)
def test_what_would_be_worth_nothing_is_not_offered(
    stall: Stall, change: dict[str, Any], words: str, caplog: pytest.LogCaptureFixture
):
    stall.keep()
    assert stall.keep(**change) == []
    assert stall.keep(**change) == []
    assert [words in entry.why for entry in caplog.records] == [True]  # type: ignore[attr-defined]
    assert len(stall.keep()) == 1


def test_another_revoked_lane_does_not_matter(stall: Stall):
    assert len(stall.keep(revoked_lanes=0b1101)) == 1


def test_an_ask_that_was_tampered_with_is_posted_again(stall: Stall):
    (first,) = stall.keep()
    for content in (b"", b"{}", b"null"):
        (stall.board.path / "asks" / f"{first.ask_hash.hex()}.json").write_bytes(content)
        assert stall.keep() == [first]
    stall.board.remove("ask", first.ask_hash)
    assert stall.keep() == [first]


def test_others_asks_are_left_alone(stall: Stall):
    stall.board.post("ask", "ab" * 32, {"some": "body's"})
    stall.asks.take_down()
    assert stall.board.names("ask") == ("ab" * 32,)


def test_a_crash_before_posting_posts_the_same_ask(stall: Stall, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        patch.setattr(Board, "post", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            stall.keep()
    ((ask_hash, _),) = stall.record.asks()
    stall.restart()
    (ask,) = stall.keep()
    assert ask.ask_hash == ask_hash


def test_an_offer_that_fits_no_ask(stall: Stall):
    stall.restart(price_base=1 << 80)
    with pytest.raises(UsageError, match="price_base"):
        stall.keep()
