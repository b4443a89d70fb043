"""The loop goes on after what passes, ends at what doesn't, and stops when it is told to."""

import logging
import signal
import subprocess
import sys
import threading
import time

import pytest

from headrace.chain.abi import BadAnswer
from headrace.chain.follower import TooDeep
from headrace.chain.rpc import NodeError
from headrace.daemon.loop import Pauses, Stop, run, until_it_works
from headrace.errors import HeadraceError, Rejected, RetryLater, Unreachable, UsageError
from tests.harness import ROOT


class Watched(Stop):
    """A stop that never sleeps, notes how long it was asked to, and is set after some waits."""

    def __init__(self, waits: int) -> None:
        super().__init__()
        self.left = waits
        self.waits: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.left -= 1
        if self.left == 0:
            self.set()
        return self.is_set


def test_ticks_are_a_poll_apart():
    stop, ticks = Watched(3), []
    run(lambda: ticks.append(1), stop, poll=0.25)
    assert len(ticks) == 3
    assert stop.waits == [0.25] * 3


def test_pauses_double_up_to_the_longest_and_start_anew_after_a_good_tick():
    answers = iter([Unreachable("down")] * 7 + [None, RetryLater("busy"), None])
    stop = Watched(10)

    def tick() -> None:
        error = next(answers)
        if error is not None:
            raise error

    run(tick, stop, poll=0.1)
    assert stop.waits == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 0.1, 0.25, 0.1]


@pytest.mark.parametrize(
    "error",
    [Unreachable("x"), RetryLater("x"), NodeError(-32000, "x"), BadAnswer("x"), Rejected("x")],
)
def test_what_a_later_try_may_cure_never_ends_the_loop(error: HeadraceError):
    stop = Watched(20)

    def tick() -> None:
        raise error

    run(tick, stop, poll=0.1)
    assert len(stop.waits) == 20


@pytest.mark.parametrize("error", [UsageError("x"), TooDeep("x"), ZeroDivisionError("x")])
def test_what_only_a_person_can_cure_ends_it(error: Exception):
    def tick() -> None:
        raise error

    with pytest.raises(type(error)):
        run(tick, Watched(5), poll=0.1)


def test_the_start_waits_for_the_node():
    answers = iter([Unreachable("down"), RetryLater("busy"), 7])

    def make() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert until_it_works(make, Watched(9)) == 7


def test_the_start_gives_up_when_it_is_told_to_stop():
    def make() -> int:
        raise Unreachable("down")

    assert until_it_works(make, Watched(2)) is None


def test_a_failure_that_lasts_is_said_once(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    pauses = Pauses()
    for _ in range(3):
        pauses.after(Unreachable("down"))
    pauses.after(Unreachable("elsewhere"))
    pauses.done()
    pauses.done()
    said = [(record.message, getattr(record, "why", None)) for record in caplog.records]
    assert said == [
        ("can't go on now", "down"),
        ("can't go on now", "elsewhere"),
        ("going on", None),
    ]


def test_a_stop_ends_a_wait_at_once():
    stop = Stop()
    threading.Timer(0.05, stop.set).start()
    begun = time.monotonic()
    assert stop.wait(30)
    assert time.monotonic() - begun < 5


PROGRAM = """
import sys, time
from headrace.daemon.loop import Stop, Stopped, run

def tick():
    print("tick", flush=True)
    time.sleep(float(sys.argv[1]))

stop = Stop()
with stop.on_signals():
    try:
        run(tick, stop, poll=0.05)
    except Stopped:
        print("stopped in the middle", flush=True)
        sys.exit(0)
print("stopped", flush=True)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize(("tick", "ending"), [("0", "stopped"), ("60", "stopped in the middle")])
def test_a_signal_stops_within_two_seconds_whatever_the_tick_does(
    name: str, tick: str, ending: str
):

    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, tick], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "tick\n"
    begun = time.monotonic()
    process.send_signal(getattr(signal, name))
    rest = process.stdout.read()
    assert process.wait(10) == 0
    # Two seconds, and one for a machine that is busy.
    assert time.monotonic() - begun < 3
    assert rest.splitlines()[-1] == ending
