"""Matching: what goes on record, whose signatures count, and which providers a job excludes.

The limits of terms and ask are in tests/unit/match_rules.
"""

from dataclasses import replace

import pytest
from eth_account import Account as Signer
from eth_utils import keccak

from headrace.terms import eip712, words
from headrace.terms.words import Record
from tests.harness import Account, Contract, Reverted, reverts
from tests.models.job_money import matched, total
from tests.system import (
    CLAIMED,
    DEAF,
    ESCROW_BOOK,
    FALLS,
    MATCHED,
    OPEN,
    REGISTRY_BOOK,
    UNIT,
    System,
)
from tests.unit.job_escrow.conftest import Books

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@pytest.mark.parametrize("is_signed", [True, False])
def test_puts_job_and_offer_together(system: System, books: Books, is_signed: bool) -> None:
    terms, ask = system.terms(), system.ask(2)
    if not is_signed:
        system.post(terms)
    quote = system.rules.quote(terms.pack(), ask.pack(), timestamp=system.chain.now() + 1)
    expected = Record(
        requester=terms.requester,
        price=quote.price,
        no_show_bps=terms.no_show_bps,
        provider=ask.provider,
        lock=quote.lock,
        node=0,
        max_attempts=terms.max_attempts,
        declines=0,
        keeper=system.keepers[1].address,
        tip=quote.tip,
        charge_bps=system.parameters.charge_bps,
        verifier=terms.verifier,
        settings=terms.settings,
        price_cap=terms.price_cap,
        levy=quote.levy,
        damage_cap=terms.damage_cap,
        keeper_fee=system.parameters.keeper_fee,
        matched_at=system.chain.now() + 1,
        final_deadline=terms.final_deadline,
        ack_seconds=terms.ack_seconds,
        operator=system.operators[2].address,
        window=600,
    )
    places = system.registry.places(system.providers[2], 0)
    with books(matched(expected, held=0 if is_signed else terms.price_cap)):
        attempt = system.match(terms, ask, keeper=system.keepers[1])

    assert attempt.record == expected
    job = system.job(terms)
    ends = attempt.receipt.timestamp + terms.attempt_seconds
    assert job == (MATCHED, 1, ends, words.record_hash(expected))
    assert system.registry.places(system.providers[2], 0) == places - 1
    digest = eip712.ask_hash(ask, system.token.address, system.domain)
    (event,) = attempt.receipt.events
    if is_signed:
        args = (attempt.job_id, ask.provider, digest, terms.pack(), expected.pack())
        assert event == ("BidMatched", args, system.escrow.address)
    else:
        args = (attempt.job_id, ask.provider, digest, expected.pack())
        assert event == ("Matched", args, system.escrow.address)


def test_the_verifier_hears_of_it(system: System) -> None:
    attempt = system.match(system.terms(units=11))
    known = system.dummy.claim_of(attempt.claim_id)
    terms = attempt.terms
    assert known[:5] == (1, terms.program, terms.input_id, 11, terms.settings)


def test_the_verifier_hears_of_it_when_the_money_is_in_its_place(system: System) -> None:
    data = system.vault.encode("reserved_of", system.providers[0], 0)
    system.dummy.set_probe(system.vault, data)
    record = system.match().record
    assert system.dummy.probed(0) == record.lock + total(record)


def test_a_verifier_that_refuses_the_match_stops_it(system: System) -> None:
    system.dummy.set_mode(DEAF)
    with reverts("dummy: deaf"):
        system.match()


def test_hooks_can_not_be_switched_off(system: System) -> None:
    with reverts("dummy: not its hooks"):
        system.match(system.terms(settings=600), system.ask(settings=600))


def test_a_job_that_was_put_aside_needs_no_authorisation(system: System) -> None:
    terms = system.post()
    system.vault.revoke(ESCROW_BOOK, sender=system.requesters[0])
    assert system.job(system.match(terms)).state == MATCHED


