"""Who is paid for a fault: watchers as processes on a chain whose blocks the test makes, with
copiers, crashes, rivals and too little time."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headrace.chain.abi import Call, decode_values
from headrace.chain.graph_rules import GraphProof
from headrace.chain.rpc import to_bytes, to_int
from headrace.chain.views import ClaimRef, JobState
from headrace.daemon.games import Game, GameBook
from headrace.graph2.faults import Proof, examine
from headrace.graph2.trace import run
from headrace.terms.words import FaultProofSettings, Record, Terms, claim_id
from headrace.watch.rewards import PATIENCE_BLOCKS, ROOM_BLOCKS
from tests.flows.cast import lie_in
from tests.flows.test_large_models_anvil import LargeTown
from tests.flows.town import UNIT, Daemon, a_town

REQUESTER, KEEPER, COPIER = 1, 2, 3
LIAR = 5
# Blocks that are made a second apart before anybody looks, so that this is the chain's pace.
QUIET = 20
GWEI = 10**9


class SlowTown(LargeTown):
    """Time stands still but for the blocks that a test asks for."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.settings = FaultProofSettings(window=240, reply=20, follow=4)
        self.addresses: dict[str, str] = {}

    def named_watcher(self, name: str, secret: int) -> Daemon:
        """A watcher with a home of its own, not yet started."""
        home, self.addresses[name] = self.home(name, secret)
        self.rpc.call("anvil_impersonateAccount", self.addresses[name])
        self.fund(self.addresses[name], UNIT, 1 << self.vault.GRAPH_PROOF_BOOK)
        return self._daemon(name, home, ["headrace.watch"], None)

    # ---- blocks

    def stop_clock(self) -> None:
        """No block from now on."""
        self.rpc.call("evm_setIntervalMining", 0)

    def mine(self, blocks: int = 1) -> None:
        """Blocks one second apart."""
        self.rpc.call("anvil_mine", hex(blocks), "0x1")

    def mine_at(self, timestamp: int) -> None:
        """QUIET blocks, the last one at a time."""
        self.rpc.call("evm_setNextBlockTimestamp", timestamp - QUIET + 1)
        self.mine(QUIET)
        assert self.now == timestamp

    def mine_until(self, ask: Callable[[], Any], most: int) -> None:
        """At most so many blocks, with time for everybody to look at each."""
        for _ in range(most):
            if ask():
                return
            time.sleep(0.7)
            self.mine()
        assert ask(), self.logs()

    # ---- the pool

    def pool(self, function: str) -> list[dict[str, Any]]:
        """The transactions that wait and call a function of GraphProof."""
        selector = "0x" + GraphProof.abi().functions[function].selector.hex()
        waiting = self.rpc.call("txpool_content")["pending"]
        found = [tx for sender in waiting.values() for tx in sender.values()]
        return [tx for tx in found if tx["input"].startswith(selector)]

    def until_pool(self, function: str, count: int) -> list[dict[str, Any]]:
        """Wait for so many of them."""
        return self.until(lambda: len(found := self.pool(function)) == count and found)

    def offer(self, sender: str, call: Call) -> str:
        """Put a transaction into the pool that goes before all others."""
        return str(
            self.rpc.call(
                "eth_sendTransaction",
                {
                    "from": sender,
                    "to": call.to,
                    "data": "0x" + call.data.hex(),
                    "gas": hex(3_000_000),
                    "maxFeePerGas": hex(500 * GWEI),
                    "maxPriorityFeePerGas": hex(90 * GWEI),
                },
            )
        )

    def receipt(self, tx_hash: str) -> dict[str, Any]:
        """The receipt of what is in a block."""
        return dict(self.rpc.call("eth_getTransactionReceipt", tx_hash))

    # ---- lies

    def lies(self, count: int) -> "list[Lie]":
        """Wrong claims whose traces are in the store, on a chain that then stands still."""
        self.run_clock()
        made = []
        for _ in range(count):
            terms = self.post(self.people[REQUESTER], units=2)
            made.append(Lie(self, terms, self.match(self.people[KEEPER], terms, LIAR)))
        for lie in made:
            self.until_state(lie.terms, JobState.CLAIMED)
        self.stop_clock()
        self.mine(QUIET)
        return made


