from typing import Any

import pytest
from eth_account import Account as Signer

from tests.harness import Account, Chain, Contract, reverts
from tests.unit.vault.world import ESCROW, REGISTRY, World, deploy_vault, seen


def sign_permit(
    token: Contract, owner: Account, spender: Any, amount: int, deadline: int
) -> tuple[int, bytes, bytes]:
    signed = Signer.sign_typed_data(
        owner.key,
        full_message={
            "types": {
                "EIP712Domain": [
                    {"name": "name", "type": "string"},
                    {"name": "version", "type": "string"},
                    {"name": "chainId", "type": "uint256"},
                    {"name": "verifyingContract", "type": "address"},
                ],
                "Permit": [
                    {"name": "owner", "type": "address"},
                    {"name": "spender", "type": "address"},
                    {"name": "value", "type": "uint256"},
                    {"name": "nonce", "type": "uint256"},
                    {"name": "deadline", "type": "uint256"},
                ],
            },
            "primaryType": "Permit",
            "domain": {
                "name": "Headrace Test Dollar",
                "version": "1",
                "chainId": 31337,
                "verifyingContract": token.address,
            },
            "message": {
                "owner": owner.address,
                "spender": spender.address,
                "value": amount,
                "nonce": token.nonces(owner),
                "deadline": deadline,
            },
        },
    )
    return signed.v, signed.r.to_bytes(32), signed.s.to_bytes(32)


@pytest.fixture
def saver(bare: World) -> World:
    """alice has 500 tokens and never approved anybody."""
    bare.token.drip(500, sender=bare.alice)
    return bare


def test_needs_no_allowance_before(saver: World) -> None:
    deadline = saver.chain.now() + 10
    v, r, s = sign_permit(saver.token, saver.alice, saver.vault, 500, deadline)
    receipt = saver.vault.deposit_with_permit(
        500, ESCROW | REGISTRY, deadline, v, r, s, sender=saver.alice, timestamp=deadline
    )

    assert saver.vault.account_of(saver.alice) == (500, 0, 0, ESCROW | REGISTRY)
    assert saver.token.balanceOf(saver.vault) == saver.vault.total_held() == 500
    assert saver.token.allowance(saver.alice, saver.vault) == 0
    alice = saver.alice.address
    assert seen(receipt, saver.vault) == [
        ("Deposited", alice, alice, 500),
        ("Authorised", alice, 0, True),
        ("Authorised", alice, 1, True),
    ]


def test_books_are_optional(saver: World) -> None:
    deadline = saver.chain.now() + 10
    v, r, s = sign_permit(saver.token, saver.alice, saver.vault, 500, deadline)
    saver.vault.deposit_with_permit(500, 0, deadline, v, r, s, sender=saver.alice)
    assert saver.vault.account_of(saver.alice) == (500, 0, 0, 0)


def test_a_permit_that_somebody_sent_before_is_no_obstacle(saver: World) -> None:
    deadline = saver.chain.now() + 10
    v, r, s = sign_permit(saver.token, saver.alice, saver.vault, 500, deadline)
    saver.token.permit(saver.alice, saver.vault, 500, deadline, v, r, s, sender=saver.dave)
    saver.vault.deposit_with_permit(500, ESCROW, deadline, v, r, s, sender=saver.alice)
    assert saver.vault.account_of(saver.alice) == (500, 0, 0, ESCROW)


def test_an_allowance_given_otherwise_will_do(saver: World) -> None:
    saver.token.approve(saver.vault, 500, sender=saver.alice)
    saver.vault.deposit_with_permit(500, 0, 0, 27, bytes(32), bytes(32), sender=saver.alice)
    assert saver.vault.free_of(saver.alice) == 500


def test_an_expired_permit_is_none(saver: World) -> None:
    deadline = saver.chain.now() + 10
    v, r, s = sign_permit(saver.token, saver.alice, saver.vault, 500, deadline)
    with reverts("vault: permit failed"):
        saver.vault.deposit_with_permit(
            500, 0, deadline, v, r, s, sender=saver.alice, timestamp=deadline + 1
        )


def test_a_permit_for_less_or_for_another_is_none(saver: World) -> None:
    deadline = saver.chain.now() + 10
    less = sign_permit(saver.token, saver.alice, saver.vault, 499, deadline)
    other = sign_permit(saver.token, saver.alice, saver.bob, 500, deadline)
    for v, r, s in (less, other):
        with reverts("vault: permit failed"):
            saver.vault.deposit_with_permit(500, 0, deadline, v, r, s, sender=saver.alice)


def test_anothers_permit_moves_nothing(saver: World) -> None:
    """Only the caller's own tokens come in, whoever signed."""
    deadline = saver.chain.now() + 10
    v, r, s = sign_permit(saver.token, saver.alice, saver.vault, 500, deadline)
    with reverts("vault: permit failed"):
        saver.vault.deposit_with_permit(500, 0, deadline, v, r, s, sender=saver.dave)
    saver.vault.deposit_with_permit(500, 0, deadline, v, r, s, sender=saver.alice)


def test_an_allowance_a_unit_short_does_not_do(saver: World) -> None:
    saver.token.approve(saver.vault, 499, sender=saver.alice)
    with reverts("vault: permit failed"):
        saver.vault.deposit_with_permit(500, 0, 0, 27, bytes(32), bytes(32), sender=saver.alice)


def test_refuses_zero_and_books_that_are_not_there(saver: World) -> None:
    nothing = (27, bytes(32), bytes(32))
    saver.token.approve(saver.vault, 500, sender=saver.alice)
    with reverts("vault: deposit is zero"):
        saver.vault.deposit_with_permit(0, 0, 0, *nothing, sender=saver.alice)
    with reverts("vault: no such book"):
        saver.vault.deposit_with_permit(500, 8, 0, *nothing, sender=saver.alice)


def test_a_token_without_permit_works_by_allowance(chain: Chain) -> None:
    token = chain.deploy("OddToken")
    vault = deploy_vault(chain, token)
    alice = chain.accounts[6]
    token.mint(alice, 5)
    nothing = (27, bytes(32), bytes(32))
    with reverts("vault: permit failed"):
        vault.deposit_with_permit(5, 0, 0, *nothing, sender=alice)
    token.approve(vault, 5, sender=alice)
    vault.deposit_with_permit(5, 0, 0, *nothing, sender=alice)
    assert vault.free_of(alice) == 5
