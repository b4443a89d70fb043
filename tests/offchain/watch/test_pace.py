"""How long a block takes, from two headers."""

from dataclasses import dataclass, field

import pytest

from headrace.chain.rpc import Header
from headrace.errors import Unreachable
from headrace.watch.pace import SPAN, Pace, pace


def header(number: int, timestamp: int) -> Header:
    return Header(number, number.to_bytes(32), b"", timestamp, 1)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(16 * 12, 12), (16 * 12 + 1, 13), (16, 1), (1, 1), (0, 1)]
)
def test_the_average_is_rounded_up(seconds: int, expected: int):
    assert pace(header(10, 1_000), header(26, 1_000 + seconds)) == expected


def test_what_shows_nothing_is_taken_for_a_slow_chain():
    assert pace(None, header(26, 1_000)) == 12
    assert pace(header(0, 1_000), header(0, 1_000)) == 12


@dataclass
class Node:
    """Blocks of two seconds; counts what it is asked."""

    asked: list[int] = field(default_factory=list)
    is_away: bool = False

    def header(self, tag: int) -> Header:
        if self.is_away:
            raise Unreachable("the node is away")
        self.asked.append(tag)
        return header(tag, 2 * tag)


def test_one_header_a_block_is_read():
    node = Node()
    known = Pace(node)  # type: ignore[arg-type]
    assert [known.at(header(100, 200)) for _ in range(3)] == [2, 2, 2]
    assert known.at(header(5, 10)) == 2
    assert node.asked == [100 - SPAN, 0]


def test_a_node_that_does_not_answer_leaves_the_pace_as_it_was():
    node = Node(is_away=True)
    known = Pace(node)  # type: ignore[arg-type]
    assert known.at(header(100, 200)) == 12
    node.is_away = False
    assert known.at(header(100, 200)) == 2
    node.is_away = True
    assert known.at(header(101, 212)) == 2
    assert node.asked == [100 - SPAN]
