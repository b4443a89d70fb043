"""A keeper on the real contracts: races, refusals, lost lines, crashes; each deed is done once."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from eth_utils import keccak

from headrace.daemon.context import View
from headrace.errors import RetryLater, Unreachable, UsageError
from headrace.graph.trace import run
from headrace.keeper.decide import Policy
from headrace.keeper.run import SWEEP_EVERY
from headrace.terms.words import ZERO_HASH
from tests.offchain.keeper.stage import EAGER, Crash, Line, Stage, member
from tests.system import (
    CANCELLED,
    CLAIMED,
    ESCROW_BOOK,
    EXPIRED,
    FINAL,
    MATCHED,
    OPEN,
    REFUTED,
    UNIT,
    System,
)
from tests.unit.fault_proof.court import CONTESTED, FOLLOW, REPLY, WINDOW, random_input

INPUTS = tuple(bytes([n]) * 32 for n in (1, 2, 3))


@pytest.fixture
def stage(system: System, tmp_path: Path) -> Iterator[Stage]:
    made = Stage(system, tmp_path)
    yield made
    made.close()


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, object]]:
    """What the keeper would have done if it had not been held back, and why."""
    words = ("match left out", "refused", "done already")
    return [(r.message, getattr(r, "why", "")) for r in caplog.records if r.message in words]


# ---- what a keeper does


def test_a_posted_job_is_matched_with_the_cheapest_ask_and_paid_after_its_window(stage, system):
    stage.ask(1, 4 * UNIT)
    cheap = stage.ask(2, 3 * UNIT)
    terms = system.post(stage.terms(price_start=10 * UNIT))
    keeper = stage.keeper()
    stage.rounds(keeper)
    (attempt,) = stage.running(keeper._context, terms)
    assert attempt.record.provider == cheap.provider
    assert attempt.record.keeper == system.keepers[3].address
    claimed = system.claim(attempt).timestamp
    system.chain.next_time(claimed + WINDOW)
    stage.mine()
    stage.rounds(keeper, count=1)
    assert (system.job(terms).state, stage.sent()) == (CLAIMED, 1)
    stage.rounds(keeper)
    assert (system.job(terms).state, stage.sent()) == (FINAL, 2)


def test_a_signed_job_and_a_signed_batch_are_matched_and_the_batch_is_paid_at_once(
    stage, system, caplog
):
    stage.ask(1)
    single, batch = stage.terms(), stage.terms(input_id=ZERO_HASH)
    stage.bid(single)
    stage.bid(batch, INPUTS)
    keeper = stage.keeper()
    stage.rounds(keeper)
    members = [member(batch, input_id) for input_id in INPUTS]
    attempts = stage.running(keeper._context, single, *members)
    for attempt in attempts:
        system.claim(attempt)
    system.chain.travel(WINDOW)
    stage.rounds(keeper)
    assert [system.job(terms).state for terms in (single, *members)] == [FINAL] * 4
    # Two matches and two payments: the board's postings are still there and do nothing more.
    assert stage.sent() == 4
    assert len(stage.board.names("bid")) == 2
    assert said(caplog) == []


def test_a_payment_that_is_in_no_block_yet_is_not_made_again_with_another_claim(stage, system):
    stage.ask(1)
    batch = stage.terms(input_id=ZERO_HASH)
    stage.bid(batch, INPUTS)
    keeper = stage.keeper()
    stage.rounds(keeper)
    attempts = stage.running(keeper._context, *(member(batch, input_id) for input_id in INPUTS))
    for attempt in attempts[:2]:
        system.claim(attempt)
    system.chain.travel(10)
    system.claim(attempts[2])
    system.chain.travel(WINDOW - 5)
    keeper.tick()
    # The node forgets the payment of two; by the next block the third is due too.
    system.chain.rpc("anvil_dropAllTransactions")
    system.chain.travel(20)
    stage.rounds(keeper, count=6)
    assert [system.job(attempt).state for attempt in attempts] == [FINAL] * 3
    assert (stage.sent(), stage.count("Skipped")) == (3, 0)


def test_only_what_is_left_of_a_batch_is_matched(stage, system):
    """A member that its requester has posted as a job of its own is one already."""
    stage.ask(1)
    batch = stage.terms(input_id=ZERO_HASH)
    system.post(member(batch, INPUTS[1]))
    stage.bid(batch, INPUTS)
    keeper = stage.keeper()
    stage.rounds(keeper)
    assert stage.count("MemberMatched") == 2
    assert stage.count("Matched") == 1
    assert stage.sent() == 2


def test_a_no_show_is_ended_and_the_job_goes_to_another_provider(stage, system):
    first = stage.ask(1, 2 * UNIT)
    terms = system.post(stage.terms(attempt_seconds=100, max_attempts=2))
    keeper = stage.keeper()
    stage.rounds(keeper)
    (attempt,) = stage.running(keeper._context, terms)
    second = stage.ask(2, 2 * UNIT)
    system.chain.next_time(attempt.ends)
    stage.mine()
    stage.rounds(keeper, count=1)
    assert system.job(terms).state == MATCHED
    stage.rounds(keeper, count=2)
    (again,) = stage.running(keeper._context, terms)
    assert (attempt.record.provider, again.record.provider) == (first.provider, second.provider)
    assert (again.number, stage.count("Expired"), stage.sent()) == (2, 1, 3)
    system.chain.travel(200)
    stage.rounds(keeper)
    assert (system.job(terms).state, stage.count("Expired")) == (EXPIRED, 2)


def test_a_declined_job_goes_to_another_provider_on_a_ramp_that_starts_anew(stage, system, caplog):
    stage.ask(1, 2 * UNIT)
    # From 4 tokens to 10 in a thousand seconds.
    terms = system.post(stage.terms(ack_seconds=900))
    keeper = stage.keeper()
    stage.rounds(keeper)
    (attempt,) = stage.running(keeper._context, terms)
    system.chain.travel(800)
    declined = system.decline(attempt).timestamp
    second = stage.ask(2, 6 * UNIT)
    stage.rounds(keeper)
    assert (system.job(terms).state, stage.sent()) == (OPEN, 1)
    system.chain.next_time(declined + 500)
    stage.mine()
    stage.rounds(keeper)
    (again,) = stage.running(keeper._context, terms)
    assert (again.record.provider, again.number, stage.sent()) == (second.provider, 1, 2)
    assert said(caplog) == []


def test_a_job_that_nobody_took_is_closed_after_its_deadline(stage, system):
    now = system.chain.now()
    terms = system.post(stage.terms(final_deadline=now + 50))
    keeper = stage.keeper()
    system.chain.next_time(now + 50)
    stage.mine()
    stage.rounds(keeper, count=1)
    assert system.job(terms).state == OPEN
    stage.rounds(keeper, count=2)
    assert (system.job(terms).state, stage.sent()) == (CANCELLED, 1)


def test_a_verdict_that_nobody_carried_out_is_carried_out(stage, system):
    """Under another verifier, whose jobs this keeper doesn't match but does end."""
    attempt = system.falling(system.terms(max_attempts=1))
    stage.rounds(stage.keeper())
    assert (system.job(attempt).state, stage.sent()) == (REFUTED, 1)


