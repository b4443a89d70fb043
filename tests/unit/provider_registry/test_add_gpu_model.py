import pytest

from tests.harness import reverts
from tests.unit.provider_registry.conftest import MODELS, World


def test_appends(empty: World) -> None:
    registry = empty.registry
    assert [registry.gpu_model(i) for i in range(registry.gpu_model_count())] == MODELS
    receipt = registry.add_gpu_model("B" * 32, 65_535, sender=empty.owner)
    assert tuple(receipt.only("GpuModelAdded")) == (len(MODELS), "B" * 32, 65_535)
    assert registry.gpu_model_count() == len(MODELS) + 1
    assert registry.gpu_model(len(MODELS)) == ("B" * 32, 65_535)
    assert registry.gpu_model(0) == MODELS[0]


@pytest.mark.parametrize(
    ("name", "vram_gib", "reason"),
    [
        ("", 24, "registry: name is empty"),
        ("A100", 40, "registry: name is taken"),
        ("B200", 0, "registry: vram out of range"),
        ("B200", 65_536, "registry: vram out of range"),
    ],
)
def test_refuses(empty: World, name: str, vram_gib: int, reason: str) -> None:
    with reverts(reason):
        empty.registry.add_gpu_model(name, vram_gib, sender=empty.owner)


def test_is_the_owners(empty: World) -> None:
    with reverts("ownable: caller is not the owner"):
        empty.registry.add_gpu_model("B200", 192, sender=empty.stranger)


def test_ends_at_the_bits_of_a_requirement(empty: World) -> None:
    registry = empty.registry
    for index in range(len(MODELS), 96):
        registry.add_gpu_model(f"model {index}", 1, sender=empty.owner)
    assert registry.gpu_model(95) == ("model 95", 1)
    with reverts("registry: catalogue is full"):
        registry.add_gpu_model("one more", 1, sender=empty.owner)
    with reverts("registry: unknown gpu model"):
        registry.gpu_model(96)


def test_an_index_beyond_the_catalogue_has_no_model(empty: World) -> None:
    for index in (len(MODELS), 95, 96, 2**255):
        with reverts("registry: unknown gpu model"):
            empty.registry.gpu_model(index)
