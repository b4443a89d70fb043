"""One process at a time drives a key; its standby takes over when it ends, however it ends."""

import subprocess
import sys

import pytest

from headrace.chain.lease import FileLease
from headrace.errors import RetryLater, UsageError

_HOLDER = """
import sys, time
from pathlib import Path
from headrace.chain.lease import FileLease
lease = FileLease.take(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_one_is_told_who_has_it(tmp_path):
    first = FileLease.take(tmp_path / "home" / "outbox.db")
    first.hold()
    with pytest.raises(UsageError, match=r"process \d+ sends with this key already"):
        FileLease.take(tmp_path / "home" / "outbox.db")
    FileLease.take(tmp_path / "home" / "other.db").close()
    first.close()
    FileLease.take(tmp_path / "home" / "outbox.db").close()


def test_a_standby_waits_and_takes_over_from_a_killed_process(tmp_path):
    outbox = tmp_path / "outbox.db"
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(outbox)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    with holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RetryLater, match=f"standing by: process {holder.pid}"):
            FileLease.take(outbox, is_standby=True)
        holder.kill()
    FileLease.take(outbox, is_standby=True).close()
