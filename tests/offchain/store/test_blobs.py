"""Content comes back exactly, or an error says why it can't."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from headrace.errors import Unreachable, UsageError
from headrace.graph import trace as traces
from headrace.graph.encoding import Int8
from headrace.graph.merkle import keccak
from headrace.graph.model import Model, Operator
from headrace.graph.tensors import tensor_root
from headrace.store.blobs import BlobStore
from headrace.store.errors import CorruptBlob, MissingBlob, OversizedBlob


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "store")


def files(store: BlobStore) -> list[Path]:
    return sorted(path for path in store.path.rglob("*") if path.is_file())


def small() -> tuple[Model, Int8]:
    steps = [
        Operator.matmul(0, [[3, -2], [1, 1], [-1, 5]], [1, 2, 3], [1 << 30] * 3, [31] * 3),
        Operator.argmax(1, 3),
    ]
    return Model.of(steps, 2, 4), np.array([[1, 2], [-3, 4], [100, -100]], np.int8)


def test_a_blob_comes_back_under_its_hash(store: BlobStore) -> None:
    name = store.put(b"some bytes")
    assert name == keccak(b"some bytes").hex()
    for form in (name, "0x" + name, name.upper(), bytes.fromhex(name)):
        assert store.get(form) == b"some bytes"
    assert store.has(name)
    assert not store.has(keccak(b"other"))


def test_putting_twice_keeps_one_file_and_leaves_no_rest(store: BlobStore) -> None:
    store.put(b"some bytes")
    written = files(store)[0].stat().st_mtime_ns
    store.put(b"some bytes")
    assert [path.stat().st_mtime_ns for path in files(store)] == [written]


def test_a_missing_blob(store: BlobStore) -> None:
    with pytest.raises(MissingBlob, match="not in"):
        store.get(keccak(b"never put"))


def test_an_empty_blob_cannot_be_put(store: BlobStore) -> None:
    with pytest.raises(UsageError, match="empty blob"):
        store.put(b"")


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        (b"", "the file is empty"),
        (b"some byte", "the content has another hash"),
        (b"some bytes!", "the content has another hash"),
        (b"Some bytes", "the content has another hash"),
    ],
)
def test_a_spoiled_blob_is_refused_and_healed(
    store: BlobStore, spoiled: bytes, message: str
) -> None:
    name = store.put(b"some bytes")
    files(store)[0].write_bytes(spoiled)
    with pytest.raises(CorruptBlob, match=message) as caught:
        store.get(name)
    assert caught.value.name == name
    assert store.put(b"some bytes") == name
    assert store.get(name) == b"some bytes"


def test_the_limit_is_inclusive(store: BlobStore) -> None:
    name = store.put(bytes(range(100)))
    assert store.get(name, 100) == bytes(range(100))
    with pytest.raises(OversizedBlob, match="longer than 99 bytes"):
        store.get(name, 99)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "../" * 21 + "x",
        "..",
        "/etc/passwd",
        "ab" * 31,
        "ab" * 33,
        "0x" + "zz" * 32,
        "ab" * 31 + "/.",
        "٣" * 64,
        "ab" * 32 + "\n",
        b"short",
    ],
)
def test_only_ids_name_anything(store: BlobStore, name: str | bytes) -> None:
    model, _ = small()
    reads: list[Callable[[], object]] = [
        lambda: store.get(name),
        lambda: store.has(name),
        lambda: store.get_tensor(name, 1, 1),
        lambda: store.get_model(name),
        lambda: store.get_trace(name, model, 1),
        lambda: store.get_result(name, model, 1),
    ]
    for read in reads:
        with pytest.raises(UsageError):
            read()


def test_links_folders_and_pipes_are_no_blobs(store: BlobStore, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    name = store.put(b"secret")
    place = files(store)[0]
    place.unlink()
    place.symlink_to(secret)
    with pytest.raises(MissingBlob):
        store.get(name)
    place.unlink()
    os.mkfifo(place)
    with pytest.raises(MissingBlob):
        store.get(name)
    place.unlink()
    place.mkdir()
    with pytest.raises(MissingBlob):
        store.get(name)
    with pytest.raises(Unreachable, match="can't write"):
        store.put(b"secret")


def test_a_crash_before_the_rename_leaves_nothing_readable(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        store.put(b"some bytes")
    monkeypatch.undo()
    assert files(store) == []
    with pytest.raises(MissingBlob):
        store.get(keccak(b"some bytes"))
    assert store.get(store.put(b"some bytes")) == b"some bytes"


RACER = """
import sys
from pathlib import Path
from headrace.store.blobs import BlobStore
from headrace.store.errors import MissingBlob