def test_a_claim_whose_verifier_stands_by_it_is_paid(stage, system):
    attempt = system.standing()
    other = system.claimed()
    stage.rounds(stage.keeper())
    assert (system.job(attempt).state, system.job(other).state) == (FINAL, CLAIMED)
    assert stage.sent() == 1


def test_a_withheld_trace_is_a_verdict_and_the_fee_of_its_demand_is_sent_back(stage, system):
    stage.ask(1)
    terms = system.post(stage.terms(max_attempts=1))
    keeper = stage.keeper()
    stage.rounds(keeper)
    (attempt,) = stage.running(keeper._context, terms)
    system.claim(attempt)
    ref = attempt.terms.pack(), attempt.record.pack(), attempt.commitment
    watcher = system.watchers[0]
    before = system.vault.account_of(watcher).free
    demanded = system.fault_proof.demand_trace(ref, sender=watcher)
    assert system.vault.account_of(watcher).free == before - system.parameters.demand_fee
    system.chain.next_time(demanded.timestamp + REPLY)
    stage.mine()
    stage.rounds(keeper, count=1)
    assert (system.job(terms).state, stage.sent()) == (CONTESTED, 1)
    stage.rounds(keeper)
    # The verdict's own transaction, and the fee's.
    assert (system.job(terms).state, stage.sent()) == (REFUTED, 3)
    assert system.vault.account_of(watcher).free > before
    assert system.vault.reserved_of(watcher, 2) == 0
    stage.rounds(stage.restart())
    assert stage.sent() == 3


