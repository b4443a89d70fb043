"""The packed words that the contracts exchange, as dataclasses with named fields.

Layouts are those of docs/encoding.md, most significant bits first. Amounts are token base units of
at most 80 bits, times unix seconds of 40 bits, durations seconds of 32 bits. Addresses are
checksummed strings, hashes 32 bytes. `pack` gives what goes into calldata, `unpack` takes what came
out of it; a value that does not fit its field, or a spare bit that is set, is a ValueError that
names the field.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from headrace.terms.packing import PackedStruct, PackedWord, Struct, Word, widths_of
from headrace.terms.packing import checked_address as checked_address
from headrace.terms.packing import checked_hash as checked_hash
from headrace.terms.packing import checked_uint as checked_uint

ZERO_ADDRESS = "0x" + "00" * 20
ZERO_HASH = bytes(32)
DIGEST_BITS = 204
# The longest proof that `match` takes.
MAX_PROOF = 8

_TERMS: Struct = (
    (
        ("requester", 160),
        ("final_deadline", 40),
        ("no_show_bps", 16),
        ("tip_share_bps", 16),
        ("max_attempts", 8),
        ("", 16),
    ),
    (("verifier", 160), ("settings", 96)),
    "requirement",
    "program",
    "input_id",
    (("price_start", 80), ("price_cap", 80), ("damage_cap", 80), ("", 16)),
    (
        ("tip_fixed", 80),
        ("tip_max", 80),
        ("valid_from", 40),
        ("ramp_seconds", 32),
        ("epoch", 24),
    ),
    (
        ("attempt_seconds", 32),
        ("ack_seconds", 32),
        ("units", 32),
        ("input_bytes", 32),
        ("salt", 128),
    ),
)
_ASK: Struct = (
    (("provider", 160), ("expiry", 40), ("epoch", 24), ("lane", 8), ("node", 8), ("", 16)),
    (("price_base", 80), ("price_per_unit", 80), ("max_lock", 80), ("", 16)),
    (
        ("max_units", 32),
        ("max_input_bytes", 32),
        ("min_attempt_seconds", 32),
        ("min_ack_seconds", 32),
        ("max_delay", 32),
        ("salt", 96),
    ),
    "programs",
    "verifier_terms",
    (("counterparty", 160), ("", 96)),
)
_RECORD: Struct = (
    (("requester", 160), ("price", 80), ("no_show_bps", 16)),
    (("provider", 160), ("lock", 80), ("node", 8), ("max_attempts", 4), ("declines", 4)),
    (("keeper", 160), ("tip", 80), ("charge_bps", 16)),
    (("verifier", 160), ("settings", 96)),
    (("price_cap", 80), ("levy", 80), ("damage_cap", 80), ("", 16)),
    (
        ("keeper_fee", 80),
        ("matched_at", 40),
        ("final_deadline", 40),
        ("ack_seconds", 32),
        ("", 64),
    ),
    "excluded",
    (("operator", 160), ("window", 32), ("", 64)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms(PackedStruct):
    """What a requester wants. Its EIP-712 digest (`terms.eip712`) is the job's id."""

    _LAYOUT: ClassVar[Struct] = _TERMS
    _WIDTHS: ClassVar[Mapping[str, int]] = widths_of(_TERMS, {"requirement": 256})

    requester: str
    verifier: str
    settings: int
    requirement: int
    program: bytes
    input_id: bytes
    price_start: int
    price_cap: int
    damage_cap: int
    tip_fixed: int
    tip_max: int
    tip_share_bps: int
    no_show_bps: int
    max_attempts: int
    valid_from: int
    ramp_seconds: int
    final_deadline: int
    ack_seconds: int
    attempt_seconds: int
    units: int
    input_bytes: int
    epoch: int
    salt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask(PackedStruct):
    """
    What a provider offers with one node. A job's price is `price_base + price_per_unit * units`.
    """

    _LAYOUT: ClassVar[Struct] = _ASK
    _WIDTHS: ClassVar[Mapping[str, int]] = widths_of(_ASK)

    provider: str
    node: int
    lane: int
    epoch: int
    expiry: int
    price_base: int
    price_per_unit: int
    max_lock: int
    max_units: int
    max_input_bytes: int
    min_attempt_seconds: int
    min_ack_seconds: int
    max_delay: int
    programs: bytes
    verifier_terms: bytes
    salt: int
    counterparty: str = ZERO_ADDRESS


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(PackedStruct):
    """
    What was agreed at a match. The job's slot holds its hash, so every later move passes it back.
    `operator` has signed the ask and may claim; in the `window`, seconds, a claim can be contested.
    """

    _LAYOUT: ClassVar[Struct] = _RECORD
    _WIDTHS: ClassVar[Mapping[str, int]] = widths_of(_RECORD, {"excluded": DIGEST_BITS})

    requester: str
    price: int
    no_show_bps: int
    provider: str
    lock: int
    node: int
    max_attempts: int
    declines: int
    keeper: str
    tip: int
    charge_bps: int
    verifier: str
    settings: int
    price_cap: int
    levy: int
    damage_cap: int
    keeper_fee: int
    matched_at: int
    final_deadline: int
    ack_seconds: int
    operator: str
    window: int
    excluded: int = 0


