"""What a keeper asks of its node at each new block, on a real chain, as the market grows.

    python -m scripts.bench.state_reading

The asks are of a provider each, and for every ask there is a signed job of a requester of its own:
a pair of them names a provider, a node, two accounts, an epoch and a job, seven words that have to
be known at every block. Nobody is on record (a read of nobody costs what any other one costs), and
nothing happens but that blocks are mined: what is asked then is asked because time has passed. The
picture is what is timed, not the plan that is made of it; and apart from it the second reading,
which comes after what is due was sent.
"""

import json
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from eth_account import Account as Signer

from headrace.chain.accounts import Key
from headrace.daemon.context import Context
from headrace.daemon.loop import Stop
from headrace.daemon.opening import open_context
from headrace.keeper.offers import Offers
from headrace.keeper.reading import Reader
from headrace.market.book import LiveAsk
from headrace.market.postings import ask_posting, bid_posting
from headrace.ops.observer import Observer
from headrace.settings import Settings
from headrace.terms import eip712
from headrace.terms.words import Ask, verifier_terms
from scripts.bench.sending import job_terms
from tests.flows.town import PASSPHRASE, UNIT, Town, a_town

SIZES = (10, 100, 1_000)
# New blocks in which each size is measured.
BLOCKS = 24
_KEEPER = 9_000


def measure() -> dict[str, float]:
    """
    `read_calls_<n>`, what is asked of the contracts on average for the picture of a new block with
    n asks and n signed jobs, `read_ms_<n>`, the median of what it takes, in milliseconds, and
    `read_first_calls_<n>` and `read_first_ms_<n>`, what the first one takes, which knows nothing;
    `read_again_calls_<n>` is what the second reading asks at a block.
    """
    figures: dict[str, float] = {}
    with (
        tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder,
        a_town(Path(folder)) as town,
    ):
        done = 0
        for size in SIZES:
            for number in range(done, size):
                _post(town, number)
            done = size
            figures |= _read(town, Path(folder) / f"home-{size}", size)
    return figures


def _read(town: Town, home: Path, size: int) -> dict[str, float]:
    observer = Observer()
    settings = Settings(
        home=home,
        rpc_url=town.anvil.url,  # type: ignore[arg-type]
        manifest=town.manifest,
        board=town.board.path,
        passphrase=PASSPHRASE,  # type: ignore[arg-type]
    )
    context = open_context(
        "keeper", settings, Stop(), key=Key.of(_KEEPER.to_bytes(32)), observer=observer
    )
    try:
        offers = Offers(context.board, context.token.address, context.domain)
        reader = Reader(context, offers)
        begun = _calls(observer)
        first = _picture(context, offers, reader)
        first_calls = _calls(observer) - begun
        calls, again, times = 0.0, 0.0, []
        for _ in range(BLOCKS):
            town.rpc.call("evm_mine")
            before = _calls(observer)
            times.append(_picture(context, offers, reader))
            between = _calls(observer)
            if not reader.check():
                raise RuntimeError("what is known is wrong")
            calls, again = calls + between - before, again + _calls(observer) - between
        return {
            f"read_calls_{size}": round(calls / BLOCKS, 1),
            f"read_ms_{size}": round(1_000 * statistics.median(times), 2),
            f"read_first_calls_{size}": first_calls,
            f"read_first_ms_{size}": round(1_000 * first, 1),
            f"read_again_calls_{size}": round(again / BLOCKS, 1),
        }
    finally:
        context.close()


def _picture(context: Context, offers: Offers, reader: Reader) -> float:
    """How many seconds it takes to take one."""
    view = context.look()
    offers.refresh(view.now)
    begun = time.perf_counter()
    state = reader.read(view)
    taken = time.perf_counter() - begun
    if len(state.book) != len(offers.bids):
        raise RuntimeError("the picture lacks jobs")
    return taken


def _calls(observer: Observer) -> float:
    """How often a contract has been asked so far."""
    return sum(
        sample.value
        for metric in observer.metrics.rpc_requests.collect()
        for sample in metric.samples
        if sample.labels.get("method") == "eth_call"
    )


def _post(town: Town, number: int) -> None:
    """One more ask and one more signed job, of people of their own, onto the board."""
    provider, requester = (
        Signer.from_key((start + number).to_bytes(32)) for start in (10**6, 10**7)
    )
    now, settings = town.now, town.settings.pack()
    code_hash = town.deployment.contracts["FaultProof"].code_hash
    ask = Ask(
        provider=provider.address,
        node=0,
        lane=0,
        epoch=0,
        expiry=now + 86_400,
        price_base=2 * UNIT,
        price_per_unit=0,
        max_lock=50 * UNIT,
        max_units=100,
        max_input_bytes=10_000,
        min_attempt_seconds=1,
        min_ack_seconds=1,
        max_delay=3_600,
        programs=town.model.program,
        verifier_terms=verifier_terms(town.fault_proof.address, code_hash, settings),
        salt=1,
    )
    digest = eip712.ask_hash(ask, town.token.address, town.domain)
    live = LiveAsk(
        ask_hash=digest,
        ask=ask,
        signature=eip712.sign(digest, provider),
        signer=provider.address,
        programs=(town.model.program,),
    )
    town.board.post("ask", digest, ask_posting(live))
    fresh = job_terms(town, number)
    terms = replace(fresh, requester=requester.address, final_deadline=now + 86_400)
    digest = eip712.job_id(terms, town.domain)
    town.board.post("bid", digest, bid_posting(terms, eip712.sign(digest, requester)))


def main() -> None:
    """Print the figures as JSON."""
    json.dump(measure(), sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
