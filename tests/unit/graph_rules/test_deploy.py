import pytest

from tests.graph2.onchain.court import Court
from tests.harness import ZERO_ADDRESS, Chain, reverts

PARTS = ("GraphRowRules", "GraphElementRules", "GraphFormRules")


def test_parts_are_kept(court: Court):
    row, element, form = court.parts
    assert court.rules.MODELS() == court.models.address
    assert court.rules.ROW_RULES() == row.address
    assert court.rules.ELEMENT_RULES() == element.address
    assert court.rules.FORM_RULES() == form.address
    for part in court.parts:
        assert part.MODELS() == court.models.address


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (0, "graph: models is zero"),
        (1, "graph: row_rules is zero"),
        (2, "graph: element_rules is zero"),
        (3, "graph: form_rules is zero"),
    ],
)
def test_no_part_is_zero(chain: Chain, court: Court, place: int, reason: str):
    parts = [court.models, *court.parts]
    parts[place] = ZERO_ADDRESS
    with reverts(reason):
        chain.deploy("GraphRules", *parts)


@pytest.mark.parametrize(
    ("name", "reason"),
    zip(
        PARTS,
        (
            "graph: rows without models",
            "graph: elements without models",
            "graph: form without models",
        ),
        strict=True,
    ),
)
def test_parts_want_a_registry(chain: Chain, name: str, reason: str):
    with reverts(reason):
        chain.deploy(name, ZERO_ADDRESS)
