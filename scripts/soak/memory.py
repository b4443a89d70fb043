"""Whether a process grows: a line through its resident memory, measured while it runs."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from scripts.soak.cast import Player

# Share of a process's life after which it has warmed up: pages of code, caches of the interpreter.
_WARM = 0.4
# Seconds and samples of a life that can be judged: in a shorter one all is warming up.
LONG_ENOUGH = 300.0
_FEWEST = 20


@dataclass
class Memory:
    """Samples (seconds, MB) by process; a process that was started again is another one."""

    samples: dict[tuple[str, int], list[tuple[float, float]]] = field(default_factory=dict)
    peaks: dict[str, float] = field(default_factory=dict)

    def look(self, players: Sequence[Player], now: float) -> None:
        """One sample of everybody who runs."""
        for player in players:
            if player.daemon.process is None or player.is_stopped:
                continue
            rss = player.rss_mb()
            if rss:
                key = (player.daemon.name, player.pid)
                self.samples.setdefault(key, []).append((now, rss))
                self.peaks[player.kind] = max(self.peaks.get(player.kind, 0.0), rss)

    def series(self) -> dict[str, list[tuple[float, float]]]:
        """All samples, by name and process."""
        return {f"{name}-{pid}": samples for (name, pid), samples in self.samples.items()}

    def slopes(self) -> dict[str, float]:
        """
        MB a minute, once it had warmed up, of each process that lived long enough to tell: by name,
        the worst of its lives.
        """
        found: dict[str, float] = {}
        for (name, _), samples in self.samples.items():
            if len(samples) >= _FEWEST and samples[-1][0] - samples[0][0] >= LONG_ENOUGH:
                growth = slope(samples[int(len(samples) * _WARM) :]) * 60
                found[name] = max(growth, found.get(name, growth))
        return found


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the line with the least squares through `points`; 0 for fewer than two."""
    count = len(points)
    if count < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if not spread:
        return 0.0
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
