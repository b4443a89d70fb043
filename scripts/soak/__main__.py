"""The soak: three keepers, two watchers and ten nodes on a chain with a block every two seconds,
with faults throughout: `python -m scripts.soak --minutes 30`.

Daemons are killed, stopped, frozen and started again; their nodes hang up, are slow, ask for
patience and leave logs out; the chain reorganises, drops transactions and has fee spikes; three of
the ten nodes lie. Jobs are posted all the while. Then the faults end, and every job has to come to
its end. Prints a verdict, writes `build/soak.json`, ends with 1 if anything is wrong.

One of each kind of daemon is never killed: whether memory grows shows in those, and in every other
that lives long enough. Ten minutes are the least for that, and for each kind of fault to have
happened; a shorter run says of such claims that it was too short to judge.
"""

import json
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from headrace.chain.views import JobState
from scripts.compiler import ROOT
from scripts.soak.cast import Soak
from scripts.soak.faults import KINDS, STOP_WITHIN, Faults
from scripts.soak.memory import Memory

TARGET = ROOT / "build" / "soak.json"
FOLDER = ROOT / "build" / "soak"
# MB a minute that a process may seem to grow: 30 minutes of it are less than a tenth of its size.
GROWTH = 0.25
# Seconds of a run that can be judged in everything.
LONG = 600.0
_POST_EVERY = 5.0
_LOOK_EVERY = 5.0
_QUIET_START = 10.0
# Seconds at the end without new jobs, and after the faults for what is still under way.
_LAST_POST = 60.0
_PATIENCE = 420.0
_TERMINAL = (JobState.FINAL, JobState.REFUTED, JobState.EXPIRED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Claim:
    """Something that has to hold at the end; None if the run was too short to tell."""

    what: str
    is_true: bool | None
    figure: str = ""

    def __str__(self) -> str:
        """A line of the verdict."""
        word = {True: "ok", False: "NO", None: "--"}[self.is_true]
        figure = "too short to judge" if self.is_true is None else self.figure
        return f"{word}  {self.what}{': ' if figure else ''}{figure}"


def of_growth(slopes: Mapping[str, float], lasting: Sequence[str], seconds: float) -> Claim:
    """
    Whether no process grows, by the MB a minute in `slopes`: of a long run all that were `lasting`
    have to be among them, of a short one no verdict follows from those that don't grow.
    """
    is_long, unseen = seconds >= LONG, [name for name in lasting if name not in slopes]
    worst = max(slopes.items(), key=lambda item: item[1], default=("nobody", 0.0))
    figure = f"{len(slopes)} judged, {worst[0]} {worst[1]:+.3f}"
    if unseen and is_long:
        figure += f", not judged: {', '.join(unseen)}"
    is_true: bool | None = worst[1] <= GROWTH and not unseen
    if worst[1] <= GROWTH and not is_long:
        is_true = None
    return Claim(f"no process grows by more than {GROWTH:g} MB a minute", is_true, figure)


def of_faults(counts: Mapping[str, int], seconds: float) -> Claim:
    """Whether each kind of fault has happened in a long run."""
    never = [kind for kind in KINDS if not counts.get(kind)]
    what = "each kind of fault has happened"
    if never and seconds < LONG:
        return Claim(what, None)
    return Claim(what, not never, f"never: {', '.join(never)}" if never else "")


def of_lies(refuted: int, seconds: float) -> Claim:
    """Whether a lie was refuted in a long run."""
    what = "lies were refuted"
    return (
        Claim(what, None)
        if not refuted and seconds < LONG
        else Claim(what, refuted > 0, str(refuted))
    )


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
    faults.end()
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


def judge(
    soak: Soak, faults: Faults, memory: Memory, seconds: float
) -> tuple[list[Claim], dict[str, object]]:
    """What has to hold after a run of `seconds`, and the figures."""
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
    slopes = memory.slopes()
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
        of_lies(events["Refuted"], seconds),
        of_faults(faults.counts, seconds),
        of_growth(slopes, lasting, seconds),
    ]
    figures: dict[str, object] = {
        "jobs": len(soak.jobs),
        "reposted": soak.reposted,
        **{f"jobs_{name}": count for name, count in sorted(states.items())},
        **{f"events_{name.lower()}": count for name, count in events.items()},
        "lies_final": len(lies),
        **{f"faults_{name}": faults.counts[name] for name in sorted(KINDS)},
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
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    default=TARGET,
    help="where the figures go  [default: build/soak.json]",
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=FOLDER,
    help="what is emptied first, for homes and logs  [default: build/soak]",
)
def main(minutes: float, seed: int, report: Path, folder: Path) -> None:
    """Let the market run under faults, and judge it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    chance = random.Random(seed)  # noqa: S311
    begun = time.monotonic()
    soak = Soak.begin(folder, chance)
    try:
        print(f"{len(soak.players)} daemons, {minutes:g} minutes, seed {seed}", flush=True)
        faults, memory = Faults(soak, chance), Memory()
        perform(soak, faults, memory, minutes * 60)
        took = drain(soak, faults, memory)
        print(f"  the last job ended {took:.0f} s after the last fault")
        claims, figures = judge(soak, faults, memory, minutes * 60)
    finally:
        soak.end()
    for claim in claims:
        print(claim)
    held = all(claim.is_true is not False for claim in claims)
    result: dict[str, object] = {
        "minutes": minutes,
        "seed": seed,
        "held": held,
        "not_judged": [claim.what for claim in claims if claim.is_true is None],
        "drain_s": round(took, 1),
    }
    result |= {"seconds": round(time.monotonic() - begun)} | figures
    (folder / "memory.json").write_text(json.dumps(memory.series(), indent=1) + "\n")
    report.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written to {report}; logs are in {folder}")
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
