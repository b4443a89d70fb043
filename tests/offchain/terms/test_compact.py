"""Terms as rows: nothing is lost, and what is read at a glance is what is there."""

import struct
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.terms import compact
from headrace.terms.compact import (
    SIZE,
    Shape,
    Shapes,
    final_deadline_of,
    glance,
    shape_of,
    valid_from_of,
)
from headrace.terms.words import Terms
from tests.offchain.terms import strategies as words_of
from tests.offchain.terms.examples import make_terms

OWN = {"input_id", "salt", *compact.Glance._fields} - {"shape"}


@given(st.lists(words_of.terms, min_size=1, max_size=5))
def test_terms_come_back_as_they_were(several: list[Terms]) -> None:
    shapes = Shapes()
    rows = [shapes.pack(terms) for terms in several]
    assert {len(row) for row in rows} == {SIZE}
    assert [shapes.terms_of(row + b"behind") for row in rows] == several
    assert [valid_from_of(row) for row in rows] == [terms.valid_from for terms in several]
    assert [final_deadline_of(row) for row in rows] == [terms.final_deadline for terms in several]
    with pytest.raises(struct.error):
        shapes.terms_of(rows[0][:-1])


@given(words_of.terms)
def test_a_glance_sees_the_fields_themselves(terms: Terms) -> None:
    row = Shapes().pack(terms)
    look = glance(row + b"behind")
    assert look.shape == shape_of(row) == 0
    names = [name for name in look._fields if name != "shape"]
    assert [getattr(look, name) for name in names] == [getattr(terms, name) for name in names]


@given(words_of.terms, words_of.terms)
def test_a_shape_is_all_that_a_row_has_not(one: Terms, other: Terms) -> None:
    names = {field.name for field in fields(Terms)} - OWN
    assert names == set(Shape._fields)
    shapes = Shapes()
    for name in sorted(names):
        changed = replace(one, **{name: getattr(other, name)})
        rows = shapes.pack(one), shapes.pack(changed)
        assert (shape_of(rows[0]) == shape_of(rows[1])) == (changed == one)
    shape = shapes.shape(shape_of(shapes.pack(other)))
    assert shape._asdict() == {name: getattr(other, name) for name in shape._fields}


def test_jobs_that_differ_in_what_is_their_own_have_one_shape() -> None:
    shapes, own = Shapes(), sorted(OWN - {"input_id"})
    several: list[Any] = [replace(make_terms(), **{name: 7}) for name in own]
    rows = [shapes.pack(terms) for terms in [*several, replace(make_terms(), input_id=b"7" * 32)]]
    assert {shape_of(row) for row in rows} == {0}
    assert len(shapes) == 1
    assert len(set(rows)) == len(rows)


@given(st.lists(words_of.terms, min_size=1, max_size=5))
def test_rows_may_be_given_to_other_shapes(several: list[Terms]) -> None:
    shapes, others = Shapes(), Shapes()
    others.pack(make_terms())
    rows = [shapes.pack(terms) + b"behind" for terms in several]
    moved = [others.pack_again(row, shapes) for row in reversed(rows)]
    assert [others.terms_of(row) for row in reversed(moved)] == several
    assert all(row.endswith(b"behind") for row in moved)
    assert [shapes.terms_of(row) for row in rows] == several


def test_more_shapes_than_are_kept_apart_are_all_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact, "_MOST_APART", 3)
    shapes = Shapes()
    several = [replace(make_terms(), epoch=epoch) for epoch in range(8)]
    rows = [shapes.pack(terms) for terms in several]
    assert [shapes.terms_of(row) for row in rows * 2] == several * 2
