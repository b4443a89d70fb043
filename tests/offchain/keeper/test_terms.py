"""What a keeper works for is said by the settings, so that a service has it without options."""

import os
from pathlib import Path

import pytest

from headrace import settings as environment
from headrace.chain.abi import checksummed
from headrace.errors import UsageError
from headrace.keeper import run
from headrace.keeper.decide import Policy
from headrace.keeper.terms import policy_of, rivals_of
from headrace.settings import Settings
from headrace.terms.amounts import Money
from tests.offchain.keeper.stage import Stage
from tests.system import OPEN, UNIT, System

SIX = Money(6, "USDX")
RIVAL = "0x" + "Ab" * 20


def test_a_keeper_asks_for_nothing_unless_it_is_told_to():
    assert policy_of(Settings(), SIX) == Policy()
    assert rivals_of(Settings()) == []


def test_amounts_are_of_whole_tokens():
    given = Settings(min_tip="0.5", ether="3000", margin="0.000001")
    assert policy_of(given, SIX) == Policy(min_tip=500_000, token_per_ether=3 * 10**9, margin=1)


@pytest.mark.parametrize("name", ["MIN_TIP", "ETHER", "MARGIN"])
@pytest.mark.parametrize("text", ["much", "-1", "1e3", "0.5 USDX", ""])
def test_what_is_no_amount_is_told_by_the_name_of_its_variable(monkeypatch, name, text):
    monkeypatch.setitem(os.environ, f"HEADRACE_{name}", text)
    with pytest.raises(UsageError, match=f"HEADRACE_{name}: expected an amount"):
        policy_of(environment.load(), SIX)


def test_an_amount_finer_than_the_token_is_told(monkeypatch):
    monkeypatch.setitem(os.environ, "HEADRACE_MIN_TIP", "0.0000001")
    with pytest.raises(UsageError, match="HEADRACE_MIN_TIP: USDX has 6 decimals"):
        policy_of(environment.load(), SIX)


def test_rivals_are_addresses_or_accounts_of_the_home(tmp_path: Path):
    assert rivals_of(Settings(rivals=f" {RIVAL}, {RIVAL.lower()},")) == [checksummed(RIVAL)] * 2
    with pytest.raises(UsageError, match="HEADRACE_RIVALS: 'nobody' is neither"):
        rivals_of(Settings(home=tmp_path, rivals="nobody"))
    with pytest.raises(UsageError, match="HEADRACE_RIVALS: 0x12 is no address"):
        rivals_of(Settings(home=tmp_path, rivals=f"{RIVAL},0x12"))


def test_a_service_matches_for_what_its_settings_say(system: System, tmp_path: Path):
    stage = Stage(system, tmp_path)
    stage.ask(1, 4 * UNIT)
    terms = system.post(stage.terms(price_start=10 * UNIT, tip_fixed=UNIT // 50, tip_share_bps=0))
    context = stage.open(system.keepers[3])
    for least, matches in (("0.020001", 0), ("0.02", 1)):
        context.settings = context.settings.model_copy(update={"min_tip": least, "rivals": RIVAL})
        tick = run.make(context)
        tick()
        # The rival may be first in the job's row, and lets its turn go by.
        system.chain.travel(300)
        for _ in range(3):
            tick()
            stage.mine()
        assert (system.job(terms).state == OPEN) is (matches == 0)
        assert stage.sent() == matches
    stage.close()
