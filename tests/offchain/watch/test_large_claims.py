"""Rounds with large claims in memory: the way to the reward, and what is kept on the way."""

from pathlib import Path

import pytest

from headrace.chain.graph_rules import REWARD_BLOCKS
from headrace.chain.views import Account, JobState
from headrace.errors import Unreachable
from headrace.watch.large import LargeChecker
from headrace.watch.large_claims import LET_BE_BLOCKS
from headrace.watch.large_reports import LargeReports, size_of
from headrace.watch.purse import REWARD_GAS
from headrace.watch.rewards import PATIENCE_BLOCKS, ROOM_BLOCKS
from tests.offchain.terms.examples import address
from tests.offchain.watch.large_world import GAS, SETTINGS, Post

THIEF = address(0x77)
JUNK = b"\x0b" * 32
COMMITMENT = GAS["GraphProof.commit_fault"]
# What is kept for a proof with a commitment, and for both.
PROOF = GAS["GraphProof.prove"] + REWARD_GAS
BOTH = COMMITMENT + PROOF


@pytest.fixture
def post(tmp_path: Path) -> Post:
    return Post(tmp_path)


def names(post: Post) -> list[str]:
    return [name for name, _ in post.world.moves]


# ---- first the commitment


def test_it_commits_then_claims_in_a_later_block(post: Post):
    post.world.lied(is_stored=True)
    asked = post.ticks(5)
    assert asked == [[], ["commit_fault"], ["claim_reward"], [], []]
    assert names(post) == ["commit_fault", "claim_reward"]


def test_both_in_one_block_it_waits(post: Post):
    post.world.lied(is_stored=True)
    assert [post.tick() for _ in range(4)] == [[], ["commit_fault"], [], []]


def test_without_the_setting_it_proves(tmp_path: Path):
    post = Post(tmp_path, commits_first=False)
    post.world.lied(is_stored=True)
    post.ticks(4)
    assert names(post) == ["prove"]


@pytest.mark.parametrize(
    ("blocks", "first"), [(ROOM_BLOCKS, "commit_fault"), (ROOM_BLOCKS - 1, "prove")]
)
def test_with_too_little_time_it_proves(post: Post, blocks: int, first: str):
    post.world.lied(is_stored=True)
    post.tick()
    post.world.later(SETTINGS.window - blocks)
    assert post.tick() == [first]


@pytest.mark.parametrize("how", ["put_off", "stops"])
def test_a_commitment_that_can_not_be_sent_holds_no_proof_up(post: Post, how: str):
    getattr(post.world, how).add("commit_fault")
    job = post.world.lied(is_stored=True)
    assert post.ticks(3) == [[], ["commit_fault"], ["prove"]]
    assert post.world.jobs.jobs[job.id].state == JobState.REFUTED


def test_a_commitment_that_gets_into_no_block_holds_no_proof_up(post: Post):
    post.world.pending.add("commit_fault")
    post.world.lied(is_stored=True)
    asked = post.ticks(SETTINGS.window - ROOM_BLOCKS + 1)
    assert set(map(tuple, asked[1:])) == {("commit_fault",)}
    assert post.tick() == ["prove"]


def test_who_can_not_pay_for_both_proves(post: Post):
    post.world.wei = BOTH - 1
    post.world.lied(is_stored=True)
    assert post.ticks(2) == [[], ["prove"]]


def test_who_can_just_pay_for_both_commits(post: Post):
    post.world.wei = BOTH
    post.world.lied(is_stored=True)
    assert post.ticks(2) == [[], ["commit_fault"]]


@pytest.mark.parametrize(
    ("wei", "second"), [(BOTH + PROOF, "commit_fault"), (BOTH + PROOF - 1, "prove")]
)
def test_money_is_kept_for_a_proof_that_is_to_come(post: Post, wei: int, second: str):
    """Of two claims the first is committed to when the second's fault is found."""
    post.world.wei = wei
    post.world.lied(is_stored=True)
    post.tick()
    post.world.lied(is_stored=True)
    assert [post.tick(), post.tick()] == [["commit_fault"], [second]]


def test_a_commitment_that_has_left_is_kept_to(post: Post):
    post.world.pending.add("commit_fault")
    post.world.lied(is_stored=True)
    assert post.ticks(2) == [[], ["commit_fault"]]
    post.world.wei = 0
    assert post.ticks(2) == [["commit_fault"]] * 2


@pytest.mark.parametrize("what", ["means", "header"])
def test_a_node_that_is_mute_costs_the_commitment_only(post: Post, what: str):
    job = post.world.lied(is_stored=True)
    post.ticks(1)
    post.world.mute = {what}
    assert post.ticks(1) == [["prove"]]
    assert post.world.jobs.jobs[job.id].state == JobState.REFUTED


