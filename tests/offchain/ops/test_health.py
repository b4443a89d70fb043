"""Alive and ready are decided at the edge, by the clock of the process, and told over HTTP."""

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from headrace.errors import UsageError
from headrace.ops.health import CHECKS, Health
from headrace.ops.metrics import Metrics
from headrace.ops.server import HealthServer


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health(stale_after=60, stale={"lag": 5}, clock=clock)


def all_well(health: Health) -> None:
    for name in CHECKS:
        health.report(name, True, "well")


def not_ok(health: Health) -> list[str]:
    return [name for name, check in health.checks().items() if not check.is_ok]


def test_a_loop_is_alive_until_its_bound_is_over(health: Health, clock: Clock):
    health.watch("tick", 10)
    clock.now += 10
    assert not health.late()
    clock.now += 0.001
    assert set(health.late()) == {"tick"}
    health.beat("tick")
    assert not health.late()


def test_a_loop_that_is_not_watched_can_neither_beat_nor_be_late(health: Health, clock: Clock):
    health.beat("tick")
    health.watch("tick", 10)
    health.unwatch("tick")
    clock.now += 100
    assert not health.loops()


def test_what_was_never_checked_does_not_hold(health: Health):
    assert not_ok(health) == list(CHECKS)
    health.report("chain", True, "x")
    assert not_ok(health) == [name for name in CHECKS if name != "chain"]


def test_a_check_holds_until_it_is_stale(health: Health, clock: Clock):
    all_well(health)
    clock.now += 5
    assert not_ok(health) == []
    clock.now += 0.001
    assert not_ok(health) == ["lag"]
    detail = health.checks()["lag"].detail
    assert detail == "not seen for 5 s; before that: well"
    clock.now = 1_060
    assert not_ok(health) == ["lag"]
    clock.now += 0.001
    assert set(not_ok(health)) == set(CHECKS)


def test_only_a_change_is_news(health: Health):
    assert health.report("chain", True, "a")
    assert not health.report("chain", True, "b")
    assert health.report("chain", False, "c")
    assert not health.report("chain", False, "d")
    assert health.report("chain", True, "e")


def test_what_stops_is_not_ready(health: Health):
    all_well(health)
    health.stopping()
    assert not_ok(health) == ["running"]


# ---- over HTTP


@pytest.fixture
def server(health: Health):
    with HealthServer("127.0.0.1", 0, Metrics("keeper"), health) as server:
        yield server


def get(server: HealthServer, page: str, method: str = "GET") -> tuple[int, str]:
    request = urllib.request.Request(f"http://{server.address}{page}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_livez_follows_the_loops(server: HealthServer, health: Health, clock: Clock):
    health.watch("tick", 10)
    status, body = get(server, "/livez")
    assert status == 200
    assert json.loads(body) == {
        "alive": True,
        "loops": {"tick": {"age": 0.0, "bound": 10, "alive": True}},
    }
    clock.now += 11
    status, body = get(server, "/livez")
    assert status == 503
    assert json.loads(body)["loops"]["tick"]["alive"] is False


def test_readyz_says_why_not(server: HealthServer, health: Health):
    status, body = get(server, "/readyz")
    assert status == 503
    assert json.loads(body)["reasons"] == [f"{name}: not checked yet" for name in CHECKS]
    all_well(health)
    status, body = get(server, "/readyz?verbose")
    assert status == 200
    assert json.loads(body)["ready"] is True
    health.report("balance", False, "0xab has nothing")
    status, body = get(server, "/readyz")
    assert status == 503
    assert json.loads(body)["reasons"] == ["balance: 0xab has nothing"]
    assert json.loads(body)["checks"]["chain"] == {"ok": True, "detail": "well"}


def test_metrics_show_readiness_as_it_is_now(server: HealthServer, health: Health, clock: Clock):
    all_well(health)
    status, body = get(server, "/metrics")
    assert status == 200
    assert 'headrace_ready{check="lag"} 1.0' in body
    clock.now += 6
    assert 'headrace_ready{check="lag"} 0.0' in get(server, "/metrics")[1]
    assert 'headrace_ready{check="chain"} 1.0' in get(server, "/metrics")[1]


@pytest.mark.parametrize("page", ["/", "/metrics/", "/livez/../metrics", "/secret"])
def test_there_are_no_other_pages(server: HealthServer, page: str):
    assert get(server, page)[0] == 404


def test_head_has_no_body_and_nothing_can_be_posted(server: HealthServer):
    assert get(server, "/livez", "HEAD") == (200, "")
    assert get(server, "/livez", "POST")[0] == 501
    assert get(server, "/livez", "DELETE")[0] == 501


def test_a_port_in_use_is_said(server: HealthServer, health: Health):
    port = int(server.address.rpartition(":")[2])
    with pytest.raises(UsageError, match="HEADRACE_HTTP_PORT"):
        HealthServer("127.0.0.1", port, Metrics("keeper"), health)


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70_000), ("no.such.host.invalid", 0)])
def test_an_address_that_is_none_is_said(health: Health, host: str, port: int):
    with pytest.raises(UsageError, match="HEADRACE_HTTP_PORT"):
        HealthServer(host, port, Metrics("keeper"), health)


def test_the_address_can_be_found_in_a_file(server: HealthServer, tmp_path: Path):
    server.announce(tmp_path / "keeper" / "http")
    assert (tmp_path / "keeper" / "http").read_text() == server.address + "\n"
