from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account as Signer

from headrace.terms.eip712 import Authorise, Domain, authorise_hash, authorise_message, sign
from tests.harness import ZERO_ADDRESS, Contract, reverts
from tests.unit.vault.world import ALL, ESCROW, REGISTRY, THIRD, World, deploy_vault, seen

SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def message(world: World, **changed: Any) -> Authorise:
    fields = {"account": world.alice.address, "books": ESCROW | THIRD, "allowed": True}
    fields |= {"nonce": 0, "deadline": world.chain.now() + 100} | changed
    return Authorise(**fields)


def domain(world: World, **changed: Any) -> Domain:
    return Domain(**({"chain_id": 31337, "contract": world.vault.address} | changed))


def signature(world: World, wanted: Authorise, **changed: Any) -> bytes:
    return sign(authorise_hash(wanted, domain(world, **changed)), Signer.from_key(world.alice.key))


def submit(world: World, wanted: Authorise, signed: bytes, **options: Any) -> Any:
    options.setdefault("sender", world.dave)
    arguments = (wanted.account, wanted.books, wanted.allowed, wanted.deadline, signed)
    return world.vault.authorise_by_signature(*arguments, **options)


def test_anyone_can_bring_it(bare: World) -> None:
    wanted = message(bare)
    receipt = submit(bare, wanted, signature(bare, wanted))

    assert bare.vault.account_of(bare.alice) == (0, 0, 0, ESCROW | THIRD)
    assert bare.vault.account_of(bare.dave) == (0, 0, 0, 0)
    assert bare.vault.nonces(bare.alice) == 1
    alice = bare.alice.address
    assert seen(receipt, bare.vault) == [
        ("Authorised", alice, 0, True),
        ("Authorised", alice, 2, True),
    ]


def test_a_wallets_typed_data_is_the_same(bare: World) -> None:
    wanted = message(bare)
    typed = authorise_message(wanted, domain(bare))
    signed = Signer.sign_typed_data(bare.alice.key, full_message=typed).signature
    submit(bare, wanted, bytes(signed))
    assert bare.vault.account_of(bare.alice).books == ESCROW | THIRD


def test_revokes_too(world: World) -> None:
    wanted = message(world, allowed=False, books=ESCROW | REGISTRY)
    receipt = submit(world, wanted, signature(world, wanted))
    assert world.vault.account_of(world.alice).books == THIRD
    alice = world.alice.address
    assert seen(receipt, world.vault) == [
        ("Authorised", alice, 0, False),
        ("Authorised", alice, 1, False),
    ]


def test_is_good_through_its_last_second(bare: World) -> None:
    wanted = message(bare)
    signed = signature(bare, wanted)
    with bare.chain.isolated():
        submit(bare, wanted, signed, timestamp=wanted.deadline)
    with reverts("vault: signature expired"):
        submit(bare, wanted, signed, timestamp=wanted.deadline + 1)


def test_is_good_once(bare: World) -> None:
    wanted = message(bare)
    signed = signature(bare, wanted)
    submit(bare, wanted, signed)
    with reverts("vault: wrong signer"):
        submit(bare, wanted, signed)
    again = replace(wanted, nonce=1, allowed=False)
    submit(bare, again, signature(bare, again))
    assert bare.vault.account_of(bare.alice).books == 0


def test_a_revocation_cancels_it(bare: World) -> None:
    wanted = message(bare)
    bare.vault.revoke(ESCROW, sender=bare.alice)
    with reverts("vault: wrong signer"):
        submit(bare, wanted, signature(bare, wanted))


@pytest.mark.parametrize(
    "changed",
    [{"books": ALL}, {"allowed": False}, {"nonce": 1}, {"deadline": 2_000_000_000}],
)
def test_says_only_what_was_signed(bare: World, changed: dict[str, Any]) -> None:
    wanted = message(bare)
    signed = signature(bare, replace(wanted, **changed))
    with reverts("vault: wrong signer"):
        submit(bare, wanted, signed)


