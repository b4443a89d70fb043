"""ONNX files: equal to onnx's own evaluator as floats, near it as integers, refused by name."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info
from onnx.reference import ReferenceEvaluator

from headrace.graph.errors import ModelError
from headrace.graph2.importer.network import Table
from headrace.graph2.importer.onnx_reader import MAX_FILE_BYTES, import_onnx, read_onnx

RNG = np.random.default_rng(2)
W1, B1 = RNG.normal(size=(16, 32)) / 3, RNG.normal(size=32)
W2, B2 = RNG.normal(size=(32, 16)) / 4, RNG.normal(size=16)
GAMMA, BETA = RNG.normal(size=16), RNG.normal(size=16)
C1, CB = RNG.normal(size=(4, 2, 3, 3)) / 4, RNG.normal(size=4)
C2 = RNG.normal(size=(3, 4, 3, 3)) / 6
FLAT = RNG.normal(size=(27, 5)) / 5
CONSTANTS = {
    "w1": W1, "b1": B1, "w2": W2, "b2": B2, "w1t": W1.T, "gamma": GAMMA, "beta": BETA,
    "c1": C1, "cb": CB, "c2": C2, "flat": FLAT, "root2": 2**0.5, "one": 1.0, "half": 0.5,
}  # fmt: skip


def onnx_file(
    nodes: Sequence[Any],
    shape: Sequence[int | str | None] = ("N", 16),
    constants: dict[str, Any] | None = None,
    outputs: Sequence[str] = ("y",),
) -> bytes:
    """A file with the nodes, the input x, and those of the constants that are read."""
    read = {name for node in nodes for name in node.input}
    held = [
        numpy_helper.from_array(np.asarray(value, np.float32), name)
        for name, value in CONSTANTS.items()
        if name in read
    ]
    held += [numpy_helper.from_array(np.asarray(v), n) for n, v in (constants or {}).items()]
    graph = make_graph(
        list(nodes),
        "graph",
        [make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        held,
    )
    return make_model(graph, opset_imports=[make_opsetid("", 20)]).SerializeToString()


def node(kind: str, reads: str, makes: str, **attributes: Any) -> Any:
    return make_node(kind, reads.split(), makes.split(), name=f"{kind} {makes}", **attributes)


GELU = [
    node("MatMul", "x w1", "a"),
    node("Div", "a root2", "d"),
    node("Erf", "d", "e"),
    node("Add", "e one", "o"),
    node("Mul", "a o", "p"),
    node("Mul", "p half", "g"),
]
IMAGE = ("N", 2, 6, 6)
FILES: dict[str, tuple[list[Any], Sequence[int | str | None], dict[str, Any]]] = {
    "gemm": ([node("Gemm", "x w1 b1", "y")], ("N", 16), {}),
    "gemm turned and scaled": (
        [node("Gemm", "x w1t b1", "y", transB=1, alpha=0.5, beta=2.0)],
        (1, 16),
        {},
    ),
    "matmul and bias": (
        [
            node("MatMul", "x w1", "a"),
            node("Add", "b1 a", "b"),
            node("Relu", "b", "c"),
            node("MatMul", "c w2", "d"),
            node("Sub", "d b2", "y"),
        ],
        ("N", 16),
        {},
    ),
    "written out gelu, residual, norm": (
        [
            *GELU,
            node("MatMul", "g w2", "m"),
            node("Add", "m x", "s"),
            node("LayerNormalization", "s gamma beta", "y"),
        ],
        ("N", 16),
        {},
    ),
    "silu": ([node("Sigmoid", "x", "s"), node("Mul", "x s", "y")], ("N", 16), {}),
    "tanh": ([node("Gemm", "x w1", "a"), node("Tanh", "a", "y")], ("N", 16), {}),
    "gelu": ([node("Gemm", "x w1", "a"), node("Gelu", "a", "y")], ("N", 16), {}),
    "gelu by tanh": ([node("Gelu", "x", "y", approximate="tanh")], ("N", 16), {}),
    "relu of a function": ([node("Tanh", "x", "t"), node("Relu", "t", "y")], ("N", 16), {}),
    "number first": ([node("Sub", "one x", "y")], ("N", 16), {}),
    "identities": (
        [node("Identity", "x", "i"), node("Dropout", "i", "d"), node("Gemm", "d w1", "y")],
        ("N", 16),
        {},
    ),
    "rows": ([node("MatMul", "x w1", "y")], ("N", 3, 16), {}),
    "convolutions": (
        [
            node("Conv", "x c1 cb", "a", pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
            node("Relu", "a", "r"),
            node("Conv", "r c2", "b", strides=[2, 2], pads=[1, 1, 1, 1]),
            node("Tanh", "b", "t"),
            node("Flatten", "t", "f"),
            node("MatMul", "f flat", "y"),
        ],
        IMAGE,
        {},
    ),
    "an image as the result": ([node("Conv", "x c1", "y")], IMAGE, {}),
    "sum of images": (
        [node("Conv", "x c1", "a"), node("Relu", "a", "r"), node("Add", "a r", "y")],
        IMAGE,
        {},
    ),
    "reshaped": (
        [
            node("Reshape", "x s1", "i"),
            node("Conv", "i k", "a"),
            node("Reshape", "a s2", "y"),
        ],
        ("N", 16),
        {
            "s1": np.array([-1, 1, 4, 4]),
            "s2": np.array([0, -1]),
            "k": RNG.normal(size=(2, 1, 2, 2)).astype(np.float32),
        },
    ),
    "class": ([node("Gemm", "x w1 b1", "a"), node("ArgMax", "a", "y", axis=-1)], ("N", 16), {}),
}


@pytest.mark.parametrize("name", FILES)
def test_files(name: str) -> None:
    nodes, shape, constants = FILES[name]
    data = onnx_file(nodes, shape, constants)
    samples = np.random.default_rng(4).normal(size=(1 if shape[0] == 1 else 24, *shape[1:]))
    samples = np.concatenate([samples] * (8 if shape[0] == 1 else 1))
    imported = import_onnx(data, samples, size=2)
    whole = np.rint(samples / imported.input_unit).astype(np.int16)
    evaluator = ReferenceEvaluator(onnx.load_from_string(data))
    steps = 1 if shape[0] == 1 else len(whole)
    seen = (whole * imported.input_unit).astype(np.float32)
    real = np.concatenate(
        [evaluator.run(None, {"x": seen[at : at + steps]})[0] for at in range(0, len(seen), steps)]
    )
    rows = whole.reshape(-1, imported.network.width)
    forward = imported.forward(rows)
    np.testing.assert_allclose(forward, real.reshape(forward.shape), atol=1e-4)
    found = imported.run(rows) * imported.unit
    assert np.abs(found - forward).max() <= 0.04 * max(np.abs(forward).max(), 1e-9)


def test_arithmetic_on_one_value_is_one_table() -> None:
    network = read_onnx(onnx_file([*GELU, node("MatMul", "g w2", "y")]))
    assert sum(isinstance(step, Table) for step in network.nodes) == 1


def refuse(data: bytes, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read_onnx(data)


REFUSED: dict[str, tuple[bytes, str]] = {
    "unknown operator": (
        onnx_file([node("Gemm", "x w1", "a"), node("Cos", "a", "y")]),
        "node 'Cos y' \\(Cos\\).*unknown operator",
    ),
    "other domain": (
        onnx_file([make_node("Relu", ["x"], ["y"], name="r", domain="com.other")]),
        "node 'r' .*unknown domain",
    ),
    "cycle": (
        onnx_file([node("Add", "x b", "a"), node("Relu", "a", "b"), node("Relu", "a", "y")]),
        "'Add a' .*reads 'b', made later: a cycle",
    ),
    "reads itself": (onnx_file([node("Add", "x y", "y")]), "made later: a cycle"),
    "made by nothing": (onnx_file([node("Relu", "z", "y")]), "'z', made by nothing"),
    "made twice": (
        onnx_file([node("Relu", "x", "y"), node("Relu", "x", "y")]),
        "makes a value that there already is",
    ),
    "no output": (onnx_file([node("Relu", "x", "a")]), "nothing makes the output 'y'"),
    "two outputs": (
        onnx_file([node("Relu", "x", "y"), node("Relu", "x", "z")], outputs=("y", "z")),
        "2 outputs",
    ),
    "output isn't last": (
        onnx_file([node("Relu", "x", "y"), node("Relu", "y", "z")]),
        "isn't what the last node makes",
    ),
    "no nodes": (onnx_file([]), "1 to 4096 nodes"),
    "dynamic": (onnx_file([node("Relu", "x", "y")], ("N", "T")), "dynamic shape"),
    "fixed batch": (onnx_file([node("Relu", "x", "y")], (4, 16)), "fixed batch of 4"),
    "one dimension": (onnx_file([node("Relu", "x", "y")], (16,)), "1 dimensions"),
    "too wide": (onnx_file([node("Relu", "x", "y")], ("N", 4097)), "too large"),
    "makes too much": (
        onnx_file([node("Gemm", "x w", "y")], ("N", 16), {"w": np.ones((16, 4097), np.float32)}),
        "'Gemm y' .*1 x 4097: too large",
    ),
    "weights of another width": (
        onnx_file([node("Gemm", "x w2", "y")]),
        "'Gemm y' .*weights \\(32, 16\\) for a width of 16",
    ),
    "not finite": (
        onnx_file([node("Gemm", "x w", "y")], ("N", 16), {"w": np.full((16, 2), np.nan)}),
        "'w' holds something else",
    ),
    "text": (
        onnx_file([node("Gemm", "x w", "y")], ("N", 16), {"w": np.array([["a"]], object)}),
        "'w' holds something else",
    ),
    "product of values": (
        onnx_file(
            [node("MatMul", "x w1", "a"), node("MatMul", "a w2", "b"), node("Mul", "b x", "y")]
        ),
        "'Mul y' .*only their sum",
    ),
    "grouped": (onnx_file([node("Conv", "x c1", "y", group=2)], IMAGE), "group 2"),
    "uneven padding": (
        onnx_file([node("Conv", "x c1", "y", pads=[1, 0, 1, 0])], IMAGE),
        "padding or strides differ",
    ),
    "automatic padding": (
        onnx_file([node("Conv", "x c1", "y", auto_pad="SAME_UPPER")], IMAGE),
        "auto_pad",
    ),
    "channels": (onnx_file([node("Conv", "x c2", "y")], IMAGE), "for 2 channels"),
    "kernel too large": (onnx_file([node("Conv", "x c1", "y")], ("N", 2, 2, 2)), "doesn't fit"),
    "product with an image": (onnx_file([node("MatMul", "x w1", "y")], IMAGE), "flatten it first"),
    "other axis": (onnx_file([node("ArgMax", "x", "y", axis=0)]), "last dimension"),
    "batch reshaped": (
        onnx_file([node("Reshape", "x s", "y")], ("N", 16), {"s": np.array([4, 4])}),
        "doesn't keep the batch",
    ),
    "reshaped to more": (
        onnx_file([node("Reshape", "x s", "y")], ("N", 16), {"s": np.array([-1, 17])}),
        "can't have the shape",
    ),
    "arithmetic without end": (
        onnx_file(
            [node("Mul", f"{'x' if i == 0 else f'a{i}'} " * 2, f"a{i + 1}") for i in range(40)]
            + [node("Relu", "a40", "y")]
        ),
        "more than 256 steps",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    refuse(*REFUSED[name])


def test_constants_outside_the_file() -> None:
    model = onnx.load_from_string(onnx_file([node("Gemm", "x w1", "y")]))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    refuse(model.SerializeToString(), "'w1' lies outside the file")


def test_a_constant_that_claims_to_be_huge() -> None:
    model = onnx.load_from_string(onnx_file([node("Gemm", "x w1", "y")]))
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend([1 << 20, 1 << 20])
    refuse(model.SerializeToString(), "too large")
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend([17, 32])
    refuse(model.SerializeToString(), "can't be read")


@pytest.mark.parametrize("cut", [0, 1, 40])
def test_files_that_are_no_onnx(cut: int) -> None:
    refuse(onnx_file([node("Relu", "x", "y")])[:cut], "bytes|no ONNX|nodes|inputs")
    assert MAX_FILE_BYTES >= 1 << 20


def test_samples_that_do_not_fit() -> None:
    data = onnx_file([node("Gemm", "x w1", "y")])
    for samples in (np.zeros((0, 16)), np.zeros((3, 15)), np.array(1.0), np.full((2, 16), np.nan)):
        with pytest.raises(ModelError, match="samples"):
            import_onnx(data, samples)
    with pytest.raises(ModelError, match="1 or 2 bytes"):
        import_onnx(data, np.ones((2, 16)), size=4)
    assert import_onnx(data, np.zeros((2, 16))).model.input.size == 1
