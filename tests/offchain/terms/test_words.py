"""Words: layouts bit by bit, round trips, what is refused, hashes, allow-lists."""

import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from headrace.terms import words
from headrace.terms.words import (
    ZERO_ADDRESS,
    Ask,
    Exclusion,
    FaultProofSettings,
    Node,
    Record,
    Requirement,
    Terms,
    claim_digest,
    claim_id,
    excluded_hash,
    programs_proof,
    programs_root,
    record_hash,
    runs_program,
    verifier_terms,
)
from tests.offchain.terms import strategies as words_of
from tests.offchain.terms.examples import PROVIDER, address, make_ask, make_terms

_INTERFACE = Path("interfaces/IJobEscrow.vyi")
_STRUCTS: dict[str, type[Any]] = {"Terms": Terms, "Ask": Ask, "Record": Record}
_FROM: dict[str, st.SearchStrategy[Any]] = {
    "Terms": words_of.terms,
    "Ask": words_of.asks,
    "Record": words_of.records,
}


def _layouts(struct: str) -> list[list[tuple[str, int]] | str]:
    """The struct's words as its interface describes them in comments."""
    body = re.search(rf"struct {struct}:\n((?:    .*\n)+)", _INTERFACE.read_text())
    assert body is not None
    layouts: list[list[tuple[str, int]] | str] = []
    for line in body.group(1).splitlines():
        name, _, comment = line.strip().partition(":")
        parts = re.findall(r"(\w+) (\d+)", comment.partition("#")[2])
        layouts.append([(f, int(b)) for f, b in parts] if name.startswith("w") else name)
    return layouts


@pytest.mark.parametrize("struct", list(_STRUCTS))
@given(data=st.data())
def test_pack_follows_the_interface(struct: str, data: st.DataObject) -> None:
    made = data.draw(_FROM[struct])
    values = asdict(made)
    seen = set()
    packed = made.pack()
    layouts = _layouts(struct)
    assert len(packed) == len(layouts)
    for layout, word in zip(layouts, packed, strict=True):
        if isinstance(layout, str):
            assert word == values[layout]
            seen.add(layout)
            continue
        top = 256
        for name, bits in layout:
            top -= bits
            want = values[name]
            want = int(want, 16) if isinstance(want, str) else want
            assert (word >> top) & ((1 << bits) - 1) == want, name
            seen.add(name)
        assert word & ((1 << top) - 1) == 0
    assert seen == set(values)


@pytest.mark.parametrize("struct", list(_STRUCTS))
@given(data=st.data())
def test_structs_round_trip(struct: str, data: st.DataObject) -> None:
    made = data.draw(_FROM[struct])
    assert _STRUCTS[struct].unpack(made.pack()) == made


@given(words_of.requirements, words_of.nodes, words_of.settings_words)
def test_words_round_trip(
    requirement: Requirement, node: Node, settings: FaultProofSettings
) -> None:
    assert Requirement.unpack(requirement.pack()) == requirement
    assert Node.unpack(node.pack()) == node
    assert FaultProofSettings.unpack(settings.pack()) == settings


def test_requirement_word_bit_by_bit() -> None:
    word = Requirement(
        gpu_mask=0b101,
        region_mask=0b10,
        min_vram_gib=24,
        min_gpu_count=2,
        max_latency_class=3,
        flags=1,
        min_benchmark=77,
        min_completions=5,
        max_fault_bps=250,
        min_weight=9,
    ).pack()
    assert word == (
        0b101 << 160
        | 0b10 << 128
        | 24 << 112
        | 2 << 104
        | 3 << 96
        | 1 << 88
        | 77 << 56
        | 5 << 40
        | 250 << 24
        | 9
    )


