# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy off
"""
@title Task list
@license AGPL-3.0-only
@notice Test only: tasks that anybody may post and perform, each once. What keepers do to jobs, with
        nothing else in the way. It can be stopped, made hungry for gas, and made to answer with far
        more revert data than anybody asked for.
"""


event Posted:
    task: indexed(uint256)


event Performed:
    task: indexed(uint256)
    who: indexed(address)


NOTHING: constant(uint256) = 0
OPEN: constant(uint256) = 1
DONE: constant(uint256) = 2
# Words of revert data of a growl, the two of the string's head included.
_GROWL: constant(uint256) = 2_048
_MAX_APPETITE: constant(uint256) = 100_000

state_of: public(HashMap[uint256, uint256])
# How often a task was performed: more than once is what must never be seen.
times: public(HashMap[uint256, uint256])
is_stopped: public(bool)
growls: public(bool)
appetite: public(uint256)


@external
def post(task: uint256):
    """
    @notice Open a task.
    @param task Any number that is not in use.
    """
    assert self.state_of[task] == NOTHING, "tasks: posted already"
    self.state_of[task] = OPEN
    log Posted(task=task)


@external
def perform(task: uint256):
    """
    @notice Do an open task.
    @param task Its number.
    """
    assert not self.is_stopped, "tasks: stopped"
    if self.growls:
        self._growl()
    for i: uint256 in range(self.appetite, bound=_MAX_APPETITE):
        assert keccak256(convert(i, bytes32)) != empty(bytes32), "tasks: indigestion"
    assert self.state_of[task] == OPEN, "tasks: not open"
    self.state_of[task] = DONE
    self.times[task] += 1
    log Performed(task=task, who=msg.sender)


@external
def set_mood(is_stopped: bool, growls: bool, appetite: uint256):
    """
    @notice How `perform` behaves from now on.
    @param is_stopped Whether it refuses everything.
    @param growls Whether it reverts with 64 kB of data.
    @param appetite How many hashes it makes first, at most 100,000.
    """
    self.is_stopped = is_stopped
    self.growls = growls
    self.appetite = appetite


@internal
def _growl():
    # Well-formed as an Error(string): a string of zeros, far longer than anybody wants to read.
    words: uint256[_GROWL] = empty(uint256[_GROWL])
    words[0] = 32
    words[1] = 32 * (_GROWL - 2)
    raw_revert(abi_encode(words, method_id=method_id("Error(string)")))