def test_speaks_only_for_the_signer(bare: World) -> None:
    wanted = message(bare, account=bare.bob.address)
    with reverts("vault: wrong signer"):
        submit(bare, wanted, signature(bare, wanted))


def test_is_for_one_chain_and_one_contract(bare: World) -> None:
    wanted = message(bare)
    other = deploy_vault(bare.chain, bare.token)
    for changed in ({"chain_id": 1}, {"contract": other.address}):
        with reverts("vault: wrong signer"):
            submit(bare, wanted, signature(bare, wanted, **changed))


def test_refuses_ill_formed_signatures(bare: World) -> None:
    wanted = message(bare)
    good = signature(bare, wanted)
    for bad in (b"", good[:64], good + b"\0", bytes(512)):
        with reverts("signature: not 65 bytes"):
            submit(bare, wanted, bad)
    twin = SECP256K1_ORDER - int.from_bytes(good[32:64])
    flipped = good[:32] + twin.to_bytes(32) + bytes([55 - good[64]])
    with reverts("signature: malleable s"):
        submit(bare, wanted, flipped)
    for v in (0, 1, 26, 29, 255):
        with reverts("vault: wrong signer"):
            submit(bare, wanted, good[:64] + bytes([v]))
    submit(bare, wanted, good)


def test_nobody_signs_for_the_zero_address(bare: World) -> None:
    """A signature that recovers to nothing is not one by account zero."""
    wanted = message(bare, account=ZERO_ADDRESS)
    for bad in (bytes(65), signature(bare, wanted)[:64] + b"\x1d"):
        with reverts("vault: signer is zero"):
            submit(bare, wanted, bad)


def test_refuses_no_books_and_books_that_are_not_there(bare: World) -> None:
    none = message(bare, books=0)
    with reverts("vault: no book signed"):
        submit(bare, none, signature(bare, none))
    wrong = message(bare, books=8)
    with reverts("vault: no such book"):
        submit(bare, wrong, signature(bare, wrong))


@pytest.fixture
def wallet(bare: World) -> Contract:
    """An ERC-1271 wallet with 500 tokens in the vault, on which no book has a claim yet."""
    wallet = bare.chain.deploy("MockWallet")
    bare.token.drip(500)
    bare.token.transfer(wallet, 500)
    wallet.execute(bare.token, bare.token.encode("approve", bare.vault, 500))
    wallet.execute(bare.vault, bare.vault.encode("deposit", 500))
    return wallet


def test_a_wallet_signs_by_saying_yes(bare: World, wallet: Contract) -> None:
    wanted = message(bare, account=wallet.address)
    wallet.approve_digest(authorise_hash(wanted, domain(bare)))
    submit(bare, wanted, b"anything")
    assert bare.vault.account_of(wallet) == (500, 0, 0, ESCROW | THIRD)
    # The digest that it approved is used up with its nonce.
    with reverts("vault: wrong signer"):
        submit(bare, wanted, b"anything")


@pytest.mark.parametrize("mode", [1, 2, 3, 4, 5, 9, 10])
def test_a_wallet_that_does_not_say_yes_has_not_signed(
    bare: World, wallet: Contract, mode: int
) -> None:
    wallet.set_mode(mode)
    wanted = message(bare, account=wallet.address)
    with reverts("vault: wrong signer"):
        submit(bare, wanted, bytes(64) + b"\x1b", gas=1_000_000)
    assert bare.vault.account_of(wallet).books == 0


def test_a_wallet_can_not_come_back_in(bare: World, wallet: Contract) -> None:
    wanted = message(bare, account=wallet.address)
    for name, *arguments in (("authorise", ALL), ("withdraw", 500, bare.dave)):
        wallet.set_reentry(bare.vault, bare.vault.encode(name, *arguments))
        with reverts("vault: wrong signer"):
            submit(bare, wanted, b"")
    assert bare.vault.account_of(wallet) == (500, 0, 0, 0)
