"""Digests, figures and unmet bits: the Python twins against the contracts, on the same facts."""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import Rejected
from headrace.market.book import LiveAsk, OpenJob
from headrace.market.matching import (
    NodeState,
    ProviderState,
    Snapshot,
    VerifierState,
    context_of,
    judge,
)
from headrace.terms import eip712, money
from headrace.terms.exact import ExactBounds, ExactModel, exact_quote
from headrace.terms.money import CheckPrice, Policy
from headrace.terms.requirement import ProviderRecord
from headrace.terms.unmet import NOT_ON_RECORD, check_terms, unmet
from headrace.terms.words import (
    ZERO_HASH,
    Ask,
    Exclusion,
    FaultProofSettings,
    Requirement,
    Terms,
    excluded_hash,
    programs_root,
)
from tests.abi import checksum
from tests.harness import Reverted
from tests.offchain.terms import strategies as words_of
from tests.system import DAY, HOOKS, PROGRAM, UNIT, System

OTHER = keccak(text="other")
ASKS_LISTS = [(PROGRAM,), (OTHER,), (PROGRAM, OTHER), (PROGRAM, OTHER, b"\x01" * 32)]


# ---- digests


@given(words_of.terms, st.lists(words_of.hashes, min_size=1, max_size=32))
@settings(max_examples=15)
def test_job_and_batch_ids(system: System, terms: Terms, inputs: list[bytes]) -> None:
    assert system.rules.job_id(terms.pack()) == eip712.job_id(terms, system.domain)
    common = replace(terms, input_id=ZERO_HASH)
    found = system.rules.batch_id(common.pack(), inputs)
    assert found == eip712.batch_id(common, inputs, system.domain)


@given(words_of.asks)
@settings(max_examples=15)
def test_ask_hashes(system: System, ask: Ask) -> None:
    assert system.rules.ask_hash(ask.pack()) == eip712.ask_hash(
        ask, system.token.address, system.domain
    )


def test_vault_takes_our_authorisation(system: System) -> None:
    account = system.account_at(system.stranger.address)
    domain = eip712.Domain(system.domain.chain_id, system.vault.address)
    message = eip712.Authorise(
        account=account.address,
        books=0b101,
        allowed=True,
        nonce=system.vault.nonces(account),
        deadline=system.chain.now() + 60,
    )
    signature = system._sign(eip712.authorise_hash(message, domain), account)
    system.vault.authorise_by_signature(
        account, 0b101, True, message.deadline, signature, sender=system.owner
    )
    assert system.vault.account_of(account).books == 0b101


# ---- the verifier of policy `exact`


def test_exact_quote_equals_the_verifiers(system: System) -> None:
    width = 64
    argmax = (2, 0, width, 1, 0, ZERO_HASH, ZERO_HASH)
    program = system.fault_proof.simulate.register_model([argmax], width, 200, ZERO_HASH)
    system.fault_proof.register_model([argmax], width, 200, ZERO_HASH, sender=system.owner)
    on_chain = system.fault_proof.model_of(program)
    model = ExactModel(row_bytes=on_chain.row_bytes, max_units=on_chain.max_units)
    p = system.parameters
    bounds = ExactBounds(
        min_window=p.window[0], max_window=p.window[1], min_reply=p.reply[0], max_reply=p.reply[1]
    )
    good = {"window": 600, "reply": 60, "follow": 30}
    most = 24_576 // model.row_bytes
    cases = [(FaultProofSettings(**good).pack(), units) for units in (1, most, most + 1, 200, 201)]
    cases.append((FaultProofSettings(**good).pack(), 0))
    for name, low, high in (
        ("window", *p.window),
        ("reply", *p.reply),
        ("follow", *p.reply),
        ("hooks", 0, 0),
    ):
        for value in {low, high, high + 1, max(low - 1, 0)}:
            cases.append((FaultProofSettings(**(good | {name: value})).pack(), 1))
    cases.append((FaultProofSettings(**good).pack() | 1, 1))
    answers = set()
    for words, units in cases:
        try:
            expected: CheckPrice | None = CheckPrice(
                **dict(
                    zip(
                        ("levy", "lock_min", "window", "delay"),
                        system.fault_proof.quote(program, units, words, 1_000_007),
                        strict=True,
                    )
                )
            )
        except Reverted:
            expected = None
        assert exact_quote(words, units, 1_000_007, model, bounds) == expected
        answers.add(expected is None)
    assert answers == {True, False}
    assert exact_quote(cases[0][0], 1, 1, None, bounds) is None


