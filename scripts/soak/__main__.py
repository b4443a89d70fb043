"""The soak: three keepers, two watchers and ten nodes on a chain with a block every two seconds,
with faults throughout: `python -m scripts.soak --minutes 30`.

Daemons are killed, stopped, frozen and started again; their nodes hang up, are slow, ask for
patience and leave logs out; the chain reorganises, drops transactions and has fee spikes; three of
the ten nodes lie. Jobs are posted all the while. Then the faults end, and every job has to come to
its end. Prints a verdict, writes `build/soak.json`, ends with 1 if anything is wrong.

One of each kind of daemon is never killed: whether memory grows shows in those.
"""

import json
import random
import shutil
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import click

from headrace.chain.views import JobState
from scripts.compiler import ROOT
from scripts.soak.cast import Soak
from scripts.soak.faults import STOP_WITHIN, Faults
from scripts.soak.memory import Memory

TARGET = ROOT / "build" / "soak.json"
FOLDER = ROOT / "build" / "soak"
# MB a minute that a process may seem to grow: 30 minutes of it are less than a tenth of its size.
GROWTH = 0.25
_POST_EVERY = 5.0
_LOOK_EVERY = 5.0
_QUIET_START = 10.0
# Seconds at the end without new jobs, and after the faults for what is still under way.
_LAST_POST = 60.0
_PATIENCE = 420.0
_TERMINAL = (JobState.FINAL, JobState.REFUTED, JobState.EXPIRED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Claim:
    """Something that has to hold at the end."""

    what: str
    is_true: bool
    figure: str = ""


def perform(soak: Soak, faults: Faults, memory: Memory, seconds: float) -> None:
    """Jobs and faults for `seconds`."""
    begun = time.monotonic()
    next_post = next_look = begun
    next_fault = begun + _QUIET_START
    next_word = begun + 60
    while (now := time.monotonic()) - begun < seconds:
        faults.tend()
        if now >= next_post and now - begun < max(seconds - _LAST_POST, seconds / 2):
            soak.post()
            next_post += _POST_EVERY
        if now >= next_fault:
            faults.one()
            next_fault = now + soak.chance.uniform(3, 12)
        if now >= next_look:
            memory.look(soak.players, now)
            soak.post_again()
            next_look += _LOOK_EVERY
        if now >= next_word:
            print(f"  {(now - begun) / 60:4.0f} min: {_shown(soak)}, {_count(faults)}", flush=True)
            next_word += 60
        time.sleep(0.2)


def drain(soak: Soak, faults: Faults, memory: Memory) -> float:
    """No more faults: wait until every job has ended; seconds that it took."""
    faults.tend(at_once=True)
    for proxy in soak.proxies:
        proxy.heal()
    begun = time.monotonic()
    next_look = begun
    while (now := time.monotonic()) - begun < _PATIENCE:
        faults.tend()
        if now >= next_look:
            memory.look(soak.players, now)
            soak.post_again()
            next_look += _LOOK_EVERY
            if all(state in _TERMINAL for state in soak.states().values()):
                break
        time.sleep(0.5)
    return time.monotonic() - begun


def judge(soak: Soak, faults: Faults, memory: Memory) -> tuple[list[Claim], dict[str, object]]:
    """What has to hold, and the figures."""
    states = Counter(state.name.lower() for state in soak.states().values())
    ended = sum(states[state.name.lower()] for state in _TERMINAL)
    events = {name: len(_logs(soak, name)) for name in ("Finalised", "Refuted", "Expired")}
    twice = [
        topic
        for topic, count in Counter(log["topics"][1] for log in _logs(soak, "Finalised")).items()
        if count > 1
    ]
    lies = _lies_that_stand(soak)
    lasting = [player.daemon.name for player in soak.players if not player.may_die]
    slopes = memory.slopes(lasting)
    claims = [
        Claim("every job has ended", ended == len(soak.jobs), f"{ended} of {len(soak.jobs)}"),
        Claim("jobs became final", states["final"] > 0, str(states["final"])),
        Claim("no job was paid twice", not twice, str(len(twice))),
        Claim("no lie became final", not lies, str(len(lies))),
        Claim("money is conserved", soak.is_conserved()),
        Claim("nothing is kept for jobs that have ended", soak.reserved() == 0),
        Claim("no daemon ended by itself", not faults.wrong, "; ".join(faults.wrong[:3])),
        Claim(
            f"who was told to stop was gone within {STOP_WITHIN:g} s",
            faults.slowest_stop <= STOP_WITHIN,
            f"{faults.slowest_stop:.1f} s",
        ),
        Claim(
            f"no process grows by more than {GROWTH:g} MB a minute",
            all(growth <= GROWTH for growth in slopes.values()),
            ", ".join(f"{name} {growth:+.3f}" for name, growth in slopes.items()),
        ),
    ]
    figures: dict[str, object] = {
        "jobs": len(soak.jobs),
        "reposted": soak.reposted,
        **{f"jobs_{name}": count for name, count in sorted(states.items())},
        **{f"events_{name.lower()}": count for name, count in events.items()},
        "lies_final": len(lies),
        **{f"faults_{name}": count for name, count in sorted(faults.counts.items())},
        **{f"rss_mb_{kind}": round(peak, 1) for kind, peak in sorted(memory.peaks.items())},
        **{f"rss_mb_per_min_{name}": round(rate, 4) for name, rate in sorted(slopes.items())},
        "slowest_stop_s": round(faults.slowest_stop, 2),
    }
    return claims, figures


def _logs(soak: Soak, event: str) -> list[dict[str, list[str]]]:
    topic = "0x" + soak.town.escrow.abi().events[event].topic.hex()
    wanted = {"address": soak.town.escrow.address, "fromBlock": "0x0", "topics": [topic]}
    return list(soak.town.rpc.call("eth_getLogs", wanted))


def _lies_that_stand(soak: Soak) -> list[str]:
    """Final jobs that one of the liars was paid for."""
    town = soak.town
    liars = {town.people[2 + number].lower()[2:] for number in (7, 8, 9)}
    return [
        log["topics"][1]
        for log in _logs(soak, "Finalised")
        if len(log["topics"]) > 2 and log["topics"][2][-40:].lower() in liars
    ]


def _shown(soak: Soak) -> str:
    states = Counter(state.name.lower() for state in soak.states().values())
    return ", ".join(f"{count} {name}" for name, count in sorted(states.items())) or "no jobs yet"


def _count(faults: Faults) -> str:
    return f"{sum(faults.counts.values())} faults"


@click.command()
@click.option("--minutes", type=click.FloatRange(min=1), default=30.0, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
def main(minutes: float, seed: int) -> None:
    """Let the market run under faults, and judge it."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    chance = random.Random(seed)  # noqa: S311
    begun = time.monotonic()
    soak = Soak.begin(Path(FOLDER), chance)
    try:
        print(f"{len(soak.players)} daemons, {minutes:g} minutes, seed {seed}", flush=True)
        faults, memory = Faults(soak, chance), Memory()
        perform(soak, faults, memory, minutes * 60)
        took = drain(soak, faults, memory)
        print(f"  the last job ended {took:.0f} s after the last fault")
        claims, figures = judge(soak, faults, memory)
    finally:
        soak.end()
    for claim in claims:
        word = "ok" if claim.is_true else "NO"
        print(f"{word}  {claim.what}{': ' if claim.figure else ''}{claim.figure}")
    held = all(claim.is_true for claim in claims)
    result: dict[str, object] = {
        "minutes": minutes,
        "seed": seed,
        "held": held,
        "drain_s": round(took, 1),
    }
    result |= {"seconds": round(time.monotonic() - begun)} | figures
    (FOLDER / "memory.json").write_text(json.dumps(memory.series(), indent=1) + "\n")
    TARGET.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written to {TARGET.relative_to(ROOT)}; logs are in {FOLDER.relative_to(ROOT)}")
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