@pytest.mark.parametrize("who", ["requester", "provider"])
def test_both_sides_must_have_authorised_and_hold_enough(system: System, who: str) -> None:
    account = system.requesters[0] if who == "requester" else system.providers[0]
    terms, ask = system.terms(tip_share_bps=0), system.ask()
    quote = system.rules.quote(terms.pack(), ask.pack())
    need = quote.total if who == "requester" else quote.lock
    free = system.vault.free_of(account)
    system.vault.withdraw(free - need + 1, system.stranger, sender=account)
    with reverts(f"vault: not enough to {'pay' if who == 'requester' else 'lock'}"):
        system.match(terms, ask)
    system.deposit(account, 1)
    system.vault.revoke(ESCROW_BOOK | REGISTRY_BOOK, sender=account)
    with reverts(f"vault: {'payer' if who == 'requester' else 'locker'} not authorised"):
        system.match(terms, ask)
    system.vault.authorise(ESCROW_BOOK, sender=account)
    system.match(terms, ask)
    assert system.vault.free_of(account) == 0


def test_one_account_may_play_every_role(system: System, books: Books) -> None:
    account = system.providers[0]
    terms, ask = system.terms(requester=account.address), system.ask()
    with system.chain.isolated():
        record = system.match(terms, ask, keeper=account).record
    with books(matched(record)):
        assert system.match(terms, ask, keeper=account).record == record
    assert record.requester == record.provider == record.keeper == account.address


@pytest.mark.parametrize("state", [MATCHED, CLAIMED])
def test_only_an_open_job(system: System, state: int) -> None:
    attempt = system.match()
    if state == CLAIMED:
        system.claim(attempt)
    with reverts("match: job is not open"):
        system.match(attempt.terms, system.ask(1), bid=system.sign_terms(attempt.terms))


def test_a_finished_job_never_opens_again(system: System) -> None:
    attempt = system.standing()
    bid = system.sign_terms(attempt.terms)
    system.finalise(attempt)
    with reverts("match: job is not open"):
        system.match(attempt.terms, system.ask(1), bid=bid)
    with reverts("escrow: job exists"):
        system.post(attempt.terms)
    with reverts("escrow: job is not open"):
        system.cancel(attempt.terms)


# -- the requester's signature --


def test_a_posted_job_needs_no_signature(system: System) -> None:
    system.match(system.post(), bid=b"any length will do")


def test_another_key_can_not_bid(system: System) -> None:
    terms = system.terms()
    for signer in (system.stranger, system.keepers[0], system.providers[0]):
        with reverts("match: wrong bid signature"):
            system.match(terms, bid=system.sign_terms(terms, signer))


def test_a_signature_is_for_all_of_the_terms(system: System) -> None:
    terms = system.terms()
    signature = system.sign_terms(terms)
    for change in ({"price_cap": 11 * UNIT}, {"salt": 0}, {"requirement": 1}, {"units": 18}):
        with reverts("match: wrong bid signature"):
            system.match(replace(terms, **change), bid=signature)


def foreign(system: System, terms: words.Terms, domain: eip712.Domain) -> bytes:
    key = Signer.from_key(system.account_at(terms.requester).key)
    return eip712.sign(eip712.job_id(terms, domain), key)


def test_a_signature_for_another_chain_or_contract(system: System) -> None:
    terms = system.terms()
    for domain in (
        replace(system.domain, chain_id=system.domain.chain_id + 1),
        replace(system.domain, contract=system.vault.address),
        replace(system.domain, contract=system.rules.address),
    ):
        with reverts("match: wrong bid signature"):
            system.match(terms, bid=foreign(system, terms, domain))


def test_a_fork_of_the_chain_has_other_jobs(system: System) -> None:
    """The chain id is read at every call: old signatures are worth nothing on the fork."""
    terms, ask = system.terms(), system.ask()
    bid, ask_signature = system.sign_terms(terms), system.sign_ask(ask)
    here = system.rules.job_id(terms.pack())
    chain_id = system.domain.chain_id
    try:
        system.chain.rpc("anvil_setChainId", 1_337)
        assert system.rules.job_id(terms.pack()) != here
        with reverts("match: wrong bid signature"):
            system.escrow.simulate.match(terms.pack(), bid, ask.pack(), ask_signature, [], [])
    finally:
        system.chain.rpc("anvil_setChainId", chain_id)
    assert system.rules.job_id(terms.pack()) == here


def malleated(signature: bytes) -> bytes:
    s = ORDER - int.from_bytes(signature[32:64])
    return signature[:32] + s.to_bytes(32) + bytes([55 - signature[64]])


