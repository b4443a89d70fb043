"""Disputes are folded from events, and folded again when a reorganisation takes some away."""

from pathlib import Path

import pytest
from eth_abi import encode

from headrace.chain.abi import Log
from headrace.chain.db import ChainDb
from headrace.chain.follower import Step
from headrace.chain.rpc import Header
from headrace.chain.rules import FaultProof
from headrace.daemon.disputes import Case, DisputeBook
from tests.offchain.terms.examples import address

PROOF, ESCROW = address(0x99), address(0x98)
CLAIM, OTHER = b"\x01" * 32, b"\x02" * 32
DEMANDER, PUBLISHER = address(5), address(6)
HEAD = Header(9, b"\x09" * 32, b"\x08" * 32, 1_009, 0)


def event(name: str, number: int, claim: bytes = CLAIM, *, at: str = PROOF, data: bytes = b""):
    kind = FaultProof.abi().events[name]
    person = bytes(12) + bytes.fromhex((PUBLISHER if name == "TracePublished" else DEMANDER)[2:])
    return Log(
        block_number=number,
        log_index=0,
        block_hash=bytes([number]) * 32,
        tx_hash=bytes([number + 100]) * 32,
        address=at,
        topics=(kind.topic, claim, person),
        data=data,
        timestamp=1_000 + number,
    )


def demanded(number: int, claim: bytes = CLAIM) -> Log:
    return event("TraceDemanded", number, claim, data=encode(["uint256"], [1_500]))


def published(number: int) -> Log:
    return event("TracePublished", number)


def proven(number: int) -> Log:
    data = encode(["uint256"] * 4 + ["int256"] * 2, [6, 0, 0, 0, 0, 0])
    return event("FaultProven", number, data=data)


def settled(number: int) -> Log:
    return event("DemandSettled", number, data=encode(["uint256"], [7]))


def folded(*logs: Log) -> DisputeBook:
    book = DisputeBook()
    book.fold(logs)
    return book


def test_a_demand_and_its_answer():
    case = folded(demanded(1)).cases[CLAIM]
    assert case == Case(CLAIM, demander=DEMANDER, due=1_500, demanded_in=bytes([101]) * 32)
    assert (case.is_demanded, case.has_fee) == (True, True)
    case = folded(demanded(1), published(2)).cases[CLAIM]
    assert (case.publisher, case.published_in, case.published_at) == (
        PUBLISHER,
        bytes([102]) * 32,
        1_002,
    )
    assert (case.is_demanded, case.has_fee) == (False, True)


def test_a_fault_ends_the_wait_and_the_fee_is_settled_once():
    book = folded(demanded(1), proven(2))
    assert book.cases[CLAIM].refuter == DEMANDER
    assert not book.cases[CLAIM].is_demanded
    assert book.unsettled == {CLAIM}
    book.fold([settled(3)])
    assert (book.cases[CLAIM].has_fee, book.unsettled) == (False, set())


def test_a_fault_without_a_demand_leaves_no_fee():
    assert folded(proven(1)).unsettled == set()


def test_what_cannot_be_read_is_counted_and_stops_nothing():
    broken = event("TraceDemanded", 1, data=b"\x01")
    book = folded(broken, demanded(2, OTHER))
    assert (book.unread, set(book.cases)) == (1, {OTHER})


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_a_reorganisation_takes_back_what_it_removed(tmp_path: Path, gone: int):
    logs = [demanded(1), published(2), settled(3)]
    db = ChainDb(tmp_path / "db", chain_id=1, genesis=bytes(32), escrow=ESCROW)
    headers = [Header(n, bytes([n]) * 32, bytes([n - 1]) * 32, 1_000 + n, 0) for n in range(1, 4)]
    db.append(headers, logs, keep=99)
    book = DisputeBook.load(db, PROOF)
    assert book.cases[CLAIM].is_settled
    removed = db.rollback(gone - 1, bytes([gone - 1]) * 32)
    touched = book.follow(Step(HEAD, gone - 1, removed=tuple(removed)), db, PROOF)
    assert touched == {CLAIM}
    assert book == folded(*logs[: gone - 1])
    again = Step(HEAD, 3, added=tuple(logs[gone - 1 :]))
    assert book.follow(again, db, PROOF) == {CLAIM}
    assert book == folded(*logs)
    db.close()


def test_other_contracts_events_are_none_of_its_business(tmp_path: Path):
    db = ChainDb(tmp_path / "db", chain_id=1, genesis=bytes(32), escrow=ESCROW)
    book = DisputeBook()
    step = Step(HEAD, 9, added=(event("TraceDemanded", 1, at=ESCROW),))
    assert book.follow(step, db, PROOF) == set()
    assert book.cases == {}
    db.close()
