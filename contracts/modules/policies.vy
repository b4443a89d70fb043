# pragma version 0.4.3
# pragma nonreentrancy off
"""
@title Policies
@license AGPL-3.0-only
@notice Which verifiers new matches may use, and what a job under each pays to the sink and to keepers.
@dev Owns the policies. A change waits; a stop is immediate, and drops the change that waits. What is
     matched is never touched: every match takes its own copy.
"""

# Where the fields of a policy begin that aren't the lowest.
ENABLED: constant(uint256) = 255
CHARGE: constant(uint256) = 80

_M16: constant(uint256) = 2**16 - 1
_M80: constant(uint256) = 2**80 - 1
# The charge is at most 2 % of a price.
_MAX_CHARGE_BPS: constant(uint256) = 200

# verifier => enabled 1 (bit 255) | charge_bps 16 (from bit 80) | keeper_fee 80
_policies: HashMap[address, uint256]
# verifier => enacts_at 40 (from bit 96) | charge_bps 16 | keeper_fee 80
_proposals: HashMap[address, uint256]


@internal
@pure
def _pack(is_enabled: bool, charge_bps: uint256, keeper_fee: uint256) -> uint256:
    return (convert(is_enabled, uint256) << ENABLED) | (charge_bps << CHARGE) | keeper_fee


@internal
@pure
def _is_enabled(policy: uint256) -> bool:
    return policy >> ENABLED == 1


@internal
@pure
def _charge_bps(policy: uint256) -> uint256:
    return (policy >> CHARGE) & _M16


@internal
@pure
def _keeper_fee(policy: uint256) -> uint256:
    return policy & _M80


@internal
def _propose(verifier: address, charge_bps: uint256, keeper_fee: uint256, enacts_at: uint256):
    assert verifier.is_contract, "policy: verifier has no code"
    assert charge_bps <= _MAX_CHARGE_BPS, "policy: charge above maximum"
    assert keeper_fee <= _M80, "policy: fee above maximum"
    self._proposals[verifier] = (enacts_at << 96) | (charge_bps << 80) | keeper_fee


@internal
def _enact(verifier: address, now: uint256) -> (uint256, uint256):
    proposal: uint256 = self._proposals[verifier]
    assert proposal != 0, "policy: nothing is proposed"
    assert now >= proposal >> 96, "policy: too early"
    terms: uint256 = proposal & (2**96 - 1)
    self._proposals[verifier] = 0
    self._policies[verifier] = self._pack(True, self._charge_bps(terms), self._keeper_fee(terms))
    return self._charge_bps(terms), self._keeper_fee(terms)


@internal
def _stop(verifier: address):
    self._proposals[verifier] = 0
    self._policies[verifier] = 0
