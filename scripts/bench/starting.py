"""How long a whole keeper takes to be back: from its start as a process until it says it is ready.

    python -m scripts.bench.starting

A real keeper on a local chain that brings no block meanwhile, with its keyfile as people have it:
the passphrase is stretched with scrypt, on purpose slowly, and nothing of that can be saved. It is
stopped and started again several times; ready means that `/readyz` answers 200: it has unlocked its
key, verified the deployment, loaded its books, and read the chain to the head.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import requests

from headrace.chain import accounts
from scripts.bench.sending import job_terms
from tests.flows.town import PASSPHRASE, UNIT, Daemon, a_town

STARTS = 5
_JOBS = 20
_KEEPER = 9_000
_PATIENCE = 60.0


def measure() -> dict[str, float]:
    """`daemon_restart_s`, the median, and how much of it is `unlock_s`; both in seconds."""
    with (
        tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder,
        a_town(Path(folder)) as town,
    ):
        requester = town.people[1]
        town.fund(requester, 2_000 * UNIT, 1)
        for number in range(_JOBS):
            town.send(requester, town.escrow.post_job(job_terms(town, number)))
        home = Path(folder) / "keeper"
        key = accounts.create(home / "keys", "operator", PASSPHRASE, secret=_KEEPER.to_bytes(32))
        town.rpc.call("anvil_setBalance", key.address, hex(10**20))
        keeper = town._daemon("keeper", home, ["headrace.keeper"], None)
        keeper.environment["HEADRACE_HTTP_PORT"] = "auto"
        times = []
        for _ in range(STARTS + 1):
            times.append(_start(keeper, home / "keeper" / "http"))
            code, _ = keeper.terminate()
            if code != 0:
                raise RuntimeError("the keeper ended badly:\n" + town.logs())
        unlocking = []
        for _ in range(STARTS):
            begun = time.monotonic()
            accounts.load(home / "keys", "operator", PASSPHRASE)
            unlocking.append(time.monotonic() - begun)
    # The first one has everything to read.
    return {
        "daemon_restart_s": round(median(times[1:]), 3),
        "unlock_s": round(median(unlocking), 3),
    }


def _start(keeper: Daemon, place: Path) -> float:
    """Seconds until it is ready."""
    place.unlink(missing_ok=True)
    begun = time.monotonic()
    keeper.start()
    while time.monotonic() - begun < _PATIENCE:
        if place.is_file() and _is_ready(place.read_text().strip()):
            return time.monotonic() - begun
        time.sleep(0.01)
    raise RuntimeError("the keeper never got ready:\n" + keeper.log.read_text()[-2_000:])


def _is_ready(address: str) -> bool:
    try:
        return requests.get(f"http://{address}/readyz", timeout=1).status_code == 200
    except requests.RequestException:
        return False


def main() -> None:
    """Print the figures as JSON."""
    json.dump(measure(), sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
