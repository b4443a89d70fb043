"""Float networks to integer graphs: each kind of node near its float meaning; what is refused."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from headrace.graph.errors import ModelError
from headrace.graph2 import reference
from headrace.graph2.importer.arrays import Layer, import_layers
from headrace.graph2.importer.lower import Imported, cosines, quantise, same_class
from headrace.graph2.importer.network import (
    INPUT,
    Best,
    Dense,
    Network,
    Node,
    Norm,
    Patches,
    Relu,
    Reshape,
    Sum,
    Table,
    Turn,
    chain,
)
from headrace.graph2.opcodes import Opcode

RNG = np.random.default_rng(11)
WEIGHTS = RNG.normal(size=(12, 12)) / 3
BIAS = RNG.normal(size=12)


def dense(name: str, sources: tuple[str, ...]) -> Node:
    return Dense(name, sources, WEIGHTS, BIAS)


def ints(count: int, width: int, size: int = 1, seed: int = 0) -> np.ndarray:
    high = 127 if size == 1 else 32_767
    made = np.random.default_rng(seed).integers(-high, high + 1, (count, width))
    return made.astype(f"i{size}")


def check(network: Network, x: np.ndarray, unit: float, within: float) -> Imported:
    """The integers are within a share of the greatest float; numpy equals the reference."""
    imported = quantise(network, x, unit, max_units=8)
    real = imported.forward(x)
    found = imported.run(x)
    assert np.abs(found * imported.unit - real).max() <= within * np.abs(real).max()
    one = x[: network.rows]
    expected = reference.run(imported.model, one.tolist())[-1]
    near = cosines(imported, x[: 8 * network.rows])
    assert network.nodes[-1].name in near
    assert min(near.values()) > 0.997
    assert found[: imported.model.output.rows].tolist() == expected
    return imported


CHAINS: dict[str, tuple[list[Callable[[str, tuple[str, ...]], Node]], float]] = {
    "dense": ([dense], 0.02),
    "two dense": ([dense, dense], 0.03),
    "relu": ([dense, Relu, dense], 0.03),
    "relu at the end": ([dense, Relu], 0.02),
    "relu alone": ([Relu], 0.01),
    "table": ([dense, lambda n, s: Table(n, s, np.tanh), dense], 0.06),
    "table alone": ([lambda n, s: Table(n, s, np.sin)], 0.01),
    "relu of a table": ([lambda n, s: Table(n, s, np.sin), Relu], 0.01),
    "norm": ([dense, lambda n, s: Norm(n, s, BIAS, WEIGHTS[0]), dense], 0.04),
    "norm alone": ([lambda n, s: Norm(n, s, BIAS, WEIGHTS[0])], 0.02),
    "turned": ([lambda n, s: Turn(n, s, 2), lambda n, s: Reshape(n, s, 12), dense], 0.02),
    "patches": (
        [
            lambda n, s: Patches(n, s, (2, 3, 2), 2, 1, 1),
            lambda n, s: Dense(n, s, WEIGHTS[:4, :8], BIAS[:4]),
        ],
        0.02,
    ),
}


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("name", CHAINS)
def test_each_kind_of_node(name: str, size: int) -> None:
    steps, within = CHAINS[name]
    unit = 3.0 / (127 if size == 1 else 32_767)
    check(chain(2, 12, steps), ints(40, 12, size), unit, within)


def test_a_value_that_is_read_twice() -> None:
    nodes = (
        dense("a", (INPUT,)),
        Relu("b", ("a",)),
        Dense("c", ("b",), WEIGHTS, BIAS),
        Sum("d", ("c", "a")),
        Sum("e", ("d", INPUT)),
    )
    check(Network(1, 12, nodes), ints(40, 12), 1 / 40, 0.03)


def test_relu_is_part_of_the_product_only_where_nothing_else_reads_it() -> None:
    def operators(reader: tuple[Node, ...]) -> list[int]:
        network = Network(1, 12, (dense("a", (INPUT,)), Relu("b", ("a",)), *reader))
        return [op.opcode for op in quantise(network, ints(9, 12), 0.01).model.operators]

    assert operators(()) == [Opcode.MATMUL]
    assert operators((Sum("c", ("a", "b")),)) == [Opcode.MATMUL, Opcode.AFFINE, Opcode.ADD]


def test_the_report_shows_where_accuracy_is_lost() -> None:
    network = chain(1, 12, [dense, Relu, dense])
    x = ints(8, 12)
    imported = quantise(network, x, 0.02)
    near = cosines(imported, x)
    assert list(near) == ["node 1", "node 2"]  # node 0 has no tensor of its own
    other = quantise(network, ints(8, 12, seed=1) // 8, 0.02)  # saturates on x
    assert cosines(other, x)["node 2"] < near["node 2"]
    assert set(cosines(imported, np.zeros_like(x)).values()) != {0.0}


def test_layers_as_arrays_agree_on_classes() -> None:
    layers = [Layer(WEIGHTS, BIAS, relu=True), Layer(WEIGHTS.T, BIAS, relu=False)]
    x = ints(200, 12)
    imported = import_layers(layers, x, 0.02)
    labels = imported.forward(x)[:, 0].astype(np.int64)
    real, exact, agreement = same_class(imported, x, labels)
    assert real == 1.0
    assert exact == agreement
    assert agreement > 0.95
    plain = import_layers(layers, x, 0.02, classes=False)
    assert plain.model.output.width == 12


def test_two_builds_are_one_program() -> None:
    network = chain(1, 12, [dense, Relu, dense, Best])
    programs = {quantise(network, ints(50, 12), 0.02).model.program for _ in range(2)}
    assert len(programs) == 1


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ((), "at least one node"),
        ((Relu("a", ("b",)), Relu("b", (INPUT,))), "a reads b"),
        ((Relu("a", ("a",)),), "a reads a"),
        ((Relu("a", (INPUT,)), Relu("a", (INPUT,))), "two nodes make a"),
        ((Relu(INPUT, (INPUT,)),), "two nodes make input"),
        ((Best("a", (INPUT,)), Relu("b", ("a",))), "only be the result"),
        ((Dense("a", (INPUT,), WEIGHTS[:, :11], BIAS),), "a: weights"),
        ((Dense("a", (INPUT,), WEIGHTS, BIAS[:11]),), "a: .* biases"),
        ((Dense("a", (INPUT,), WEIGHTS * np.inf, BIAS),), "a holds a number"),
        ((Turn("a", (INPUT,), 2),), "a: 1 rows"),
        ((Reshape("a", (INPUT,), 5),), "a: 1 x 12"),
        ((Patches("a", (INPUT,), (3, 3, 1), 2),), "a: an image"),
        ((Patches("a", (INPUT,), (3, 4, 1), 4),), "a: kernel 4"),
        ((Norm("a", (INPUT,), BIAS[:3], BIAS[:3]),), "a: a norm"),
        ((Dense("a", (INPUT,), np.ones((4097, 12)), np.ones(4097)),), "a makes 1 x 4097"),
        ((Reshape("a", (INPUT,), 4), Sum("b", ("a", INPUT))), "b adds"),
    ],
)
def test_networks_that_do_not_fit(nodes: tuple[Node, ...], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Network(1, 12, nodes)


def test_calibration_that_does_not_fit() -> None:
    network = chain(2, 12, [dense])
    good = ints(4, 12)
    quantise(network, good, 1.0)
    for bad, unit, message in (
        (good.astype(np.int32), 1.0, "int8 or int16"),
        (good[:, :11], 1.0, "rows of 12"),
        (good[:0], 1.0, "rows of 12"),
        (good[:3], 1.0, "whole units"),
        (good, 0.0, "positive"),
        (good, float("inf"), "positive"),
    ):
        with pytest.raises(ModelError, match=message):
            quantise(network, bad, unit)


def test_functions_without_a_value_are_refused() -> None:
    root = chain(1, 12, [lambda n, s: Table(n, s, np.sqrt)])
    with pytest.raises(ModelError, match="isn't finite"):
        quantise(root, ints(4, 12), 1.0)
    with pytest.raises(ModelError, match="no value"):
        quantise(root, np.abs(ints(4, 12)), 1.0)


def test_weights_of_any_size_and_none() -> None:
    weights = WEIGHTS.copy()
    weights[0] = 0.0
    weights[1] *= 1e9
    weights[2] *= 1e-9
    layer = Dense("a", (INPUT,), weights, replace(dense("b", (INPUT,))).bias)  # type: ignore[attr-defined]
    check(Network(1, 12, (layer,)), ints(40, 12), 0.02, 0.02)
