"""Job and node files: what they mean, and what is said about those that can't be used."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import UsageError
from headrace.terms import money
from headrace.terms.filetext import JobFileError, read_section
from headrace.terms.jobfile import Catalogue, Gpu, JobFile, NodeFile, read_job, read_node
from headrace.terms.regions import REGIONS, region_name
from headrace.terms.unmet import check_terms
from headrace.terms.words import (
    ZERO_ADDRESS,
    FaultProofSettings,
    Node,
    Requirement,
    verifier_terms,
)
from tests.offchain.terms.examples import CODE_HASH, PROGRAM, PROVIDER, REQUESTER, T0, VERIFIER

CATALOGUE = Catalogue(
    decimals=6, gpus={"RTX 4090": Gpu(0, 24), "A100 80GB": Gpu(3, 80), "Odd": Gpu(120, 8)}
)
FULL = """\
# digits, ten at a time
model: digits
input: 0xfe
units: 25
input_bytes: 2 KiB
policy: exact
check: {window: 15m, reply: 2m, follow: 90s}
price: {start: 2, cap: 8.500001, ramp: 1h30m}
damages: 1.25
tip: {fixed: 0.02, share: 12.5%, max: 0.5}
no_show: 33.33%
attempts: 4
time: {start: 5m, deadline: 2h, attempt: 10m, acknowledge: 45s}
needs:
  gpu: [rtx 4090, A100 80GB]
  region: [eu-west, uk]
  vram: 24
  gpus: 2
  latency: 3
  attested: true
  benchmark: 500
  completions: 10
  faults: 2%
  record: 1.5
"""
SHORT = "model: digits\ninput: a.bin\nprice: {cap: 8}\n"
NODE = """\
gpu: A100 80GB
gpus: 2
region: eu-north
capacity: 4
latency: 2
attested: yes
benchmark: 900
offer:
  models: [digits, letters]
  base: 0.5
  per_unit: 0.1
  max_lock: 60
  max_units: 2000
  max_input: 64 KiB
  min_attempt: 2m
  min_acknowledge: 15s
  max_delay: 1h
  valid: 3d
  lane: 2
  check: {window: 15m, reply: 2m, follow: 90s}
