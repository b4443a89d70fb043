from tests.harness import ZERO_ADDRESS, reverts
from tests.unit.provider_registry.conftest import World


def paid(world: World) -> str:
    """Who is to be paid for a job that ends now."""
    world.engage()
    return str(world.disengage("COMPLETION").return_value)


def test_jobs_that_end_from_now_on_pay_the_new_account(world: World) -> None:
    assert paid(world) == world.provider.address
    receipt = world.registry.set_payout(world.payee, sender=world.provider)
    assert tuple(receipt.only("PayoutSet")) == (
        world.provider.address,
        world.provider.address,
        world.payee.address,
    )
    assert world.record().payout == paid(world) == world.payee.address


def test_goes_from_one_account_to_another_and_back(world: World) -> None:
    world.registry.set_payout(world.payee, sender=world.provider)
    receipt = world.registry.set_payout(world.stranger, sender=world.provider)
    assert receipt.only("PayoutSet").old == world.payee.address
    assert paid(world) == world.stranger.address
    receipt = world.registry.set_payout(world.provider, sender=world.provider)
    assert receipt.only("PayoutSet").old == world.stranger.address
    assert world.record().payout == paid(world) == world.provider.address


def test_a_job_matched_before_pays_who_is_set_at_its_end(world: World) -> None:
    world.engage()
    world.registry.set_payout(world.payee, sender=world.provider)
    assert world.disengage("COMPLETION").return_value == world.payee.address


def test_still_possible_while_leaving(world: World) -> None:
    world.registry.begin_exit(sender=world.provider)
    world.registry.set_payout(world.payee, sender=world.provider)
    assert world.record().payout == world.payee.address


def test_refuses(world: World) -> None:
    with reverts("registry: payout is zero"):
        world.registry.set_payout(ZERO_ADDRESS, sender=world.provider)
    with reverts("registry: not registered"):
        world.registry.set_payout(world.payee, sender=world.operator)