store, data = BlobStore(Path(sys.argv[1])), b"x" * 200_000
for turn in range(20):
    name = store.put(data)
    try:
        assert store.get(name) == data  # CorruptBlob here would end the process with 1
    except MissingBlob:
        pass  # another process has just removed it
    if turn % 5 == 4:
        store._place("blobs", name).unlink(missing_ok=True)
store.put(data)
"""


def test_several_processes_never_see_half_a_blob(store: BlobStore) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    runs = [
        subprocess.Popen([sys.executable, "-c", RACER, str(store.path)], env=environment)
        for _ in range(3)
    ]
    assert [run.wait(60) for run in runs] == [0, 0, 0]
    assert store.get(store.put(b"x" * 200_000)) == b"x" * 200_000
    assert len(files(store)) == 1


def test_the_shape_that_an_input_says_it_has(store: BlobStore) -> None:
    _, tensor = small()
    root = store.put_tensor(tensor)
    assert store.tensor_shape(root) == (3, 2)
    with pytest.raises(MissingBlob):
        store.tensor_shape("12" * 32)
    (file,) = files(store)
    for content in (b"", b"HRTENSR1\x00\x00", b"something else entirely"):
        file.write_bytes(content)
        with pytest.raises(CorruptBlob):
            store.tensor_shape(root)


def test_inputs_by_their_tensor_root(store: BlobStore) -> None:
    _, tensor = small()
    name = store.put_tensor(tensor)
    assert name == tensor_root(tensor).hex()
    assert store.get_tensor(name, 3, 2).tolist() == tensor.tolist()
    with pytest.raises(MissingBlob):
        store.get_tensor(keccak(b"no such input"), 3, 2)
    with pytest.raises(CorruptBlob, match=r"shape \(3, 2\), not \(3, 3\)"):
        store.get_tensor(name, 3, 3)
    data = files(store)[0].read_bytes()
    for spoiled in (b"", data[:-1], data + b"\x80", data[:20] + b"\x00" + data[21:]):
        files(store)[0].write_bytes(spoiled)
        with pytest.raises(CorruptBlob):
            store.get_tensor(name, 3, 2)


def test_an_input_under_the_name_of_another(store: BlobStore) -> None:
    _, tensor = small()
    store.put_tensor(tensor)
    other = tensor + np.int8(1)
    place = files(store)[0]
    wrong = tensor_root(other).hex()
    target = store.path / "tensors" / wrong[:2] / wrong
    target.parent.mkdir()
    target.write_bytes(place.read_bytes())
    with pytest.raises(CorruptBlob, match="isn't the one its id names"):
        store.get_tensor(wrong, 3, 2)


def test_models_by_their_program(store: BlobStore) -> None:
    model, _ = small()
    name = store.put_model(model)
    assert name == model.program.hex()
    assert store.get_model(name).program == model.program
    with pytest.raises(OversizedBlob):
        store.get_model(name, 10)
    other = Model.of(model.operators, 2, 5)
    target = store.path / "models" / other.program.hex()[:2] / other.program.hex()
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(files(store)[0].read_bytes())
    with pytest.raises(CorruptBlob, match="the file holds program"):
        store.get_model(other.program)


def test_traces_and_results_by_the_trace_root(store: BlobStore) -> None:
    model, tensor = small()
    trace = traces.run(model, tensor)
    root = store.put_trace(trace)
    assert root == store.put_result(trace) == trace.root.hex()
    assert store.get_trace(root, model, 3).rows == trace.rows
    assert store.get_result(root, model, 3).tolist() == trace.result.tolist()
    for read in (store.get_trace, store.get_result):
        with pytest.raises(CorruptBlob):
            read(root, model, 2)
        with pytest.raises(CorruptBlob):
            read(root, model, 4)
        with pytest.raises(MissingBlob):
            read(keccak(b"another"), model, 3)
    for place in files(store):
        data = bytearray(place.read_bytes())
        data[-1] ^= 1
        place.write_bytes(bytes(data))
    for read in (store.get_trace, store.get_result):
        with pytest.raises(CorruptBlob):
            read(root, model, 3)


def test_a_wrong_trace_is_kept_like_any_other(store: BlobStore) -> None:
    """A liar's trace, its dirty padding too, must come back to be convicted."""
    model, tensor = small()
    lie = traces.run(model, tensor).replace(0, 0, 31, 7)
    assert store.get_trace(store.put_trace(lie), model, 3).rows == lie.rows
