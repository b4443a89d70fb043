"""The doctor asks of each daemon what it does with the shared folders, and no more."""

from pathlib import Path

import pytest

from headrace.ops import doctor
from headrace.settings import Settings
from tests.harness import free_port

# A folder that even root reads and can't write.
READ_ONLY = Path("/proc/sys")


def found(tmp_path: Path, daemon: str, **settings: object) -> dict[str, doctor.Finding]:
    url = f"http://127.0.0.1:{free_port()}"
    made = Settings(home=tmp_path, rpc_url=url, **settings)
    return {finding.name: finding for finding in doctor.examine(made, daemon)}


@pytest.mark.skipif(not READ_ONLY.is_dir(), reason="/proc is not there")
def test_only_a_node_has_to_write_where_offers_and_data_are(tmp_path: Path):
    shared = {"store": READ_ONLY, "board": READ_ONLY}
    keeper, watch = found(tmp_path, "keeper", **shared), found(tmp_path, "watch", **shared)
    assert keeper["board"].is_ok
    assert "store" not in keeper
    assert watch["store"].is_ok
    assert "board" not in watch
    node = found(tmp_path, "node", **shared)
    assert not node["store"].is_ok
    assert not node["board"].is_ok


def test_a_folder_that_is_none_is_no_place_to_read_from(tmp_path: Path):
    place = tmp_path / "board"
    assert "isn't there" in found(tmp_path, "keeper", board=place)["board"].detail
    place.mkdir()
    assert found(tmp_path, "keeper", board=place)["board"].is_ok
    place.rmdir()
    place.write_text("no folder")
    assert not found(tmp_path, "keeper", board=place)["board"].is_ok
