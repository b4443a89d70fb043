import pytest

from tests.graph2.onchain.court import Court
from tests.harness import ZERO_ADDRESS, Chain, reverts


def test_parts_are_kept(court: Court):
    row, element, form = court.parts
    assert court.rules.ROW_RULES() == row.address
    assert court.rules.ELEMENT_RULES() == element.address
    assert court.rules.FORM_RULES() == form.address


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (0, "graph: row_rules is zero"),
        (1, "graph: element_rules is zero"),
        (2, "graph: form_rules is zero"),
    ],
)
def test_no_part_is_zero(chain: Chain, court: Court, place: int, reason: str):
    parts = list(court.parts)
    parts[place] = ZERO_ADDRESS
    with reverts(reason):
        chain.deploy("GraphRules", *parts)
