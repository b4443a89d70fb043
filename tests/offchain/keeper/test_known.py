"""What a keeper has kept is what the contracts say, after any history and what undoes one."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import RetryLater
from headrace.keeper import known as known_module
from headrace.keeper.changes import Table
from headrace.keeper.known import CHECKED_WITHIN
from headrace.keeper.reads import Reads, account_key, provider_key
from tests.harness import Chain
from tests.offchain.keeper.history import MOVES, History
from tests.offchain.keeper.stage import Line, Stage
from tests.system import UNIT, System

KINDS = ("registry", "vault", "escrow")
STEPS = st.tuples(
    st.sampled_from(MOVES), st.integers(0, 999), st.integers(0, 999), st.integers(0, 3)
)


@pytest.fixture
def history(system: System, tmp_path: Path) -> Iterator[History]:
    stage = Stage(system, tmp_path)
    yield History(stage)
    stage.close()


def calls(history: History, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many words each of the following requests asks for, as it grows."""
    asked: list[int] = []
    ask = Reads.ask

    def counted(self, keys, head):
        asked.append(len(keys))
        return ask(self, keys, head)

    monkeypatch.setattr(Reads, "ask", counted)
    return asked


# ---- any history


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("histories")
    numbers = count()
    return (folder / str(number) for number in numbers)


@given(st.lists(STEPS, min_size=4, max_size=40))
def test_after_any_history_it_is_what_one_reads_that_knows_nothing(
    system: System, folders: Iterator[Path], steps: list[tuple[str, int, int, int]]
) -> None:
    stage = Stage(system, next(folders), registers=False)
    with system.chain.isolated():
        history = History(stage)
        history.check()
        for name, a, b, looks in steps:
            history.try_move(name, a, b)
            # Three times in four it looks; else it has more to catch up with.
            if looks:
                history.check()
        history.check()
    stage.close()


def test_every_event_there_is_leads_to_what_was_written(history, system):
    """Looked at after each move, so that no other event can have led to it."""
    seen: set[str] = set()

    def happens(name: str, a: int = 0, b: int = 0) -> None:
        before = history.chain.block_number()
        getattr(history, name)(a, b)
        history.check()
        logs = history.context.db.logs_between(before + 1, history.chain.block_number())
        for contract in (*KINDS, history.context.fault_proof):
            kind = getattr(history.context, contract) if isinstance(contract, str) else contract
            events = [kind.event(entry) for entry in logs if entry.address == kind.address]
            seen.update(event.name for event in events if event is not None)

    history.check()
    for name, a, b in (
        *(("heartbeat", 1, 0), ("availability", 1, 1), ("availability", 1, 0), ("node", 1, 3)),
        *(("node", 2, 4), ("money", 0, 0), ("money", 1, 1), ("money", 0, 2), ("money", 0, 3)),
        *(("post", 0, 6), ("post", 0, 7), ("cancel", 0, 0), ("bids", 0, 0)),
        # The bids' epoch is another now, so jobs of the second requester; keepers 0 and 1.
        *(("match", 3, 4), ("claim", 0, 0), ("finalise", 0, 0), ("batch", 1, 1)),
        *(("decline", 1, 0), ("expire", 2, 7), ("payees", 2, 5), ("match", 3, 4)),
        *(("claim", 3, 0), ("refute", 3, 4)),
        *(("match", 3, 4), ("claim", 4, 0), ("void", 4, 0), ("post", 1, 11), ("match", 1, 13)),
        *(("claim", 5, 0), ("demand", 5, 0), ("sweep", 1, 0), ("flush", 0, 0), ("model", 0, 1)),
        *(("policy", 0, 7), ("policy", 0, 3), ("payout", 1, 0), ("operator", 2, 0)),
        *(("epoch", 2, 0), ("epoch", 2, 1), ("exit", 2, 1), ("time", 3, 0), ("exit", 2, 0)),
        ("register", 3, 0),
    ):
        happens(name, a, b)
    there = {name for kind in KINDS for name in getattr(history.context, kind).abi().events}
    # These are about no word: an owner, a book, a GPU, a member of a batch that was left out.
    assert there - seen == {
        *("OwnershipTransferred", "OwnershipTransferStarted", "BookAdded", "GpuModelAdded"),
        *("Skipped",),
    }
    assert "ModelRegistered" in seen