# ---- figures and bits


def _snapshot(system: System) -> Snapshot:
    p, now = system.parameters, system.chain.now()
    providers = {}
    accounts = {}
    epochs = {}
    for account in [*system.providers, *system.requesters, system.stranger]:
        money_of = system.vault.account_of(account)
        if money_of.books & 1:
            accounts[account.address] = money_of.free
        epochs[account.address] = system.escrow.bid_epoch(account)
    for account in system.providers:
        on_chain = system.registry.provider_of(account)
        nodes = {}
        for index in (0, 1):
            word = system.registry.node_of(account, index)
            capacity = word >> 200 & 255
            nodes[index] = NodeState(
                word=word, active=capacity - system.registry.places(account, index)
            )
        providers[account.address] = ProviderState(
            record=ProviderRecord(
                status=on_chain.status,
                is_available=on_chain.is_available,
                last_seen=on_chain.last_seen,
                heartbeat_ttl=p.heartbeat_ttl,
                active=0,
                completions=on_chain.completions,
                good_weight=on_chain.good_weight,
                bad_weight=on_chain.bad_weight,
            ),
            operator=checksum(on_chain.operator),
            epoch=on_chain.epoch,
            revoked_lanes=on_chain.revoked_lanes,
            nodes=nodes,
        )

    def quote(terms: Terms, price: int) -> CheckPrice | None:
        if terms.settings >> 88 << 88 != HOOKS:
            return None
        window, more = terms.settings & (2**32 - 1), (terms.settings >> 32) & (2**32 - 1)
        return CheckPrice(
            levy=p.levy, lock_min=p.lock_factor * price, window=window, delay=window + more
        )

    policy = system.policy()
    code = bytes.fromhex(system.chain.rpc("eth_getCode", system.dummy.address, "latest")[2:])
    return Snapshot(
        now=now,
        keeper=system.keepers[0].address,
        providers=providers,
        verifiers={
            system.dummy.address: VerifierState(policy=policy, code_hash=keccak(code), quote=quote),
            system.fault_proof.address: VerifierState(
                policy=system.policy(system.fault_proof),
                code_hash=ZERO_HASH,
                quote=lambda _terms, _price: None,
            ),
        },
        free=accounts,
        bid_epochs=epochs,
        attempt_max=p.attempt_max,
        delay_max=p.delay_max,
    )


@pytest.fixture(scope="module")
def facts(system: System) -> Any:
    """Providers in every odd state, jobs in every state that a keeper meets."""
    with system.chain.isolated():
        failed = system.match(system.post(), system.ask(0))
        system.expire(failed)
        failed_twice = system.match(system.post(max_attempts=4), system.ask(0))
        system.expire(failed_twice)
        again = system.match(
            failed_twice.terms, system.ask(2), excluded=[money.exclusion_after(failed_twice.record)]
        )
        system.expire(again)
        declined = system.match(system.post(), system.ask(0))
        system.decline(declined)
        posted = system.post()
        running = system.match(system.post(), system.ask(2))
        system.registry.set_available(system.providers[1], False, sender=system.providers[1])
        system.registry.revoke_lane(system.providers[2], 3, sender=system.operators[2])
        system.registry.begin_exit(sender=system.providers[3])
        system.vault.withdraw(985 * UNIT, system.providers[4], sender=system.providers[4])
        system.vault.revoke(1, sender=system.providers[5])
        system.registry.set_node(
            1, system.node(gpu_model=1, vram_gib=40, capacity=1).pack(), sender=system.providers[2]
        )
        system.escrow.revoke_bids(sender=system.requesters[1])
        snapshot = _snapshot(system)
        jobs = []
        for terms, excluded in (
            (posted, ()),
            (running.terms, ()),
            (failed.terms, (money.exclusion_after(failed.record),)),
            (declined.terms, (money.exclusion_after(declined.record),)),
            (
                failed_twice.terms,
                tuple(map(money.exclusion_after, (failed_twice.record, again.record))),
            ),
        ):
            slot = system.job(terms)
            declined_at = slot.time >> 2 if slot.state == 1 else 0
            jobs.append((terms, slot.state, slot.digest, excluded, declined_at))
            if slot.state == 1:
                assert slot.digest == excluded_hash(excluded)
        yield system, snapshot, jobs