@pytest.mark.parametrize("side", ["bid", "ask_signature"])
def test_malformed_signatures(system: System, side: str) -> None:
    terms, ask = system.terms(), system.ask()
    good = system.sign_terms(terms) if side == "bid" else system.sign_ask(ask)
    wrong = "match: wrong bid signature" if side == "bid" else "registry: wrong signer"
    for bad, reason in (
        (malleated(good), "signature: malleable s"),
        (good[:64], "signature: not 65 bytes"),
        (good + b"\0", "signature: not 65 bytes"),
        (b"", "signature: not 65 bytes"),
        (good[:64] + b"\0", wrong),
        (good[:64] + bytes([55 - good[64]]), wrong),
        (bytes(65), wrong),
    ):
        with reverts(reason):
            system.match(terms, ask, **{side: bad})
    system.match(terms, ask, **{side: good})


def test_recovering_to_nobody_is_no_signature_of_nobody(system: System) -> None:
    """ecrecover gives zero for garbage; a requester of zero must not pass by that."""
    with reverts("terms: requester is zero"):
        system.match(system.terms(requester="0x" + "00" * 20), bid=bytes(65))


# -- wallets (ERC-1271) --

YES, WRONG, REVERT, BURN, SHORT, DIRTY, REENTER, DIGEST, LONG, REVERT_YES, NOTHING = range(11)


@pytest.fixture
def wallet(system: System) -> Contract:
    """A wallet with money in the Vault."""
    wallet = system.chain.deploy("MockWallet")
    funder = system.chain.impersonate(wallet.address)
    system.deposit(Account(funder.address), 500 * UNIT, ESCROW_BOOK | REGISTRY_BOOK)
    return wallet


def test_a_wallet_bids(system: System, wallet: Contract) -> None:
    terms = system.terms(requester=wallet.address)
    wallet.approve_digest(system.job_id(terms))
    attempt = system.match(terms, bid=b"whatever the wallet likes")
    assert attempt.record.requester == wallet.address
    free = 500 * UNIT - total(attempt.record)
    assert (system.vault.free_of(wallet), system.vault.reserved_of(wallet, 0)) == (free, 0)
    other = system.terms(requester=wallet.address)
    with reverts("match: wrong bid signature"):
        system.match(other, bid=bytes(65))


@pytest.mark.parametrize("mode", [WRONG, REVERT, BURN, SHORT, DIRTY, LONG, REVERT_YES, NOTHING])
def test_a_wallet_must_say_yes_and_nothing_else(
    system: System, wallet: Contract, mode: int
) -> None:
    wallet.set_mode(mode)
    terms = system.terms(requester=wallet.address)
    if mode == LONG:
        # More than one word behind the magic value: cut off, so it is a yes.
        system.match(terms, bid=bytes(65))
        return
    for signature in (bytes(65), b"x"):
        with reverts("match: wrong bid signature"):
            system.match(terms, bid=signature)


def test_a_wallet_can_not_act_while_it_is_asked(system: System, wallet: Contract) -> None:
    """The call is static: a wallet that moves its money out while it says yes says nothing."""
    free = system.vault.free_of(wallet)
    data = system.vault.encode("withdraw", free, system.stranger)
    wallet.set_reentry(system.vault, data)
    terms = system.terms(requester=wallet.address)
    with reverts("match: wrong bid signature"):
        system.match(terms, bid=bytes(65))
    assert system.vault.free_of(wallet) == free


@pytest.fixture
def wallet_provider(system: System, wallet: Contract) -> Contract:
    """The wallet as a provider whose operator is a key."""
    system.registry.register(
        system.stranger,
        wallet,
        system.parameters.min_bond,
        system.node().pack(),
        sender=system.chain.impersonate(wallet.address),
    )
    return wallet


def test_a_wallet_offers_by_itself_or_by_its_operator(
    system: System, wallet_provider: Contract
) -> None:
    account = Account(wallet_provider.address)
    for mode, signature_of in ((YES, None), (REVERT, system.stranger), (YES, system.stranger)):
        wallet_provider.set_mode(mode)
        ask = system.ask(account)
        signature = b"by the wallet" if signature_of is None else system.sign_ask(ask, signature_of)
        attempt = system.match(ask=ask, ask_signature=signature)
        assert attempt.record.provider == wallet_provider.address
    wallet_provider.set_mode(REVERT)
    ask = system.ask(account)
    with reverts("registry: wrong signer"):
        system.match(ask=ask, ask_signature=system.sign_ask(ask, system.keepers[0]))


