"""Readiness as a daemon's own loop finds it, on the real contracts; a version gate on its moves."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.chain.strangers import DEPTH, GRACE
from headrace.daemon.context import Context
from headrace.errors import Unreachable
from headrace.ops import checkup
from headrace.ops.checkup import EVERY, Checkup, unwritable
from tests.offchain.keeper.stage import EAGER, Stage
from tests.system import MATCHED, OPEN, UNIT, System


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def _version_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system of these tests has another contract in the place of each of version 2."""
    names = ("Vault", "ProviderRegistry", "MatchRules", "JobEscrow", "FaultProof")
    monkeypatch.setattr(checkup, "_OURS", names)


@pytest.fixture
def stage(system: System, tmp_path: Path) -> Iterator[Stage]:
    made = Stage(system, tmp_path)
    yield made
    made.close()


@pytest.fixture
def context(stage: Stage) -> Context:
    return stage.open(stage.system.keepers[3])


@pytest.fixture
def check(context: Context, clock: Clock) -> Checkup:
    return Checkup(context, clock=clock)


def found(context: Context, name: str) -> tuple[bool, str]:
    made = context.observer.health.checks()[name]
    return made.is_ok, made.detail


def again(check: Checkup, clock: Clock) -> None:
    clock.now += EVERY
    check.tick()


def test_all_holds_once_it_has_looked(context: Context, check: Checkup):
    context.look()
    check.tick()
    assert not [n for n, made in context.observer.health.checks().items() if not made.is_ok]


def test_it_looks_every_ten_seconds(context: Context, check: Checkup, clock: Clock):
    seen: list[str] = []
    context.rpc.outcomes = lambda calls: seen.append("asked") or []  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="unpack"):
        check.tick()
    clock.now += EVERY - 0.001
    check.tick()
    assert seen == ["asked"]
    clock.now += 0.001
    with pytest.raises(ValueError, match="unpack"):
        check.tick()
    assert seen == ["asked"] * 2


def test_the_reserve_is_the_edge(stage: Stage, context: Context, check: Checkup, clock: Clock):
    reserve = context.settings.reserve
    stage.system.chain.rpc("anvil_setBalance", context.address, hex(reserve))
    check.tick()
    assert found(context, "balance")[0]
    stage.system.chain.rpc("anvil_setBalance", context.address, hex(reserve - 1))
    again(check, clock)
    is_ok, detail = found(context, "balance")
    assert not is_ok
    assert context.address in detail
    get = context.observer.metrics.registry.get_sample_value
    assert get("headrace_key_balance_wei") == reserve - 1
    assert get("headrace_key_reserve_wei") == reserve


def test_a_stranger_is_seen_until_he_is_released(context: Context, check: Checkup, clock: Clock):
    context.outbox.latch(9)
    check.tick()
    assert not found(context, "nonce")[0]
    assert "nonce 9" in found(context, "nonce")[1]
    get = context.observer.metrics.registry.get_sample_value
    assert get("headrace_foreign_nonce") == 1
    context.outbox.release()
    again(check, clock)
    assert found(context, "nonce")[0]
    assert get("headrace_foreign_nonce") == 0


def test_a_stranger_is_seen_while_the_daemon_has_nothing_to_do(
    stage: Stage, context: Context, check: Checkup, clock: Clock
):
    stage.mine()
    context.look()
    stage.system.chain.travel(GRACE + 1)
    key = stage.system.keepers[3]
    stage.system.token.drip(1, sender=key)
    for _ in range(DEPTH):
        context.look()
        again(check, clock)
        assert found(context, "nonce")[0]
        stage.mine()
    context.look()
    again(check, clock)
    assert not found(context, "nonce")[0]
    assert context.observer.metrics.registry.get_sample_value("headrace_foreign_nonce") == 1


def test_a_node_that_can_not_compare_nonces_stops_no_round(
    stage: Stage, context: Context, monkeypatch: pytest.MonkeyPatch
):
    def silent(head: object) -> None:
        raise Unreachable("no answer")

    monkeypatch.setattr(context.sender, "look_for_strangers", silent)
    stage.mine()
    view = context.look()
    assert view.is_new
    assert not context.look().is_new


def test_a_halt_is_seen(context: Context, check: Checkup):
    context.db.set_note("halted", "block 3 was rewritten")
    check.tick()
    assert found(context, "finality") == (False, "block 3 was rewritten")


def test_a_full_disk_is_seen(context: Context, check: Checkup, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checkup, "LEAST_FREE", 1 << 62)
    check.tick()
    is_ok, detail = found(context, "database")
    assert not is_ok
    assert "make room" in detail


def test_a_folder_that_is_a_file_cannot_be_written(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    assert unwritable(tmp_path) is None
    assert unwritable(tmp_path / "not" / "there" / "yet") is None
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_jobs_are_counted_by_state(stage: Stage, context: Context, check: Checkup):
    for salt in range(3):
        stage.system.post(stage.terms(price_start=10 * UNIT, salt=900 + salt))
    context.look()
    check.tick()
    get = context.observer.metrics.registry.get_sample_value
    assert get("headrace_jobs", {"state": "open"}) == 3


# ---- failure 24: contracts that this program is not for


def test_failure_24_on_another_version_it_reads_and_makes_no_move(
    stage: Stage, system: System, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    stage.ask(1)
    terms = system.post(stage.terms(price_start=10 * UNIT))
    keeper = stage.keeper(policy=EAGER)
    check = Checkup(keeper._context, clock=clock)

    class Other:
        runtime = bytes(40)

    with monkeypatch.context() as patch:
        patch.setattr(checkup.artifacts, "load", lambda name: Other)
        check.tick()
    is_ok, detail = found(keeper._context, "contracts")
    assert not is_ok
    assert "another version" in detail
    stage.rounds(keeper)
    assert system.job(terms).state == OPEN
    assert keeper._context.db.cursor().number >= system.chain.block_number() - 1
    # As soon as the contracts are what it is for, it goes on.
    clock.now += checkup.CODE_EVERY
    check.tick()
    assert found(keeper._context, "contracts")[0]
    stage.rounds(keeper)
    assert system.job(terms).state == MATCHED
