"""What a snapshot says of every ask, in columns: the figures that a job sets a bound to.

A row is an ask of the book, in the order of their hashes. Whatever doesn't depend on the job is
settled here once: who signed, what is revoked, what has expired, whose provider is away.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headrace.market.book import LiveAsk
from headrace.market.snapshot import NO_NODE, NOBODY, Snapshot
from headrace.terms.requirement import ACTIVE, fault_rate_bps
from headrace.terms.unmet import MAX_LIFE, ask_bits
from headrace.terms.words import Node

# Places in a set, and figures of up to 32 bits.
Integers = npt.NDArray[np.int64] | npt.NDArray[np.int32]
Reals = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

# In which order the reasons of `Columns.dead` are looked for; the first that holds is given.
_DEAD = ("not_active", "unavailable", "stale", "no_node")
_ASK_DEAD = ("signer", "epoch", "lane")
# No bound of a job's is above this, so a larger record says no more.
_MOST_WEIGHT = 1 << 24


@dataclass(frozen=True, slots=True)
class Columns:
    """
    `dead[row]` names what bars the ask from every job now, "" if nothing does. `figures` are by the
    filters' names; `base` and `per_unit` are prices as floats, to sort by. `places[row]` is the row
    of `room` that the ask's node has. `standing[row]` is its place among all asks by its provider's
    record, the best first, for equal prices. `means[row]` is its provider's free balance, and
    `most[row]` the lock that the ask allows, both to compare with, rounded.
    """

    asks: Sequence[LiveAsk]
    dead: Sequence[str]
    figures: dict[str, Integers]
    base: Reals
    per_unit: Reals
    places: Sequence[int]
    room: list[int]
    standing: Integers
    means: Reals
    most: Reals

    @classmethod
    def of(cls, asks: Sequence[LiveAsk], snapshot: Snapshot) -> "Columns":
        """The columns of `asks` as `snapshot` has their makers."""
        places: dict[tuple[str, int], int] = {}
        room: list[int] = []
        dead = []
        rows = []
        standing = []
        of_row: list[int] = []
        nodes: dict[int, Node] = {}
        for ask in asks:
            offer = ask.ask
            provider = snapshot.providers.get(offer.provider, NOBODY)
            state = provider.nodes.get(offer.node, NO_NODE)
            node = nodes.get(state.word)
            if node is None:
                node = nodes[state.word] = Node.unpack(state.word)
            record = provider.record
            place = places.setdefault((offer.provider, offer.node), len(places))
            if place == len(room):
                room.append(max(node.capacity - state.active, 0))
            of_row.append(place)
            dead.append(_bar(ask, snapshot))
            faults = fault_rate_bps(record.good_weight, record.bad_weight)
            standing.append((faults, -record.good_weight, -record.completions, ask.ask_hash))
            rows.append(
                (
                    node.gpu_model,
                    node.gpu_count,
                    node.vram_gib,
                    node.region,
                    node.latency_class,
                    node.flags,
                    node.benchmark,
                    record.completions,
                    faults,
                    min(record.good_weight >> 16, _MOST_WEIGHT),
                    offer.max_units,
                    offer.max_input_bytes,
                    offer.min_ack_seconds,
                    offer.min_attempt_seconds,
                    offer.max_delay,
                )
            )
        names = (
            *("gpu_model", "gpu_count", "vram", "region", "latency", "attestation", "benchmark"),
            *("completions", "fault_rate", "weight"),
            *("units", "input_bytes", "ack_seconds", "attempt_seconds", "delay"),
        )
        table = np.array(rows, dtype=np.int64).reshape(len(rows), len(names))
        order = sorted(range(len(standing)), key=standing.__getitem__)
        ranks = np.empty(len(order), dtype=np.int64)
        ranks[order] = np.arange(len(order))
        return cls(
            asks=asks,
            dead=dead,
            figures={name: _narrow(table[:, i]) for i, name in enumerate(names)},
            base=np.array([float(ask.ask.price_base) for ask in asks]),
            per_unit=np.array([float(ask.ask.price_per_unit) for ask in asks]),
            places=of_row,
            room=room,
            standing=ranks,
            means=np.array([float(snapshot.free.get(ask.ask.provider, 0)) for ask in asks]),
            most=np.array([float(ask.ask.max_lock) for ask in asks]),
        )


def _narrow(figures: npt.NDArray[np.int64]) -> Integers:
    """The same in half the space, if they are small enough."""
    fits = not len(figures) or figures.max() <= np.iinfo(np.int32).max
    return figures.astype(np.int32) if fits else figures.copy()


def _bar(ask: LiveAsk, snapshot: Snapshot) -> str:
    """What bars an ask from every job now; "" if nothing does."""
    offer = ask.ask
    provider = snapshot.providers.get(offer.provider, NOBODY)
    record = provider.record
    node = provider.nodes.get(offer.node, NO_NODE)
    registry = (
        record.status != ACTIVE,
        not record.is_available,
        snapshot.now > record.last_seen + record.heartbeat_ttl,
        node.word >> 200 & 0xFF == 0,
    )
    for name, holds in zip(_DEAD, registry, strict=True):
        if holds:
            return name
    bits = ask_bits(offer, ask.signer, provider.operator, provider.epoch, provider.revoked_lanes)
    for index, name in enumerate(_ASK_DEAD):
        if bits >> index & 1:
            return name
    if not snapshot.now <= offer.expiry <= snapshot.now + MAX_LIFE:
        return "expired"
    return "" if offer.provider in snapshot.free else "stake"
