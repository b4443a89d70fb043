"""A dry run plans and simulates what a keeper would do, needs no key, and sends nothing."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.chain.abi import Call
from headrace.chain.accounts import Key
from headrace.chain.rpc import NodeError
from headrace.daemon.actions import Action
from headrace.daemon.context import Context
from headrace.daemon.loop import Stop
from headrace.daemon.opening import open_context
from headrace.errors import Unreachable, UsageError
from headrace.keeper.run import Keeper
from tests.offchain.keeper.stage import EAGER, Stage
from tests.system import MATCHED, OPEN, UNIT, System


@pytest.fixture
def stage(system: System, tmp_path: Path) -> Iterator[Stage]:
    made = Stage(system, tmp_path)
    yield made
    made.close()


def rehearse(stage: Stage) -> Context:
    """A dry run with settings that have neither keyfile nor passphrase."""
    settings = stage.settings(stage.system.keepers[3])
    context = open_context("keeper", settings, Stop(), is_dry_run=True)
    stage.contexts.append(context)
    return context


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    words = ("would send", "would be refused")
    return [(r.message, r.what) for r in caplog.records if r.message in words]


def test_a_keeper_needs_a_key_and_a_dry_run_does_not(stage: Stage):
    settings = stage.settings(stage.system.keepers[3])
    with pytest.raises(UsageError, match="the key is locked"):
        open_context("keeper", settings, Stop())
    assert rehearse(stage).is_dry_run


def test_what_a_keeper_would_send_is_said_once_and_not_sent(
    stage: Stage, system: System, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    stage.ask(1)
    terms = system.post(stage.terms(price_start=10 * UNIT))
    keeper = Keeper(rehearse(stage), EAGER)
    blocks = int(system.chain.rpc("eth_blockNumber"), 16)
    stage.rounds(keeper, count=4)
    assert said(caplog) == [("would send", "JobEscrow.match")]
    assert system.job(terms).state == OPEN
    # Only the blocks of `rounds`, and nothing in them.
    for number in range(blocks + 1, blocks + 5):
        assert not system.chain.rpc("eth_getBlockByNumber", hex(number), False)["transactions"]
    assert not keeper._context.outbox.unfinished()


def test_what_would_be_refused_is_said(
    stage: Stage, system: System, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    context = rehearse(stage)
    action = Action(
        "sweep:x", "ProviderRegistry", "sweep", (system.keepers[3].address,), ground=(1,)
    )
    view = context.look()
    performed = context.perform([action], view)
    again = context.perform([action], view)
    assert not performed.sent
    if performed.refused:
        assert said(caplog) == [("would be refused", "ProviderRegistry.sweep")]
    else:
        assert performed.held == again.held == ("sweep:x",)
        assert said(caplog) == [("would send", "ProviderRegistry.sweep")]


@pytest.mark.parametrize(("error", "others"), [(NodeError(1, "odd"), 1), (Unreachable("no"), 0)])
def test_what_has_no_proper_answer_hides_nothing_else(stage: Stage, monkeypatch, error, others):
    context = rehearse(stage)
    people = [stage.system.keepers[n].address for n in (2, 3)]
    moves = [Action(f"drip:{who}", "Token", "drip", (1,)) for who in people]
    simulate, told = context.sender.simulate, []

    def odd_at_first(call: Call) -> object:
        monkeypatch.setattr(context.sender, "simulate", simulate)
        raise error

    monkeypatch.setattr(context.sender, "simulate", odd_at_first)
    with pytest.raises(type(error)):
        context.perform(moves, context.look(), after=told.append)
    assert [len(performed.held) for performed in told] == [others]


def test_it_runs_beside_the_keeper_that_it_rehearses(stage: Stage, system: System):
    stage.ask(1)
    terms = system.post(stage.terms(price_start=10 * UNIT))
    keeper = stage.keeper()
    dry = Keeper(rehearse(stage), EAGER)
    assert dry._context.home != keeper._context.home
    stage.rounds(dry, keeper)
    assert system.job(terms).state == MATCHED


def test_its_account_is_made_up_anew_and_its_outbox_is_its_own(stage: Stage):
    first = rehearse(stage)
    address, path = first.address, first.home / "outbox.db"
    assert path.is_file()
    stage.contexts.pop().close()
    second = rehearse(stage)
    assert second.address != address
    assert Key.of(second.key.secret).address == second.address
    assert not list(stage.settings(stage.system.keepers[3]).home.glob("outbox/*"))
