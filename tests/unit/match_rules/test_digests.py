"""`job_id`, `batch_id` and `ask_hash` against the Python twin, field by field."""

from dataclasses import fields, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.terms import eip712
from headrace.terms.words import ZERO_HASH, Ask, Terms
from tests.system import System

hashes = st.binary(min_size=32, max_size=32)
addresses = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())


def any_of(kind: type) -> st.SearchStrategy:
    def value(name: str) -> st.SearchStrategy:
        bits = kind._WIDTHS.get(name)
        if bits is None:
            return hashes
        return addresses if bits == 160 else st.integers(0, 2**bits - 1)

    return st.builds(kind, **{field.name: value(field.name) for field in fields(kind)})


@given(terms=any_of(Terms))
@settings(max_examples=60)
def test_job_id(system: System, terms: Terms) -> None:
    assert system.rules.job_id(terms.pack()) == eip712.job_id(terms, system.domain)


@given(terms=any_of(Terms), inputs=st.lists(hashes, min_size=1, max_size=32))
@settings(max_examples=30)
def test_batch_id(system: System, terms: Terms, inputs: list[bytes]) -> None:
    terms = replace(terms, input_id=ZERO_HASH)
    found = system.rules.batch_id(terms.pack(), inputs)
    assert found == eip712.batch_id(terms, inputs, system.domain)


@given(ask=any_of(Ask))
@settings(max_examples=60)
def test_ask_hash(system: System, ask: Ask) -> None:
    expected = eip712.ask_hash(ask, system.token.address, system.domain)
    assert system.rules.ask_hash(ask.pack()) == expected


def test_every_field_counts(system: System) -> None:
    """Two jobs, or two offers, that differ in one field are two."""
    for made, digest in ((system.terms(), "job_id"), (system.ask(), "ask_hash")):
        seen = {getattr(system.rules, digest)(made.pack())}
        for count, field in enumerate(fields(made), start=1):
            value = getattr(made, field.name)
            if isinstance(value, int):
                other = value + 1
            elif isinstance(value, bytes):
                other = bytes([value[0] ^ 1]) + value[1:]
            else:
                other = system.stranger.address
            changed = replace(made, **{field.name: other})
            seen.add(getattr(system.rules, digest)(changed.pack()))
            assert len(seen) == count + 1, field.name
