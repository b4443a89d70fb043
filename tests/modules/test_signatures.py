"""modules/signatures: whose signature counts, and what a wallet can't do to the caller."""

import pytest
from eth_account import Account as Signer
from eth_utils import keccak
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.terms.eip712 import recover, sign
from tests.harness import ZERO_ADDRESS, Account, Chain, Contract, Reverted, reverts

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
DIGEST = keccak(text="what is signed")
MAGIC = bytes.fromhex("1626ba7e")

digests = st.binary(min_size=32, max_size=32)


@pytest.fixture(scope="module")
def harness(chain: Chain) -> Contract:
    return chain.deploy("SignaturesHarness")


@pytest.fixture(scope="module")
def wallet(chain: Chain) -> Contract:
    return chain.deploy("MockWallet")


@pytest.fixture(scope="module")
def alice(chain: Chain) -> Account:
    return chain.accounts[6]


@pytest.fixture(scope="module")
def signed(alice: Account) -> bytes:
    return sign(DIGEST, Signer.from_key(alice.key))


def python_key(digest: bytes, signature: bytes) -> str:
    try:
        return recover(digest, signature)
    except ValueError:
        return ZERO_ADDRESS


def python_signer(maker: Account, digest: bytes, signature: bytes) -> str:
    """The rule for an account without code; raises Reverted as the contract does."""
    key = python_key(digest, signature)
    if key != maker.address:
        if len(signature) != 65:
            raise Reverted("signature: not 65 bytes")
        if int.from_bytes(signature[32:64]) > ORDER // 2:
            raise Reverted("signature: malleable s")
    return key


# ---- accounts with a key


@given(digest=digests, key=st.integers(1, ORDER - 1))
@example(digest=bytes(32), key=1)
@example(digest=b"\xff" * 32, key=ORDER - 1)
def test_the_key_that_signed(harness: Contract, digest: bytes, key: int) -> None:
    owner = Signer.from_key(key.to_bytes(32))
    signature = sign(digest, owner)
    assert harness.key(digest, signature) == owner.address
    assert harness.signer(owner.address, digest, signature) == owner.address


