"""A watcher's round that ends with an error about one move still takes note of all the others."""

import time
from pathlib import Path
from typing import Any

import pytest

from headrace.chain.rpc import NodeError
from headrace.daemon.actions import Performed
from headrace.watch.daemon import WatchDaemon
from tests.offchain.watch.large_world import Post


def test_a_commitment_that_is_put_off_holds_no_proof_up_although_the_round_ends_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    post = Post(tmp_path)
    daemon = WatchDaemon(
        post.world,  # type: ignore[arg-type]
        post.record,
        demand_fee=1,
        large=post.large,
    )
    perform = post.world.perform

    def odd(*args: Any, **options: Any) -> Performed:
        performed = perform(*args, **options)
        if performed.deferred:
            raise NodeError(-32000, "out of something")
        return performed

    monkeypatch.setattr(post.world, "perform", odd)
    post.world.put_off.add("commit_fault")
    post.world.lied(is_stored=True)
    failures = 0
    for _ in range(6):
        while post.large._bench.running and post.large._bench._done.empty():
            time.sleep(0.001)
        try:
            daemon.tick()
        except NodeError:
            failures += 1
        post.world.later(1)
    assert failures == 1
    assert "prove" in [function for function, _ in post.world.moves]