def test_the_fee_goes_to_who_published_once_the_claim_is_final(stage, system):
    stage.ask(1)
    terms = system.post(stage.terms())
    keeper = stage.keeper()
    stage.rounds(keeper)
    (attempt,) = stage.running(keeper._context, terms)
    trace = run(stage.model, random_input(np.random.default_rng(1), 4, 5))
    system.claim(attempt, trace.root)
    ref = attempt.terms.pack(), attempt.record.pack(), trace.root
    system.fault_proof.demand_trace(ref, sender=system.watchers[0])
    system.fault_proof.publish_trace(ref, trace.to_bytes(), sender=system.stranger)
    stage.rounds(keeper, count=2)
    assert (system.job(terms).state, stage.sent()) == (CONTESTED, 1)
    system.chain.travel(WINDOW + REPLY + FOLLOW)
    stage.rounds(keeper)
    assert (system.job(terms).state, stage.sent()) == (FINAL, 3)
    assert system.vault.free_of(system.stranger) == system.parameters.demand_fee


def test_what_is_kept_for_the_sink_is_swept_now_and_then(stage, system):
    stage.ask(1)
    terms = system.post(stage.terms())
    keeper = stage.keeper()
    stage.rounds(keeper)
    (attempt,) = stage.running(keeper._context, terms)
    system.claim(attempt)
    system.chain.travel(WINDOW)
    stage.rounds(keeper)
    assert (system.job(terms).state, stage.sent()) == (FINAL, 2)
    sunk = system.vault.sunk()
    system.chain.travel(SWEEP_EVERY)
    stage.rounds(keeper)
    assert system.vault.sunk() == sunk + attempt.record.price * attempt.record.charge_bps // 10_000
    system.chain.travel(SWEEP_EVERY)
    stage.rounds(keeper)
    assert stage.sent() == 3


# ---- what it doesn't do


def test_an_ask_that_binds_nobody_is_never_sent(stage, system):
    stranger = system.ask(
        1,
        verifier=system.fault_proof,
        settings=stage.terms().settings,
        programs=stage.model.program,
        price_base=1,
        price_per_unit=0,
    )
    stage.post_ask(stranger, system.sign_ask(stranger, system.stranger))
    revoked = stage.ask(2, 2 * UNIT)
    system.registry.bump_epoch(revoked.provider, sender=system.providers[2])
    stage.ask(3, 2 * UNIT, expiry=system.chain.now())
    good = stage.ask(4, 4 * UNIT)
    terms = system.post(stage.terms(price_start=10 * UNIT))
    keeper = stage.keeper()
    stage.rounds(keeper)
    (attempt,) = stage.running(keeper._context, terms)
    assert (attempt.record.provider, stage.sent()) == (good.provider, 1)


def test_a_revoked_bid_is_not_sent_nor_one_without_funds(stage, system, caplog):
    stage.ask(1)
    revoked, poor, closed = system.requesters[:3]
    for requester in (revoked, poor, closed):
        stage.bid(stage.terms(requester=requester.address))
    system.escrow.revoke_bids(sender=revoked)
    system.vault.withdraw(system.parameters.funds, poor, sender=poor)
    system.vault.revoke(ESCROW_BOOK, sender=closed)
    stage.rounds(stage.keeper())
    assert (stage.sent(), said(caplog)) == (0, [])