def test_a_demand_that_nobody_can_say_is_paid_for_holds_no_proof_up(
    post: Post, monkeypatch: pytest.MonkeyPatch
):
    def away(account: str, block: int) -> Account:
        raise Unreachable("the node is away")

    post.world.lied(is_stored=False)
    post.ticks(1)
    answer = post.world.account_of
    monkeypatch.setattr(post.world, "account_of", away)
    post.world.lied(is_stored=True)
    post.ticks(5)
    assert names(post) == ["commit_fault", "claim_reward"]
    assert post.large.unchecked == 1
    monkeypatch.setattr(post.world, "account_of", answer)
    assert post.ticks(1) == [["open"]]
    assert post.large.unchecked == 0


@pytest.mark.parametrize("how", ["put_off", "stops"])
def test_a_commitment_that_could_not_be_sent_is_tried_again_after_some_blocks(post: Post, how: str):
    getattr(post.world, how).add("commit_fault")
    post.world.put_off.add("prove")
    post.world.lied(is_stored=True)
    asked = post.ticks(3 + LET_BE_BLOCKS)
    assert asked == [[], ["commit_fault"], *[["prove"]] * LET_BE_BLOCKS, ["commit_fault"]]


def test_a_refused_proof_with_a_commitment_is_tried_again_after_some_blocks(post: Post):
    post.world.stops.add("claim_reward")
    post.world.put_off.add("prove")
    post.world.lied(is_stored=True)
    asked = post.ticks(4 + LET_BE_BLOCKS)
    assert asked[2:] == [["claim_reward"], *[["prove"]] * LET_BE_BLOCKS, ["claim_reward"]]


def test_a_proof_with_a_commitment_that_is_refused_is_made_without(post: Post):
    post.world.stops.add("claim_reward")
    post.world.lied(is_stored=True)
    assert post.ticks(4) == [[], ["commit_fault"], ["claim_reward"], ["prove"]]


# ---- until when


def test_a_move_has_until_the_contract_closes_its_level(post: Post):
    job = post.world.lied(is_stored=False)
    levels = 0
    for _ in range(40):
        asked = post.tick()
        if asked in (["open"], ["demand"]):
            # Each demand lets the next one, and the proof, come later.
            assert post.world.deadlines[asked[0]] == job.claimed_at + SETTINGS.delay_over(levels)
            levels += 1
        elif asked == ["commit_fault"]:
            break
        post.world.later()
    assert levels > 1
    until = job.claimed_at + SETTINGS.delay_over(levels)
    assert post.world.deadlines["commit_fault"] == until
    post.world.later()
    assert post.tick() == ["claim_reward"]
    assert post.world.deadlines["claim_reward"] == until


def test_a_commitment_lets_its_proof_come_after_the_edge(post: Post):
    job = post.world.lied(is_stored=True)
    edge = job.claimed_at + SETTINGS.window
    post.tick()
    post.world.later(edge - post.world.now - ROOM_BLOCKS)
    assert post.tick() == ["commit_fault"]
    assert post.world.deadlines["commit_fault"] == edge
    post.world.pending.add("claim_reward")
    seen = []
    for _ in range(REWARD_BLOCKS + 1):
        post.world.later()
        seen.append((post.tick(), post.world.deadlines.get("claim_reward")))
    # One block a second: 20 of them from the commitment on, and none after.
    last = edge - ROOM_BLOCKS + REWARD_BLOCKS
    assert seen[:-2] == [(["claim_reward"], last)] * (REWARD_BLOCKS - 1)
    assert [asked for asked, _ in seen[-2:]] == [[], []]


def test_a_proof_in_the_last_second(tmp_path: Path):
    post = Post(tmp_path, commits_first=False)
    job = post.world.lied(is_stored=True)
    post.world.put_off.add("prove")
    post.tick()
    post.world.later(SETTINGS.window)
    assert post.tick() == ["prove"]
    assert post.world.now == job.claimed_at + SETTINGS.window
    post.world.later()
    assert post.tick() == []


# ---- restarts, thieves, and those before us


def test_after_a_restart_the_commitment_is_known_again(post: Post):
    post.world.lied(is_stored=True)
    post.ticks(2)
    post.record.close()
    post.restart()
    post.ticks(3)
    assert names(post) == ["commit_fault", "claim_reward"]


@pytest.mark.parametrize("is_down", [True, False])
def test_a_thief_that_proves_first_is_not_paid(post: Post, is_down: bool):
    job = post.world.lied(is_stored=True)
    post.ticks(2)
    post.world.prove_as(job, THIEF)
    if is_down:
        post.record.close()
        post.restart()
    post.ticks(3)
    assert names(post) == ["commit_fault", "claim_reward"]
    assert post.world.jobs.jobs[job.id].attempts[-1].refuter == post.world.address


def test_who_never_committed_leaves_a_proven_claim_alone(post: Post):
    job = post.world.lied(is_stored=True)
    post.world.promise(job, JUNK)
    post.world.later()
    post.world.prove_as(job, THIEF)
    post.ticks(40)
    assert not post.world.moves
    assert not post.world.refused


