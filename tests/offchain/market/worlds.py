"""Small markets for the tests: books and snapshots, plain and drawn."""

from dataclasses import dataclass, field, replace
from typing import Any

from eth_utils.crypto import keccak
from hypothesis import strategies as st

from headrace.market.book import Book, LiveAsk, OpenJob
from headrace.market.matching import NodeState, ProviderState, Snapshot, VerifierState
from headrace.terms.money import CheckPrice, Policy
from headrace.terms.requirement import ACTIVE, ProviderRecord
from headrace.terms.words import (
    Exclusion,
    Node,
    Requirement,
    Terms,
    excluded_hash,
    programs_root,
)
from tests.offchain.terms.examples import (
    CODE_HASH,
    KEEPER,
    PROGRAM,
    REQUESTER,
    T0,
    UNIT,
    VERIFIER,
    address,
    make_ask,
    make_terms,
)

NODE = Node(gpu_model=1, vram_gib=24, gpu_count=1, region=0, capacity=2, latency_class=1)
NOW = T0 + 100
MAKERS = [address(0xB0 + i) for i in range(4)]


def check(_terms: Terms, price: int) -> CheckPrice | None:
    """Three times the price, no levy."""
    return CheckPrice(levy=0, lock_min=3 * price, window=600, delay=780)


def make_provider(**changes: Any) -> ProviderState:
    """A provider with node 0, and a blank record."""
    record = {
        "status": ACTIVE,
        "is_available": True,
        "last_seen": T0,
        "heartbeat_ttl": 86_400,
        "active": 0,
    }
    own = {k: changes.pop(k) for k in list(changes) if k in ProviderRecord.__slots__}
    values: dict[str, Any] = {
        "record": ProviderRecord(**(record | own)),
        "operator": address(0x0B),
        "epoch": 0,
        "revoked_lanes": 0,
        "nodes": {0: NodeState(word=NODE.pack(), active=0)},
    }
    return ProviderState(**(values | changes))


@dataclass
class World:
    """A book and a snapshot in the making."""

    book: Book = field(default_factory=Book)
    providers: dict[str, ProviderState] = field(default_factory=dict)
    free: dict[str, int] = field(default_factory=lambda: {REQUESTER: 1_000 * UNIT})
    now: int = NOW

    def job(self, **changes: Any) -> OpenJob:
        """Adds a posted job, or a signed one if `state` is 0."""
        parts = {k: changes.pop(k) for k in ("state", "excluded", "inputs") if k in changes}
        terms = make_terms(**({"damage_cap": 0, "salt": self._next()} | changes))
        job_id = keccak(repr(terms.pack()).encode())
        if parts.get("state") == 0:
            parts["signature"] = b"\x01" * 65
        parts["digest"] = excluded_hash(parts.get("excluded", ()))
        job = OpenJob(job_id=job_id, terms=terms, **parts)
        self.book.add_job(job)
        return job

    def ask(
        self,
        maker: str,
        price: int,
        *,
        programs: tuple[bytes, ...] = (PROGRAM,),
        signer: str | None = None,
        **changes: Any,
    ) -> LiveAsk:
        """
        Adds an offer at a flat price; its maker is registered and funded unless it is already.
        """
        self.providers.setdefault(maker, make_provider())
        self.free.setdefault(maker, 1_000 * UNIT)
        values = {"provider": maker, "price_base": price, "price_per_unit": 0, "salt": self._next()}
        ask = make_ask(**(values | {"programs": programs_root(programs)} | changes))
        live = LiveAsk(
            ask_hash=keccak(repr(ask.pack()).encode()),
            ask=ask,
            signature=b"\x02" * 65,
            signer=signer or maker,
            programs=programs,
        )
        self.book.add_ask(live)
        return live

    @property
    def snapshot(self) -> Snapshot:
        """The chain as it is."""
        return Snapshot(
            now=self.now,
            keeper=KEEPER,
            providers=self.providers,
            verifiers={
                VERIFIER: VerifierState(
                    policy=Policy(is_enabled=True, charge_bps=50, keeper_fee=UNIT // 4),
                    code_hash=CODE_HASH,
                    quote=check,
                )
            },
            free=self.free,
            bid_epochs={},
            attempt_max=86_400,
            delay_max=86_400,
        )

    def _next(self) -> int:
        return len(list(self.book.jobs())) + len(list(self.book.asks())) + 1


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Up to five jobs and six offers that compete for little capacity and little money."""
    world = World(now=T0 + draw(st.integers(0, 200)))
    accounts = [*MAKERS, REQUESTER]
    for maker in MAKERS:
        nodes = {
            index: NodeState(
                word=replace(
                    NODE, gpu_model=draw(st.integers(0, 2)), capacity=draw(st.integers(1, 3))
                ).pack(),
                active=draw(st.integers(0, 1)),
            )
            for index in (0, 1)
        }
        world.providers[maker] = make_provider(
            nodes=nodes,
            is_available=draw(st.integers(0, 7)) > 0,
            good_weight=draw(st.integers(0, 2)) << 16,
            completions=draw(st.integers(0, 1)),
        )
        world.free[maker] = draw(st.integers(0, 60)) * UNIT
    world.free[REQUESTER] = draw(st.integers(0, 30)) * UNIT
    for _ in range(draw(st.integers(1, 5))):
        state = draw(st.integers(0, 1))
        batch = state == 0 and draw(st.booleans())
        world.job(
            state=state,
            requester=draw(st.sampled_from([REQUESTER, REQUESTER, MAKERS[0]])),
            requirement=Requirement(gpu_mask=draw(st.integers(0, 7))).pack(),
            price_start=draw(st.integers(0, 10)) * UNIT,
            price_cap=draw(st.integers(10, 20)) * UNIT,
            tip_fixed=draw(st.integers(0, 3)) * UNIT // 2,
            tip_share_bps=draw(st.integers(0, 10)) * 1_000,
            excluded=tuple(
                Exclusion(
                    provider=draw(st.sampled_from(MAKERS)), held=draw(st.integers(0, 8)) * UNIT
                )
                for _ in range(draw(st.integers(0, 2)) * state // 2)
            ),
            inputs=tuple(bytes([i]) * 32 for i in range(draw(st.integers(1, 3)))) if batch else (),
        )
    for _ in range(draw(st.integers(0, 6))):
        world.ask(
            draw(st.sampled_from(MAKERS)),
            draw(st.integers(1, 12)) * UNIT // 2,
            node=draw(st.integers(0, 2)),
            max_lock=draw(st.sampled_from([100, 12])) * UNIT,
            counterparty=draw(st.sampled_from([address(0), KEEPER, accounts[0]])),
        )
    return world