@dataclass
class Lie:
    """A wrong claim."""

    town: SlowTown
    terms: Terms
    record: Record

    @property
    def claim_id(self) -> bytes:
        return claim_id(self.town.job_id(self.terms), 1, self.record.provider)

    @property
    def ref(self) -> ClaimRef:
        commitment = self.town.job(self.terms).attempts[0].commitment
        assert commitment is not None
        return ClaimRef(self.terms, self.record, commitment)

    @property
    def edge(self) -> int:
        """The last second of a proof."""
        return self.town.slot(self.terms).time + self.town.settings.window

    @property
    def is_refuted(self) -> bool:
        return self.town.slot(self.terms).state == JobState.REFUTED

    @property
    def game(self) -> Game:
        """What the verifier's events tell."""
        town, book = self.town, GameBook()
        wanted = {"address": town.judge.address, "fromBlock": "0x0"}
        topics = [None, "0x" + self.claim_id.hex()]
        logs = town.rpc.call("eth_getLogs", wanted | {"topics": topics})
        book.fold(town.as_log(item, town.judge.address) for item in logs)
        return book.games.get(self.claim_id, Game(self.claim_id))

    def was_paid_to(self, address: str) -> bool:
        """Whether it fell, and who has the reward."""
        (attempt,) = self.town.job(self.terms).attempts
        return self.is_refuted and attempt.refuter == address and attempt.to_refuter > 0

    def proof(self) -> Proof:
        """What anybody who recomputes it can prove."""
        town = self.town
        tensor = town.store.get_input(self.terms.input_id, town.form, self.terms.units)
        right = run(town.model, tensor)
        lie = lie_in(town.model, tensor, right)
        found = examine(town.model, tensor, self.ref.commitment, lie, right=right)
        assert found.fault is not None
        return found.fault.proof


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlowTown]:
    """A liar at work, and two watchers that are asleep."""
    with a_town(tmp_path_factory.mktemp("town"), SlowTown) as made:
        assert isinstance(made, SlowTown)
        made.fund(made.people[REQUESTER], 200 * UNIT, 1)
        liar = made.node(LIAR, "liar")
        made.named_watcher("first", 2_000)
        made.named_watcher("second", 2_001)
        liar.start()
        made.ask_of(LIAR)
        yield made


@pytest.fixture
def first(town: SlowTown) -> Iterator[Daemon]:
    """A watcher that is ended afterwards."""
    yield from _awake(town, "first")


@pytest.fixture
def second(town: SlowTown) -> Iterator[Daemon]:
    """Another one."""
    yield from _awake(town, "second")


def _awake(town: SlowTown, name: str) -> Iterator[Daemon]:
    daemon = next(daemon for daemon in town.daemons if daemon.name == name)
    yield daemon
    if daemon.process is not None and daemon.process.poll() is None:
        daemon.kill()


def claim_of(tx: dict[str, Any]) -> tuple[Any, ...]:
    """The claim and what follows it in the calldata of `claim_reward`."""
    function = GraphProof.abi().functions["claim_reward"]
    return decode_values(function.inputs, to_bytes(tx["input"])[4:], "claim_reward")


