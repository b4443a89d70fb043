"""One pair: what stands against it, and the first second at which nothing does."""

from dataclasses import replace

from hypothesis import given, settings

from headrace.errors import Rejected
from headrace.market.matching import fits_from, judge
from headrace.terms.unmet import PRICE
from tests.offchain.market.worlds import MAKERS, World, worlds
from tests.offchain.terms.examples import T0, UNIT


def test_a_pair_that_is_too_dear_fits_from_when_the_ramp_has_reached_it() -> None:
    world = World(now=T0 + 81)
    job, dear = world.job(tip_share_bps=0), world.ask(MAKERS[0], 15 * UNIT)
    verdict = judge(job, dear, world.snapshot)
    assert verdict.requester_bits == PRICE
    assert fits_from(job, dear, verdict, world.snapshot) == T0 + 111


@given(worlds())
@settings(max_examples=60)
def test_a_wait_ends_in_the_first_second_that_fits(world: World) -> None:
    snapshot = world.snapshot
    for job in world.book.jobs():
        for ask in world.book.asks():
            try:
                verdict = judge(job, ask, snapshot)
            except Rejected:
                continue
            at = fits_from(job, ask, verdict, snapshot)
            if at is None or verdict.fits:
                continue
            assert at > snapshot.now
            assert judge(job, ask, replace(snapshot, now=at)).fits
            assert not judge(job, ask, replace(snapshot, now=at - 1)).fits
