from dataclasses import replace

import pytest

from headrace.terms.words import Node
from tests.harness import ZERO_ADDRESS, reverts
from tests.models.provider import ACTIVE
from tests.unit.provider_registry.conftest import MIN_BOND, MODELS, SPEC, World


def test_makes_an_available_provider_with_a_bond_and_a_node(empty: World) -> None:
    empty.fund(empty.provider, MIN_BOND + 5)
    bond = MIN_BOND + 3
    receipt = empty.registry.register(
        empty.operator, empty.payee, bond, SPEC.pack(), sender=empty.provider
    )

    record = empty.record()
    assert record == (
        ACTIVE,
        True,
        empty.operator.address,
        empty.payee.address,
        bond,
        0,
        0,
        receipt.timestamp,
        *[0] * 8,
    )
    assert empty.registry.node_of(empty.provider, 0) == SPEC.pack()
    assert empty.registry.node_of(empty.provider, 1) == 0
    assert empty.vault.account_of(empty.provider) == (2, 0, bond, 0b11)
    account = empty.provider.address
    assert [(e.name, tuple(e.args)) for e in receipt.events if e.name != "Reserved"] == [
        ("Registered", (account, empty.operator.address, empty.payee.address, bond)),
        ("NodeSet", (account, 0, SPEC.pack())),
    ]


def test_takes_itself_as_operator_and_payout(empty: World) -> None:
    empty.enlist(empty.provider, empty.provider)
    record = empty.record()
    assert record.operator == record.payout == empty.provider.address
    assert record.bond == MIN_BOND


def test_an_account_is_a_provider_once(world: World) -> None:
    world.fund(world.provider, MIN_BOND)
    with reverts("registry: registered before"):
        world.registry.register(
            world.operator, world.provider, MIN_BOND, SPEC.pack(), sender=world.provider
        )


@pytest.mark.parametrize(
    ("operator", "payout", "bond", "reason"),
    [
        (None, "payee", MIN_BOND, "registry: operator is zero"),
        ("operator", None, MIN_BOND, "registry: payout is zero"),
        ("operator", "payee", MIN_BOND - 1, "registry: bond too small"),
        ("operator", "payee", 2**80, "registry: bond too large"),
        ("operator", "payee", MIN_BOND + 1, "vault: not enough to reserve"),
    ],
)
def test_refuses_bad_keys_and_bonds(
    empty: World, operator: str | None, payout: str | None, bond: int, reason: str
) -> None:
    empty.fund(empty.provider, MIN_BOND)
    keys = [getattr(empty, name) if name else ZERO_ADDRESS for name in (operator, payout)]
    with reverts(reason):
        empty.registry.register(*keys, bond, SPEC.pack(), sender=empty.provider)


def test_wants_the_vaults_authorisation(empty: World) -> None:
    empty.fund(empty.provider, MIN_BOND)
    empty.vault.revoke(0b10, sender=empty.provider)
    with reverts("vault: book not authorised"):
        empty.registry.register(
            empty.operator, empty.provider, MIN_BOND, SPEC.pack(), sender=empty.provider
        )


# A node's word is checked alike wherever it comes in; `test_set_node` uses these too.
BAD_SPECS = [
    (SPEC.pack() | 1, "registry: spare bits are set"),
    (SPEC.pack() | 1 << 151, "registry: spare bits are set"),
    (replace(SPEC, gpu_model=len(MODELS)).pack(), "registry: unknown gpu model"),
    (replace(SPEC, gpu_model=2**16 - 1).pack(), "registry: unknown gpu model"),
    (replace(SPEC, vram_gib=81).pack(), "registry: vram above the model's"),
    (replace(SPEC, gpu_model=0, vram_gib=25).pack(), "registry: vram above the model's"),
    (replace(SPEC, gpu_count=0).pack(), "registry: node has no gpu"),
    (replace(SPEC, region=32).pack(), "registry: unknown region"),
    (SPEC.pack() & ~(0xFF << 200) | 64 << 200, "registry: capacity out of range"),
    (replace(SPEC, latency_class=0).pack(), "registry: no latency class"),
    (replace(SPEC, flags=2).pack(), "registry: unknown flag"),
    (replace(SPEC, flags=0x81).pack(), "registry: unknown flag"),
]


@pytest.mark.parametrize(
    ("spec", "reason"),
    [*BAD_SPECS, (replace(SPEC, capacity=0).pack(), "registry: capacity out of range")],
)
def test_refuses_what_is_no_node(empty: World, spec: int, reason: str) -> None:
    empty.fund(empty.provider, MIN_BOND)
    with reverts(reason):
        empty.registry.register(
            empty.operator, empty.provider, MIN_BOND, spec, sender=empty.provider
        )


def test_takes_a_node_at_every_bound(empty: World) -> None:
    empty.fund(empty.provider, MIN_BOND)
    largest = Node(
        gpu_model=2,
        vram_gib=80,
        gpu_count=255,
        region=31,
        capacity=63,
        latency_class=255,
        flags=1,
        benchmark=2**32 - 1,
    ).pack()
    empty.registry.register(
        empty.operator, empty.provider, MIN_BOND, largest, sender=empty.provider
    )
    assert empty.registry.node_of(empty.provider, 0) == largest
    assert empty.registry.places(empty.provider, 0) == 63