def test_node_word_bit_by_bit() -> None:
    node = Node(
        gpu_model=4,
        vram_gib=80,
        gpu_count=8,
        region=3,
        capacity=63,
        latency_class=1,
        flags=1,
        benchmark=1000,
    )
    assert node.pack() == (
        4 << 240 | 80 << 224 | 8 << 216 | 3 << 208 | 63 << 200 | 1 << 192 | 1 << 184 | 1000 << 152
    )


def test_settings_word_bit_by_bit() -> None:
    settings = FaultProofSettings(window=900, reply=300, follow=60)
    assert settings.pack() == 900 << 56 | 300 << 32 | 60 << 8
    assert settings.delay == 1260


@pytest.mark.parametrize(("struct", "index"), [("Terms", 0), ("Terms", 5), ("Ask", 0), ("Ask", 1)])
@pytest.mark.parametrize("bit", [0, 15])
def test_spare_bits_are_refused(struct: str, index: int, bit: int) -> None:
    made = make_terms() if struct == "Terms" else make_ask()
    packed = list(made.pack())
    word = packed[index]
    assert isinstance(word, int)
    packed[index] = word | 1 << bit
    with pytest.raises(ValueError, match=f"{struct} word {index}: spare bits are set"):
        _STRUCTS[struct].unpack(packed)


def test_spare_bits_of_ask_counterparty_are_refused() -> None:
    packed = list(make_ask().pack())
    packed[5] = 1 << 95
    with pytest.raises(ValueError, match="Ask word 5: spare bits are set"):
        Ask.unpack(packed)


def test_spare_bits_of_single_words_are_refused() -> None:
    with pytest.raises(ValueError, match="Node: spare bits"):
        Node.unpack(1 << 151)
    with pytest.raises(ValueError, match="FaultProofSettings: spare bits"):
        FaultProofSettings.unpack(1)
    with pytest.raises(ValueError, match=r"FaultProofSettings: .* does not fit 96 bits"):
        FaultProofSettings.unpack(1 << 96)


@given(data=st.data())
def test_one_above_a_width_is_refused(data: st.DataObject) -> None:
    terms = make_terms()
    widths = [(n, b) for part in _layouts("Terms") if isinstance(part, list) for n, b in part]
    name, bits = data.draw(st.sampled_from([(n, b) for n, b in widths if n != "0" and b != 160]))
    replace(terms, **{name: (1 << bits) - 1})
    for wrong in (1 << bits, -1):
        with pytest.raises(ValueError, match=rf"^{name}: {wrong} does not fit {bits} bits$"):
            replace(terms, **{name: wrong})


