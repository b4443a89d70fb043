"""The order book: what goes in, what comes out, what is refused."""

from dataclasses import replace

import pytest

from headrace.market.book import Book, LiveAsk, OpenJob
from headrace.terms.words import Exclusion, runs_program
from tests.offchain.market.worlds import MAKERS, World
from tests.offchain.terms.examples import PROGRAM, T0, UNIT, make_ask, make_terms

OTHER = b"\x08" * 32


def test_asks_are_found_by_program() -> None:
    world = World()
    one = world.ask(MAKERS[0], UNIT)
    both = world.ask(MAKERS[1], UNIT, programs=(PROGRAM, OTHER))
    assert {ask.ask_hash for ask in world.book.asks_for(PROGRAM)} == {
        one.ask_hash,
        both.ask_hash,
    }
    assert list(world.book.asks_for(OTHER)) == [both]
    world.book.drop_ask(both.ask_hash)
    assert list(world.book.asks_for(OTHER)) == []
    assert list(world.book.asks_for(PROGRAM)) == list(world.book.asks()) == [one]
    assert runs_program(both.ask.programs, OTHER, both.proof(OTHER))


def test_adding_and_dropping_twice_is_once() -> None:
    world = World()
    job, ask = world.job(), world.ask(MAKERS[0], UNIT)
    world.book.add_job(job)
    world.book.add_ask(ask)
    assert list(world.book.jobs()) == [job]
    assert list(world.book.asks()) == [ask]
    for _ in range(2):
        world.book.drop_job(job.job_id)
        world.book.drop_ask(ask.ask_hash)
    assert world.book.job(job.job_id) is None
    assert world.book.ask(ask.ask_hash) is None
    assert list(world.book.asks_for(PROGRAM)) == []


def test_a_job_that_opens_again_replaces_itself() -> None:
    world = World()
    job = world.job()
    again = replace(job, digest=5, excluded=(Exclusion(provider=MAKERS[0], held=7),))
    assert (job.held, again.held) == (job.terms.price_cap, 7)
    world.book.add_job(again)
    assert world.book.job(job.job_id) == again


def test_the_longest_waiting_comes_first() -> None:
    world = World()
    late, early = world.job(valid_from=T0 + 5), world.job(valid_from=T0)
    assert list(world.book.jobs()) == [early, late]


def test_prune_drops_what_is_over() -> None:
    world = World()
    ask = world.ask(MAKERS[0], UNIT, expiry=T0 + 10)
    signed = world.job(state=0, final_deadline=T0 + 20)
    posted = world.job(final_deadline=T0 + 20)
    assert world.book.prune(T0 + 10) == []
    assert world.book.prune(T0 + 11) == [ask.ask_hash]
    assert world.book.prune(T0 + 20) == []
    assert world.book.prune(T0 + 21) == [signed.job_id]
    assert list(world.book.jobs()) == [posted]


def test_equal_books_iterate_alike() -> None:
    world = World()
    jobs = [world.job() for _ in range(4)]
    asks = [world.ask(MAKERS[0], UNIT) for _ in range(4)]
    other = Book(reversed(jobs), reversed(asks))
    assert list(other.jobs()) == list(world.book.jobs())
    assert list(other.asks()) == list(world.book.asks())


def test_wrong_jobs_and_asks_are_refused() -> None:
    terms = make_terms()
    with pytest.raises(ValueError, match="state: 2 can't be matched"):
        OpenJob(job_id=b"", terms=terms, state=2)
    with pytest.raises(ValueError, match="signature: "):
        OpenJob(job_id=b"", terms=terms, state=0)
    with pytest.raises(ValueError, match="signature: "):
        OpenJob(job_id=b"", terms=terms, signature=b"\x01")
    with pytest.raises(ValueError, match="inputs: "):
        OpenJob(job_id=b"", terms=terms, inputs=(OTHER,))
    with pytest.raises(ValueError, match="programs: they aren't those of the ask"):
        LiveAsk(ask_hash=b"", ask=make_ask(), signature=b"", signer="", programs=(OTHER,))
