from tests.harness import reverts
from tests.models.provider import EXITED
from tests.unit.provider_registry.conftest import MIN_BOND, SPEC, World


def test_anyone_frees_the_bond_after_the_thaw(world: World) -> None:
    world.registry.begin_exit(sender=world.provider)
    thaws_at = world.record().thaws_at
    with reverts("registry: bond is thawing"):
        world.registry.finish_exit(world.provider, sender=world.stranger, timestamp=thaws_at)
    receipt = world.registry.finish_exit(
        world.provider, sender=world.stranger, timestamp=thaws_at + 1
    )
    assert tuple(receipt.only("Exited")) == (world.provider.address, MIN_BOND)
    assert world.vault.account_of(world.provider)[:3] == (MIN_BOND, 0, 0)
    record = world.record()
    assert (record.status, record.bond) == (EXITED, 0)


def test_waits_for_the_last_job(world: World) -> None:
    world.registry.set_node(7, SPEC.pack(), sender=world.provider)
    world.engage(node=7)
    world.registry.begin_exit(sender=world.provider)
    late = world.record().thaws_at + 10
    with reverts("registry: jobs are running"):
        world.registry.finish_exit(world.provider, timestamp=late)
    world.disengage("FAULT", node=7)
    world.registry.finish_exit(world.provider)
    assert world.record().status == EXITED


def test_the_record_stays_and_the_account_never_comes_back(world: World) -> None:
    world.engage(count=2)
    world.disengage("FAULT", 10_000_000)
    world.disengage("COMPLETION", 3_000_000)
    world.registry.begin_exit(sender=world.provider)
    world.registry.finish_exit(world.provider, timestamp=world.record().thaws_at + 1)
    record = world.record()
    assert (record.faults, record.completions) == (1, 1)
    assert record.bad_weight > 0
    with reverts("registry: registered before"):
        world.registry.register(
            world.operator, world.provider, MIN_BOND, SPEC.pack(), sender=world.provider
        )


def test_after_it_nothing_is_left_to_manage(world: World) -> None:
    registry, provider = world.registry, world.provider
    registry.begin_exit(sender=provider)
    registry.finish_exit(provider, timestamp=world.record().thaws_at + 1)
    moves = [
        ("set_node", (0, SPEC.pack())),
        ("rotate_operator", (world.stranger,)),
        ("set_payout", (world.payee,)),
        ("set_available", (provider, True)),
        ("heartbeat", (provider,)),
        ("bump_epoch", (provider,)),
        ("revoke_lane", (provider, 0)),
        ("begin_exit", ()),
    ]
    for name, given in moves:
        with reverts("registry: not registered"):
            getattr(registry, name)(*given, sender=provider)
    with reverts("registry: no exit has begun"):
        registry.finish_exit(provider)
    with reverts("registry: not active"):
        world.engage(epoch=1)


def test_wants_an_exit_to_have_begun(world: World) -> None:
    for account in (world.provider, world.stranger):
        with reverts("registry: no exit has begun"):
            world.registry.finish_exit(account)
