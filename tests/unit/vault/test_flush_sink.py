from tests.harness import Chain, reverts
from tests.unit.vault.world import START, World, deploy_vault, seen


def test_sends_the_sink_to_its_receiver(world: World) -> None:
    world.vault.reserve(world.alice, 300, sender=world.escrow)
    world.vault.sink(world.alice, 120, sender=world.escrow)
    receipt = world.vault.flush_sink(sender=world.dave)

    assert world.token.balanceOf(world.sink) == 120
    assert (world.vault.sunk(), world.vault.total_held()) == (0, 3 * START - 120)
    assert world.lanes(world.alice) == (START - 300, 180, 0, 0)
    assert seen(receipt, world.vault) == [("SinkFlushed", world.sink.address, 120)]
    world.assert_conserved()
    with reverts("vault: nothing to flush"):
        world.vault.flush_sink(sender=world.dave)


def test_takes_along_what_came_in_past_deposit(world: World) -> None:
    world.token.drip(55, sender=world.dave)
    world.token.transfer(world.vault, 55, sender=world.dave)
    assert world.vault.total_held() == 3 * START
    world.vault.reserve(world.alice, 300, sender=world.escrow)
    world.vault.sink(world.alice, 120, sender=world.escrow)
    world.assert_conserved(donated=55)
    world.vault.flush_sink()

    assert world.token.balanceOf(world.sink) == 175
    world.assert_conserved()


def test_a_surplus_alone_is_enough(world: World) -> None:
    world.token.drip(1, sender=world.dave)
    world.token.transfer(world.vault, 1, sender=world.dave)
    world.vault.flush_sink()
    assert world.token.balanceOf(world.sink) == 1


def test_never_touches_what_accounts_have(world: World) -> None:
    world.vault.reserve(world.alice, 300, sender=world.escrow)
    with reverts("vault: nothing to flush"):
        world.vault.flush_sink()


def test_the_sink_comes_last_when_the_token_takes_some_away(chain: Chain) -> None:
    token = chain.deploy("OddToken")
    vault = deploy_vault(chain, token)
    alice, escrow, sink = chain.accounts[6], chain.accounts[3], chain.accounts[2]
    token.mint(alice, 1000)
    token.approve(vault, 1000, sender=alice)
    vault.deposit_and_authorise(1000, 1, sender=alice)
    vault.reserve(alice, 300, sender=escrow)
    vault.sink(alice, 300, sender=escrow)

    token.burn(vault, 100)
    vault.flush_sink()
    assert token.balanceOf(sink) == 200
    assert (vault.total_held(), vault.sunk()) == (700, 0)

    token.burn(vault, 1)
    with reverts("vault: nothing to flush"):
        vault.flush_sink()
    vault.withdraw(699, alice, sender=alice)
    assert token.balanceOf(alice) == 699