def test_without_any_offer_each_job_has_its_own_reason(stage, system, caplog):
    """It is no verifier that was stopped, and no bid that was revoked: nobody has offered."""
    caplog.set_level("INFO")
    wanting, again, revoked = system.requesters[:3]
    posted = system.job_id(system.post(stage.terms(requester=wanting.address)))
    system.escrow.revoke_bids(sender=again)
    signed_since = stage.bid(stage.terms(requester=again.address, epoch=1))
    signed_before = stage.bid(stage.terms(requester=revoked.address))
    system.escrow.revoke_bids(sender=revoked)
    keeper = stage.keeper()
    keeper.tick()
    told = {r.job: (r.considered, r.refusal) for r in caplog.records if r.msg == "no offer fits"}
    assert told == {posted: (0, ""), signed_since: (0, ""), signed_before: (0, "not_open")}
    caplog.clear()
    system.escrow.stop_verifier(system.fault_proof, sender=system.owner)
    keeper.tick()
    told = {r.job: (r.considered, r.refusal) for r in caplog.records if r.msg == "no offer fits"}
    assert told[posted] == told[signed_since] == (0, "verifier_stopped")


@pytest.mark.parametrize("inputs", [(), INPUTS])
def test_a_pair_that_the_chain_refuses_makes_way_for_the_next(
    stage, system, monkeypatch, caplog, inputs
):
    """Were the off-chain rule wrong about a pair, the keeper would not insist on it."""
    stage.ask(1, 2 * UNIT)
    good = stage.ask(2, 3 * UNIT)
    terms = stage.terms(price_start=10 * UNIT, **({"input_id": ZERO_HASH} if inputs else {}))
    stage.bid(terms, inputs)
    keeper = stage.keeper()
    system.registry.set_available(system.providers[1].address, False, sender=system.providers[1])
    read = keeper._reader._market._provider
    monkeypatch.setattr(
        keeper._reader._market,
        "_provider",
        lambda *args: replace(
            (found := read(*args)), record=replace(found.record, is_available=True)
        ),
    )
    stage.rounds(keeper, count=3)
    (attempt, *_) = stage.running(
        keeper._context, *([member(terms, input_id) for input_id in inputs] or [terms])
    )
    assert (attempt.record.provider, stage.sent()) == (good.provider, 1)
    assert said(caplog) == [("match left out", ["unavailable"])]


def test_nothing_is_asked_of_the_chain_when_nothing_is_new(stage, system):
    stage.ask(1)
    system.post(stage.terms(price_start=0, ramp_seconds=10**6))
    keeper = stage.keeper()
    stage.rounds(keeper, count=2)
    keeper.tick()
    before = Line.requests
    keeper._context.look()
    to_look = Line.requests - before
    keeper.tick()
    # A look now and then asks for more; a round that reads the market asks for far more.
    assert Line.requests - before <= 2 * to_look


# ---- what the figures say of what was sent


def figure(keeper, name: str) -> float | None:
    return keeper._context.observer.metrics.registry.get_sample_value(f"headrace_{name}")


def test_failure_15_what_was_sent_runs_out_of_time_until_it_is_in_a_block(stage, system):
    stage.ask(1)
    terms = system.post(stage.terms(price_start=10 * UNIT))
    keeper = stage.keeper()
    keeper.tick()
    begun = system.chain.now()
    left = terms.final_deadline - begun
    assert figure(keeper, "deadline_slack_seconds") == left
    for number in range(3):
        # In no block, and no more in the pool: as if its fee were too low.
        system.chain.rpc("anvil_dropAllTransactions")
        system.chain.travel(100)
        stage.mine()
        if number == 1:
            keeper = stage.restart()
        keeper.tick()
        gone = system.chain.now() - begun
        assert gone >= 100 * (number + 1)
        assert figure(keeper, "tx_inflight") == 1
        assert figure(keeper, "deadline_slack_seconds") == left - gone
        assert figure(keeper, "action_age_seconds") == gone
    # It was sent once more, as always.
    stage.mine()
    keeper.tick()
    assert system.job(terms).state == MATCHED
    assert figure(keeper, "deadline_slack_seconds") is None
    assert figure(keeper, "action_age_seconds") == 0


