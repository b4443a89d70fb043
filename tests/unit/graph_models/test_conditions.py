"""Each condition of an opcode, and of a model as a whole."""

from typing import Any

import pytest

from headrace.graph2.operators import Descriptor
from tests.harness import Contract
from tests.unit.graph_models.descriptors import AFFINE, ROOT, extra, post, refused, view, word


def plain(opcode: int, a: int, out: int, *numbers: int, b: int = 0, s: int = 0, **more: Any):
    """A descriptor with a post word where the opcode has one."""
    given: dict[str, Any] = {"post": 0, "constants": bytes(32)} | more
    return Descriptor(opcode, a, b, s, out, extra(*numbers), *given.values())


A1, A2, A4 = view(0, 4, 8, 1), view(0, 4, 8, 2), view(0, 4, 8, 4)
MADE = {"post": post(per_column=1, word=0), "constants": ROOT}
HALF = 2**31


@pytest.mark.parametrize(
    ("op", "given", "reason"),
    [
        (plain(1, A2, A1, **MADE), A2, "models: matmul reads int8"),
        (plain(1, A1, view(0, 3, 8, 1), **MADE), A1, "models: matmul keeps the rows"),
        (plain(2, A1, A1, 0, 4, 8, b=A1, post=post()), A1, "models: heads, seq or channels 0"),
        (plain(2, A2, A1, 1, 4, 8, b=A2, post=post()), A2, "models: scores reads int8"),
        (plain(2, A1, A1, 1, 4, 9, b=A1, post=post()), A1, "models: scores width not heads"),
        (plain(2, A1, A1, 2, 4, 4, b=A1, post=post()), A1, "models: heads of broken words"),
        (plain(2, A1, A1, 1, 3, 8, b=A1, post=post()), A1, "models: scores of part of a seq"),
        (plain(2, A1, A1, 1, 4, 8, b=A1, post=post()), A1, "models: scores out"),
        (
            plain(2, A1, view(0, 4, 4, 1), 1, 4, 8, b=A1, s=A1, post=post()),
            A1,
            "models: scores mask",
        ),
        (plain(3, A2, A1, 1, 4, 4, b=A2, post=post()), A2, "models: context operands too big"),
        (plain(3, A1, A1, 3, 4, 4, b=A1, post=post()), A1, "models: context of part groups"),
        (plain(3, A1, A1, 1, 4, 5, b=A1, post=post()), A1, "models: context rows of b"),
        (plain(3, A1, A1, 1, 4, 4, b=A1, post=post()), A1, "models: context out"),
        (
            plain(3, A1, view(0, 4, 4, 1), 1, 4, 4, 1, b=A1, post=post()),
            A1,
            "models: context shift but no s",
        ),
        (
            plain(3, A1, view(0, 4, 4, 1), 1, 4, 4, 1, b=A1, s=A1, post=post()),
            A1,
            "models: context s",
        ),
        (
            plain(3, A1, view(0, 4, 4, 1), 1, 4, 4, 63, b=A1, s=A1, post=post()),
            A1,
            "models: context shift too big",
        ),
        (plain(4, A1, A1, 1, 4), A1, "models: transpose block"),
        (plain(4, A1, A1, 0, 0), A1, "models: transpose block"),
        (plain(4, A1, A1, 0, 3), A1, "models: transpose of part blocks"),
        (plain(4, A1, A1, 0, 4), A1, "models: transpose out"),
        (plain(4, A1, view(0, 8, 4, 2), 0, 4), A1, "models: out has another size"),
        (plain(6, A1, view(0, 4, 7, 1), b=A1, post=post()), A1, "models: out has another shape"),
        (plain(6, A1, A1, 63, b=A1, post=post()), A1, "models: mul shift too big"),
        (plain(6, A1, A1, 0, 2, b=A1, post=post()), A1, "models: unknown second operand"),
        (plain(6, A1, A1, 0, 1, b=A1, post=post()), A1, "models: b is no stat of a"),
        (
            plain(7, A1, A1, 1, 0, 0, 0, HALF, b=A1, post=post()),
            A1,
            "models: add has a spare field",
        ),
        (
            plain(7, A1, A1, 0, 0, 0, 0, HALF + 2**30 + 1, b=A1, post=post()),
            A1,
            "models: factor out of bounds",
        ),
        (
            plain(7, A1, A1, 0, 0, 0, 0, HALF - 2**30 - 1, b=A1, post=post()),
            A1,
            "models: factor out of bounds",
        ),
        (
            plain(7, A1, A1, 0, 0, 1, 0, HALF, b=A1, post=post()),
            A1,
            "models: add without a table",
        ),
        (
            plain(7, A1, A1, 0, 2, 0, 1, HALF, post=post(), constants=ROOT),
            A1,
            "models: add table rows",
        ),
        (
            plain(7, A1, A1, 0, 2, 65_536, 1, HALF, post=post(), constants=ROOT),
            A1,
            "models: add table rows",
        ),
        (
            plain(7, A1, A1, 0, 2, 5, 3, HALF, post=post(), constants=ROOT),
            A1,
            "models: add table size",
        ),
        (
            plain(7, A1, A1, 0, 0, 0, 0, HALF, b=A1, post=post(word=word(bias=1))),
            A1,
            "models: add has no bias",
        ),
        (
            plain(7, A1, A1, 0, 0, 0, 0, HALF, b=A1, post=post(word=word(mult=2**30 + 1))),
            A1,
            "models: mult out of bounds",
        ),
        (plain(8, A2, A1, constants=ROOT), A2, "models: lut8 reads int8"),
        (plain(8, A1, A4, constants=ROOT), A1, "models: lut8 makes int32"),
        (plain(9, A1, A1, post=post(word=0), constants=ROOT), A1, "models: lut16 reads int16"),
        (plain(9, A2, A4, post=post(word=0), constants=ROOT), A2, "models: lut16 makes int32"),
        (plain(9, A2, A1, s=A2, post=post(word=0), constants=ROOT), A2, "models: lut16 stat"),
        (plain(10, A1, A1, post=post()), A1, "models: out is no fold of a"),
        (plain(10, A4, view(0, 1, 4, 1), post=post()), A4, "models: sum of int32"),
        (plain(11, A1, view(0, 1, 4, 1), 63, post=post()), A1, "models: rowdot shift too big"),
        (plain(13, A1, A1, 63, post=post(word=0)), A1, "models: recip power too big"),
        (plain(14, A1, view(0, 1, 4, 4)), A1, "models: argmax index too long"),
        (
            plain(14, view(0, 4, 129, 1), view(0, 1, 4, 1)),
            view(0, 4, 129, 1),
            "models: argmax index too long",
        ),
        (plain(15, A1, view(0, 1, 4, 1), b=A1), A1, "models: pick index"),
        (
            plain(16, A1, view(0, 32, 5, 1), 65_535, constants=ROOT),
            A1,
            "models: gather table too long",
        ),
        (plain(16, A1, view(0, 31, 5, 1), 9, constants=ROOT), A1, "models: gather out"),
        (plain(17, A1, view(0, 4, 9, 1)), A1, "models: reshape out"),
        (plain(18, A1, view(0, 4, 15, 1), b=A1), A1, "models: concat out"),
        (plain(19, A1, A1, 2, 2, 0, 1, 1, 0), A1, "models: im2col has a zero"),
        (plain(19, A1, A1, 2, 2, 2, 1, 17, 0), A1, "models: im2col stride"),
        (plain(19, A1, A1, 2, 2, 2, 1, 0, 0), A1, "models: im2col stride"),
        (plain(19, A1, A1, 2, 2, 2, 1, 1, 16), A1, "models: im2col padding"),
        (plain(19, A1, A1, 2, 3, 2, 1, 1, 0), A1, "models: im2col image"),
        (plain(19, A1, A1, 2, 2, 2, 5, 1, 1), A1, "models: im2col kernel"),
        (plain(19, A1, A1, 2, 2, 2, 1, 1, 0), A1, "models: im2col out"),
    ],
)
def test_refuses_a_kind(models: Contract, op: Descriptor, given: int, reason: str):
    refused(models, [op], reason, given=given)