def test_money_that_goes_to_a_payout_which_no_event_names(history, system):
    """Two jobs are final in one look, and in between the provider has chosen another payout."""
    # Neither of them is a party to any of the jobs.
    earlier, later = system.keepers[1], system.requesters[1]
    first, second, third = (system.standing(ask=system.ask(1)) for _ in range(3))
    history.check()
    before = system.vault.free_of(earlier)
    system.registry.set_payout(earlier, sender=system.providers[1])
    system.finalise(first)
    system.registry.set_payout(later, sender=system.providers[1])
    system.finalise(second)
    history.check()
    assert system.vault.free_of(earlier) == before + first.record.price
    # And in a look of its own, long after the payout was chosen.
    system.finalise(third)
    history.check()


# ---- how much is read


def test_nothing_is_read_at_a_block_in_which_nothing_happened(history, system, monkeypatch):
    view = history.look()
    history.reader.read(view)
    asked = calls(history, monkeypatch)
    for seconds in (1, 100, 5_000):
        system.chain.travel(seconds)
        history.reader.read(history.look())
    assert sum(asked) == 0
    # What happened is read, and nothing but that: a record, and no node or account of it.
    provider = system.providers[1]
    system.registry.heartbeat(provider.address, sender=provider)
    history.reader.read(history.look())
    assert sum(asked) == 1


def test_a_jobs_end_reads_its_parties_again_and_nobody_else(history, system, monkeypatch):
    history.stage.ask(1)
    attempt = system.standing(ask=system.ask(1))
    history.reader.read(history.look())
    asked = calls(history, monkeypatch)
    system.finalise(attempt)
    history.reader.read(history.look())
    # The provider's record, places and account, and the requester's account.
    assert sum(asked) == 4 < len(history.reader.known)


def test_a_restart_reads_everything(history, monkeypatch):
    history.reader.read(history.look())
    words = len(history.reader.known)
    keeper = history.stage.restart(history.system.keepers[0])
    asked = calls(history, monkeypatch)
    keeper._offers.refresh(history.chain.now())
    keeper._reader.read(keeper._context.look())
    assert sum(asked) == words > 10


def test_repaired_final_blocks_are_a_reason_to_read_everything(history, system, monkeypatch):
    history.reader.read(history.look())
    asked = calls(history, monkeypatch)
    history.context.follower.counters.audit_mismatches += 1
    system.chain.mine()
    history.reader.read(history.look())
    assert sum(asked) == len(history.reader.known)
    system.chain.mine()
    history.reader.read(history.look())
    assert sum(asked) == len(history.reader.known)


def test_a_rollback_keeps_what_was_read_before_it(history, system, monkeypatch):
    history.check()
    asked = calls(history, monkeypatch)
    with history.branch():
        for _ in range(3):
            system.chain.mine()
            history.reader.read(history.look())
        provider = system.providers[2]
        system.registry.set_available(provider.address, False, sender=provider)
        history.reader.read(history.look())
        assert sum(asked) == 1
    system.chain.mine(6)
    history.reader.read(history.look())
    # What the other branch had written.
    assert sum(asked) == 2
    history.check()


@pytest.mark.parametrize(("marks", "is_followed"), [(4, True), (3, False)])
def test_a_rollback_beyond_the_marks_begins_from_nothing(
    history, system, monkeypatch, marks, is_followed
):
    known = history.reader.known
    known._marks = type(known._marks)(maxlen=marks)
    history.reader.read(history.look())
    words = len(known)
    with history.branch():
        for _ in range(3):
            system.chain.mine()
            history.reader.read(history.look())
    system.chain.mine(5)
    asked = calls(history, monkeypatch)
    history.reader.read(history.look())
    assert sum(asked) == (0 if is_followed else words)
    history.check()


@pytest.mark.parametrize(("blocks", "is_followed"), [(8, True), (9, False)])
def test_a_gap_is_followed_up_to_a_bound(history, system, monkeypatch, blocks, is_followed):
    monkeypatch.setattr(known_module, "_FAR", 8)
    history.reader.read(history.look())
    asked = calls(history, monkeypatch)
    system.chain.mine(blocks)
    history.reader.read(history.look())
    assert sum(asked) == (0 if is_followed else len(history.reader.known))


def test_a_block_that_is_gone_is_not_read_at(history, system):
    """The chain is rewritten after the look and before the reads: no picture of either branch."""
    history.reader.read(history.look())
    provider = system.providers[1]
    with history.branch():
        system.registry.set_available(provider.address, False, sender=provider)
        view = history.look()
    system.chain.mine(5)
    with pytest.raises(RetryLater):
        history.reader.read(view)
    history.check()