def _or_reason(ask: Callable[[], Any]) -> Any:
    """The answer, or the reason why there is none."""
    try:
        return ask()
    except (Rejected, Reverted) as error:
        return error.reason


def _change(draw: Callable[[Any], Any], table: dict[str, st.SearchStrategy[Any]]) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(sorted(table)), max_size=3, unique=True))
    return {name: draw(table[name]) for name in names}


def _pick(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


def _terms_table(system: System, now: int) -> dict[str, st.SearchStrategy[Any]]:
    return {
        "requester": _pick(
            system.requesters[1].address,
            system.providers[0].address,
            system.providers[4].address,
            system.stranger.address,
        ),
        "verifier": _pick(system.fault_proof.address, system.stranger.address),
        "settings": _pick(HOOKS | 3_601, HOOKS, 600, HOOKS | (2 * DAY + 1)),
        "requirement": words_of.requirements.map(lambda r: r.pack())
        | _pick(
            Requirement(gpu_mask=2).pack(),
            Requirement(region_mask=1 << 3, min_vram_gib=80, max_latency_class=2).pack(),
            Requirement(min_completions=1, max_fault_bps=1).pack(),
            Requirement(max_latency_class=1, min_gpu_count=9, flags=3).pack(),
        ),
        "program": _pick(OTHER),
        "price_start": st.integers(0, 10 * UNIT) | _pick(11 * UNIT),
        "price_cap": st.integers(2 * UNIT, 6 * UNIT) | _pick(0, 900 * UNIT, 2_000 * UNIT),
        "damage_cap": st.integers(0, 3 * UNIT) | _pick(7 * UNIT + 500_000, 8 * UNIT),
        "tip_fixed": st.integers(0, 4 * UNIT),
        "tip_max": st.integers(0, 4 * UNIT),
        "tip_share_bps": _pick(0, 10_000, 10_001, 3_333),
        "no_show_bps": _pick(999, 1_000, 5_000, 5_001),
        "max_attempts": _pick(0, 1, 4, 5),
        "valid_from": st.integers(now - 2_000, now + 2)
        | _pick(now, now + 1, now + 10 * DAY, now + 20 * DAY),
        "ramp_seconds": st.integers(0, 3_000),
        "final_deadline": _pick(now - 1, now, now + 1, now + 30 * DAY, now + 30 * DAY + 1),
        "ack_seconds": _pick(9, 10, 3_600, 3_601),
        "attempt_seconds": _pick(0, 59, 60, 61, DAY, DAY + 1),
        "units": _pick(0, 1, 1_000, 1_001),
        "input_bytes": _pick(10_000, 10_001),
        "epoch": _pick(0, 1),
    }


def _ask_table(system: System, now: int) -> dict[str, st.SearchStrategy[Any]]:
    return {
        "node": _pick(1, 2, 7, 8, 255),
        "lane": _pick(3, 15, 16),
        "epoch": _pick(1),
        "expiry": _pick(now - 1, now, now + 30 * DAY, now + 30 * DAY + 1),
        "price_base": st.integers(0, 8 * UNIT) | _pick(2**80 - 1),
        "price_per_unit": st.integers(0, UNIT) | _pick(2**80 - 1),
        "max_lock": st.integers(0, 10 * UNIT),
        "max_units": _pick(16, 17),
        "max_input_bytes": _pick(999, 1_000),
        "min_attempt_seconds": _pick(3_600, 3_601),
        "min_ack_seconds": _pick(60, 61),
        "max_delay": _pick(599, 600, 2**32 - 1),
        "verifier_terms": words_of.hashes,
        "counterparty": _pick(
            system.keepers[0].address, system.keepers[1].address, system.requesters[0].address
        ),
    }


@given(data=st.data())
@settings(max_examples=250)
def test_unmet_and_quote_equal_the_contracts(facts: Any, data: st.DataObject) -> None:
    system, snapshot, jobs = facts
    now, draw = snapshot.now, data.draw
    state, digest, excluded, declined_at = NOT_ON_RECORD, 0, (), 0
    terms = system.terms(salt=2**64, valid_from=now - draw(st.integers(0, 800)))
    if draw(st.integers(0, 3)) == 0:
        terms, state, digest, excluded, declined_at = draw(st.sampled_from(jobs))
        terms = replace(terms)
    else:
        terms = replace(terms, **_change(draw, _terms_table(system, now)))
    if draw(st.integers(0, 7)) == 0:
        entry = Exclusion(provider=system.providers[0].address, held=draw(st.integers(0, 4 * UNIT)))
        excluded = draw(st.sampled_from([(), (entry,)]))
    programs = draw(st.sampled_from(ASKS_LISTS))
    maker = draw(st.sampled_from([*system.providers, system.stranger]))
    ask = system.ask(
        maker, programs=programs_root(programs), salt=1, **_change(draw, _ask_table(system, now))
    )
    keeper = draw(st.sampled_from(system.keepers[:2])).address
    live = LiveAsk(ask_hash=b"", ask=ask, signature=b"", signer=maker.address, programs=programs)
    # A matched job is no OpenJob; the rule itself knows it.
    job = OpenJob(
        job_id=b"", terms=terms, signature=b"\x01" if state == 0 else b"", state=min(state, 1)
    )
    context = replace(
        context_of(job, live, replace(snapshot, keeper=keeper)),
        job_state=state,
        job_digest=digest,
        declined_at=declined_at,
        excluded=excluded,
    )
    arguments = (
        terms.pack(),
        ask.pack(),
        list(context.program_proof),
        [exclusion.pack() for exclusion in excluded],
        keeper,
    )
    expected = _or_reason(lambda: unmet(terms, ask, context))
    found = _or_reason(lambda: tuple(system.rules.unmet(*arguments)))
    if isinstance(expected, str):
        # The contract asks the verifier before it looks at the terms' form, the twin after.
        refusals = ("dummy: not its hooks", "model: not registered")
        assert found in (expected, *refusals)
        assert found == expected or context.check is None
        return
    assert found == expected

    check = context.check
    if not context.policy.is_enabled or check is None:
        check = CheckPrice(levy=0, lock_min=0, window=0, delay=0)
    if terms.ramp_seconds == 0 or terms.price_start > terms.price_cap:
        return
    quoted = money.quote(terms, ask, check, context.policy, now, context.declined_at)
    on_chain = system.rules.quote(terms.pack(), ask.pack())
    assert on_chain._asdict() == {
        name: value for name, value in asdict(quoted).items() if name != "limit"
    }
    assert system.rules.lock_required(terms.pack(), ask.pack()) == quoted.lock


def test_what_fits_is_matched_at_the_quote(system: System) -> None:
    terms, ask = system.post(), system.ask(0)
    snapshot = _snapshot(system)
    job = OpenJob(job_id=system.job_id(terms), terms=terms)
    live = LiveAsk(
        ask_hash=b"",
        ask=ask,
        signature=b"",
        signer=ask.provider,
        programs=(PROGRAM,),
    )
    at = snapshot.now + 1
    verdict = judge(job, live, replace(snapshot, now=at))
    assert verdict.fits
    record = system.match(terms, ask, timestamp=at).record
    quote = verdict.quote
    assert (record.price, record.tip, record.levy, record.lock) == (
        quote.price,
        quote.tip,
        quote.levy,
        quote.lock,
    )


@given(terms=words_of.sane_terms(), data=st.data())
@settings(max_examples=25)
def test_check_terms_gives_the_contracts_reason(
    system: System, terms: Terms, data: st.DataObject
) -> None:
    now = system.chain.now()
    fields = _change(data.draw, _terms_table(system, now))
    terms = system.terms(salt=terms.salt, **fields)
    expected = _or_reason(lambda: check_terms(terms, system.parameters.attempt_max, now))
    found = _or_reason(lambda: system.rules.check_terms(terms.pack()))
    assert found == (True if expected is None else expected)


def test_policy_of_nobody(system: System) -> None:
    assert system.policy(system.stranger) == Policy(is_enabled=False, charge_bps=0, keeper_fee=0)
