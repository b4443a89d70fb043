"""How long it takes from an event to the transaction that answers it, out of a real keeper's hands.

    python -m scripts.bench.sending

A keeper process polls a local chain every 250 ms. Each job that is posted fits an ask on its board;
what is timed is from the moment at which the post is in a block until the node has the match.
"""

import json
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import quantiles

from eth_account import Account as Signer

from headrace.market.book import LiveAsk
from headrace.market.postings import ask_posting
from headrace.terms import eip712
from headrace.terms.words import Ask, Node, Terms, verifier_terms
from tests.flows.town import UNIT, Town, a_town
from tests.harness import Account

JOBS = 40
_KEEPER = 9_000
_PROVIDER, _REQUESTER = 5, 1
_PATIENCE = 30.0


def measure() -> dict[str, float]:
    """`event_to_send_p50_ms` and `event_to_send_p95_ms`, milliseconds at 250 ms polling."""
    with (
        tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder,
        a_town(Path(folder)) as town,
    ):
        delays = _delays(town)
    cuts = quantiles(delays, n=100)
    return {
        "event_to_send_p50_ms": round(1_000 * cuts[49], 1),
        "event_to_send_p95_ms": round(1_000 * cuts[94], 1),
    }


def _delays(town: Town) -> list[float]:
    town.fund(town.people[_REQUESTER], 2_000 * UNIT, 1)
    _offer(town)
    home, address = town.home("keeper", _KEEPER)
    keeper = town._daemon("keeper", home, ["headrace.keeper"], None)
    keeper.environment["HEADRACE_POLL_SECONDS"] = "0.25"
    keeper.start()
    town.until(lambda: keeper.said("open"))
    dice = random.Random(1)  # noqa: S311 - luck that can be repeated
    delays = []
    for number in range(1, JOBS + 2):
        # Anywhere between two looks of the keeper.
        time.sleep(dice.uniform(0.3, 0.55))
        before = town.rpc.nonce(address, "pending")
        town.send(town.people[_REQUESTER], town.escrow.post_job(job_terms(town, number)))
        begun = time.monotonic()
        while town.rpc.nonce(address, "pending") == before:
            if time.monotonic() - begun > _PATIENCE:
                raise RuntimeError("the keeper doesn't match:\n" + town.logs())
            time.sleep(0.002)
        delays.append(time.monotonic() - begun)
    # The first one finds a keeper that is still warming up.
    return delays[1:]


def _offer(town: Town) -> None:
    """A provider with many places, whose ask is on the board."""
    provider = town.people[_PROVIDER]
    town.fund(provider, 2_000 * UNIT, 3)
    spec = Node(gpu_model=1, vram_gib=24, gpu_count=1, region=0, capacity=63, latency_class=1)
    town.send(provider, town.registry.register(provider, provider, 5 * UNIT, spec))
    code_hash = town.deployment.contracts["FaultProof"].code_hash
    ask = Ask(
        provider=provider,
        node=0,
        lane=0,
        epoch=0,
        expiry=town.now + 3_600,
        price_base=2 * UNIT,
        price_per_unit=0,
        max_lock=50 * UNIT,
        max_units=100,
        max_input_bytes=10_000,
        min_attempt_seconds=1,
        min_ack_seconds=1,
        max_delay=3_600,
        programs=town.model.program,
        verifier_terms=verifier_terms(town.fault_proof.address, code_hash, town.settings.pack()),
        salt=1,
    )
    digest = eip712.ask_hash(ask, town.token.address, town.domain)
    live = LiveAsk(
        ask_hash=digest,
        ask=ask,
        signature=eip712.sign(digest, Signer.from_key(Account("", _PROVIDER).key)),
        signer=provider,
        programs=(town.model.program,),
    )
    town.board.post("ask", digest, ask_posting(live))


def job_terms(town: Town, number: int) -> Terms:
    """A job that the ask fits at once."""
    now = town.now
    return Terms(
        requester=town.people[_REQUESTER],
        verifier=town.fault_proof.address,
        settings=town.settings.pack(),
        requirement=0,
        program=town.model.program,
        input_id=number.to_bytes(32),
        price_start=4 * UNIT,
        price_cap=4 * UNIT,
        damage_cap=0,
        tip_fixed=0,
        tip_max=0,
        tip_share_bps=0,
        no_show_bps=5_000,
        max_attempts=1,
        valid_from=now,
        ramp_seconds=1,
        final_deadline=now + 3_600,
        ack_seconds=9,
        attempt_seconds=3_000,
        units=4,
        input_bytes=1_000,
        epoch=0,
        salt=number,
    )


def main() -> None:
    """Print the figures as JSON."""
    json.dump(measure(), sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