def test_a_match_that_cannot_be_asked_about_runs_out_of_time_too(stage, system, monkeypatch):
    stage.ask(1)
    terms = system.post(stage.terms(price_start=10 * UNIT))
    keeper = stage.keeper()

    def silent(*args, **options):
        raise RetryLater("the node has no answer")

    monkeypatch.setattr("headrace.keeper.run.try_many", silent)
    with pytest.raises(RetryLater):
        keeper.tick()
    left = terms.final_deadline - system.chain.now()
    assert figure(keeper, "deadline_slack_seconds") == left


# ---- others, and the line


def test_a_race_that_is_lost_before_the_simulation_sends_nothing(stage, system, monkeypatch):
    ask = stage.ask(1)
    terms = system.post(stage.terms())
    keeper = stage.keeper()
    context = keeper._context
    perform = type(context).perform

    def late(self, actions, view: View, **options):
        if system.job(terms).state == OPEN:
            assert [action.function for action in actions] == ["match"]
            system.match(terms, ask, keeper=system.keepers[1])
        return perform(self, actions, view, **options)

    monkeypatch.setattr(type(context), "perform", late)
    stage.rounds(keeper)
    (attempt,) = stage.running(context, terms)
    assert attempt.record.keeper == system.keepers[1].address
    assert stage.sent() == 0


def test_a_race_that_is_lost_in_the_block_costs_one_revert_and_no_more(stage, system):
    stage.ask(1)
    terms = system.post(stage.terms())
    mine, rival = stage.keeper(), stage.keeper(system.keepers[1])
    # Both send before the block comes.
    stage.rounds(rival, mine, count=4)
    assert (stage.sent(), stage.sent(system.keepers[1])) == (1, 1)
    assert stage.count("Matched") == 1
    (attempt,) = stage.running(mine._context, terms)
    system.claim(attempt)
    system.chain.travel(WINDOW)
    # The loser is patient with what pays the winner.
    patient = Policy(patience=60, stagger_blocks=0, sweep_from=1)
    mine._policy = rival._policy = patient
    stage.rounds(rival, mine, count=3)
    assert system.job(terms).state == FINAL
    assert stage.sent() + stage.sent(system.keepers[1]) == 3


def test_a_dead_keepers_work_is_done_by_another(stage, system):
    stage.ask(1)
    terms = system.post(stage.terms())
    first = stage.keeper()
    stage.rounds(first)
    (attempt,) = stage.running(first._context, terms)
    system.claim(attempt)
    system.chain.travel(WINDOW)
    other = stage.keeper(system.keepers[1], Policy(patience=30, stagger_blocks=5))
    stage.rounds(other, count=2)
    assert system.job(terms).state == CLAIMED
    system.chain.travel(41)
    stage.rounds(other)
    assert system.job(terms).state == FINAL


def test_a_line_that_is_down_changes_nothing(stage, system):
    stage.ask(1)
    terms = system.post(stage.terms())
    keeper = stage.keeper()
    Line.is_down = True
    for _ in range(3):
        with pytest.raises(Unreachable):
            keeper.tick()
    Line.is_down = False
    stage.rounds(keeper)
    assert (system.job(terms).state, stage.sent()) == (MATCHED, 1)


def test_what_was_touched_in_a_round_that_failed_is_known(stage, system, monkeypatch):
    """The board can't be read in the round in which the claim's job comes; no other block does."""
    stage.ask(1)
    terms = system.post(stage.terms())
    keeper = stage.keeper()
    stage.rounds(keeper)
    (attempt,) = stage.running(keeper._context, terms)
    system.claim(attempt)
    refresh = keeper._offers.refresh
    answers = iter([Unreachable("the board is away")])

    def away(now: int) -> bool:
        for error in answers:
            raise error
        return refresh(now)

    monkeypatch.setattr(keeper._offers, "refresh", away)
    with pytest.raises(Unreachable):
        keeper.tick()
    planned = []
    plan = keeper.plan
    monkeypatch.setattr(keeper, "plan", lambda view: planned.append(view) or plan(view))
    keeper.tick()
    assert [view.is_new for view in planned] == [False]
    assert attempt.claim_id in keeper._reader._claims