def test_a_copied_proof_takes_nothing(town: SlowTown, first: Daemon) -> None:
    """One lie is left to the watcher, of the other its proof is copied and put before it."""
    left, copied = town.lies(2)
    me, copier = town.addresses["first"], town.people[COPIER]
    first.start()
    town.until_pool("commit_fault", 2)
    assert not town.pool("prove")
    town.mine(2)
    rewards = {claim_of(tx)[0][2]: tx for tx in town.until_pool("claim_reward", 2)}
    tx = rewards[copied.ref.commitment]
    _, proof, _ = claim_of(tx)
    mine = town.offer(copier, town.graph_proof.prove(copied.ref, proof))
    town.mine()
    thief, reward = town.receipt(mine), town.receipt(tx["hash"])
    assert thief["blockNumber"] == reward["blockNumber"]
    assert to_int(thief["transactionIndex"]) < to_int(reward["transactionIndex"])
    assert (to_int(thief["status"]), to_int(reward["status"])) == (1, 1)
    game = left.game
    assert [promise.number for promise in game.promises] == [1]
    # It convicts at once: nobody can be earlier.
    assert game.proven_in == 0
    assert copied.game.proven_in == to_int(thief["blockNumber"])
    assert left.was_paid_to(me)
    assert copied.was_paid_to(me)
    assert town.vault.account_of(copier).free == 0


def test_a_crash_between_the_commitment_and_the_proof(town: SlowTown, first: Daemon) -> None:
    """Of one of the lies somebody else sends the proof while the watcher is down."""
    left, stolen = town.lies(2)
    first.start()
    town.until_pool("commit_fault", 2)
    town.mine()
    first.kill()
    assert not town.pool("claim_reward")
    thief = town.offer(town.people[COPIER], town.graph_proof.prove(stolen.ref, stolen.proof()))
    town.mine(5)
    assert to_int(town.receipt(thief)["status"]) == 1
    assert not stolen.is_refuted
    first.start()
    town.until_pool("claim_reward", 2)
    town.mine()
    for lie in (left, stolen):
        assert lie.was_paid_to(town.addresses["first"])
        assert len(lie.game.promises) == 1


def test_with_too_little_time_it_proves_at_once(town: SlowTown, first: Daemon) -> None:
    (lie,) = town.lies(1)
    town.mine_at(lie.edge - ROOM_BLOCKS + 1)
    first.start()
    town.until_pool("prove", 1)
    assert not town.pool("commit_fault")
    town.mine()
    assert lie.was_paid_to(town.addresses["first"])
    assert lie.game.promises == ()


def test_two_watchers_pay_for_one_proof(town: SlowTown, first: Daemon, second: Daemon) -> None:
    (lie,) = town.lies(1)
    addresses = {town.addresses["first"], town.addresses["second"]}
    before = {who: town.rpc.nonce(who) for who in addresses}
    first.start()
    second.start()
    town.until_pool("commit_fault", 2)
    town.mine()
    town.mine_until(lambda: lie.is_refuted, most=2 * PATIENCE_BLOCKS)
    town.mine_until(lambda: not town.pool("claim_reward"), most=2)
    (paid,) = [who for who in addresses if lie.was_paid_to(who)]
    assert len(lie.game.promises) == 2
    sent = {who: town.rpc.nonce(who) - before[who] for who in addresses}
    # A commitment each, and one proof.
    assert sent == {paid: 2, (addresses - {paid}).pop(): 1}
    reverted = [*first.said("reverted"), *second.said("reverted")]
    assert not reverted


def test_junk_before_it_costs_twenty_blocks_and_nothing_else(town: SlowTown, first: Daemon) -> None:
    """And nobody but the watcher is there to end the claim."""
    (lie,) = town.lies(1)
    junk = town.offer(town.people[COPIER], town.graph_proof.commit_fault(lie.ref, b"\x01" * 32))
    town.mine()
    assert to_int(town.receipt(junk)["status"]) == 1
    first.start()
    town.mine_until(lambda: lie.game.proven_in, most=3 * PATIENCE_BLOCKS)
    game = lie.game
    ahead, own = game.promises
    assert own.block > ahead.block + PATIENCE_BLOCKS
    assert not lie.is_refuted
    town.mine(game.open_until - town.rpc.head().number)
    assert not lie.is_refuted
    town.mine_until(lambda: lie.is_refuted, most=2 * PATIENCE_BLOCKS)
    assert lie.was_paid_to(town.addresses["first"])
