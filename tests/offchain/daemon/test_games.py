"""What GraphProof's events say of who is paid, folded."""

from typing import Any

from headrace.chain.abi import Event, Log
from headrace.daemon.games import Game, GameBook, Promise
from tests.offchain.terms.examples import address

CLAIM, DIGEST, JUNK = b"\xc1" * 32, b"\x01" * 32, b"\x02" * 32
FIRST, SECOND = address(1), address(2)


def event(name: str, block: int, **args: Any) -> Event:
    log = Log(block, 0, b"", b"", address(9), (), b"", 0)
    return Event(name, {"claim_id": CLAIM, **args}, log)


def told(*events: Event) -> Game:
    book = GameBook()
    for one in events:
        book.apply(one)
    return book.games[CLAIM]


def proven(who: str, block: int) -> Event:
    place = {"kind": 1, "index": 0, "row": 0, "column": 0, "claimed": 1, "right": 2}
    return event("FaultProven", block, refuter=who, **place)


def test_commitments_have_their_numbers_and_blocks():
    game = told(
        event("FaultCommitted", 10, digest=JUNK, number=1),
        event("FaultCommitted", 12, digest=DIGEST, number=2),
    )
    assert game.promises == (Promise(JUNK, 1, 10), Promise(DIGEST, 2, 12))
    assert game.promise_of(DIGEST) == Promise(DIGEST, 2, 12)
    assert game.promise_of(b"\x03" * 32) is None
    assert (game.refuter, game.proven_in, game.open_until) == (None, 0, 0)


def test_the_first_proof_opens_the_reward_and_the_last_one_has_it():
    game = told(
        event("FaultCommitted", 10, digest=DIGEST, number=1),
        proven(FIRST, 20),
        event("RewardOpen", 20, open_until=40),
        proven(SECOND, 25),
        event("RewardOpen", 25, open_until=40),
    )
    assert (game.refuter, game.proven_in, game.open_until) == (SECOND, 20, 40)


def test_a_proof_that_convicts_at_once_opens_nothing():
    game = told(proven(FIRST, 20))
    assert (game.refuter, game.proven_in, game.open_until) == (FIRST, 0, 0)