@pytest.mark.parametrize(
    ("field", "wrong", "words"),
    [
        ("requester", "0x12", "requester: '0x12' is not an address"),
        ("requester", 5, "requester: 5 is not an address"),
        ("requester", "0x" + "aB" * 20, "requester: .* has a wrong checksum"),
        ("program", b"\x01", "program: expected 32 bytes"),
        ("program", "ab" * 16, "program: expected 32 bytes"),
        ("units", 1.5, "units: expected an integer, got 1.5"),
        ("units", True, "units: expected an integer, got True"),
    ],
)
def test_wrong_types_are_refused(field: str, wrong: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make_terms(**{field: wrong})


def test_plain_hex_addresses_are_checksummed() -> None:
    assert make_terms(requester="0x" + "ab" * 20).requester == address(int("ab" * 20, 16))


def test_unpack_wants_all_words() -> None:
    with pytest.raises(ValueError, match="Terms: expected 8 words, got 7"):
        Terms.unpack(make_terms().pack()[:7])


def test_capacity_is_at_most_63() -> None:
    with pytest.raises(ValueError, match="capacity: 64 is above 63"):
        Node(gpu_model=0, vram_gib=1, gpu_count=1, region=0, capacity=64, latency_class=1)


# ---- hashes


def _keccak204(data: bytes) -> int:
    return int.from_bytes(keccak(data)) >> 52


@given(words_of.records, words_of.hashes)
def test_record_and_claim_digests(record: Record, commitment: bytes) -> None:
    static = b"".join(int(word).to_bytes(32) for word in record.pack())
    assert record_hash(record) == _keccak204(static)
    assert claim_digest(record, commitment) == _keccak204(static + commitment)
    assert record_hash(record) < 1 << 204


def test_excluded_hash_is_a_chain() -> None:
    one = Exclusion(provider=address(1), held=7)
    two = Exclusion(provider=address(2), held=2**80 - 1)
    assert one.pack() == 1 << 96 | 7
    assert Exclusion.unpack(two.pack()) == two
    first = _keccak204(encode(["uint256", "uint256"], [0, one.pack()]))
    second = _keccak204(encode(["uint256", "uint256"], [first, two.pack()]))
    assert excluded_hash([]) == 0
    assert excluded_hash([one]) == first
    assert excluded_hash([one, two]) == second != excluded_hash([two, one])


def test_claim_id_and_verifier_terms() -> None:
    job = b"\x05" * 32
    assert claim_id(job, 2, PROVIDER) == keccak(
        job + (2).to_bytes(32) + bytes(12) + bytes.fromhex(PROVIDER[2:])
    )
    assert verifier_terms(PROVIDER, job, 7) == keccak(
        bytes(12) + bytes.fromhex(PROVIDER[2:]) + job + (7).to_bytes(32)
    )
    with pytest.raises(ValueError, match=r"settings: .* does not fit 96 bits"):
        verifier_terms(PROVIDER, job, 1 << 96)


# ---- allow-lists

_programs = st.lists(words_of.hashes, min_size=1, max_size=40, unique=True)


@given(_programs, st.randoms())
def test_every_listed_program_has_a_proof(programs: list[bytes], random: Any) -> None:
    root = programs_root(programs)
    shuffled = list(programs)
    random.shuffle(shuffled)
    assert programs_root(shuffled) == root
    for program in programs:
        assert runs_program(root, program, programs_proof(shuffled, program))


@given(_programs, words_of.hashes, st.data())
def test_no_other_program_has_one(programs: list[bytes], other: bytes, data: st.DataObject) -> None:
    root = programs_root(programs)
    proof = programs_proof(programs, data.draw(st.sampled_from(programs)))
    if other not in programs:
        assert not runs_program(root, other, proof)
        with pytest.raises(ValueError, match="program: not in the list"):
            programs_proof(programs, other)


def test_one_program_is_its_own_root() -> None:
    assert programs_root([b"\x07" * 32]) == b"\x07" * 32
    assert runs_program(b"\x07" * 32, b"\x07" * 32, [])


def test_two_programs_are_hashed_smaller_first() -> None:
    low, high = b"\x01" * 32, b"\xff" * 32
    assert programs_root([high, low]) == keccak(low + high)


def test_256_programs_are_the_most() -> None:
    programs = [i.to_bytes(32) for i in range(1, 258)]
    root = programs_root(programs[:256])
    assert len(programs_proof(programs[:256], programs[200])) == words.MAX_PROOF
    assert runs_program(root, programs[200], programs_proof(programs[:256], programs[200]))
    with pytest.raises(ValueError, match="programs: 257 are more than 256"):
        programs_root(programs)


def test_a_proof_of_nine_is_too_long() -> None:
    proof = [b"\x01" * 32] * 9
    root = b"\x02" * 32
    for sibling in proof:
        root = keccak(min(root, sibling) + max(root, sibling))
    assert not runs_program(root, b"\x02" * 32, proof)


def test_empty_and_doubled_lists_are_refused() -> None:
    with pytest.raises(ValueError, match="the list is empty"):
        programs_root([])
    with pytest.raises(ValueError, match="one is listed twice"):
        programs_root([b"\x01" * 32] * 2)


def test_no_counterparty_is_the_zero_address() -> None:
    assert make_ask().counterparty == ZERO_ADDRESS
