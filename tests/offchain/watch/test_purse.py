"""Which commitments can be paid beside all proofs: no proof ever lacks its money."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headrace.chain.abi import Call
from headrace.chain.sender import Means
from headrace.daemon.actions import Action
from headrace.errors import RetryLater
from headrace.watch.purse import REWARD_GAS, Wish, granted

PRICE = 3


@dataclass
class Key:
    """A context whose key has `left` wei; actions take the gas that their argument says."""

    left: int
    gone: set[str] = field(default_factory=set)
    asked: list[int] = field(default_factory=list)
    fails_at: int = -1

    def __post_init__(self) -> None:
        self.sender = self.outbox = self
        self.contracts = {"GraphProof": self}

    def call(self, function: str, gas: int) -> Call:
        return Call("", b"", function, value=gas)

    def means(self) -> Means:
        return Means(self.left, PRICE)

    def gas_of(self, call: Call) -> int:
        self.asked.append(call.value)
        if len(self.asked) == self.fails_at:
            raise RetryLater("away")
        return call.value

    def of_action(self, key: str) -> Any:
        return SimpleNamespace(state="open") if key in self.gone else None


def move(key: str, gas: int) -> Action:
    return Action(key, "GraphProof", key.split(":")[0], (gas,))


def wish(number: int, proof: int, commitment: int | None) -> Wish:
    made = None if commitment is None else move(f"commit:{number}", commitment)
    return Wish(move(f"prove:{number}", proof), made)


GAS = st.integers(1, 10**6)
WISHES = st.lists(st.tuples(GAS, st.none() | GAS), max_size=6)


@given(wishes=WISHES, others=st.lists(GAS, max_size=3), left=st.integers(0, 3 * 10**7))
def test_what_is_granted_leaves_enough_for_all_proofs(
    wishes: list[tuple[int, int | None]], others: list[int], left: int
):
    made = [wish(n, *gas) for n, gas in enumerate(wishes)]
    rest = [move(f"silence:{n}", gas) for n, gas in enumerate(others)]
    moves = granted(Key(left), made, rest)  # type: ignore[arg-type]
    # One move for each wish whose commitment isn't made yet, and none for the others.
    expected = [n for n, (_, commitment) in enumerate(wishes) if commitment is not None]
    assert [int(action.key.split(":")[1]) for action in moves] == expected
    paid = [action.args[0] for action in moves if action.function == "commit"]
    proofs = sum(proof + REWARD_GAS for proof, _ in wishes)
    least = PRICE * (proofs + sum(others))
    assert not paid or least + PRICE * sum(paid) <= left
    # And it is no miser: what was not granted would have been too much.
    refused = [
        wishes[int(action.key.split(":")[1])][1] or 0
        for action in moves
        if action.function == "prove"
    ]
    assert all(least + PRICE * (sum(paid) + gas) > left for gas in refused)


def test_the_other_moves_of_the_round_are_paid_first():
    wanted, rest = [wish(1, 10, 5)], [move("silence:1", 7)]
    need = PRICE * (10 + REWARD_GAS + 5 + 7)
    for left, function in ((need, "commit"), (need - 1, "prove")):
        (action,) = granted(Key(left), wanted, rest)  # type: ignore[arg-type]
        assert action.function == function


def test_commitments_are_paid_one_after_another():
    wanted = [wish(1, 10, 5), wish(2, 10, 5)]
    need = PRICE * (2 * (10 + REWARD_GAS) + 2 * 5)
    for left, second in ((need, "commit:2"), (need - 1, "prove:2")):
        moves = granted(Key(left), wanted, [])  # type: ignore[arg-type]
        assert [action.key for action in moves] == ["commit:1", second]


def test_what_has_left_is_paid_for():
    """And asks for nothing, if that is all."""
    key = Key(0, gone={"commit:1"})
    (action,) = granted(key, [wish(1, 10, 5)], [move("silence:1", 7)])  # type: ignore[arg-type]
    assert (action.function, key.asked) == ("commit", [])
    key = Key(PRICE * (2 * (10 + REWARD_GAS) + 5), gone={"commit:1", "silence:1"})
    wanted = [wish(1, 10, 5), wish(2, 10, 5)]
    moves = granted(key, wanted, [move("silence:1", 7)])  # type: ignore[arg-type]
    assert [action.key for action in moves] == ["commit:1", "commit:2"]


def test_in_doubt_all_is_proven():
    for fails_at in range(1, 5):
        key = Key(10**12, fails_at=fails_at)
        moves = granted(key, [wish(1, 10, 5), wish(2, 10, 5)], [])  # type: ignore[arg-type]
        assert [action.key for action in moves] == ["prove:1", "prove:2"]
