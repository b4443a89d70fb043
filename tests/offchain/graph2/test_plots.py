"""The plots of cost: drawn from their numbers alone, the same numbers the same file."""

from scripts.bench.graph import in_turns, ratio
from scripts.bench.plots import Cost, draw


def costs(*places: int) -> list[Cost]:
    return [Cost(place, 6, place * 1.0, place * 1.2, place * 1.1, place / 8, 7) for place in places]


def test_the_same_numbers_give_the_same_picture(tmp_path):
    paths = [tmp_path / name for name in ("one.png", "two.png", "deep/three.png")]
    draw(costs(16, 32), costs(1, 2), paths[0])
    draw(costs(16, 32), costs(1, 2), paths[1])
    draw(costs(16, 32), costs(1, 3), paths[2])
    one, two, three = (path.read_bytes() for path in paths)
    assert one[:8] == b"\x89PNG\r\n\x1a\n"
    assert one == two
    assert one != three


def test_turns_alternate_and_the_first_does_not_count():
    order = []
    first, second = in_turns(lambda: order.append("a"), lambda: order.append("b"), turns=3)
    assert "".join(order) == "abababab"
    assert len(first) == len(second) == 3


def test_a_ratio_is_of_neighbours_in_time():
    # a machine that got ten times slower half way through
    assert ratio([2.0, 2.0, 20.0, 20.0], [1.0, 1.0, 10.0, 10.0]) == 2.0
