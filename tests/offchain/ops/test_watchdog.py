"""A loop that hangs ends its process, whatever it holds; one that comes round is let be."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from headrace.ops.health import Health
from headrace.ops.notify import notify
from headrace.ops.watchdog import EXIT_CODE, Watchdog
from tests.harness import ROOT


def test_a_late_loop_ends_the_process_once():
    health, ended = Health(), []
    health.watch("tick", 0.05)
    dog = Watchdog(health, every=0.01, end=lambda: ended.append(1))
    dog.start()
    dog._thread.join(5)
    assert ended == [1]


def test_a_loop_that_comes_round_is_let_be():
    health, ended = Health(), threading.Event()
    health.watch("tick", 30)
    dog = Watchdog(health, every=0.001, end=ended.set)
    dog.start()
    assert not ended.wait(0.1)
    dog.stop()
    assert not ended.is_set()


PROGRAM = """
import logging, sys, time
from headrace import logging as json_logs
from headrace.ops.health import Health
from headrace.ops.watchdog import Watchdog
json_logs.configure()
health = Health()
health.watch("tick", 0.2)
Watchdog(health, every=0.05).start()
print("up", flush=True)
if sys.argv[1] == "lock":
    logging.getLogger().handlers[0].acquire()
try:
    time.sleep(60)
finally:
    print("a handler ran", flush=True)
"""


@pytest.mark.parametrize("held", ["nothing", "lock"])
def test_a_process_that_hangs_ends_also_if_it_holds_the_log(held: str):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, held],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    out, err = process.communicate(timeout=30)
    assert process.returncode == EXIT_CODE
    assert out == "up\n"
    # Where it hung is shown in both cases; the line only if the log could be had.
    assert "Current thread" in err or "Thread 0x" in err
    said = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert [line["say"] for line in said] == (["a loop hangs"] if held == "nothing" else [])


@pytest.fixture
def systemd(tmp_path: Path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "notify"))
        line.settimeout(5)
        yield line


def test_systemd_is_told(systemd: socket.socket, tmp_path: Path):
    assert notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "notify")})
    assert systemd.recv(100) == b"READY=1"


def test_an_abstract_socket_is_understood():
    name = f"headrace-test-{os.getpid()}-{time.monotonic_ns()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind("\0" + name)
        line.settimeout(5)
        assert notify("STOPPING=1", {"NOTIFY_SOCKET": "@" + name})
        assert line.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2"}])
def test_without_systemd_nothing_is_told(environment: dict[str, str]):
    assert not notify("READY=1", environment)


def test_a_socket_that_is_gone_is_no_failure(tmp_path: Path):
    assert not notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "gone")})


def test_the_watchdog_tells_systemd_as_long_as_all_is_well(
    systemd: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    health = Health()
    health.watch("tick", 30)
    dog = Watchdog(health, every=0.01, end=lambda: None)
    dog.start()
    assert systemd.recv(100) == b"WATCHDOG=1"
    dog.stop()
