# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy off
"""
@title EventEmitter
@license AGPL-3.0-only
@notice Test only: as many logs as a test or a measurement wants, of the shape of a job's, or of none.
"""


event Noted:
    subject: indexed(bytes32)
    author: indexed(address)
    amount: uint256
    at: uint256
    note: bytes32


count: public(uint256)


@external
def emit_many(amount: uint256, salt: uint256):
    """
    @notice Logs `amount` events, each about a subject of its own.
    @param amount How many.
    @param salt Makes their contents different from those of another call.
    """
    start: uint256 = self.count
    for i: uint256 in range(amount, bound=1_000_000):
        log Noted(
            subject=keccak256(convert(start + i, bytes32)),
            author=msg.sender,
            amount=salt,
            at=start + i,
            note=convert(salt, bytes32),
        )
    self.count = start + amount


@external
def emit_raw(topic: bytes32, subject: bytes32, data: Bytes[4096]):
    """
    @notice Logs anything: an event of another contract, or what no contract would log.
    @param topic The first topic.
    @param subject The second topic.
    @param data The rest.
    """
    raw_log([topic, subject], data)
