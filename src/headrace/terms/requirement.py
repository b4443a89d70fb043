"""Why a node does or doesn't do for a job: the rule that a match enforces, bit for bit.

`unmet_bits` answers what `ProviderRegistry.unmet` answers at the same moment, so that an agent
filters by the rule the contract will apply (contracts/modules/requirements.vy).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from headrace.terms.words import Node, Requirement

# Value of `Provider.status` on chain for one that can be matched.
ACTIVE = 1

NOT_ACTIVE = 1 << 0
UNAVAILABLE = 1 << 1
STALE = 1 << 2
NO_NODE = 1 << 3
GPU_MODEL = 1 << 4
GPU_COUNT = 1 << 5
VRAM = 1 << 6
REGION = 1 << 7
LATENCY = 1 << 8
ATTESTATION = 1 << 9
BENCHMARK = 1 << 10
COMPLETIONS = 1 << 11
FAULT_RATE = 1 << 12
WEIGHT = 1 << 13
CAPACITY = 1 << 14

_BPS = 10_000
_WEIGHT_UNIT_BITS = 16

# Bit index => its name, for the whole of the requester's side. Bits 16 and up are not of a node and
# its record: JobEscrow finds them in the terms, the ask and the money.
REQUESTER_BITS: Mapping[int, str] = MappingProxyType(
    {
        0: "not_active",
        1: "unavailable",
        2: "stale",
        3: "no_node",
        4: "gpu_model",
        5: "gpu_count",
        6: "vram",
        7: "region",
        8: "latency",
        9: "attestation",
        10: "benchmark",
        11: "completions",
        12: "fault_rate",
        13: "weight",
        14: "capacity",
        16: "too_early",
        17: "too_late",
        18: "price",
        19: "excluded",
        20: "verifier_stopped",
        21: "not_open",
        22: "funds",
    }
)
# The same for the provider's side; the Registry's `ask_unmet` answers the first three.
PROVIDER_BITS: Mapping[int, str] = MappingProxyType(
    {
        0: "signer",
        1: "epoch",
        2: "lane",
        3: "expired",
        4: "program",
        5: "units",
        6: "input_bytes",
        7: "ack_seconds",
        8: "verifier",
        9: "lock",
        10: "delay",
        11: "counterparty",
        12: "stake",
        13: "attempt_seconds",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRecord:
    """
    What the Registry has of a provider, as far as a match asks for it.

    `status`, `is_available`, `last_seen` (unix seconds), `completions` and the weights (token
    units, decayed to the moment that is asked about) are those of `provider_of`; `active` is the
    number of jobs that run on the node in question (`node_of`'s capacity less `places`), and
    `heartbeat_ttl` the Registry's own, in seconds.
    """

    status: int
    is_available: bool
    last_seen: int
    heartbeat_ttl: int
    active: int
    completions: int = 0
    good_weight: int = 0
    bad_weight: int = 0


def fault_rate_bps(good_weight: int, bad_weight: int) -> int:
    """The share of the bad weight in both, in whole basis points; 0 without a record."""
    total = good_weight + bad_weight
    return bad_weight * _BPS // total if total else 0


def unmet_bits(
    requirement_word: int, node_word: int, record: ProviderRecord, now: int, count: int = 1
) -> int:
    """
    Bits 0 to 14 (see REQUESTER_BITS) of why `count` more jobs can't go to a node at time `now`;
    zero if they can. Both words are as on chain (docs/encoding.md), zero for a node that isn't
    there. ValueError if a word doesn't have its layout.
    """
    wanted = Requirement.unpack(requirement_word)
    node = Node.unpack(node_word)
    failed = {
        NOT_ACTIVE: record.status != ACTIVE,
        UNAVAILABLE: not record.is_available,
        STALE: now > record.last_seen + record.heartbeat_ttl,
        NO_NODE: node.capacity == 0,
        GPU_MODEL: not _passes(wanted.gpu_mask, node.gpu_model),
        GPU_COUNT: node.gpu_count < wanted.min_gpu_count,
        VRAM: node.vram_gib < wanted.min_vram_gib,
        REGION: not _passes(wanted.region_mask, node.region),
        LATENCY: 0 < wanted.max_latency_class < node.latency_class,
        ATTESTATION: wanted.flags & ~node.flags != 0,
        BENCHMARK: node.benchmark < wanted.min_benchmark,
        COMPLETIONS: record.completions < wanted.min_completions,
        FAULT_RATE: 0
        < wanted.max_fault_bps
        < fault_rate_bps(record.good_weight, record.bad_weight),
        WEIGHT: record.good_weight >> _WEIGHT_UNIT_BITS < wanted.min_weight,
        CAPACITY: record.active + count > node.capacity,
    }
    return sum(bit for bit, is_failed in failed.items() if is_failed)


def bit_names(bits: int, table: Mapping[int, str] = REQUESTER_BITS) -> tuple[str, ...]:
    """The names of the bits that are set, lowest first; a bit without a name as `bit_<index>`."""
    indices = (index for index in range(bits.bit_length()) if bits >> index & 1)
    return tuple(table.get(index, f"bit_{index}") for index in indices)


def _passes(mask: int, index: int) -> bool:
    return mask == 0 or mask >> index & 1 == 1
