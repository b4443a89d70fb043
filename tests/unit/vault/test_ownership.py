"""The owner may add books; everything else about it is snekmate's, tried here as it is exported."""

from tests.harness import ZERO_ADDRESS, reverts
from tests.unit.vault.world import World


def test_changes_hands_in_two_steps(world: World) -> None:
    world.vault.transfer_ownership(world.alice, sender=world.owner)
    assert (world.vault.owner(), world.vault.pending_owner()) == (
        world.owner.address,
        world.alice.address,
    )
    with reverts("ownable_2step: caller is not the new owner"):
        world.vault.accept_ownership(sender=world.bob)
    world.vault.accept_ownership(sender=world.alice)
    assert (world.vault.owner(), world.vault.pending_owner()) == (
        world.alice.address,
        ZERO_ADDRESS,
    )
    with reverts("ownable: caller is not the owner"):
        world.vault.transfer_ownership(world.bob, sender=world.owner)


def test_what_changes_anything_is_on_this_list(world: World) -> None:
    """A function that is new here has to answer who may call it and whose money it moves."""
    account = {"deposit", "deposit_and_authorise", "deposit_with_permit", "withdraw"}
    account |= {"authorise", "revoke"}
    anyone = {"authorise_by_signature", "flush_sink"}
    owner = {"add_book", "transfer_ownership", "accept_ownership"}
    book = {"reserve", "release", "pay", "sink", "pledge", "settle"}
    functions = world.vault.abi.functions.values()
    changing = {f.name for overloads in functions for f in overloads if not f.is_view}
    assert changing - {"__init__"} == account | anyone | owner | book