# -- the provider's signature --


def test_provider_and_operator_sign_asks(system: System) -> None:
    ask = system.ask(3)
    for signer in (system.providers[3], system.operators[3]):
        system.match(ask=ask, ask_signature=system.sign_ask(ask, signer))
    for signer in (system.operators[2], system.payouts[1], system.requesters[0]):
        with reverts("registry: wrong signer"):
            system.match(ask=ask, ask_signature=system.sign_ask(ask, signer))


def test_a_rotated_key_can_not_offer(system: System) -> None:
    ask = system.ask(3)
    signature = system.sign_ask(ask)
    system.registry.rotate_operator(system.stranger, sender=system.providers[3])
    with reverts("registry: wrong signer"):
        system.match(ask=ask, ask_signature=signature)
    system.match(ask=ask, ask_signature=system.sign_ask(ask, system.stranger))


def test_an_ask_is_a_standing_offer(system: System) -> None:
    ask = system.ask(1)
    first, second = system.match(ask=ask), system.match(ask=ask)
    assert first.job_id != second.job_id
    assert system.registry.provider_of(system.providers[1]).active == 2


def test_an_ask_is_for_this_token_chain_and_contract(system: System) -> None:
    ask = system.ask()
    key = Signer.from_key(system.providers[0].key)
    token = system.token.address
    for foreign_token, domain in (
        (system.vault.address, system.domain),
        (token, replace(system.domain, chain_id=10)),
        (token, replace(system.domain, contract=system.rules.address)),
    ):
        signature = eip712.sign(eip712.ask_hash(ask, foreign_token, domain), key)
        with reverts("registry: wrong signer"):
            system.match(ask=ask, ask_signature=signature)


def test_revoked_asks(system: System) -> None:
    provider = system.providers[1]
    lane_two, lane_three = system.ask(1, lane=2), system.ask(1, lane=3)
    system.match(ask=lane_two)
    system.registry.revoke_lane(provider, 2, sender=system.operators[1])
    with reverts("registry: lane is revoked"):
        system.match(ask=lane_two)
    system.match(ask=lane_three)
    system.registry.bump_epoch(provider, sender=provider)
    with reverts("registry: wrong epoch"):
        system.match(ask=lane_three)
    # A new epoch clears the revoked lanes.
    system.match(ask=system.ask(1, epoch=1, lane=2))


def test_no_place_left(system: System) -> None:
    system.registry.set_node(0, system.node(capacity=1).pack(), sender=system.providers[1])
    ask = system.ask(1)
    attempt = system.match(ask=ask)
    with reverts("registry: no place left"):
        system.match(ask=ask)
    system.decline(attempt)
    system.match(ask=ask)


# -- excluded providers --


def failed(system: System, count: int, **changes: int) -> tuple[words.Terms, list[words.Exclusion]]:
    """A job at which the first `count` providers failed, and its list of exclusions."""
    terms, excluded = system.terms(**changes), []
    for index in range(count):
        attempt = system.match(terms, system.ask(index), excluded=excluded)
        system.expire(attempt)
        excluded.append(attempt.exclusion)
    return terms, excluded


def test_fails_over_to_another_provider(system: System, books: Books) -> None:
    terms, excluded = failed(system, 1, max_attempts=4)
    job = system.job(terms)
    assert job == (OPEN, 1, 0, words.excluded_hash(excluded))
    with system.chain.isolated():
        record = system.match(terms, system.ask(1), excluded=excluded).record
    with books(matched(record, held=excluded[0].held)):
        attempt = system.match(terms, system.ask(1), excluded=excluded)
    assert attempt.number == 2
    assert attempt.record.excluded == words.excluded_hash(excluded)
    assert attempt.claim_id != words.claim_id(attempt.job_id, 1, system.providers[1].address)


