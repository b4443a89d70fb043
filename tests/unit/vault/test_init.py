from typing import Any

import pytest

from tests.harness import ZERO_ADDRESS, Chain, Contract, reverts
from tests.unit.vault.world import World, deploy_vault


@pytest.fixture(scope="module")
def token(chain: Chain) -> Contract:
    return chain.deploy("FaucetToken")


def test_fixes_what_it_was_given(chain: Chain, token: Contract) -> None:
    vault = deploy_vault(chain, token)
    owner, sink, escrow, registry = (a.address for a in chain.accounts[1:5])

    assert vault.TOKEN() == token.address
    assert vault.SINK_RECEIVER() == sink
    assert (vault.ESCROW(), vault.REGISTRY()) == (escrow, registry)
    assert [vault.book_at(i) for i in range(3)] == [escrow, registry, ZERO_ADDRESS]
    assert (vault.owner(), vault.pending_owner()) == (owner, ZERO_ADDRESS)
    assert (vault.total_held(), vault.sunk()) == (0, 0)


def test_the_domain_of_signatures_names_chain_and_contract(world: World) -> None:
    fields = world.vault.eip712Domain()
    assert fields[:5] == (b"\x0f", "Headrace Vault", "1", 31337, world.vault.address)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"owner": ZERO_ADDRESS}, "vault: owner is zero"),
        ({"sink_receiver": ZERO_ADDRESS}, "vault: bad sink receiver"),
        ({"escrow": ZERO_ADDRESS}, "vault: first book is zero"),
        ({"registry": ZERO_ADDRESS}, "vault: first book is zero"),
        (
            {"escrow": "0x" + "11" * 20, "registry": "0x" + "11" * 20},
            "vault: first books are the same",
        ),
    ],
)
def test_refuses(chain: Chain, token: Contract, changed: dict[str, Any], reason: str) -> None:
    with reverts(reason):
        deploy_vault(chain, token, **changed)


@pytest.mark.parametrize("token", [ZERO_ADDRESS, "0x" + "11" * 20])
def test_refuses_a_token_that_is_no_contract(chain: Chain, token: str) -> None:
    with reverts("vault: token has no code"):
        deploy_vault(chain, token)


def test_refuses_to_send_the_sink_to_itself(chain: Chain, token: Contract) -> None:
    with reverts("vault: bad sink receiver"):
        deploy_vault(chain, token, sink_receiver=chain.create_address(chain.accounts[0]))
