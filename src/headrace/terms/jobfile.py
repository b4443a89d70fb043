"""Job files and node files: what people write, in tokens, minutes and names, as terms and offers.

Both are YAML, or JSON if the name ends in .json. Amounts are in whole tokens, durations like `10m`,
shares like `50%`, GPUs by their name in the catalogue, regions by the names of `terms.regions`.
Every complaint is a JobFileError that names the file, the line and the field. Examples are in the
docstrings of `read_job` and `read_node`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from headrace.terms.filetext import JobFileError, Section, read_section
from headrace.terms.money import share
from headrace.terms.regions import REGIONS
from headrace.terms.words import (
    ZERO_ADDRESS,
    Ask,
    FaultProofSettings,
    Node,
    Requirement,
    Terms,
    verifier_terms,
)

__all__ = ["Catalogue", "JobFile", "JobFileError", "NodeFile", "Offer", "read_job", "read_node"]

_MAX_LIFE = 30 * 86_400
_EXACT = "exact"
# A lock covers the damages with 15 % of it, so damages of 45 % of the cap lock three times the cap:
# a provider that is its own keeper earns price and tip, and the verifier's floor covers only the
# price.
_DAMAGES_BPS = 4_500
_ATTESTED = 1
_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_REGIONS = {name: index for index, name in enumerate(REGIONS)}


@dataclass(frozen=True, slots=True)
class Gpu:
    """A model of the Registry's catalogue: its index and the memory of one GPU in GiB."""

    model: int
    vram_gib: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """
    What the names in a file mean on this chain: the token's decimals, and the GPU models by name.
    """

    decimals: int
    gpus: Mapping[str, Gpu]

    @property
    def models(self) -> dict[str, int]:
        """Index of each GPU model by its name."""
        return {name: gpu.model for name, gpu in self.gpus.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFile:
    """
    A job as its file describes it: amounts in base units, durations in seconds. `model` and
    `inputs` are as written (ids or names that the caller resolves); `units` and `input_bytes` are
    None where the file leaves them to the input.
    """

    model: str
    inputs: tuple[str, ...]
    units: int | None
    input_bytes: int | None
    settings: FaultProofSettings
    requirement: Requirement
    price_start: int
    price_cap: int
    damage_cap: int
    tip_fixed: int
    tip_max: int
    tip_share_bps: int
    no_show_bps: int
    max_attempts: int
    starts_in: int
    ramp_seconds: int
    deadline: int
    ack_seconds: int
    attempt_seconds: int

    def terms(
        self,
        *,
        requester: str,
        verifier: str,
        program: bytes,
        input_id: bytes,
        units: int,
        input_bytes: int,
        now: int,
        epoch: int,
        salt: int,
    ) -> Terms:
        """
        The terms of this job from `now` on. What the file itself says of `units` and `input_bytes`
        goes before the arguments. ValueError, naming the field, if something doesn't fit.
        """
        return Terms(
            requester=requester,
            verifier=verifier,
            settings=self.settings.pack(),
            requirement=self.requirement.pack(),
            program=program,
            input_id=input_id,
            price_start=self.price_start,
            price_cap=self.price_cap,
            damage_cap=self.damage_cap,
            tip_fixed=self.tip_fixed,
            tip_max=self.tip_max,
            tip_share_bps=self.tip_share_bps,
            no_show_bps=self.no_show_bps,
            max_attempts=self.max_attempts,
            valid_from=now + self.starts_in,
            ramp_seconds=self.ramp_seconds,
            final_deadline=now + self.deadline,
            ack_seconds=self.ack_seconds,
            attempt_seconds=self.attempt_seconds,
            units=units if self.units is None else self.units,
            input_bytes=input_bytes if self.input_bytes is None else self.input_bytes,
            epoch=epoch,
            salt=salt,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """
    What a node offers, in base units and seconds. `models` are as written; `valid` is its life.
    """

    models: tuple[str, ...]
    settings: FaultProofSettings
    price_base: int
    price_per_unit: int
    max_lock: int
    max_units: int
    max_input_bytes: int
    min_attempt_seconds: int
    min_ack_seconds: int
    max_delay: int
    valid: int
    lane: int
    counterparty: str

    def ask(
        self,
        *,
        provider: str,
        node: int,
        verifier: str,
        code_hash: bytes,
        programs: bytes,
        now: int,
        epoch: int,
        salt: int,
    ) -> Ask:
        """
        The ask that this offer makes from `now` on. `programs` is the allow-list's root
        (`words.programs_root`), `code_hash` that of the verifier's code. ValueError, naming the
        field, if something doesn't fit.
        """
        return Ask(
            provider=provider,
            node=node,
            lane=self.lane,
            epoch=epoch,
            expiry=now + self.valid,
            price_base=self.price_base,
            price_per_unit=self.price_per_unit,
            max_lock=self.max_lock,
            max_units=self.max_units,
            max_input_bytes=self.max_input_bytes,
            min_attempt_seconds=self.min_attempt_seconds,
            min_ack_seconds=self.min_ack_seconds,
            max_delay=self.max_delay,
            programs=programs,
            verifier_terms=verifier_terms(verifier, code_hash, self.settings.pack()),
            salt=salt,
            counterparty=self.counterparty,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFile:
    """
    A node as its file describes it, and what it offers. `provider` is whose it is (None: the
    account that runs it), `operator` the name of the keyfile that runs it (None: the one that the
    settings name), `index` its place among the provider's nodes. `model_lines` says where each of
    the offer's models stands in the file.
    """

    node: Node
    offer: Offer
    provider: str | None = None
    operator: str | None = None
    index: int = 0
    model_lines: tuple[int, ...] = ()


def read_job(text: str, source: str, catalogue: Catalogue) -> JobFile:
    """
    The job in a file's `text`; `source` is its name. Only `model`, `input` and `price.cap` are
    required:

        model: digits              # a program's id, or a name that the caller knows
        input: 0x...               # an input's id, or a name; a list makes a batch
        units: 25                  # rows; default: what the input has
        policy: exact
        check: {window: 15m, reply: 5m, follow: 5m}
        price: {start: 2, cap: 8.5, ramp: 5m}
        damages: 3.8               # default: 45% of the cap, so that three times the cap is locked
        tip: {fixed: 0.02, share: 10%, max: 0.5}
        no_show: 50%
        attempts: 3
        time: {start: 0s, deadline: 1h, attempt: 10m, acknowledge: 1m}
        needs:
          gpu: [RTX 4090, A100 80GB]
          region: [eu-west, eu-north]
          vram: 24                 # GiB of one GPU
          gpus: 1
          latency: 2               # worst class
          attested: true
          benchmark: 500
          completions: 10
          faults: 2%               # most, by weight
          record: 1.5              # least good weight, in tokens sunk
    """
    top = read_section(text, source)
    decimals = catalogue.decimals
    price = top.section("price")
    cap = price.amount("cap", decimals)
    start = price.amount("start", decimals, cap // 4)
    ramp_seconds = price.duration("ramp", 300, least=1)
    if cap == 0:
        raise price.error("cap", "must be more than zero")
    if start > cap:
        raise price.error("start", "is above price.cap")
    price.done()

    tip = top.section("tip")
    fixed = tip.amount("fixed", decimals, 2 * 10**decimals // 100)
    tip_share_bps = tip.percent("share", 1_000)
    tip_max = tip.amount("max", decimals, min(fixed + share(cap, 500), 2**80 - 1))
    if fixed > tip_max:
        raise tip.error("fixed", "is above tip.max")
    if fixed > cap:
        raise tip.error("fixed", "is above price.cap: nobody could be paid")
    tip.done()

    time = top.section("time")
    starts_in = time.duration("start", 0, most=_MAX_LIFE)
    deadline = time.duration("deadline", starts_in + 3_600, least=1, most=_MAX_LIFE)
    attempt_seconds = time.duration("attempt", 600, least=1)
    ack_seconds = time.duration("acknowledge", min(60, attempt_seconds))
    if starts_in > deadline:
        raise time.error("start", "is after time.deadline")
    if ack_seconds > attempt_seconds:
        raise time.error("acknowledge", "is longer than time.attempt")
    time.done()

    units = top.whole("units", 0, least=1)
    input_bytes = top.size("input_bytes", 0) if "input_bytes" in top else None
    job = JobFile(
        model=top.text("model"),
        inputs=tuple(top.texts("input")),
        units=units or None,
        input_bytes=input_bytes,
        settings=_settings(top),
        requirement=_requirement(top.section("needs"), catalogue),
        price_start=start,
        price_cap=cap,
        damage_cap=top.amount("damages", decimals, share(cap, _DAMAGES_BPS)),
        tip_fixed=fixed,
        tip_max=tip_max,
        tip_share_bps=tip_share_bps,
        no_show_bps=top.percent("no_show", 5_000, least=1_000, most=5_000),
        max_attempts=top.whole("attempts", 3, least=1, most=4),
        starts_in=starts_in,
        ramp_seconds=ramp_seconds,
        deadline=deadline,
        ack_seconds=ack_seconds,
        attempt_seconds=attempt_seconds,
    )
    top.done()
    return job


def read_node(text: str, source: str, catalogue: Catalogue) -> NodeFile:
    """
    The node in a file's `text`; `source` is its name. Required are `gpu`, `region`, `offer.models`
    and `offer.max_lock`:

        provider: 0x...            # whose node it is; default: the account that runs it
        operator: worker           # the keyfile that runs it; default: the settings' account
        index: 0                   # its place among the provider's nodes, at most 7
        gpu: RTX 4090
        gpus: 1
        vram: 24                   # GiB of one GPU; default: the catalogue's
        region: eu-west
        capacity: 2                # jobs at once, at most 63
        latency: 1                 # class, 1 is best
        attested: false
        benchmark: 800
        offer:
          models: [digits]         # programs' ids, or names that the caller knows
          base: 0.5
          per_unit: 0.1
          max_lock: 60
          max_units: 1000
          max_input: 64 KiB
          min_attempt: 1m
          min_acknowledge: 10s
          max_delay: 1h
          valid: 7d
          lane: 0
          policy: exact
          check: {window: 15m, reply: 5m, follow: 5m}
          only_for: 0x...          # one requester or one keeper; default: anyone
    """
    top = read_section(text, source)
    gpu = catalogue.gpus[_exact_name(top, catalogue)]
    node = Node(
        gpu_model=gpu.model,
        vram_gib=top.whole("vram", gpu.vram_gib, least=1, most=2**16 - 1),
        gpu_count=top.whole("gpus", 1, least=1, most=255),
        region=top.choice("region", _REGIONS),
        capacity=top.whole("capacity", 1, least=1, most=Node.MAX_CAPACITY),
        latency_class=top.whole("latency", 1, least=1, most=255),
        flags=_ATTESTED if top.flag("attested", False) else 0,
        benchmark=top.whole("benchmark", 0),
    )
    section = top.section("offer")
    decimals = catalogue.decimals
    offer = Offer(
        models=tuple(section.texts("models")),
        settings=_settings(section),
        price_base=section.amount("base", decimals, 0),
        price_per_unit=section.amount("per_unit", decimals, 0),
        max_lock=section.amount("max_lock", decimals),
        max_units=section.whole("max_units", 1_000, least=1),
        max_input_bytes=section.size("max_input", 1 << 20),
        min_attempt_seconds=section.duration("min_attempt", 60),
        min_ack_seconds=section.duration("min_acknowledge", 10),
        max_delay=section.duration("max_delay", 3_600),
        valid=section.duration("valid", 7 * 86_400, least=1, most=_MAX_LIFE),
        lane=section.whole("lane", 0, most=15),
        counterparty=section.address("only_for", ZERO_ADDRESS),
    )
    if offer.price_base == 0 and offer.price_per_unit == 0:
        raise section.error("base", "and per_unit are both zero: the offer has no price")
    model_lines = tuple(section.lines("models"))
    section.done()
    operator = top.text("operator") if "operator" in top else None
    if operator is not None and not _ACCOUNT.fullmatch(operator):
        raise top.error("operator", f"expected the name of a keyfile, got {operator!r}")
    file = NodeFile(
        node=node,
        offer=offer,
        provider=top.address("provider") if "provider" in top else None,
        operator=operator,
        index=top.whole("index", 0, most=7),
        model_lines=model_lines,
    )
    top.done()
    return file


def _exact_name(top: Section, catalogue: Catalogue) -> str:
    model = top.choice("gpu", catalogue.models)
    return next(name for name, gpu in catalogue.gpus.items() if gpu.model == model)


def _settings(section: Section) -> FaultProofSettings:
    if section.text("policy", _EXACT) != _EXACT:
        raise section.error("policy", f"only {_EXACT} is known")
    check = section.section("check")
    settings = FaultProofSettings(
        window=check.duration("window", 900, least=1),
        reply=check.duration("reply", 300, least=1, most=2**24 - 1),
        follow=check.duration("follow", 300, least=1, most=2**24 - 1),
    )
    check.done()
    return settings


def _requirement(needs: Section, catalogue: Catalogue) -> Requirement:
    weight = needs.amount("record", catalogue.decimals, 0)
    # Asked for in units of 2**16, rounded up: never less than was written.
    min_weight = -(-weight >> 16)
    if min_weight >= 1 << 24:
        raise needs.error("record", "is more than any record can weigh")
    requirement = Requirement(
        gpu_mask=needs.mask("gpu", catalogue.models, 96),
        region_mask=needs.mask("region", _REGIONS, 32),
        min_vram_gib=needs.whole("vram", 0, most=2**16 - 1),
        min_gpu_count=needs.whole("gpus", 0, most=255),
        max_latency_class=needs.whole("latency", 0, most=255),
        flags=_ATTESTED if needs.flag("attested", False) else 0,
        min_benchmark=needs.whole("benchmark", 0),
        min_completions=needs.whole("completions", 0, most=2**16 - 1),
        max_fault_bps=needs.percent("faults", 0),
        min_weight=min_weight,
    )
    needs.done()
    return requirement
