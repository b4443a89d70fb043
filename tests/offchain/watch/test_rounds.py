"""Rounds with claims of both kinds: neither part's trouble is the other's."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.chain.views import Account
from headrace.errors import Unreachable
from headrace.graph.trace import run
from headrace.watch.daemon import WatchDaemon
from tests.offchain.node.fakes import SETTINGS as SMALL_SETTINGS
from tests.offchain.node.fakes import FakeContract
from tests.offchain.terms.examples import address
from tests.offchain.watch.large_world import Post

SMALL_VERIFIER = address(0x53)


class Both(Post):
    """A watcher of both kinds of claims, whose node can't say who has what while it `is_mute`."""

    def restart(self) -> None:
        super().restart()
        self.is_mute = False
        self.world.fault_proof = FakeContract(SMALL_VERIFIER)
        read = self.world.account_of

        def account_of(account: str, block: int) -> Account:
            if self.is_mute:
                raise Unreachable("the node is away")
            return replace(read(account, block), books=0xFF)

        self.world.account_of = account_of  # type: ignore[method-assign]
        self.daemon = WatchDaemon(
            self.world,  # type: ignore[arg-type]
            self.record,
            demand_fee=1,
            large=self.large,
        )

    def small_lie(self) -> None:
        """A claim that has to be demanded."""
        world = self.world
        settings = SMALL_SETTINGS.pack()
        terms = world.terms(verifier=SMALL_VERIFIER, settings=settings)
        right = run(world.model, world.store.get_tensor(terms.input_id, terms.units, 5))
        world.claimed(terms, right.replace(1, 2, 1, right.rows[1][2][1] ^ 0x20).root)

    def round(self) -> None:
        """A round in a block of its own, after what is computed beside it."""
        end = time.monotonic() + 10
        for bench in (self.daemon._bench, self.large._bench):
            while bench.running and bench._done.empty():
                assert time.monotonic() < end
                time.sleep(0.001)
        self.world.later()
        self.daemon.tick()


@pytest.fixture
def both(tmp_path: Path) -> Both:
    return Both(tmp_path)


def names(both: Both) -> list[str]:
    return [name for name, _ in both.world.moves]


def test_a_large_claim_of_a_round_that_fails_is_watched(both: Both):
    """Its job comes in one view, and that round's question about a small claim has no answer."""
    both.small_lie()
    both.round()
    both.world.lied(is_stored=True)
    both.is_mute = True
    with pytest.raises(Unreachable):
        both.round()
    both.is_mute = False
    for _ in range(3):
        both.round()
    assert sorted(names(both)) == ["claim_reward", "commit_fault", "demand_trace"]


def test_a_question_without_an_answer_holds_nothing_else_up(both: Both):
    both.small_lie()
    both.round()
    both.is_mute = True
    both.world.lied(is_stored=True)
    for _ in range(4):
        with pytest.raises(Unreachable):
            both.round()
    assert names(both) == ["commit_fault", "claim_reward"]
