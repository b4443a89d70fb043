"""A node's file: what it comes to, and what is said about one that can't be used."""

import re
from pathlib import Path

import pytest

from headrace.errors import UsageError
from headrace.graph.model import Model, Operator
from headrace.node.config import NodeConfig, make_config, read_file, who_and_which
from headrace.store.blobs import BlobStore
from headrace.terms.jobfile import Catalogue, Gpu, JobFileError
from tests.offchain.terms.examples import PROVIDER, address
from tests.unit.fault_proof.court import small_model

CATALOGUE = Catalogue(decimals=6, gpus={"T4": Gpu(0, 16)})
ACCOUNT = address(0x77)
FILE = """\
gpu: T4
region: uk
capacity: 3
offer:
  base: 1
  max_lock: 60
  models:
    - {first}
    - {second}
"""


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    made = BlobStore(tmp_path / "store")
    made.put_model(small_model())
    return made


@pytest.fixture
def own(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "own")


def wide_model() -> Model:
    """One whose trace of a single row can't be published: 25 rows of 1,024 bytes."""
    step = Operator.matmul(0, [[1]] * 1_024, [0] * 1_024, [1] * 1_024, [1] * 1_024)
    steps = [step] * 25
    return Model.of(steps, 1, 1)


def config(path: Path, text: str, store: BlobStore, own: BlobStore) -> NodeConfig:
    path = path / "node.yaml"
    path.write_text(text)
    file = read_file(path, CATALOGUE)
    return make_config(
        file, "node.yaml", store, own=own, account=ACCOUNT, names={"small": small_model().program}
    )


def written(first: str = "small", second: str | None = None) -> str:
    return FILE.format(first=first, second=second or "0x" + small_model().program.hex())


def test_a_file_that_can_be_used(tmp_path: Path, store: BlobStore, own: BlobStore):
    made = config(tmp_path, written(), store, own)
    assert list(made.models) == [small_model().program]
    assert (made.provider, made.index, made.capacity) == (ACCOUNT, 0, 3)
    made = config(tmp_path, f"provider: '{PROVIDER}'\nindex: 2\n" + written(), store, own)
    assert (made.provider, made.index) == (PROVIDER, 2)


def test_who_runs_which_node_is_known_without_a_chain(tmp_path: Path):
    path = tmp_path / "node.yaml"
    path.write_text("operator: worker\nindex: 3\ngpu: Unheard-of\n")
    assert who_and_which(path) == ("worker", 3)
    path.write_text("gpu: T4\n")
    assert who_and_which(path) == (None, 0)


def test_a_model_is_kept_when_the_store_loses_it(tmp_path: Path, store: BlobStore, own: BlobStore):
    config(tmp_path, written(), store, own)
    empty = BlobStore(tmp_path / "empty")
    again = config(tmp_path, written(), empty, own)
    assert again.models.keys() == {small_model().program}


def test_a_model_that_nobody_has(tmp_path: Path, store: BlobStore, own: BlobStore):
    with pytest.raises(JobFileError, match=re.escape("can't be loaded: blob")) as caught:
        config(tmp_path, written(second="0x" + "ab" * 32), store, own)
    assert (caught.value.line, caught.value.field) == (9, "offer.models")


@pytest.mark.parametrize("content", [b"", b"HRMODEL1", b"\x00" * 99])
def test_a_corrupt_model(tmp_path: Path, store: BlobStore, own: BlobStore, content: bytes):
    (place,) = (path for path in store.path.rglob("*") if path.is_file())
    place.write_bytes(content)
    with pytest.raises(JobFileError, match="can't be loaded") as caught:
        config(tmp_path, written(), store, own)
    assert caught.value.line == 8


def test_a_name_that_is_none(tmp_path: Path, store: BlobStore, own: BlobStore):
    with pytest.raises(JobFileError, match=re.escape("got 'smal'; known: small")) as caught:
        config(tmp_path, written("smal"), store, own)
    assert caught.value.line == 8


def test_a_model_whose_trace_can_not_be_published(tmp_path: Path, store: BlobStore, own: BlobStore):
    store.put_model(wide_model())
    with pytest.raises(JobFileError, match="too large for policy exact"):
        config(tmp_path, written("0x" + wide_model().program.hex()), store, own)


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(UsageError, match=re.escape("node.yaml can't be read: No such file")):
        read_file(tmp_path / "node.yaml", CATALOGUE)
    with pytest.raises(UsageError, match="can't be read"):
        who_and_which(tmp_path / "node.yaml")