def test_what_could_not_be_sent_is_sent_without_a_new_block(stage, system, monkeypatch):
    stage.ask(1)
    system.post(stage.terms())
    keeper = stage.keeper()
    sender = keeper._context.sender
    submit = sender.submit
    answers = iter([RetryLater("gas is dear")])

    def dear(*args, **options):
        for error in answers:
            raise error
        return submit(*args, **options)

    monkeypatch.setattr(sender, "submit", dear)
    with pytest.raises(RetryLater):
        keeper.tick()
    keeper.tick()
    stage.mine()
    assert stage.count("Matched") == 1


def test_a_reorganisation_brings_the_work_back(stage, system):
    stage.ask(1)
    terms = system.post(stage.terms())
    stage.mine()
    keeper = stage.keeper()
    snapshot = system.chain.rpc("evm_snapshot")
    stage.rounds(keeper, count=1)
    keeper.tick()
    assert system.job(terms).state == MATCHED
    system.chain.rpc("evm_revert", snapshot)
    stage.mine()
    assert system.job(terms).state == OPEN
    stage.rounds(keeper, count=5)
    assert (system.job(terms).state, stage.sent()) == (MATCHED, 1)


# ---- crashes


def story(stage: Stage, system: System, crash_at: int) -> int:
    """
    A match and a payment by a keeper that dies before its request number `crash_at` and is started
    anew; the number of requests that it took.
    """
    stage.ask(1)
    terms = system.post(stage.terms())
    Line.reset()
    Line.crash_at = crash_at
    keeper = None
    for _ in range(12):
        try:
            # A start sweeps what there is: not part of this story.
            keeper = keeper or stage.keeper(policy=replace(EAGER, sweep_from=UNIT))
            keeper.tick()
            if system.job(terms).state == MATCHED:
                (attempt,) = stage.running(keeper._context, terms)
                system.claim(attempt)
                system.chain.travel(WINDOW)
        except Crash:
            stage.close()
            keeper = None
        stage.mine()
    assert system.job(terms).state == FINAL
    assert (stage.count("Matched"), stage.count("Finalised"), stage.sent()) == (1, 1, 2)
    return Line.requests


def test_a_keeper_killed_before_any_of_its_requests_does_each_deed_once(stage, system, tmp_path):
    with system.chain.isolated():
        requests = story(stage, system, -1)
    assert requests > 40
    # What comes after the payment is settled is the same look again and again.
    for crash_at in range(requests - 10):
        again = Stage(system, tmp_path / f"crash-{crash_at}", registers=False)
        with system.chain.isolated():
            story(again, system, crash_at)
        again.close()


# ---- what belongs together


def test_another_chain_other_code_or_another_deployments_file_is_refused(stage, system):
    stage.open(system.keepers[3])
    with pytest.raises(UsageError, match="sends with this key already"):
        stage.open(system.keepers[3])
    stage.contexts.pop().close()
    stage.rewrite_manifest(chain_id=5)
    with pytest.raises(UsageError, match="serves chain 31337, not 5"):
        stage.open(system.keepers[3])
    stage.rewrite_manifest(genesis="0x" + "11" * 32)
    with pytest.raises(UsageError, match="another chain with the id"):
        stage.open(system.keepers[3])
    stage.rewrite_manifest()
    swapped = stage.manifest.read_text().replace(system.escrow.address, system.vault.address)
    stage.manifest.write_text(swapped)
    with pytest.raises(UsageError, match="is not the JobEscrow"):
        stage.open(system.keepers[3])


def test_a_file_of_another_escrow_is_refused(stage, system):
    stage.open(system.keepers[3])
    stage.contexts.pop().close()
    other = system.chain.deploy(
        "JobEscrow",
        *(system.vault, system.registry, system.rules, system.owner, 5, 5),
        sender=system.owner,
    )
    content = stage.manifest.read_text().replace(system.escrow.address, other.address)
    parsed = json.loads(content)
    code = bytes.fromhex(system.chain.rpc("eth_getCode", other.address, "latest")[2:])
    parsed["contracts"]["JobEscrow"]["code_hash"] = keccak(code).hex()
    stage.manifest.write_text(json.dumps(parsed))
    with pytest.raises(UsageError, match="is from another deployment"):
        stage.open(system.keepers[3])
