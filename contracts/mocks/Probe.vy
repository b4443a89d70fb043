# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy off
"""
@title Probe
@license AGPL-3.0-only
@notice Test only: one of everything that the test harness has to encode, decode or explain.
"""


struct Pair:
    amount: uint256
    owner: address


event Stored:
    owner: indexed(address)
    label: indexed(String[16])
    pair: Pair
    tags: DynArray[bytes32, 3]


event Pinged:
    stamp: uint256


interface Pingable:
    def ping() -> uint256: nonpayable


START: immutable(uint256)

value: public(uint256)


@deploy
def __init__(start: uint256, owner: address):
    assert owner != empty(address), "probe: owner is zero"
    START = start
    self.value = start


@external
def store(pair: Pair, tags: DynArray[bytes32, 3], label: String[16] = "plain") -> uint256:
    """
    @notice Keeps the pair's amount.
    @param pair What is kept, and for whom.
    @param tags Words for the log.
    @param label A word for the log, as a hash.
    @return What was kept before.
    """
    before: uint256 = self.value
    self.value = pair.amount
    log Stored(owner=pair.owner, label=label, pair=pair, tags=tags)
    return before


@external
def ping() -> uint256:
    """
    @notice Writes the time into the log.
    @return The time, in seconds.
    """
    log Pinged(stamp=block.timestamp)
    return block.timestamp


@external
def ping_other(other: address):
    """
    @notice Has another probe write the time into its log.
    @param other The other probe.
    """
    extcall Pingable(other).ping()


@external
def fail(kind: uint256):
    """
    @notice Fails in each of the ways a contract can.
    @param kind 0 with a reason, 1 without, 2 unreachable, 3 by arithmetic, 4 by using all the gas.
    """
    assert kind != 0, "probe: told to fail"
    assert kind != 1
    assert kind != 2, UNREACHABLE
    self.value = 1 // (kind - 3)
    if kind == 4:
        for i: uint256 in range(1_000_000):
            self.value = i


@external
@view
def look(kind: uint256) -> uint256:
    """
    @notice The time, or a refusal.
    @param kind 0 is refused.
    @return The time of the block, in seconds.
    """
    assert kind != 0, "probe: nothing to see"
    return block.timestamp


@external
@view
def echo(pairs: DynArray[Pair, 3], code: Bytes[4]) -> (DynArray[Pair, 3], Bytes[4], Pair):
    """
    @notice Gives its arguments back.
    @param pairs At least one pair.
    @param code Any bytes.
    @return The pairs, the bytes and the first pair.
    """
    return pairs, code, pairs[0]


@external
@view
def caller() -> address:
    """
    @notice Who asks.
    @return The sender.
    """
    return msg.sender
