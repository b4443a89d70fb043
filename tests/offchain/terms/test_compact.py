"""Terms as bytes: nothing is lost, and what is read at a glance is what is there."""

from hypothesis import given

from headrace.terms.compact import SIZE, compact, glance, terms_of, valid_from_of
from headrace.terms.words import Terms
from tests.offchain.terms import strategies as words_of


@given(words_of.terms)
def test_terms_come_back_as_they_were(terms: Terms) -> None:
    packed = compact(terms)
    assert len(packed) == SIZE
    assert terms_of(packed) == terms
    assert valid_from_of(packed) == terms.valid_from


@given(words_of.terms)
def test_a_glance_sees_the_fields_themselves(terms: Terms) -> None:
    look = glance(compact(terms))
    names = [name for name in look._fields if name != "fixed"]
    assert [getattr(look, name) for name in names] == [getattr(terms, name) for name in names]


@given(words_of.terms, words_of.terms)
def test_what_is_fixed_are_the_fields_it_names(one: Terms, other: Terms) -> None:
    names = ("requester", "verifier", "settings", "requirement", "program")
    names += ("ack_seconds", "attempt_seconds")
    are_equal = all(getattr(one, name) == getattr(other, name) for name in names)
    assert (glance(compact(one)).fixed == glance(compact(other)).fixed) == are_equal
