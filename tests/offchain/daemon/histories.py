"""Histories of a market in memory: logs as the contracts write them, block after block.

For the folds of the daemons, which can't tell them from a chain's. Whatever is drawn is possible:
a job is matched while it is open, claimed while it is matched, disputed while it is claimed.
"""

import random
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import count
from typing import Any

from eth_abi import encode

from headrace.chain.abi import Log, plain
from headrace.chain.contracts import JobEscrow
from headrace.chain.db import ChainDb
from headrace.chain.follower import Step
from headrace.chain.graph_rules import GraphProof, Node
from headrace.chain.rpc import Header
from headrace.chain.rules import FaultProof
from headrace.terms.words import Record, Terms, claim_id
from tests.offchain.terms.examples import T0, address, make_terms

ESCROW, PROOF, GRAPH = address(0xE5), address(0xFA), address(0x6A)
PROVIDERS = [address(0x100 + number) for number in range(5)]
KEEPERS = [address(0x200 + number) for number in range(3)]
_KINDS: dict[str, Any] = {ESCROW: JobEscrow, PROOF: FaultProof, GRAPH: GraphProof}
_KEEP = 64


@cache
def template() -> tuple[Terms, Record]:
    """What all jobs of a history agree on, and their matches."""
    terms = make_terms()
    record = Record(
        requester=terms.requester,
        price=10**6,
        no_show_bps=terms.no_show_bps,
        provider=PROVIDERS[0],
        lock=10**7,
        node=0,
        max_attempts=3,
        declines=0,
        keeper=KEEPERS[0],
        tip=0,
        charge_bps=50,
        verifier=terms.verifier,
        settings=terms.settings,
        price_cap=terms.price_cap,
        levy=0,
        damage_cap=terms.damage_cap,
        keeper_fee=1,
        matched_at=T0,
        final_deadline=terms.final_deadline,
        ack_seconds=terms.ack_seconds,
        operator=PROVIDERS[0],
        window=100,
    )
    return terms, record


@dataclass(slots=True)
class Life:
    """A job as far as its history has come."""

    id: bytes
    terms: Terms
    state: str = "open"
    number: int = 0
    record: Record | None = None
    owed: list[tuple[str, bytes, int]] = field(default_factory=list)

    @property
    def claim(self) -> bytes:
        """The claim of the attempt that runs."""
        assert self.record is not None
        return claim_id(self.id, self.number, self.record.provider)