"""


def job(text: str, source: str = "job.yaml") -> JobFile:
    """The job in a file."""
    return read_job(text, source, CATALOGUE)


def node(text: str, source: str = "node.yaml") -> NodeFile:
    """The node in a file."""
    return read_node(text, source, CATALOGUE)


def test_a_full_job() -> None:
    assert job(FULL) == JobFile(
        model="digits",
        inputs=("0xfe",),
        units=25,
        input_bytes=2_048,
        settings=FaultProofSettings(window=900, reply=120, follow=90),
        requirement=Requirement(
            gpu_mask=0b1001,
            region_mask=1 << REGIONS.index("eu-west") | 1 << REGIONS.index("uk"),
            min_vram_gib=24,
            min_gpu_count=2,
            max_latency_class=3,
            flags=1,
            min_benchmark=500,
            min_completions=10,
            max_fault_bps=200,
            min_weight=23,  # 1,500,000 / 65,536, rounded up
        ),
        price_start=2_000_000,
        price_cap=8_500_001,
        damage_cap=1_250_000,
        tip_fixed=20_000,
        tip_max=500_000,
        tip_share_bps=1_250,
        no_show_bps=3_333,
        max_attempts=4,
        starts_in=300,
        ramp_seconds=5_400,
        deadline=7_200,
        ack_seconds=45,
        attempt_seconds=600,
    )


def test_defaults_are_sound() -> None:
    made = job(SHORT)
    assert (made.units, made.input_bytes, made.inputs) == (None, None, ("a.bin",))
    assert made.ramp_seconds == 300
    assert (made.price_start, made.price_cap) == (2_000_000, 8_000_000)
    assert made.no_show_bps == 5_000
    assert made.tip_fixed == 20_000
    assert made.tip_max == 420_000
    assert made.requirement == Requirement()
    assert money.lock_required(0, made.damage_cap, 0) == 3 * made.price_cap


def test_terms_of_a_job() -> None:
    made = job(FULL).terms(
        requester=REQUESTER,
        verifier=VERIFIER,
        program=PROGRAM,
        input_id=b"\x09" * 32,
        units=1,
        input_bytes=2,
        now=T0,
        epoch=7,
        salt=99,
    )
    check_terms(made, 3_600, T0)
    assert (made.units, made.input_bytes) == (25, 2_048)
    assert (made.valid_from, made.final_deadline) == (T0 + 300, T0 + 7_200)
    assert (made.epoch, made.salt) == (7, 99)
    assert FaultProofSettings.unpack(made.settings) == job(FULL).settings
    short = job(SHORT).terms(
        requester=REQUESTER,
        verifier=VERIFIER,
        program=PROGRAM,
        input_id=b"\x09" * 32,
        units=30,
        input_bytes=1_920,
        now=T0,
        epoch=0,
        salt=1,
    )
    check_terms(short, 3_600, T0)
    assert (short.units, short.input_bytes, short.valid_from) == (30, 1_920, T0)


def test_a_node() -> None:
    made = node(NODE)
    assert made.node == Node(
        gpu_model=3,
        vram_gib=80,
        gpu_count=2,
        region=REGIONS.index("eu-north"),
        capacity=4,
        latency_class=2,
        flags=1,
        benchmark=900,
    )
    offer = made.offer
    assert offer.models == ("digits", "letters")
    ask = offer.ask(
        provider=PROVIDER,
        node=1,
        verifier=VERIFIER,
        code_hash=CODE_HASH,
        programs=PROGRAM,
        now=T0,
        epoch=5,
        salt=6,
    )
    assert (ask.provider, ask.node, ask.lane, ask.epoch, ask.salt) == (PROVIDER, 1, 2, 5, 6)
    assert (ask.price_base, ask.price_per_unit, ask.max_lock) == (500_000, 100_000, 60_000_000)
    assert (ask.max_units, ask.max_input_bytes, ask.max_delay) == (2_000, 65_536, 3_600)
    assert (ask.min_attempt_seconds, ask.min_ack_seconds) == (120, 15)
    assert ask.expiry == T0 + 3 * 86_400
    assert ask.counterparty == ZERO_ADDRESS
    assert ask.verifier_terms == verifier_terms(
        VERIFIER, CODE_HASH, FaultProofSettings(window=900, reply=120, follow=90).pack()
    )


def test_whose_a_node_is() -> None:
    made = node(NODE)
    assert (made.provider, made.operator, made.index) == (None, None, 0)
    made = node(f"provider: '{PROVIDER.lower()}'\noperator: worker-1\nindex: 7\n" + NODE)
    assert (made.provider, made.operator, made.index) == (PROVIDER, "worker-1", 7)


def test_where_a_nodes_models_stand() -> None:
    assert node(NODE).model_lines == (9, 9)
    assert node(NODE.replace("[digits, letters]", "digits")).model_lines == (9,)
    listed = NODE.replace("[digits, letters]", "\n    - digits\n    - letters")
    assert node(listed).model_lines == (10, 11)


def test_json_means_the_same() -> None:
    fields = {
        "model": "digits",
        "input": ["a.bin", "b.bin"],
        "units": 25,
        "price": {"start": "0.1", "cap": 8.5, "ramp": "10m"},
        "needs": {"attested": True, "region": "jp"},
    }
    text = json.dumps(fields, indent="\t")
    made = job(text, "job.json")
    assert made.inputs == ("a.bin", "b.bin")
    assert (made.price_start, made.price_cap, made.ramp_seconds) == (100_000, 8_500_000, 600)
    assert made.requirement == Requirement(flags=1, region_mask=1 << REGIONS.index("jp"))
    assert made == job(json.dumps(fields))


@given(st.integers(0, 2**80 - 1), st.integers(0, 18))
def test_amounts_are_exact(units: int, decimals: int) -> None:
    text = f"{units:0{decimals + 1}d}"
    whole, part = text[: len(text) - decimals], text[len(text) - decimals :]
    written = f"{whole}.{part}" if part else whole
    assert read_section(f"price: {written}", "x").amount("price", decimals) == units


@given(st.integers(0, 2**31), st.sampled_from(["{}s", "{} s", "0d0h0m{}s"]))
def test_durations_in_seconds(seconds: int, form: str) -> None:
    assert read_section(f"t: {form.format(seconds)}", "x").duration("t") == seconds


def test_regions_fit_a_requirement() -> None:
    assert len(set(REGIONS)) == len(REGIONS) <= 32
    assert region_name(0) == "eu-west"
    assert region_name(31) == "region 31"


# ---- what is refused: the text, the line, the field and the words of the complaint

_JOB_FAULTS = [
    ("model: [a", 1, "", "not YAML: "),
    ("model: a\nprice: {cap: 8\ninput: x\n", 3, "", "not YAML: "),
    ("", 1, "", "the file is empty"),
    ("- a\n- b\n", 1, "", "expected fields and values"),
    ("model: a\n\x00", 2, "", "not YAML: special characters are not allowed"),
    (SHORT + "modle: b\n", 4, "modle", "is not a field here; did you mean model?"),
    (SHORT + "xyz: b\n", 4, "xyz", "is not a field here; known: attempts, "),
    (SHORT + "model: b\n", 4, "model", "is given twice"),
    (SHORT + "[a]: b\n", 4, "", "a field's name must be plain text"),
    ("input: a\nprice: {cap: 8}\n", 1, "model", "is missing"),
    ("model: a\nprice: {cap: 8}\n", 1, "input", "is missing"),
    ("model: a\ninput: b\n", 1, "price.cap", "is missing"),
    ("model: a\ninput: b\nprice:\n  start: 1\n", 4, "price.cap", "is missing"),
    ("model: a\ninput: []\nprice: {cap: 8}\n", 2, "input", "is an empty list"),
    ("model:\ninput: b\nprice: {cap: 8}\n", 1, "model", "is empty"),
    ("model: {a: b}\ninput: b\nprice: {cap: 8}\n", 1, "model", "expected a single value"),
    ("model: a\ninput: b\nprice: 8\n", 3, "price", "expected fields of its own under it"),
    (SHORT + "damages: 1e3\n", 4, "damages", "expected an amount such as 1.25, got '1e3'"),
    (SHORT + "damages: -1\n", 4, "damages", "expected an amount such as 1.25, got '-1'"),
    (SHORT + "damages: 1.2345678\n", 4, "damages", "the token has 6 decimals, 1.2345678 has more"),
    (SHORT + "damages: 1208925819614629175\n", 4, "damages", "is too large"),
    ("model: a\ninput: b\nprice: {cap: 0}\n", 3, "price.cap", "must be more than zero"),
    ("model: a\ninput: b\nprice:\n  cap: 8\n  start: 9\n", 5, "price.start", "is above price.cap"),
    (
        "model: a\ninput: b\nprice: {cap: 8, ramp: 0s}\n",
        3,
        "price.ramp",
        "expected 1s to 4294967295s, got '0s'",
    ),
    (
        "model: a\ninput: b\nprice: {cap: 8, ramp: 10}\n",
        3,
        "price.ramp",
        "expected a duration such as 90s, 10m, 1h30m, got '10'",
    ),
    (SHORT + "tip: {fixed: 2, max: 1}\n", 4, "tip.fixed", "is above tip.max"),
    (SHORT + "tip: {fixed: 9, max: 10}\n", 4, "tip.fixed", "is above price.cap"),
    (SHORT + "tip: {share: 101%}\n", 4, "tip.share", "expected 0% to 100%, got '101%'"),
    (SHORT + "tip: {share: 0.5}\n", 4, "tip.share", "expected a percentage such as 2.5%"),
    (SHORT + "no_show: 50.01%\n", 4, "no_show", "expected 10% to 50%, got '50.01%'"),
    (SHORT + "no_show: 9.99%\n", 4, "no_show", "expected 10% to 50%, got '9.99%'"),
    (SHORT + "attempts: 5\n", 4, "attempts", "expected a whole number from 1 to 4, got '5'"),
    (SHORT + "attempts: 0\n", 4, "attempts", "expected a whole number from 1 to 4, got '0'"),
    (SHORT + "units: 0\n", 4, "units", "expected a whole number from 1 to 4294967295, got '0'"),
    (SHORT + "input_bytes: 5 GB\n", 4, "input_bytes", "expected a size such as 640 or 64 KiB"),
    (SHORT + "input_bytes: 4 GiB\n", 4, "input_bytes", "4 GiB is too large"),
    (SHORT + "time: {deadline: 31d}\n", 4, "time.deadline", "expected 1s to 30d, got '31d'"),
    (SHORT + "time:\n  start: 2h\n  deadline: 1h\n", 5, "time.start", "is after time.deadline"),
    (
        SHORT + "time: {attempt: 10s, acknowledge: 11s}\n",
        4,
        "time.acknowledge",
        "is longer than time.attempt",
    ),
    (SHORT + "policy: panel\n", 4, "policy", "only exact is known"),
    (SHORT + "check: {windw: 1m}\n", 4, "check.windw", "did you mean window?"),
    (SHORT + "check: {reply: 200d}\n", 4, "check.reply", "expected 1s to 16777215s, got '200d'"),
    (SHORT + "needs:\n  gpu: [RTX 4080]\n", 5, "needs.gpu", "'RTX 4080' is unknown; did you mean"),
    (SHORT + "needs:\n  gpu: TPU\n", 5, "needs.gpu", "'TPU' is unknown; known: A100 80GB, Odd"),
    (SHORT + "needs:\n  gpu: odd\n", 5, "needs.gpu", "odd has no bit in a requirement"),
    (SHORT + "needs:\n  region: mars\n", 5, "needs.region", "'mars' is unknown; "),
    (SHORT + "needs:\n  attested: maybe\n", 5, "needs.attested", "expected true or false"),
    (SHORT + "needs:\n  faults: 200%\n", 5, "needs.faults", "expected 0% to 100%"),
    (SHORT + "needs:\n  record: 2000000\n", 5, "needs.record", "is more than any record can weigh"),
    (SHORT + "needs:\n  gps: 2\n", 5, "needs.gps", "is not a field here; did you mean gpus?"),
]


@pytest.mark.parametrize(("text", "line", "field", "words"), _JOB_FAULTS)
def test_job_faults_name_line_and_field(text: str, line: int, field: str, words: str) -> None:
    with pytest.raises(JobFileError, match=re.escape(words)) as caught:
        job(text)
    assert (caught.value.source, caught.value.line, caught.value.field) == ("job.yaml", line, field)
    assert str(caught.value).startswith(f"job.yaml:{line}: " + (f"{field}: " if field else ""))
    assert isinstance(caught.value, UsageError)


@pytest.mark.parametrize(
    ("text", "line", "field", "words"),
    [
        (NODE.replace("A100 80GB", "A10"), 1, "gpu", "'A10' is unknown"),
        (NODE.replace("capacity: 4", "capacity: 64"), 4, "capacity", "from 1 to 63, got '64'"),
        (NODE.replace("capacity: 4", "capacity: 0"), 4, "capacity", "from 1 to 63, got '0'"),
        (NODE.replace("eu-north", "north"), 3, "region", "did you mean eu-north?"),
        (NODE.replace("  max_lock: 60\n", ""), 9, "offer.max_lock", "is missing"),
        ("provider: 0x12\n" + NODE, 1, "provider", "'0x12' is not an address"),
        ("operator: ../me\n" + NODE, 1, "operator", "expected the name of a keyfile, got '../me'"),
        ("index: 8\n" + NODE, 1, "index", "expected a whole number from 0 to 7, got '8'"),
        (NODE.replace("0.5", "0").replace("0.1", "0"), 10, "offer.base", "the offer has no price"),
        (NODE.replace("lane: 2", "lane: 16"), 19, "offer.lane", "from 0 to 15, got '16'"),
        (NODE.replace("valid: 3d", "valid: 31d"), 18, "offer.valid", "expected 1s to 30d"),
        (NODE + "  only_for: 0x12\n", 21, "offer.only_for", "'0x12' is not an address"),
        ("gpu: Odd\nregion: uk\n", 1, "offer.models", "is missing"),
    ],
)
def test_node_faults_name_line_and_field(text: str, line: int, field: str, words: str) -> None:
    with pytest.raises(JobFileError, match=re.escape(words)) as caught:
        node(text)
    assert (caught.value.line, caught.value.field) == (line, field)


def test_broken_json_names_the_line() -> None:
    with pytest.raises(JobFileError, match=re.escape("job.json:2: not JSON: ")) as caught:
        job('{"model": "a",\n  "input" "b"}', "job.json")
    assert caught.value.line == 2


def test_yaml_in_a_json_file_is_refused() -> None:
    with pytest.raises(JobFileError, match="not JSON"):
        job(SHORT, "job.json")


def test_hashes_are_whole() -> None:
    section = read_section(f"a: 0x{'ab' * 32}\nb: [0x12]", "x")
    assert section.hashes("a") == [b"\xab" * 32]
    with pytest.raises(JobFileError, match=re.escape("x:2: b: expected 0x and 64 digits")):
        section.hashes("b")


def _complaint(text: str) -> JobFileError | JobFile:
    try:
        return job(text)
    except JobFileError as error:
        return error


@given(st.text(max_size=200))
def test_any_text_ends_in_a_complaint(text: str) -> None:
    found = _complaint(text)
    assert isinstance(found, JobFileError)
    assert found.line >= 1


@given(st.data())
def test_a_mangled_job_is_a_job_or_a_complaint(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(FULL)))
    cut = data.draw(st.integers(0, 20))
    mangled = FULL[:at] + data.draw(st.text(max_size=5)) + FULL[at + cut :]
    found = _complaint(mangled)
    if isinstance(found, JobFileError):
        assert 1 <= found.line <= mangled.count("\n") + 2
    else:
        assert found.price_start <= found.price_cap


@pytest.mark.parametrize("source", ["job.yaml", "job.json"])
def test_bottomless_files_are_refused(source: str) -> None:
    with pytest.raises(JobFileError, match="nested too deeply"):
        job("[" * 100_000, source)
