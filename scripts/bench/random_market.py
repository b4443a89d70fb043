"""Random markets from a seed: what a keeper of a large network would see at one moment.

Programs are popular to different degrees, GPUs with more memory cost more, and jobs ask for models,
regions and memory. A requester has a program and a profile of what it asks for, and about a hundred
jobs open, each of another size. Nothing here is drawn from the clock.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from eth_utils.crypto import keccak

from headrace.market.book import Book, LiveAsk, OpenJob
from headrace.market.snapshot import NodeState, ProviderState, Snapshot, VerifierState
from headrace.terms.exact import ExactBounds, ExactModel, exact_quote
from headrace.terms.money import FAULT_PROOF_LOCK, CheckPrice, Policy
from headrace.terms.requirement import ACTIVE, ProviderRecord
from headrace.terms.words import (
    Ask,
    FaultProofSettings,
    Node,
    Requirement,
    Terms,
    checked_address,
    programs_root,
    verifier_terms,
)

NOW = 1_900_000_000
UNIT = 10**6
SETTINGS = FaultProofSettings(window=600, reply=120, follow=60).pack()
CODE_HASH = keccak(text="code")
# Memory in GiB of each GPU model; a model's price goes with it.
_MEMORY = [8, 8, 10, 12, 12, 16, 16, 24, 24, 24, 24, 32, 40, 48, 48, 80, 80, 80, 96, 141]
_REGIONS = 12
_BOUNDS = ExactBounds(min_window=60, max_window=86_400, min_reply=30, max_reply=86_400)
_MODEL = ExactModel(row_bytes=64, max_units=1_024)


def _address(number: int) -> str:
    return checked_address("address", f"0x{number:040x}")


KEEPER, VERIFIER = _address(1), _address(2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """
    How large a market is. `capacity` is the most places of a node, drawn from one upwards;
    `programs` how many there are, of which an ask lists up to `listed`. A requester has
    `open_jobs`.
    """

    jobs: int
    asks: int
    capacity: int = 20
    programs: int = 40
    listed: int = 6
    open_jobs: int = 100


def quote(terms: Terms, price: int) -> CheckPrice | None:
    """What FaultProof would answer."""
    return exact_quote(terms.settings, terms.units, price, _MODEL, _BOUNDS)


def market(size: Size, seed: int) -> tuple[Book, Snapshot]:
    """A book and the snapshot to it."""
    asks, snapshot, jobs = drawn(size, seed)
    return Book((OpenJob(job_id=job_id, terms=terms) for job_id, terms in jobs), asks), snapshot


def drawn(size: Size, seed: int) -> tuple[list[LiveAsk], Snapshot, Iterator[tuple[bytes, Terms]]]:
    """
    The asks, the snapshot, and the jobs by id, which are posted and drawn one by one. Every
    provider has money enough for all of its places.
    """
    draw = random.Random(seed)  # noqa: S311 - a market, no secret
    programs = [keccak(text=f"program {number}") for number in range(size.programs)]
    weights = [1 / (1 + number) for number in range(size.programs)]
    asks = []
    providers = {}
    free = {}
    for number in range(size.asks):
        provider = _address(0x1000_0000 + number)
        model = draw.randrange(len(_MEMORY))
        node = Node(
            gpu_model=model,
            vram_gib=_MEMORY[model],
            gpu_count=draw.choice([1, 1, 1, 2, 4, 8]),
            region=draw.randrange(_REGIONS),
            capacity=draw.randint(1, size.capacity),
            latency_class=draw.randint(1, 4),
            benchmark=_MEMORY[model] * draw.randint(80, 120),
        )
        providers[provider] = ProviderState(
            record=ProviderRecord(
                status=ACTIVE,
                is_available=True,
                last_seen=NOW,
                heartbeat_ttl=86_400,
                active=0,
                completions=draw.randrange(500),
                good_weight=draw.randrange(1 << 34),
                bad_weight=draw.randrange(1 << 26),
            ),
            operator=provider,
            epoch=0,
            revoked_lanes=0,
            nodes={0: NodeState(word=node.pack(), active=0)},
        )
        free[provider] = 10**15
        listed = tuple(sorted(set(draw.choices(programs, weights, k=draw.randint(1, size.listed)))))
        asks.append(_ask(provider, node, listed, draw))
    profiles = [
        (_address(0x2000_0000 + number), draw.choices(programs, weights)[0], _requirement(draw))
        for number in range(-(-size.jobs // size.open_jobs))
    ]
    jobs = (
        (keccak(number.to_bytes(32)), _terms(*draw.choice(profiles), draw, number))
        for number in range(size.jobs)
    )
    snapshot = Snapshot(
        now=NOW,
        keeper=KEEPER,
        providers=providers,
        verifiers={
            VERIFIER: VerifierState(
                policy=Policy(is_enabled=True, charge_bps=50, keeper_fee=UNIT // 100),
                code_hash=CODE_HASH,
                quote=quote,
                lock_per_price=FAULT_PROOF_LOCK,
                is_delay_fixed=True,
            )
        },
        free=free,
        bid_epochs={},
        attempt_max=86_400,
        delay_max=86_400,
    )
    return asks, snapshot, jobs


def _ask(provider: str, node: Node, listed: tuple[bytes, ...], draw: random.Random) -> LiveAsk:
    dear = _MEMORY[node.gpu_model] * draw.uniform(0.6, 1.6)
    ask = Ask(
        provider=provider,
        node=0,
        lane=0,
        epoch=0,
        expiry=NOW + draw.randint(3_600, 86_400),
        price_base=int(dear * draw.uniform(500, 3_000)),
        price_per_unit=int(dear * draw.uniform(100, 300)),
        max_lock=10**15,
        max_units=draw.choice([128, 256, 1_024]),
        max_input_bytes=draw.choice([1 << 16, 1 << 20]),
        min_attempt_seconds=draw.choice([60, 120, 300]),
        min_ack_seconds=draw.choice([5, 10, 30]),
        max_delay=86_400,
        programs=programs_root(listed),
        verifier_terms=verifier_terms(VERIFIER, CODE_HASH, SETTINGS),
        salt=draw.getrandbits(64),
    )
    return LiveAsk(
        ask_hash=keccak(repr((ask.provider, ask.salt)).encode()),
        ask=ask,
        signature=bytes(65),
        signer=provider,
        programs=listed,
    )


def _requirement(draw: random.Random) -> Requirement:
    models = draw.choice([0, 0, 1, 3, 8])
    regions = draw.choice([0, 0, 1, 3, 6])
    return Requirement(
        gpu_mask=sum(1 << m for m in draw.sample(range(len(_MEMORY)), models)),
        region_mask=sum(1 << r for r in draw.sample(range(_REGIONS), regions)),
        min_vram_gib=0 if models else draw.choice([0, 0, 8, 16, 24, 48, 80]),
        max_latency_class=draw.choice([0, 0, 0, 2, 3]),
        min_completions=draw.choice([0, 0, 0, 10, 100]),
    )


def _terms(
    requester: str, program: bytes, requirement: Requirement, draw: random.Random, salt: int
) -> Terms:
    units = draw.randint(1, 128)
    return Terms(
        requester=requester,
        verifier=VERIFIER,
        settings=SETTINGS,
        requirement=requirement.pack(),
        program=program,
        input_id=keccak(salt.to_bytes(32)),
        price_start=units * draw.randint(5_000, 40_000),
        price_cap=units * 60_000 + UNIT,
        damage_cap=0,
        tip_fixed=100,
        tip_max=UNIT,
        tip_share_bps=draw.choice([0, 100, 500]),
        no_show_bps=5_000,
        max_attempts=3,
        valid_from=NOW - draw.randint(0, 3_600),
        ramp_seconds=600,
        final_deadline=NOW + 7_200,
        ack_seconds=60,
        attempt_seconds=600,
        units=units,
        input_bytes=units * 64,
        epoch=0,
        salt=salt,
    )