def test_an_error_half_way_leaves_nothing_out(history, system):
    """The line is cut between any two requests of a picture; the next one is right."""
    attempt = system.standing(ask=system.ask(1))
    history.check()
    system.registry.set_payout(system.requesters[0], sender=system.providers[1])
    history.check()
    system.finalise(attempt)
    view = history.look()
    cut = None
    for ahead in range(10):
        Line.crash_at = Line.requests + ahead
        try:
            history.reader.read(view)
        except BaseException as error:
            cut = error
            continue
        finally:
            Line.crash_at = -1
        break
    assert cut is not None
    history.check()


# ---- the second reading


def poke(system: System, history: History) -> None:
    """Give an account a token that no event tells of."""
    account = system.providers[1].address
    before = system.vault.account_of(account).free
    chain = system.chain
    for slot in range(64):
        place = words_place(slot, account)
        held = chain.rpc("eth_getStorageAt", system.vault.address, place, "latest")
        if int(held, 16) & (2**80 - 1) == before:
            word = "0x" + (int(held, 16) + UNIT).to_bytes(32).hex()
            chain.rpc("anvil_setStorageAt", system.vault.address, place, word)
            break
    chain.mine()
    assert system.vault.account_of(account).free == before + UNIT


def words_place(slot: int, account: str) -> str:
    """Where Vyper keeps an account's entry of a mapping."""
    from eth_utils import keccak

    return "0x" + keccak(slot.to_bytes(32) + bytes.fromhex(account[2:]).rjust(32, b"\0")).hex()


def test_a_word_that_changes_without_an_event_is_found_and_told(history, system, caplog):
    history.reader.read(history.look())
    poke(system, history)
    view = history.look()
    key = account_key(system.providers[1].address)
    state = history.reader.read(view)
    wrong = state.snapshot.free[system.providers[1].address]
    for _ in range(CHECKED_WITHIN):
        if not history.reader.check():
            break
        system.chain.mine()
        history.reader.read(history.look())
    else:
        pytest.fail("it was never found")
    (said,) = [record for record in caplog.records if record.message == "known word is another"]
    assert (said.what, said.of) == (key[0], [key[1]])
    counter = history.context.observer.metrics.known_mismatches
    assert [s.value for m in counter.collect() for s in m.samples] == [1.0]
    state = history.reader.read(history.look())
    assert state.snapshot.free[system.providers[1].address] == wrong + UNIT
    history.check()


def test_the_next_round_comes_at_once_after_a_difference(history, system):
    history.keeper.tick()
    assert history.keeper._is_settled
    poke(system, history)
    history.reader.known._round = [account_key(system.providers[1].address)]
    history.keeper.tick()
    assert not history.keeper._is_settled
    history.keeper.tick()
    assert history.keeper._is_settled


def test_every_word_is_read_again_in_time_and_once_a_block(history, system, monkeypatch):
    history.reader.read(history.look())
    words = set(history.reader.known._words)
    seen: set[object] = set()
    ask = Reads.ask

    def noted(self, keys, head):
        seen.update(keys)
        return ask(self, keys, head)

    monkeypatch.setattr(Reads, "ask", noted)
    for _ in range(CHECKED_WITHIN // 2):
        assert history.reader.check()
        before = len(seen)
        assert history.reader.check()
        assert len(seen) == before
        system.chain.mine()
        history.reader.read(history.look())
    assert seen >= words


def test_what_nobody_asks_for_is_forgotten(history, system):
    history.reader.read(history.look())
    stray = provider_key(system.providers[5].address)
    history.reader.known.providers([system.providers[5].address])
    assert stray in history.reader.known._words
    for _ in range(CHECKED_WITHIN):
        history.reader.check()
        system.chain.mine()
        history.reader.read(history.look())
    assert stray not in history.reader.known._words
    assert len(history.reader.known) > 10


# ---- the table


def test_an_event_that_the_table_does_not_know_changes_everything(history, chain: Chain):
    history.look()
    logs = history.context.db.logs_between(0, history.chain.block_number())
    ours = [entry for entry in logs if entry.address == history.context.vault.address]
    table = Table(history.context)
    assert not table.changes(ours).is_all
    strange = ours[0]._replace(topics=(b"\1" * 32, *ours[0].topics[1:]))
    assert table.changes([strange]).is_all
