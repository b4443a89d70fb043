# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy off
"""
@title Test-only door to `provider_word`. Never deployed.
@license AGPL-3.0-only
"""

from contracts.modules import provider_word as words


@external
@pure
def fields(word: uint256) -> uint256[13]:
    return [
        words._status(word),
        convert(words._is_available(word), uint256),
        convert(words._has_payout(word), uint256),
        words._epoch(word),
        words._revoked_lanes(word),
        words._last_seen(word),
        words._total_active(word),
        words._completions(word),
        words._faults(word),
        words._no_shows(word),
        words._declines(word),
        words._good(word),
        words._bad(word),
    ]


@external
@pure
def active(word: uint256, node: uint256) -> uint256:
    return words._active(word, node)


@external
@pure
def has_active(word: uint256) -> bool:
    return words._has_active(word)


@external
@pure
def with_status(word: uint256, status: uint256) -> uint256:
    return words._with_status(word, status)


@external
@pure
def with_available(word: uint256, is_available: bool) -> uint256:
    return words._with_available(word, is_available)


@external
@pure
def with_payout(word: uint256, has_payout: bool) -> uint256:
    return words._with_payout(word, has_payout)


@external
@pure
def with_lane_revoked(word: uint256, lane: uint256) -> uint256:
    return words._with_lane_revoked(word, lane)


@external
@pure
def with_next_epoch(word: uint256) -> uint256:
    return words._with_next_epoch(word)


@external
@pure
def with_taken(word: uint256, node: uint256, count: uint256) -> uint256:
    return words._with_taken(word, node, count)


@external
@pure
def with_given_back(word: uint256, node: uint256, count: uint256) -> uint256:
    return words._with_given_back(word, node, count)


@external
@pure
def with_counted(word: uint256, counter: uint256, count: uint256) -> uint256:
    if counter == 0:
        return words._with_completions(word, count)
    if counter == 1:
        return words._with_faults(word, count)
    if counter == 2:
        return words._with_no_shows(word, count)
    return words._with_declines(word, count)


@external
@pure
def with_bad(word: uint256, bad: uint256) -> uint256:
    return words._with_bad(word, bad)


@external
@pure
def with_seen(word: uint256, now: uint256, good: uint256, bad: uint256) -> uint256:
    return words._with_seen(word, now, good, bad)
