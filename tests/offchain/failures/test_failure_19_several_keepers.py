"""Failure 19: several keepers take turns; when one dies, the next in the row acts in its place."""

from dataclasses import replace

import pytest

from headrace.keeper.rank import rank
from tests.offchain.chain.till import Bench
from tests.offchain.failures.office import Employed, employ, until
from tests.task_list import Office

STAGGER = 3
TASKS = range(1, 13)


@pytest.fixture
def clerks(office: Office, tmp_path):
    employed = [employ(office, tmp_path / f"clerk-{n}") for n in range(3)]
    keepers = tuple(clerk.key.address for clerk in employed)
    for clerk in employed:
        clerk.config = replace(clerk.config, keepers=keepers, stagger_seconds=STAGGER)
        clerk.start()
    yield employed
    for clerk in employed:
        clerk.stop()


def block(bench: Bench, alive: list[Employed]) -> int:
    """Mine one, a second later, and wait until everybody alive has dealt with it."""
    bench.mine()
    head = bench.anvil.rpc("eth_getBlockByNumber", "latest", False)
    until(lambda: all(clerk.saw(head["hash"]) for clerk in alive))
    return int(head["number"], 16)


def play(bench: Bench, office: Office, clerks: list[Employed], victim: Employed | None):
    """Post each task in a block of its own; returns delays in blocks by task."""
    alive = list(clerks)
    due: dict[int, int] = {}
    delays: dict[int, int] = {}
    tasks = list(TASKS)
    while len(delays) < len(TASKS):
        if tasks:
            due[tasks[0]] = bench.rpc.head().number + 1
            office.send("post", tasks.pop(0))
        if victim in alive and len(due) == len(TASKS) // 2:
            alive.remove(victim)
            victim.stop()
        number = block(bench, alive)
        for task, since in due.items():
            if task not in delays and office.tasks.times(task):
                delays[task] = number - since
    return delays


def reverted(bench: Bench, office: Office) -> int:
    head = bench.rpc.head().number
    count = 0
    for number in range(head + 1):
        found = bench.anvil.rpc("eth_getBlockByNumber", hex(number), False)
        for tx in found["transactions"]:
            receipt = bench.anvil.rpc("eth_getTransactionReceipt", tx)
            if receipt["to"] and receipt["to"].lower() == office.tasks.address.lower():
                count += receipt["status"] != "0x1"
    return count


def test_failure_19_three_alive_do_each_task_once_and_nobody_reverts(bench, office, clerks):
    delays = play(bench, office, clerks, None)
    assert set(delays.values()) == {1}
    assert all(office.tasks.times(task) == 1 for task in TASKS)
    assert reverted(bench, office) == 0
    # Each does those that are its turn, and only those; which these are is up to the keys.
    keepers = [clerk.key.address for clerk in clerks]
    for clerk in clerks:
        turns = [rank(task.to_bytes(32), clerk.key.address, keepers) == 0 for task in TASKS]
        assert bench.rpc.nonce(clerk.key.address) == sum(turns)


def test_failure_19_the_next_in_the_row_acts_in_the_place_of_a_dead_one(bench, office, clerks):
    victim = clerks[0]
    delays = play(bench, office, clerks, victim)
    assert reverted(bench, office) == 0
    assert all(office.tasks.times(task) == 1 for task in TASKS)
    keepers = [clerk.key.address for clerk in clerks]
    late = 0
    for task, delay in delays.items():
        is_victims = rank(task.to_bytes(32), victim.key.address, keepers) == 0
        assert delay <= (1 + STAGGER if is_victims else 1), task
        late += delay > 1
    firsts = [rank(t.to_bytes(32), victim.key.address, keepers) == 0 for t in TASKS]
    assert late == sum(firsts[len(TASKS) // 2 - 1 :]) or late == sum(firsts[len(TASKS) // 2 :])