class History:
    """Blocks of a market, drawn from a seed, in the tables of a daemon."""

    def __init__(self, db: ChainDb, seed: int = 0, *, keeps_blocks: bool = True) -> None:
        """An empty one, which can go `back` only if it `keeps_blocks`."""
        self._keeps_blocks = keeps_blocks
        self.db = db
        self.draw = random.Random(seed)
        self.lives: dict[bytes, Life] = {}
        self.number = 0
        self._names = count(seed * 10**9 + 1)
        self._logs: list[Log] = []
        self._forks = count()
        self._hash = bytes(32)
        self._saved: dict[int, tuple[bytes, dict[bytes, Life]]] = {0: (self._hash, {})}

    # ---- blocks

    def block(self, moves: int) -> Step:
        """One more block with so many moves in it; what a follower says of it."""
        self.number += 1
        for _ in range(moves):
            self._move()
        return self.seal()

    def seal(self) -> Step:
        """The block with what was logged."""
        parent, self._hash = self._hash, self._block_hash()
        header = Header(self.number, self._hash, parent, T0 + self.number, 0)
        logs = tuple(entry._replace(block_hash=self._hash) for entry in self._logs)
        self._logs = []
        self.db.append([header], logs, keep=_KEEP)
        if self._keeps_blocks:
            lives = {i: replace(life, owed=list(life.owed)) for i, life in self.lives.items()}
            self._saved[self.number] = (self._hash, lives)
        return Step(header, self.number, added=logs)

    def _block_hash(self) -> bytes:
        return self.number.to_bytes(16) + next(self._forks).to_bytes(16)

    def back(self, number: int) -> Step:
        """All above the block `number` is gone."""
        self._hash, lives = self._saved[number]
        self.lives = {i: replace(life, owed=list(life.owed)) for i, life in lives.items()}
        self.number = number
        removed = self.db.rollback(number, self._hash)
        head = Header(number, self._hash, b"", T0 + number, 0)
        return Step(head, number, removed=tuple(removed))

    # ---- logs

    def log(self, where: str, name: str, *values: Any, tx: bytes | None = None) -> None:
        """One log in the block that is under way; `values` as the event's ABI has them."""
        kind = _KINDS[where].abi().events[name]
        topics, kinds, rest = [kind.topic], [], []
        for value, (_, type_, is_indexed) in zip(values, kind.inputs, strict=True):
            if is_indexed:
                topics.append(encode([type_], [value]))
            else:
                kinds.append(type_)
                rest.append(plain(value))
        place = len(self._logs)
        self._logs.append(
            Log(
                block_number=self.number,
                log_index=place,
                block_hash=b"",
                tx_hash=tx or self.number.to_bytes(16) + place.to_bytes(16),
                address=where,
                topics=tuple(topics),
                data=encode(kinds, rest),
                timestamp=T0 + self.number,
            )
        )

    def _record(self) -> Record:
        provider = self.draw.choice(PROVIDERS)
        return replace(
            template()[1],
            provider=provider,
            operator=provider,
            keeper=self.draw.choice(KEEPERS),
            matched_at=T0 + self.number,
        )

    # ---- moves

    def _move(self) -> None:
        new = self.draw.choice([self.post, self.post, self.bid, self.batch, self.revoke])
        if not self.lives or self.draw.random() < 0.25:
            new()
            return
        life = self.lives[self.draw.choice(list(self.lives))]
        if life.owed and self.draw.random() < 0.4:
            where, claim, _ = life.owed.pop()
            self.log(where, "DemandSettled", claim, PROVIDERS[0], 7)
        elif life.state == "open":
            self.draw.choice([self.match, self.match, self.match, self.cancel])(life)
        elif life.state == "matched":
            self.draw.choice([self.claim, self.claim, self.claim, self.decline, self.expire])(life)
        elif life.state == "claimed":
            self.draw.choice([self.final, self.final, self.refute, self.demand, self.ask])(life)

    def _new(self, state: str, record: Record | None = None) -> Life:
        salt = next(self._names)
        life = Life(salt.to_bytes(32), replace(template()[0], salt=salt), state, record=record)
        life.number = int(record is not None)
        self.lives[life.id] = life
        return life

    def post(self) -> Life:
        """A posted job."""
        life = self._new("open")
        self.log(ESCROW, "Posted", life.id, life.terms.requester, life.terms)
        return life

    def bid(self) -> None:
        """A job that was only signed."""
        record = self._record()
        life = self._new("matched", record)
        values = (bytes(32), life.terms, record)
        self.log(ESCROW, "BidMatched", life.id, record.provider, *values)

    def batch(self) -> None:
        """Several jobs of one signature, perhaps a second part of one that has begun before."""
        tx = self.number.to_bytes(16) + (len(self._logs) + 1_000).to_bytes(16)
        batch_id = self.draw.randint(1, 3).to_bytes(16) + bytes(16)
        record = self._record()
        values = (bytes(32), template()[0], record)
        self.log(ESCROW, "BatchMatched", batch_id, record.provider, *values, tx=tx)
        for _ in range(self.draw.randint(1, 3)):
            life = self._new("matched", record)
            self.log(ESCROW, "MemberMatched", life.id, batch_id, b"\x07" * 32, tx=tx)

    def revoke(self) -> None:
        """A signed job is taken back before anybody saw it."""
        job_id = next(self._names).to_bytes(32)
        self.log(ESCROW, "Cancelled", job_id, template()[0].requester)

    def match(self, life: Life) -> None:
        """An attempt begins."""
        life.record, life.state = self._record(), "matched"
        life.number += 1
        self.log(ESCROW, "Matched", life.id, life.record.provider, bytes(32), life.record)

    def claim(self, life: Life) -> None:
        """It is claimed."""
        assert life.record is not None
        life.state = "claimed"
        self.log(ESCROW, "Claimed", life.id, life.record.provider, b"\x0c" * 32)

    def decline(self, life: Life) -> None:
        """It is declined: the job is open again, or over."""
        assert life.record is not None
        is_open = self.draw.random() < 0.6
        life.number -= 1
        life.state = "open" if is_open else "over"
        self.log(ESCROW, "Declined", life.id, life.record.provider, is_open)

    def expire(self, life: Life) -> None:
        """Nobody claims it."""
        assert life.record is not None
        is_open = self._reopens(life)
        values = (KEEPERS[0], 8, 2, 2, 4, is_open)
        self.log(ESCROW, "Expired", life.id, life.record.provider, *values)

    def refute(self, life: Life) -> None:
        """The claim falls."""
        assert life.record is not None
        is_open = self._reopens(life)
        values = (KEEPERS[1], 8, 1, 2, 1, 4, is_open)
        self.log(ESCROW, "Refuted", life.id, life.record.provider, *values)

    def _reopens(self, life: Life) -> bool:
        is_open = self.draw.random() < 0.5
        life.state = "open" if is_open else "over"
        return is_open

    def final(self, life: Life) -> None:
        """The claim stands."""
        assert life.record is not None
        life.state = "over"
        self.log(ESCROW, "Finalised", life.id, life.record.provider, 10**6)

    def cancel(self, life: Life) -> None:
        """Its requester gives it up."""
        life.state = "over"
        self.log(ESCROW, "Cancelled", life.id, life.terms.requester)

    def demand(self, life: Life) -> None:
        """Its trace is demanded, once."""
        claim = life.claim
        if not any(claim == owed for _, owed, _ in life.owed):
            life.owed.append((PROOF, claim, 0))
            self.log(PROOF, "TraceDemanded", claim, KEEPERS[2], T0 + 500)

    def ask(self, life: Life) -> None:
        """One more node of its trace is demanded."""
        place = len(life.owed)
        life.owed.append((GRAPH, life.claim, place))
        node = Node(0, 1, place, 2, 9, 32, bytes(32))
        self.log(GRAPH, "NodeDemanded", life.claim, KEEPERS[2], tuple(node), T0 + 500)