def test_an_excluded_provider_can_not_come_back(system: System) -> None:
    terms, excluded = failed(system, 2, max_attempts=4)
    one, two = excluded
    for provider, listed in (
        (0, [one, two]),
        (1, [one, two]),
        (0, [two]),
        (0, []),
        (2, []),
        (2, [one]),
        (2, [two, one]),
        (2, [one, two, one]),
        (2, [one, one, two]),
        (2, [replace(one, provider=system.providers[3].address), two]),
        (2, [replace(one, held=one.held + 1), two]),
        (2, [one, replace(two, held=10**12)]),
    ):
        with reverts("match: provider is excluded"):
            system.match(terms, system.ask(provider), excluded=listed)
    system.match(terms, system.ask(2), excluded=excluded)


def test_nobody_is_excluded_from_a_new_job(system: System) -> None:
    posted = system.post()
    stranger = words.Exclusion(provider=system.providers[5].address, held=10**12)
    for terms in (posted, system.terms()):
        with reverts("match: provider is excluded"):
            system.match(terms, excluded=[stranger])


def test_four_failures_and_two_declines_are_all_there_can_be(system: System) -> None:
    """The longest list of excluded providers that a job can have: five, for the sixth to work."""
    terms, excluded = system.terms(max_attempts=4), []
    ends = ["decline", "expire", "refute", "decline", "expire"]
    for index, end in enumerate(ends):
        attempt = system.match(terms, system.ask(index), excluded=excluded)
        if end == "decline":
            system.decline(attempt)
        elif end == "expire":
            system.expire(attempt)
        else:
            system.claim(attempt)
            system.rule(attempt, FALLS, system.watchers[0])
            system.refute(attempt)
        excluded.append(attempt.exclusion)
        assert system.job(terms).digest == words.excluded_hash(excluded)
    last = system.match(terms, system.ask(5), excluded=excluded)
    assert (last.number, last.record.declines) == (4, 2)
    system.claim(last)
    system.open(last)
    system.chain.travel(700)
    system.finalise(last)


def test_a_declined_attempt_leaves_no_claim_id_behind(system: System) -> None:
    """The number is used again by another provider: the verifier must not mix the two up."""
    terms = system.terms()
    declined = system.match(terms)
    system.decline(declined)
    again = system.match(terms, system.ask(1), excluded=[declined.exclusion])
    assert (declined.number, again.number) == (1, 1)
    assert declined.claim_id != again.claim_id


@pytest.mark.parametrize("price_base", [0, 500_009, 3 * UNIT])
def test_price_is_that_of_the_new_match(system: System, books: Books, price_base: int) -> None:
    """Less, the same or more than is held: the difference is the requester's, free."""
    terms, excluded = failed(system, 1, tip_share_bps=0)
    ask = system.ask(1, price_base=price_base)
    with system.chain.isolated():
        record = system.match(terms, ask, excluded=excluded, keeper=system.keepers[3]).record
    assert (total(record) == excluded[0].held) == (price_base == 500_009)
    with books(matched(record, held=excluded[0].held)):
        system.match(terms, ask, excluded=excluded, keeper=system.keepers[3])
    assert record.price == price_base + 100_003 * terms.units
    assert record.keeper == system.keepers[3].address


@pytest.mark.parametrize("dearer", [0, 1])
def test_only_more_than_is_held_needs_the_requester_again(system: System, dearer: int) -> None:
    terms, excluded = failed(system, 1, tip_share_bps=0)
    ask = system.ask(1, price_base=500_009 + dearer)
    requester = system.requesters[0]
    free = system.vault.free_of(requester)
    system.vault.revoke(ESCROW_BOOK, sender=requester)
    system.vault.withdraw(free, requester, sender=requester)
    if not dearer:
        system.match(terms, ask, excluded=excluded)
        return
    with reverts("vault: payer not authorised"):
        system.match(terms, ask, excluded=excluded)
    system.vault.authorise(ESCROW_BOOK, sender=requester)
    with reverts("vault: not enough to pay"):
        system.match(terms, ask, excluded=excluded)
    system.deposit(requester, 1)
    system.match(terms, ask, excluded=excluded)
    assert system.vault.free_of(requester) == 0


def test_a_signature_too_long_for_the_type_is_refused(system: System) -> None:
    with pytest.raises(Reverted):
        system.match(bid=keccak(text="long") * 17)