@pytest.mark.parametrize(
    ("op", "reason"),
    [
        (
            plain(2, A1, A1, 1, 4, 8, b=view(1, 4, 7, 1), post=post()),
            "models: scores of unlike tensors",
        ),
        (
            plain(3, A1, A1, 1, 4, 4, b=view(1, 4, 7, 1), post=post()),
            "models: context of unlike widths",
        ),
        (plain(6, A1, A1, b=view(1, 4, 7, 1), post=post()), "models: b has another shape"),
    ],
)
def test_refuses_two_unlike_tensors(models: Contract, op: Descriptor, reason: str):
    refused(models, [AFFINE._replace(out=view(0, 4, 7, 1)), op], reason)


def test_refuses_a_context_that_is_too_wide(models: Contract):
    wide = view(0, 4, 257, 2)
    narrow = AFFINE._replace(a=wide, out=view(0, 4, 257, 1))
    op = plain(3, wide, view(0, 4, 4, 1), 1, 4, 4, b=view(1, 4, 257, 1), post=post())
    refused(models, [narrow, op], "models: context too wide", given=wide)


def test_refuses_a_concat_of_unlike_tensors(models: Contract):
    op = plain(18, A1, view(0, 4, 16, 1), b=view(1, 4, 8, 2))
    refused(models, [AFFINE._replace(out=A2), op], "models: concat of unlike tensors")


def test_bounds_of_a_model(models: Contract):
    refused(models, [], "models: no operators")
    for units in (0, 4_097):
        refused(models, [AFFINE], "models: bad max_units", max_units=units)
    # 65,535 rows of 4,096 units in leaves of 16 rows: 2^24 leaves.
    large = view(0, 65_535, 8, 1)
    refused(models, [AFFINE], "models: input too large", given=large, max_units=4_096)
    gather = plain(16, A1, view(0, 32, 4_096, 4), 9, constants=ROOT)
    refused(models, [gather], "models: too many leaves", max_units=4_096)
    # 32 rows of 16 KiB at 512 units are 2^28 bytes: eight of them are the most.
    models.simulate.register_model([gather] * 8, A1, 512, bytes(32))
    refused(models, [gather] * 9, "models: trace too large", max_units=512)