@given(digest=digests, r=digests, s=digests, v=st.sampled_from([27, 28]))
@example(digest=DIGEST, r=bytes(32), s=bytes(32), v=27)
@example(digest=DIGEST, r=b"\xff" * 32, s=b"\x01" * 32, v=28)
@example(digest=DIGEST, r=b"\x01" * 32, s=(ORDER // 2).to_bytes(32), v=27)
@example(digest=DIGEST, r=b"\x01" * 32, s=(ORDER // 2 + 1).to_bytes(32), v=27)
def test_any_65_bytes_as_the_python_twin(
    harness: Contract, alice: Account, digest: bytes, r: bytes, s: bytes, v: int
) -> None:
    signature = r + s + bytes([v])
    assert harness.key(digest, signature) == python_key(digest, signature)
    try:
        expected = python_signer(alice, digest, signature)
    except Reverted as error:
        with reverts(error.reason):
            harness.signer(alice, digest, signature)
    else:
        assert harness.signer(alice, digest, signature) == expected != alice.address


@pytest.mark.parametrize("length", [0, 1, 32, 63, 64, 66, 96, 97, 512])
def test_only_65_bytes(harness: Contract, alice: Account, signed: bytes, length: int) -> None:
    """Neither the compact form of 64 bytes nor anything that begins like a signature."""
    cut = (signed + bytes(512))[:length]
    assert harness.key(DIGEST, cut) == ZERO_ADDRESS
    with reverts("signature: not 65 bytes"):
        harness.signer(alice, DIGEST, cut)


@pytest.mark.parametrize("v", [0, 1, 2, 26, 29, 35, 36, 155, 156, 255])
def test_v_is_27_or_28(harness: Contract, alice: Account, signed: bytes, v: int) -> None:
    """Anything else recovers to nobody; it is for the caller not to take nobody for a maker."""
    other = signed[:64] + bytes([v])
    assert harness.key(DIGEST, other) == ZERO_ADDRESS
    assert harness.signer(alice, DIGEST, other) == ZERO_ADDRESS


def test_the_twin_of_a_signature_is_refused(
    harness: Contract, alice: Account, signed: bytes
) -> None:
    twin = (ORDER - int.from_bytes(signed[32:64])).to_bytes(32)
    flipped = signed[:32] + twin + bytes([55 - signed[64]])
    assert harness.key(DIGEST, flipped) == ZERO_ADDRESS
    with reverts("signature: malleable s"):
        harness.signer(alice, DIGEST, flipped)
    assert harness.signer(alice, DIGEST, signed) == alice.address


def test_nobody_is_never_found_to_have_signed_well(harness: Contract, signed: bytes) -> None:
    """For maker zero the answer is zero: callers refuse zero, whoever the maker is."""
    assert harness.signer(ZERO_ADDRESS, DIGEST, signed[:64] + b"\x00") == ZERO_ADDRESS
    assert harness.signer(ZERO_ADDRESS, DIGEST, bytes(65)) == ZERO_ADDRESS
    with reverts("signature: not 65 bytes"):
        harness.signer(ZERO_ADDRESS, DIGEST, b"")


def test_another_key_is_named(chain: Chain, harness: Contract, alice: Account) -> None:
    """An operator may sign for its provider: who it was is the caller's to judge."""
    operator = chain.accounts[7]
    signature = sign(DIGEST, Signer.from_key(operator.key))
    assert harness.signer(alice, DIGEST, signature) == operator.address


# ---- wallets


@pytest.mark.parametrize("length", [0, 1, 65, 512])
def test_a_wallet_that_says_yes(harness: Contract, wallet: Contract, length: int) -> None:
    assert harness.wallet_agrees(wallet, DIGEST, b"\x07" * length)
    assert harness.signer(wallet, DIGEST, b"\x07" * length) == wallet.address


def test_the_wallet_is_asked_about_this_digest(harness: Contract, wallet: Contract) -> None:
    wallet.approve_digest(DIGEST)
    assert harness.wallet_agrees(wallet, DIGEST, b"")
    assert not harness.wallet_agrees(wallet, keccak(DIGEST), b"")


@pytest.mark.parametrize("mode", [1, 2, 3, 4, 5, 9, 10])
def test_a_wallet_that_does_not(
    harness: Contract, wallet: Contract, signed: bytes, alice: Account, mode: int
) -> None:
    """Wrong word, revert, all gas used, four bytes, dirty word, yes in a revert, nothing."""
    wallet.set_mode(mode)
    assert not harness.wallet_agrees(wallet, DIGEST, signed)
    # Then the key counts, also of a wallet's operator; not 65 bytes are nobody's.
    assert harness.signer(wallet, DIGEST, signed) == alice.address
    assert harness.signer(wallet, DIGEST, b"no") == ZERO_ADDRESS


def test_what_follows_the_answer_is_not_read(harness: Contract, wallet: Contract) -> None:
    wallet.set_mode(8)
    assert harness.wallet_agrees(wallet, DIGEST, b"")


def test_a_wallet_can_not_keep_the_gas(harness: Contract, wallet: Contract) -> None:
    wallet.set_mode(3)
    assert not harness.call("wallet_agrees", (wallet, DIGEST, b""), gas=300_000)


def bomb(word: bytes, size: int) -> str:
    """Code that answers anything with `word` and zeros up to `size` bytes."""
    return "0x7f" + word.ljust(32, b"\0").hex() + "5f5262" + size.to_bytes(3).hex() + "5ff3"


@pytest.mark.parametrize(("size", "agrees"), [(32, True), (100_000, True), (1_000_000, False)])
def test_long_answers_cost_the_wallet_not_the_caller(
    chain: Chain, harness: Contract, size: int, agrees: bool
) -> None:
    """Making 1 MB takes more gas than a wallet gets; making 100 kB is for its own account."""
    address = "0x" + "b0" * 20
    chain.rpc("anvil_setCode", address, bomb(MAGIC, size))
    assert harness.wallet_agrees(address, DIGEST, b"") is agrees
    assert harness.call("wallet_agrees", (address, DIGEST, b""), gas=300_000) is agrees


def test_a_wallet_can_not_change_anything(harness: Contract, wallet: Contract) -> None:
    wallet.set_reentry(wallet, wallet.encode("set_mode", 0))
    assert not harness.wallet_agrees(wallet, DIGEST, b"")


def test_an_account_without_code_is_no_wallet(harness: Contract, alice: Account) -> None:
    """A call to it succeeds with no data, and the empty answer is not a yes."""
    assert not harness.wallet_agrees(alice, DIGEST, b"")
    for precompile in ("0x" + "00" * 19 + "04", "0x" + "00" * 19 + "02"):
        assert not harness.wallet_agrees(precompile, DIGEST, b"")


def test_a_key_with_code_signs_either_way(
    chain: Chain, harness: Contract, wallet: Contract, alice: Account, signed: bytes
) -> None:
    """An account that delegates to a wallet's code (EIP-7702) keeps its key."""
    chain.rpc("anvil_setCode", alice.address, chain.rpc("eth_getCode", wallet.address, "latest"))
    assert harness.signer(alice, DIGEST, b"yes by its code") == alice.address
    chain.at("MockWallet", alice.address).set_mode(2)
    assert harness.signer(alice, DIGEST, signed) == alice.address
    assert harness.signer(alice, DIGEST, b"no by its code") == ZERO_ADDRESS
