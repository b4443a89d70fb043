"""EIP-712 digests and signatures, against eth_account's own encoder."""

import pytest
from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.terms import eip712
from headrace.terms.eip712 import Authorise, Domain
from headrace.terms.words import ZERO_HASH, Ask, Terms
from tests.offchain.terms import strategies as words_of
from tests.offchain.terms.examples import address, make_ask, make_terms

HALF_ORDER = 57896044618658097711785492504343953926418782139537452191302581570759080747168
ORDER = 2 * HALF_ORDER + 1
ACCOUNT: LocalAccount = Account.from_key(b"\x11" * 32)
DOMAIN = Domain(31337, address(0xE5C))

domains = st.builds(Domain, st.integers(0, 2**64), words_of.addresses)
members = st.lists(words_of.hashes, min_size=1, max_size=32)


def _wallet_digest(message: SignableMessage) -> bytes:
    return keccak(b"\x19" + message.version + message.header + message.body)


@given(words_of.terms, domains)
@settings(max_examples=50)
def test_job_id_is_what_a_wallet_signs(terms: Terms, domain: Domain) -> None:
    message = encode_typed_data(full_message=eip712.terms_message(terms, domain))
    assert eip712.job_id(terms, domain) == _wallet_digest(message)


@given(words_of.terms, members, domains)
@settings(max_examples=30)
def test_batch_id_is_what_a_wallet_signs(terms: Terms, inputs: list[bytes], domain: Domain) -> None:
    common = Terms.unpack((*terms.pack()[:4], ZERO_HASH, *terms.pack()[5:]))
    message = encode_typed_data(full_message=eip712.batch_message(common, inputs, domain))
    assert eip712.batch_id(common, inputs, domain) == _wallet_digest(message)


@given(words_of.asks, words_of.addresses, domains)
@settings(max_examples=50)
def test_ask_hash_is_what_a_wallet_signs(ask: Ask, token: str, domain: Domain) -> None:
    message = encode_typed_data(full_message=eip712.ask_message(ask, token, domain))
    assert eip712.ask_hash(ask, token, domain) == _wallet_digest(message)


@given(
    st.builds(
        Authorise,
        account=words_of.addresses,
        books=words_of.uints(256),
        allowed=st.booleans(),
        nonce=words_of.uints(256),
        deadline=words_of.uints(256),
    ),
    domains,
)
@settings(max_examples=30)
def test_authorise_hash_is_what_a_wallet_signs(message: Authorise, domain: Domain) -> None:
    typed = eip712.authorise_message(message, domain)
    assert typed["domain"]["name"] == "Headrace Vault"
    assert eip712.authorise_hash(message, domain) == _wallet_digest(
        encode_typed_data(full_message=typed)
    )


@given(words_of.terms, st.data())
@settings(max_examples=60)
def test_every_field_changes_the_job_id(terms: Terms, data: st.DataObject) -> None:
    other = data.draw(words_of.terms)
    name = data.draw(st.sampled_from(sorted(Terms.__slots__)))
    changed = make_terms(**{n: getattr(other if n == name else terms, n) for n in Terms.__slots__})
    same = getattr(terms, name) == getattr(other, name)
    assert (eip712.job_id(changed, DOMAIN) == eip712.job_id(terms, DOMAIN)) is same


def test_digest_is_bound_to_chain_and_contract() -> None:
    terms = make_terms()
    ids = {
        eip712.job_id(terms, DOMAIN),
        eip712.job_id(terms, Domain(1, DOMAIN.contract)),
        eip712.job_id(terms, Domain(31337, address(1))),
    }
    assert len(ids) == 3


def test_batch_of_one_is_not_its_member() -> None:
    common = make_terms(input_id=ZERO_HASH)
    assert eip712.batch_id(common, [ZERO_HASH], DOMAIN) != eip712.job_id(common, DOMAIN)


def test_order_of_members_counts() -> None:
    common = make_terms(input_id=ZERO_HASH)
    one, two = b"\x01" * 32, b"\x02" * 32
    assert eip712.batch_id(common, [one, two], DOMAIN) != eip712.batch_id(
        common, [two, one], DOMAIN
    )


@pytest.mark.parametrize(
    ("changes", "inputs", "words"),
    [
        ({}, [b"\x01" * 32], "input_id: a batch's own input must be zero"),
        ({"input_id": ZERO_HASH}, [], "inputs: expected 1 to 32, got 0"),
        ({"input_id": ZERO_HASH}, [b"\x01" * 32] * 33, "inputs: expected 1 to 32, got 33"),
        ({"input_id": ZERO_HASH}, [b"\x01"], r"inputs\[0\]: expected 32 bytes"),
    ],
)
def test_bad_batches_are_refused(
    changes: dict[str, object], inputs: list[bytes], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        eip712.batch_id(make_terms(**changes), inputs, DOMAIN)


def test_bad_domains_are_refused() -> None:
    with pytest.raises(ValueError, match="chain_id: -1 does not fit"):
        Domain(-1, address(1))
    with pytest.raises(ValueError, match="contract: 'x' is not an address"):
        Domain(1, "x")


# ---- signatures


@given(words_of.hashes, st.integers(1, 2**255))
@settings(max_examples=25)
def test_signer_is_recovered(digest: bytes, key: int) -> None:
    account: LocalAccount = Account.from_key(key.to_bytes(32))
    signature = eip712.sign(digest, account)
    assert len(signature) == 65
    assert int.from_bytes(signature[32:64]) <= HALF_ORDER
    assert eip712.recover(digest, signature) == account.address


def test_signature_equals_a_wallets() -> None:
    terms = make_terms()
    typed = eip712.terms_message(terms, DOMAIN)
    by_wallet = ACCOUNT.sign_typed_data(full_message=typed).signature
    assert eip712.sign(eip712.job_id(terms, DOMAIN), ACCOUNT) == bytes(by_wallet)


def test_signature_is_for_one_digest() -> None:
    signature = eip712.sign(b"\x01" * 32, ACCOUNT)
    assert eip712.recover(b"\x02" * 32, signature) != ACCOUNT.address


def test_malleable_twin_is_refused() -> None:
    signature = eip712.sign(b"\x01" * 32, ACCOUNT)
    s = ORDER - int.from_bytes(signature[32:64])
    twin = signature[:32] + s.to_bytes(32) + bytes([55 - signature[64]])
    with pytest.raises(ValueError, match="s is in the upper half"):
        eip712.recover(b"\x01" * 32, twin)


@pytest.mark.parametrize(
    ("signature", "words"),
    [
        (b"", "expected 65 bytes, got 0"),
        (bytes(66), "expected 65 bytes, got 66"),
        (bytes(65), "v is 0, not 27 or 28"),
        (bytes(64) + b"\x1b", "signature: "),
    ],
)
def test_malformed_signatures_are_refused(signature: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        eip712.recover(b"\x01" * 32, signature)


def test_only_digests_are_signed() -> None:
    with pytest.raises(ValueError, match="digest: expected 32 bytes"):
        eip712.sign(b"hello", ACCOUNT)


def test_an_asks_token_is_signed() -> None:
    ask = make_ask()
    assert eip712.ask_hash(ask, address(1), DOMAIN) != eip712.ask_hash(ask, address(2), DOMAIN)
