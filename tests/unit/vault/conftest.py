import pytest

from tests.harness import Chain
from tests.unit.vault.world import World, deploy_vault


def _make(chain: Chain) -> World:
    token = chain.deploy("FaucetToken")
    made = World(chain, token, deploy_vault(chain, token))
    made.vault.add_book(made.third, sender=made.owner)
    return made


@pytest.fixture(scope="module")
def bare(chain: Chain) -> World:
    """Three books, nobody has deposited anything."""
    return _make(chain)


@pytest.fixture(scope="module")
def world(chain: Chain) -> World:
    """alice, bob and carol have START free each and authorised all books; dave has nothing."""
    made = _make(chain)
    for account in (made.alice, made.bob, made.carol):
        made.fund(account)
    return made
