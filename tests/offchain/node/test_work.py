"""The work itself: inputs that can't be used, traces that come back."""

from dataclasses import replace
from pathlib import Path

import pytest

from headrace.graph.tensors import dump_input, tensor_root
from headrace.graph.trace import run
from headrace.node.work import NumpyWorker, StorePublisher, Unusable, fetch, kept_trace
from headrace.terms.words import Terms
from tests.offchain.node.fakes import FakeChain


@pytest.fixture
def world(tmp_path: Path) -> FakeChain:
    return FakeChain(tmp_path)


def place(world: FakeChain, terms: Terms) -> Path:
    (found,) = (p for p in world.store.path.rglob(terms.input_id.hex()) if p.is_file())
    return found


def test_the_input_that_was_named(world: FakeChain):
    terms = world.terms()
    tensor = fetch(world.store, world.model, terms)
    assert tensor_root(tensor) == terms.input_id
    assert NumpyWorker().run(world.model, tensor).root == run(world.model, tensor).root


def test_a_missing_input_may_still_come(world: FakeChain):
    with pytest.raises(Unusable, match="not in") as caught:
        fetch(world.store, world.model, world.terms(has_input=False))
    assert not caught.value.is_final


@pytest.mark.parametrize("change", ["empty", "short", "long", "flipped", "shape", "other"])
def test_a_corrupt_input_may_still_be_healed(world: FakeChain, change: str):
    terms = world.terms()
    path = place(world, terms)
    data = path.read_bytes()
    other = dump_input(fetch(world.store, world.model, world.terms()))
    path.write_bytes(
        {
            "empty": b"",
            "short": data[:-1],
            "long": data + b"\x80",
            "flipped": data[:-40] + bytes([data[-40] ^ 1]) + data[-39:],
            "shape": data[:11] + b"\x04" + data[12:],
            "other": other,
        }[change]
    )
    with pytest.raises(Unusable) as caught:
        fetch(world.store, world.model, terms)
    assert not caught.value.is_final
    path.write_bytes(data)
    assert tensor_root(fetch(world.store, world.model, terms)) == terms.input_id


def test_an_input_with_something_in_its_padding_is_ill_formed(world: FakeChain):
    terms = world.terms()
    path = place(world, terms)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1  # the last byte is padding: the model takes rows of 5
    path.write_bytes(bytes(data))
    with pytest.raises(Unusable, match="padding"):
        fetch(world.store, world.model, terms)


def test_the_promised_bytes(world: FakeChain):
    terms = world.terms()
    fetch(world.store, world.model, replace(terms, input_bytes=terms.input_bytes + 1))
    with pytest.raises(Unusable, match="the terms promise") as caught:
        fetch(world.store, world.model, replace(terms, input_bytes=terms.input_bytes - 1))
    assert caught.value.is_final


def test_the_rows_that_can_be_published(world: FakeChain):
    most = world.model.publishable_units
    terms = world.terms(units=most)
    assert len(fetch(world.store, world.model, terms)) == most
    for units in (0, most + 1):
        with pytest.raises(Unusable, match="units, the model takes") as caught:
            fetch(world.store, world.model, replace(terms, units=units))
        assert caught.value.is_final


def test_the_honest_publisher_shows_everything(world: FakeChain):
    terms = world.terms()
    trace = run(world.model, fetch(world.store, world.model, terms))
    publisher = StorePublisher(world.store)
    publisher.publish(trace)
    assert world.store.get_trace(trace.root, world.model, terms.units).root == trace.root
    result = world.store.get_result(trace.root, world.model, terms.units)
    assert (result == trace.result).all()
    assert publisher.answer(trace) is trace


def test_a_kept_trace_is_the_right_one_or_none(world: FakeChain):
    terms = world.terms()
    trace = run(world.model, fetch(world.store, world.model, terms))
    data = trace.to_bytes()
    kept = kept_trace(world.model, terms.units, trace.root, data)
    assert kept is not None
    assert kept.root == trace.root
    assert kept_trace(world.model, terms.units, trace.root, None) is None
    assert kept_trace(world.model, terms.units, trace.root, data[:-1]) is None
    assert kept_trace(world.model, terms.units, b"\x01" * 32, data) is None
