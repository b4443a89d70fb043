"""Jobs as bytes: the same mapping as a dict, and what is over goes without being missed."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headrace.chain.jobs import Attempt, Job, JobBook, JobTable
from headrace.chain.views import JobState
from headrace.terms.compact import SIZE
from tests.offchain.keeper.states import make_job, make_record
from tests.offchain.terms.examples import make_terms

STATES = [JobState.OPEN, JobState.MATCHED, JobState.CLAIMED, JobState.FINAL, JobState.CANCELLED]
CHANGES: list[dict[str, Any]] = [
    {},
    {"posted_in": 7},
    {"posted_in": 2**40},
    {"declines": 1},
    {"batch_id": b"\x01" * 32},
]


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(STATES), st.sampled_from(CHANGES))))
def test_it_holds_what_a_dict_would(moves: list[tuple[int, JobState, dict[str, Any]]]) -> None:
    table, expected = JobTable(), {}
    for salt, state, changes in moves:
        job = replace(make_job(state, salt), **changes)
        if job.id in expected and state == JobState.CANCELLED:
            del table[job.id], expected[job.id]
        else:
            table[job.id] = expected[job.id] = job
    assert dict(table) == expected
    assert len(table) == len(expected)
    assert all(job_id in table for job_id in expected)
    assert b"\x00" * 32 not in table


def test_only_jobs_with_nothing_to_them_are_kept_as_bytes() -> None:
    table = JobTable()
    plain = replace(make_job(JobState.OPEN, 1), posted_in=2**40 - 1)
    tried = make_job(JobState.OPEN, 2, attempts=(Attempt(make_record(make_terms()), b""),))
    for job in (plain, tried):
        table[job.id] = job
    ((job_id, packed),) = table.untried()
    assert (job_id, table.shapes.terms_of(packed)) == (plain.id, plain.terms)
    assert len(packed) == SIZE + 5
    assert table[plain.id] == plain
    table[plain.id] = matched = replace(make_job(JobState.MATCHED, 1), id=plain.id)
    assert list(table.untried()) == []
    assert table[plain.id] == matched


def test_a_block_too_far_for_a_row_is_kept_all_the_same() -> None:
    table = JobTable()
    far = replace(make_job(JobState.OPEN, 1), posted_in=2**40)
    table[far.id] = far
    assert list(table.untried()) == []
    assert table[far.id] == far


def test_shapes_of_jobs_that_are_gone_go_as_well_and_old_rows_stay_good() -> None:
    table = JobTable()
    jobs = [
        replace(job, terms=replace(job.terms, epoch=number))
        for number in range(1_040)
        for job in [make_job(JobState.OPEN, number)]
    ]
    for job in jobs[:1_000]:
        table[job.id] = job
    shapes, rows = table.shapes, dict(table.untried())
    assert len(shapes) == 1_000
    for job in jobs[:990]:
        del table[job.id]
    # Ten rows, so 1,036 shapes are let be; each further job has one, and room for five quarters.
    for job in jobs[1_000:1_040]:
        table[job.id] = job
        del table[job.id]
    assert table.shapes is not shapes
    assert len(table.shapes) < 40
    assert [table[job.id] for job in jobs[990:1_000]] == jobs[990:1_000]
    assert [shapes.terms_of(rows[job.id]) for job in jobs[:1_000]] == [
        job.terms for job in jobs[:1_000]
    ]


def fill(book: JobBook, *jobs: Job) -> None:
    for job in jobs:
        book.jobs[job.id] = job
        book.note(job)


def test_what_has_ended_goes_with_the_next_step_and_not_before() -> None:
    book = JobBook()
    over, running = make_job(JobState.FINAL, 1), make_job(JobState.MATCHED, 2)
    fill(book, over, running)
    book.forget_ended()
    assert set(book.jobs) == {over.id, running.id}
    book.keeps_ended = False
    book.forget_ended()
    assert set(book.jobs) == {running.id}


def test_a_job_that_a_reorganisation_has_brought_back_stays() -> None:
    book = JobBook(keeps_ended=False)
    job = make_job(JobState.FINAL, 1)
    fill(book, job)
    fill(book, replace(job, state=JobState.CLAIMED))
    book.forget_ended()
    assert set(book.jobs) == {job.id}