def test_junk_before_ours_costs_time_and_then_it_ends_the_claim_itself(post: Post):
    job = post.world.lied(is_stored=True)
    post.world.promise(job, JUNK)
    post.ticks(PATIENCE_BLOCKS + 3)
    assert names(post) == ["commit_fault", "claim_reward"]
    until = post.world.game(job).open_until + PATIENCE_BLOCKS
    post.ticks(until - post.world.number)
    assert names(post) == ["commit_fault", "claim_reward"]
    post.ticks(2)
    assert names(post) == ["commit_fault", "claim_reward", "refute"]


def test_the_secret_is_gone(post: Post):
    """A commitment that nobody can open any more delays the conviction, and no more than that."""
    post.world.lied(is_stored=True)
    post.ticks(2)
    post.record.close()
    post.record.path.unlink()
    post.restart()
    post.ticks(PATIENCE_BLOCKS + 3)
    assert names(post) == ["commit_fault", "commit_fault", "claim_reward"]


# ---- what is kept


def test_a_report_takes_what_its_arrays_do(post: Post):
    job = post.world.lied(is_stored=False)
    assert job.commitment is not None
    checker = LargeChecker(post.world.store, max_trace=1 << 24)
    report = checker.check(job.terms, job.commitment)
    # The input and three operators have 240 rows of 40 columns.
    leaves = sum(len(report.right.leaves(operator)) for operator in range(3))
    assert size_of(report) == 4 * 240 * 40 + 32 * leaves * 4 // 3


def test_reports_that_were_used_least_lately_go_first(post: Post):
    job = post.world.lied(is_stored=False)
    assert job.commitment is not None
    checker = LargeChecker(post.world.store, max_trace=1 << 24)
    report = checker.check(job.terms, job.commitment)
    size = size_of(report)
    reports = LargeReports(2 * size)
    for name in (b"a", b"b"):
        reports.put(name, report)
    assert reports.get(b"a") is report
    reports.put(b"c", report)
    assert (reports.get(b"b"), reports.size) == (None, 2 * size)
    assert reports.get(b"a") is reports.get(b"c") is report
    reports.drop(b"a")
    assert (reports.get(b"a"), reports.size) == (None, size)
    reports.put(b"c", report)
    assert reports.size == size


def test_the_last_one_is_held_whatever_its_size(post: Post):
    job = post.world.lied(is_stored=False)
    assert job.commitment is not None
    checker = LargeChecker(post.world.store, max_trace=1 << 24)
    report = checker.check(job.terms, job.commitment)
    reports = LargeReports(size_of(report) - 1)
    reports.put(b"a", report)
    assert reports.get(b"a") is report
    reports.put(b"b", report)
    assert (reports.get(b"a"), reports.get(b"b")) == (None, report)


@pytest.mark.parametrize("room", [1, 3])
def test_three_games_with_room_for_fewer_traces(
    tmp_path: Path, room: int, monkeypatch: pytest.MonkeyPatch
):
    """What had to go is computed again when an answer comes, and every lie falls all the same."""
    checks: list[tuple[bytes, bool]] = []
    check = LargeChecker.check

    def counted(checker, terms, commitment, *, has_second):
        checks.append((commitment, has_second))
        return check(checker, terms, commitment, has_second=has_second)

    monkeypatch.setattr(LargeChecker, "check", counted)
    trace = 3 * 240 * 40
    post = Post(tmp_path, max_trace=2 * trace * room - 1)
    jobs = [post.world.lied(is_stored=False, row=row) for row in (5, 100, 200)]
    most = 0
    for _ in range(45):
        post.ticks(1)
        most = max(most, post.large._reports.size)
    assert [post.world.jobs.jobs[job.id].state for job in jobs] == [JobState.REFUTED] * 3
    assert 0 < most < 2 * trace * room
    assert len(checks) == 3 if room == 3 else len(checks) > 3
    # Two engines are asked about a claim, but once.
    assert sum(not has_second for _, has_second in checks) == 3
    assert {commitment for commitment, has_second in checks if not has_second} == {
        job.commitment for job in jobs
    }
    assert post.large._reports.size == 0


def test_a_trace_is_let_go_of_once_its_fault_is_known(post: Post):
    post.world.lied(is_stored=True)
    post.ticks(2)
    assert post.world.moves
    assert post.large._reports.size == 0


def test_a_trace_is_let_go_of_once_its_claim_has_ended(post: Post):
    post.world.put_off.add("open")
    job = post.world.lied(is_stored=False)
    post.ticks(2)
    assert post.large._reports.size > 0
    post.world.change(job.id, JobState.REFUTED, outcome="refuted", refuter=THIEF)
    post.ticks(1)
    assert post.large._reports.size == 0
