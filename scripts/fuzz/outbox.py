"""Sending under fire: clerks of a TaskList are killed, the pool forgets, fees leap, blocks vanish.

    python -m scripts.fuzz.outbox --rounds 200

A round posts a task or two and mines a few blocks, with a mishap or without. Rounds come in scenes,
each with a list and clerks of its own; at a scene's end the chain calms down, and what the books
and the chain say must agree: every task done, once.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from headrace.chain.accounts import Key
from scripts.fuzz.clerk import Config
from scripts.fuzz.lag import Lag
from scripts.fuzz.scene import CHAIN_ID, DEEPEST, STAGGER, Scene, Worker
from tests.harness import Anvil
from tests.misbehaving_rpc import Proxy
from tests.task_list import Office

SCENE = 40
# Kinds of which each of a few scenes differs from the next have shorter ones.
SHORT_SCENE = 20
# What is played, and which share of the rounds: one clerk without reorganisations, with some of one
# or two blocks, with some of up to 64; three clerks on a calm chain, with one mishap after another,
# with all at once and reorganisations; three that have to learn of each other.
SHARES = {
    "calm": 0.15,
    "wild": 0.15,
    "deep": 0.15,
    "rivals": 0.15,
    "rough": 0.2,
    "torn": 0.1,
    "newcomers": 0.1,
}
_RIVALS = ("rivals", "rough", "torn", "newcomers")
_ETHER = 10**18


class Stage:
    """A chain, and scenes on it one after the other."""

    def __init__(self, folder: Path, seed: int) -> None:
        """The chain mines when told, a second a block."""
        self.folder = folder
        self.dice = random.Random(seed)  # noqa: S311 - luck that can be repeated
        # A reorganisation to a state that is on disk already loses the contracts (anvil 1.7.1).
        in_memory = ("--prune-history", "100000")
        self.anvil = Anvil("--no-mining", "--chain-id", str(CHAIN_ID), *in_memory)
        self.anvil.rpc("anvil_setBlockTimestampInterval", 1)
        self.scenes = self.rough_scenes = 0

    @contextmanager
    def scene(self, clerks: int, *, behind: int = 0, is_told: bool = True) -> Iterator[Scene]:
        """
        With so many clerks that take turns, and that are told of each other unless they have to
        find out; the first one's node is `behind` by some blocks.
        """
        self.scenes += 1
        self.anvil.rpc("anvil_dropAllTransactions")
        secrets = [(self.scenes * 1_000 + n).to_bytes(32).hex() for n in range(clerks)]
        keepers = tuple(Key.of(secret).address for secret in secrets)
        for keeper in keepers:
            self.anvil.rpc("anvil_setBalance", keeper, hex(100 * _ETHER))
        office = Office.open(self.anvil)
        # Deeper than any reorganisation of the scene.
        self.anvil.rpc("anvil_mine", hex(DEEPEST + 2))
        start = int(self.anvil.rpc("eth_blockNumber"), 16)
        workers = [
            Worker(
                Config(
                    url=self.anvil.url,
                    chain_id=CHAIN_ID,
                    tasks=office.tasks.address,
                    home=str(self.folder / f"{self.scenes}-{number}"),
                    secret=secret,
                    start=start,
                    keepers=keepers if is_told else (),
                    stagger_seconds=STAGGER,
                )
            )
            for number, secret in enumerate(secrets)
        ]
        scene = Scene(office, workers, self.dice, start)
        proxy = Proxy(self.anvil.url) if behind else None
        if proxy is not None:
            proxy.changes = lag = Lag(proxy, start - behind)
            workers[0].behind, workers[0].lag = behind, lag
            workers[0].config = replace(workers[0].config, url=proxy.url)
        try:
            for worker in workers:
                worker.start()
            yield scene
        finally:
            for worker in workers:
                worker.kill()
            office.tasks.rpc.close()
            if proxy is not None:
                proxy.close()

    def alone(self, rounds: int, *, reorganisations: str = "") -> Counter[str]:
        """
        One clerk, and every mishap; returns the scene's counts. `reorganisations` are none,
        "shallow" or "deep".
        """
        with self.scene(1) as scene:
            # What happens in a round, and how likely.
            mishaps: list[tuple[float, Callable[[], None]]] = [
                (0.2, scene.drop),
                (0.1, scene.drop_one),
                (0.2, scene.spike),
                (0.12, scene.kill),
            ]
            if reorganisations:
                is_deep = reorganisations == "deep"
                mishaps += [(0.15, scene.reorganise_deeply if is_deep else scene.reorganise)]
            for number in range(rounds):
                scene.post(number + 1)
                if not number:
                    scene.mine(is_patient=True)
                self._maybe(mishaps)
                for _ in range(self.dice.choice([1, 1, 2])):
                    scene.mine(is_patient=self.dice.random() < 0.5)
                if reorganisations == "deep" and number == rounds // 2:
                    scene.reorganise_deeply()
            scene.calm_down()
            return scene.count()

    def _maybe(self, mishaps: list[tuple[float, Callable[[], None]]]) -> None:
        luck = self.dice.random()
        for chance, mishap in mishaps:
            luck -= chance
            if luck < 0:
                mishap()
                return

    def rivals(self, rounds: int, kind: str) -> tuple[Counter[str], int]:
        """
        Three clerks, one of them killed midway; counts, and the worst delay. In a "rough" scene
        either one clerk's node is behind, or clerks stand still, the pool forgets and fees leap,
        one after the other: what slows a clerk down costs less than a stagger, as long as which
        keepers see in time what others do. In a "torn" one all of it comes at once, and blocks
        vanish too.
        """
        self.rough_scenes += kind == "rough"
        is_lagging = kind == "torn" or (kind == "rough" and self.rough_scenes % 2 == 0)
        has_mishaps = kind == "torn" or (kind == "rough" and not is_lagging)
        behind = self.dice.choice(range(1, STAGGER)) if is_lagging else 0
        with self.scene(3, behind=behind, is_told=kind != "newcomers") as scene:
            scene.mine(is_patient=True)
            victim = self.dice.choice(scene.workers)
            mishaps: list[tuple[float, Callable[[], None]]] = [
                (0.15, scene.forget),
                (0.15, lambda: scene.spike(60)),
                (0.15, scene.stand_still),
                (0.15 if kind == "torn" else 0.0, scene.reorganise),
            ]
            for number in range(rounds):
                scene.post(number + 1)
                if number == rounds // 2:
                    scene.kill_for_good(victim)
                scene.attend()
                if has_mishaps and (kind == "torn" or scene.is_at_peace):
                    self._maybe(mishaps)
                scene.mine(is_patient=True)
            scene.calm_down()
            counts, delays = scene.count(), scene.delays()
            counts["late"] = sum(delay > most for delay, most in delays)
            return counts, max((delay for delay, _ in delays), default=0)


def run(
    rounds: int, *, seed: int = 1, say: Callable[[str], None] = lambda line: None
) -> dict[str, float]:
    """
    So many rounds, see `SHARES`. `double`, `left_undone` and `late` (of rivals') are tasks; shares
    are of the transactions that reached the list; `worst_delay_blocks` is beyond the block that a
    deed takes. `introductions` are transactions that reverted before rivals knew of each other.
    """
    totals: dict[str, Counter[str]] = {name: Counter() for name in SHARES}
    worst = dict.fromkeys(_RIVALS, 0)
    deepest = 0
    with tempfile.TemporaryDirectory(prefix="headrace-fuzz-") as folder:
        stage = Stage(Path(folder), seed)
        try:
            for name, left in _parts(rounds):
                while left > 0:
                    part = min(left, SHORT_SCENE if name in ("deep", "rough") else SCENE)
                    left -= part
                    if name in worst:
                        counts, delay = stage.rivals(part, name)
                        worst[name] = max(worst[name], delay)
                    else:
                        depth = {"calm": "", "wild": "shallow", "deep": "deep"}[name]
                        counts = stage.alone(part, reorganisations=depth)
                    deepest = max(deepest, counts.pop("deepest", 0))
                    totals[name] += counts
                    say(f"{name}: {part} rounds, {dict(counts)}")
        finally:
            stage.anvil.stop()
    every: Counter[str] = sum(totals.values(), Counter())
    return {
        "double": every["double"],
        "left_undone": every["left_undone"],
        "late": every["late"],
        "reverted_share": _share(totals["calm"]),
        "reverted_share_reorgs": _share(totals["wild"] + totals["deep"]),
        "rival_reverted_share": _share(totals["rivals"] + totals["rough"] + totals["newcomers"]),
        "rival_reverted_share_rough": _share(totals["rough"]),
        "rival_reverted_share_reorgs": _share(totals["torn"]),
        "introductions": every["introductions"],
        "worst_delay_blocks": max(worst["rivals"], worst["newcomers"]),
        "worst_delay_blocks_rough": max(worst["rough"], worst["torn"]),
        "sender_reorganisations": every["reorganisations"],
        "sender_deepest": deepest,
        "kills": every["kills"],
        "empty": every["empty"],
        "performed": every["good"],
    }


def _parts(rounds: int) -> list[tuple[str, int]]:
    """How many rounds of each kind: `rounds` in all."""
    parts = {name: int(rounds * share) for name, share in SHARES.items()}
    parts["rivals"] += rounds - sum(parts.values())
    return list(parts.items())


def _share(counts: Counter[str]) -> float:
    sent = counts["good"] + counts["reverted"]
    return round(counts["reverted"] / sent, 4) if sent else 0.0


def main() -> None:
    """Print the figures as JSON; exit code 1 if one of them is not what it has to be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    begun = time.monotonic()

    def say(line: str) -> None:
        sys.stderr.write(f"{time.monotonic() - begun:7.1f} s  {line}\n")

    figures = run(options.rounds, seed=options.seed, say=say)
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    is_good = (
        not figures["double"]
        and not figures["left_undone"]
        and not figures["late"]
        and figures["reverted_share"] <= 0.02
        and figures["rival_reverted_share"] <= 0.01
    )
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
