"""Ceilings of what stands on the path of every job. Execution only: without base and calldata."""

from headrace.terms.words import Requirement
from tests.harness import Receipt
from tests.unit.provider_registry.conftest import SPEC, World

FULL = Requirement(
    gpu_mask=1 << SPEC.gpu_model,
    region_mask=1 << SPEC.region,
    min_vram_gib=1,
    min_gpu_count=1,
    max_latency_class=9,
    flags=1,
    min_benchmark=1,
    max_fault_bps=500,
)


def execution(world: World, receipt: Receipt) -> int:
    sent = world.chain.rpc("eth_getTransactionByHash", receipt.hash)
    data = bytes.fromhex(sent["input"][2:])
    return receipt.gas_used - 21_000 - sum(16 if byte else 4 for byte in data)


def test_registration(empty: World) -> None:
    assert empty.enlist(empty.provider, empty.operator).gas_used <= 110_000


def test_engage_and_disengage(world: World) -> None:
    world.engage()
    assert execution(world, world.engage(signer=world.provider)) <= 10_000
    assert execution(world, world.engage(requirement=FULL.pack())) <= 13_000
    assert execution(world, world.disengage("COMPLETION", 500_000)) <= 8_000
    assert execution(world, world.disengage("FAULT", 50_000_000)) <= 8_000
    # With a fault on record the rates have to be computed.
    strict = FULL.pack() | 1
    world.engage()
    world.disengage("COMPLETION", 10_000_000)
    lenient = strict | 9_999 << 24
    assert execution(world, world.engage(requirement=lenient)) <= 14_500


def test_every_job_costs_what_the_second_does(world: World) -> None:
    costs = []
    for _ in range(40):
        matched = execution(world, world.engage())
        ended = execution(world, world.disengage("COMPLETION", 12_345))
        costs.append((matched, ended))
    assert max(costs[1:]) == min(costs[1:])