_REQUIREMENT: Word = (
    ("gpu_mask", 96),
    ("region_mask", 32),
    ("min_vram_gib", 16),
    ("min_gpu_count", 8),
    ("max_latency_class", 8),
    ("flags", 8),
    ("min_benchmark", 32),
    ("min_completions", 16),
    ("max_fault_bps", 16),
    ("min_weight", 24),
)
_NODE: Word = (
    ("gpu_model", 16),
    ("vram_gib", 16),
    ("gpu_count", 8),
    ("region", 8),
    ("capacity", 8),
    ("latency_class", 8),
    ("flags", 8),
    ("benchmark", 32),
    ("", 152),
)
_EXCLUSION: Word = (("provider", 160), ("", 16), ("held", 80))
_FAULT_PROOF: Word = (("hooks", 8), ("window", 32), ("reply", 24), ("follow", 24), ("", 8))


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement(PackedWord):
    """
    What a job asks of a node and its provider; the default asks nothing. Bit m of a mask lets model
    or region m pass, and a mask of zero all. Zero as `max_latency_class` or `max_fault_bps` is no
    limit; `min_weight` is in units of 2**16 of good weight; flag bit 0 is attestation.
    """

    _WORD: ClassVar[Word] = _REQUIREMENT
    _WIDTHS: ClassVar[Mapping[str, int]] = widths_of([_REQUIREMENT])

    gpu_mask: int = 0
    region_mask: int = 0
    min_vram_gib: int = 0
    min_gpu_count: int = 0
    max_latency_class: int = 0
    flags: int = 0
    min_benchmark: int = 0
    min_completions: int = 0
    max_fault_bps: int = 0
    min_weight: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Node(PackedWord):
    """
    What a node is. `capacity` is how many jobs it runs at once (0: no such node), latency class 1
    is best.
    """

    MAX_CAPACITY: ClassVar[int] = 63
    _WORD: ClassVar[Word] = _NODE
    _WIDTHS: ClassVar[Mapping[str, int]] = widths_of([_NODE])

    gpu_model: int
    vram_gib: int
    gpu_count: int
    region: int
    capacity: int
    latency_class: int
    flags: int = 0
    benchmark: int = 0

    def __post_init__(self) -> None:
        PackedWord.__post_init__(self)
        if self.capacity > self.MAX_CAPACITY:
            raise ValueError(f"capacity: {self.capacity} is above {self.MAX_CAPACITY}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultProofSettings(PackedWord):
    """
    The settings of policy `exact` in 96 bits, all seconds: `window` for the first demand or proof,
    `reply` for the answer to a demand, `follow` for a proof after it. FaultProof wants no hooks.
    """

    _WORD: ClassVar[Word] = _FAULT_PROOF
    _WIDTHS: ClassVar[Mapping[str, int]] = widths_of([_FAULT_PROOF])

    window: int
    reply: int
    follow: int
    hooks: int = 0

    @property
    def delay(self) -> int:
        """D, the bound on a claim's whole delay, in seconds, where one move shows everything."""
        return self.delay_over(1)

    def delay_over(self, levels: int) -> int:
        """D where it takes up to `levels` moves to force a withheld byte out."""
        return self.window + levels * (self.reply + self.follow)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion(PackedWord):
    """
    A provider that a job has excluded because it failed or declined, and what has been `held` of
    the requester's money for the job since then: the total of that attempt.
    """

    _WORD: ClassVar[Word] = _EXCLUSION
    _WIDTHS: ClassVar[Mapping[str, int]] = widths_of([_EXCLUSION])

    provider: str
    held: int


def excluded_hash(excluded: Iterable[Exclusion]) -> int:
    """
    The 204-bit chain hash over a job's exclusions in the order they came; 0 if there are none.
    """
    chained = 0
    for exclusion in excluded:
        chained = _digest(chained.to_bytes(32) + exclusion.pack().to_bytes(32))
    return chained


def record_hash(record: Record) -> int:
    """The 204-bit digest that a MATCHED job's slot holds."""
    return _digest(_encoded(record))


def claim_digest(record: Record, commitment: bytes) -> int:
    """The 204-bit digest that a CLAIMED job's slot holds."""
    return _digest(_encoded(record) + checked_hash("commitment", commitment))


def claim_id(job_id: bytes, attempt: int, provider: str) -> bytes:
    """What a verifier calls a provider's claim in one attempt (from 1) at a job."""
    return keccak(encode(["bytes32", "uint256", "address"], [job_id, attempt, provider]))


def verifier_terms(verifier: str, code_hash: bytes, settings: int) -> bytes:
    """What an ask names a verifier by: its address, its code and the settings it is used with."""
    checked_uint("settings", settings, 96)
    return keccak(
        encode(
            ["address", "bytes32", "uint256"],
            [verifier, checked_hash("code_hash", code_hash), settings],
        )
    )


def programs_root(programs: Iterable[bytes]) -> bytes:
    """
    The root of an ask's allow-list, at most 256 programs: the program itself if it is one. Sorted
    first, so that the root does not depend on the order. ValueError if there is none, one twice, or
    too many.
    """
    return _levels(programs)[-1][0]


def programs_proof(programs: Iterable[bytes], program: bytes) -> list[bytes]:
    """
    The siblings from `program` up to `programs_root(programs)`. ValueError if it is not in the
    list.
    """
    levels = _levels(programs)
    if program not in levels[0]:
        raise ValueError("program: not in the list")
    index = levels[0].index(program)
    proof = []
    for level in levels[:-1]:
        if index ^ 1 < len(level):
            proof.append(level[index ^ 1])
        index >>= 1
    return proof


def runs_program(root: bytes, program: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `proof`, at most 8 siblings, leads from `program` to an ask's allow-list `root`."""
    node = program
    for sibling in proof:
        node = _pair(node, sibling)
    return len(proof) <= MAX_PROOF and node == root


def _levels(programs: Iterable[bytes]) -> list[list[bytes]]:
    leaves = sorted(checked_hash("programs", program) for program in programs)
    if not leaves:
        raise ValueError("programs: the list is empty")
    if len(set(leaves)) != len(leaves):
        raise ValueError("programs: one is listed twice")
    if len(leaves) > 1 << MAX_PROOF:
        raise ValueError(f"programs: {len(leaves)} are more than {1 << MAX_PROOF}")
    levels = [leaves]
    while len(levels[-1]) > 1:
        below = levels[-1]
        # An odd one out moves up as it is.
        pairs = [_pair(*below[i : i + 2]) for i in range(0, len(below) - 1, 2)]
        levels.append(pairs + below[len(pairs) * 2 :])
    return levels


def _pair(one: bytes, other: bytes) -> bytes:
    return keccak(min(one, other) + max(one, other))


def _digest(data: bytes) -> int:
    return int.from_bytes(keccak(data)) >> (256 - DIGEST_BITS)


def _encoded(record: Record) -> bytes:
    return encode(["(" + ",".join(["uint256"] * len(_RECORD)) + ")"], [record.pack()])
