"""Postings: whatever stands on the board is believed only as far as its signature goes."""

import json
from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account

from headrace.market.book import LiveAsk
from headrace.market.postings import BadPosting, ask_posting, bid_posting, read_ask, read_bid
from headrace.terms import eip712
from headrace.terms.words import ZERO_HASH, Ask, Terms, programs_root
from tests.offchain.terms.examples import PROGRAM, address, make_ask, make_terms

TOKEN = address(0x70)
DOMAIN = eip712.Domain(31_337, address(0x71))
SIGNER = Account.from_key(b"\x11" * 32)
STRANGER = Account.from_key(b"\x12" * 32)


def signed_ask(ask: Ask | None = None, programs: tuple[bytes, ...] = (PROGRAM,)) -> LiveAsk:
    ask = ask or make_ask(programs=programs_root(programs))
    digest = eip712.ask_hash(ask, TOKEN, DOMAIN)
    return LiveAsk(
        ask_hash=digest,
        ask=ask,
        signature=eip712.sign(digest, SIGNER),
        signer=SIGNER.address,
        programs=programs,
    )


def signed_bid(terms: Terms, signer: Any = SIGNER, inputs: tuple[bytes, ...] = ()) -> Any:
    digest = eip712.batch_id(terms, inputs, DOMAIN) if inputs else eip712.job_id(terms, DOMAIN)
    return bid_posting(terms, eip712.sign(digest, signer), inputs)


@pytest.mark.parametrize("programs", [(PROGRAM,), (PROGRAM, b"\x08" * 32, b"\x09" * 32)])
def test_an_ask_comes_back_through_json_as_it_was(programs: tuple[bytes, ...]):
    ask = signed_ask(programs=programs)
    assert read_ask(json.loads(json.dumps(ask_posting(ask))), TOKEN, DOMAIN) == ask


def test_a_changed_ask_is_another_signers():
    posting = ask_posting(signed_ask())
    posting["ask"]["price_base"] += 1
    assert read_ask(posting, TOKEN, DOMAIN).signer != SIGNER.address


def test_an_ask_for_another_chain_is_another_signers():
    posting = ask_posting(signed_ask())
    other = replace(DOMAIN, chain_id=1)
    assert read_ask(posting, TOKEN, other).signer != SIGNER.address


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ask", None),
        ("ask", {}),
        ("ask", [1]),
        ("programs", None),
        ("programs", "0x"),
        ("programs", []),
        ("programs", ["0x00"]),
        ("programs", ["0x" + "08" * 32]),
        ("programs", ["0x" + "07" * 32] * 257),
        ("signature", None),
        ("signature", 5),
        ("signature", "0xzz"),
        ("signature", "00" * 65),
        ("signature", "0x" + "00" * 64),
        ("signature", "0x" + "00" * 65),
    ],
)
def test_a_malformed_ask_is_refused(field: str, value: object):
    with pytest.raises(BadPosting):
        read_ask(ask_posting(signed_ask()) | {field: value}, TOKEN, DOMAIN)


@pytest.mark.parametrize("name", ["ask", "programs", "signature"])
def test_an_ask_without_a_part_is_refused(name: str):
    posting = ask_posting(signed_ask())
    del posting[name]
    with pytest.raises(BadPosting):
        read_ask(posting, TOKEN, DOMAIN)


@pytest.mark.parametrize("value", [True, 1.0, "1", -1, 1 << 80, None, [1]])
def test_an_amount_that_is_no_amount_is_refused(value: object):
    posting = ask_posting(signed_ask())
    posting["ask"]["price_base"] = value
    with pytest.raises(BadPosting):
        read_ask(posting, TOKEN, DOMAIN)


def test_a_field_nobody_signed_is_refused():
    posting = ask_posting(signed_ask())
    posting["ask"]["discount"] = 1
    with pytest.raises(BadPosting):
        read_ask(posting, TOKEN, DOMAIN)


def test_a_bid_comes_back_through_json_as_it_was():
    terms = make_terms(requester=SIGNER.address)
    job = read_bid(json.loads(json.dumps(signed_bid(terms))), DOMAIN)
    assert (job.terms, job.job_id, job.inputs) == (terms, eip712.job_id(terms, DOMAIN), ())


def test_a_batch_comes_back_as_it_was():
    terms = make_terms(requester=SIGNER.address, input_id=ZERO_HASH)
    inputs = (b"\x01" * 32, b"\x02" * 32)
    job = read_bid(json.loads(json.dumps(signed_bid(terms, inputs=inputs))), DOMAIN)
    assert (job.terms, job.inputs) == (terms, inputs)
    assert job.job_id == eip712.batch_id(terms, inputs, DOMAIN)


def test_a_bid_of_somebody_else_is_refused():
    terms = make_terms(requester=SIGNER.address)
    with pytest.raises(BadPosting, match="not signed by its requester"):
        read_bid(signed_bid(terms, STRANGER), DOMAIN)


def test_a_changed_batch_is_refused():
    terms = make_terms(requester=SIGNER.address, input_id=ZERO_HASH)
    posting = signed_bid(terms, inputs=(b"\x01" * 32, b"\x02" * 32))
    posting["inputs"].reverse()
    with pytest.raises(BadPosting):
        read_bid(posting, DOMAIN)


def test_a_batch_is_not_taken_for_one_job():
    terms = make_terms(requester=SIGNER.address, input_id=ZERO_HASH)
    posting = signed_bid(terms, inputs=(b"\x01" * 32,))
    del posting["inputs"]
    with pytest.raises(BadPosting):
        read_bid(posting, DOMAIN)
