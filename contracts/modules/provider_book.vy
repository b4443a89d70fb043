# pragma version 0.4.3
# pragma nonreentrancy off
"""
@title Provider book
@license AGPL-3.0-only
@notice Who the providers are: their words, keys, payouts and nodes.
@dev Owns that state. For every node active <= capacity; `keys` is non-zero from the registration on.
     Checks what is on record; who the caller is, it is told.
"""

from contracts.modules import gpu_catalogue
from contracts.modules import provider_word as packed

_M80: constant(uint256) = 2**80 - 1

# provider => its word (modules/provider_word)
words: HashMap[address, uint256]
# provider => operator 160 (from bit 96) | 0 (16) | bond 80
keys: HashMap[address, uint256]
# provider => time after which its bond may leave; zero before an exit
thaws_at: HashMap[address, uint256]
# provider => index of a node => its word (docs/encoding.md)
nodes: HashMap[address, HashMap[uint256, uint256]]
# provider => who is credited for it; only if that is another account
_payouts: HashMap[address, address]


@external
@view
def may_operate(provider: address, caller: address) -> bool:
    """
    @notice Whether an account may act for a provider.
    @param provider The provider.
    @param caller The account.
    @return True for the provider itself, once registered, and for its operator.
    """
    return self._may_operate(provider, caller)


@external
@view
def places(provider: address, node: uint256) -> uint256:
    """
    @notice How many more jobs a node can run at once.
    @param provider The provider.
    @param node Index of the node.
    @return Its capacity less its running jobs, 0 to 63.
    """
    capacity: uint256 = gpu_catalogue._capacity(self.nodes[provider][node])
    if capacity == 0:
        return 0
    return capacity - packed._active(self.words[provider], node)


@external
@view
def node_of(provider: address, node: uint256) -> uint256:
    """
    @notice What a node is.
    @param provider The provider.
    @param node Index of the node.
    @return Its word; zero if there is none.
    """
    return self.nodes[provider][node]


@internal
def _open(
    provider: address,
    operator: address,
    payout: address,
    bond: uint256,
    spec: uint256,
    now: uint256,
):
    """
    @dev Wants a bond of at most 80 bits and a checked spec.
    """
    assert self.words[provider] == 0, "registry: registered before"
    word: uint256 = packed._with_available(packed._with_status(0, packed.ACTIVE), True)
    self.words[provider] = packed._with_seen(word, now, 0, 0)
    self.nodes[provider][0] = spec
    self.keys[provider] = self._key(operator) | bond
    if payout != provider:
        self._set_payout(provider, payout)


@internal
@view
def _registered(provider: address) -> uint256:
    """
    @dev The word of a provider that has not exited.
    """
    word: uint256 = self.words[provider]
    status: uint256 = packed._status(word)
    assert status == packed.ACTIVE or status == packed.EXITING, "registry: not registered"
    return word


@internal
@view
def _operated(provider: address, caller: address) -> uint256:
    """
    @dev The same, for `caller` to change.
    """
    word: uint256 = self._registered(provider)
    assert self._may_operate(provider, caller), "registry: not the operator"
    return word


@internal
@view
def _may_operate(provider: address, caller: address) -> bool:
    operator: address = self._operator(provider)
    return operator != empty(address) and (caller == provider or caller == operator)


@internal
@view
def _operator(provider: address) -> address:
    return convert(self.keys[provider] >> 96, address)


@internal
@view
def _bond(provider: address) -> uint256:
    return self.keys[provider] & _M80


@internal
@view
def _payout(provider: address, word: uint256) -> address:
    if packed._has_payout(word):
        return self._payouts[provider]
    return provider


@internal
def _set_operator(provider: address, operator: address):
    self.keys[provider] = self._key(operator) | self._bond(provider)


@internal
@pure
def _key(operator: address) -> uint256:
    assert operator != empty(address), "registry: operator is zero"
    return convert(operator, uint256) << 96


@internal
def _set_payout(provider: address, payout: address):
    assert payout != empty(address), "registry: payout is zero"
    is_other: bool = payout != provider
    # The provider itself is never stored: the usual case costs no slot, here or at a job's end.
    self._payouts[provider] = payout if is_other else empty(address)
    self.words[provider] = packed._with_payout(self.words[provider], is_other)


@internal
def _set_node(provider: address, node: uint256, spec: uint256) -> uint256:
    """
    @dev Wants a registered provider. Returns what the node is now; zero if it was taken away.
    """
    assert node < packed.NODES, "registry: node out of range"
    # INVARIANT: active <= capacity, and what a job was matched on stays as it was until it ends.
    assert packed._active(self.words[provider], node) == 0, "registry: node has running jobs"
    stored: uint256 = spec if gpu_catalogue._capacity(spec) != 0 else 0
    self.nodes[provider][node] = stored
    return stored


@internal
def _close(provider: address, now: uint256) -> uint256:
    """
    @dev Returns the bond that is to be released.
    """
    word: uint256 = self.words[provider]
    assert packed._status(word) == packed.EXITING, "registry: no exit has begun"
    # INVARIANT: the bond outlasts every dispute over what the provider did.
    assert now > self.thaws_at[provider], "registry: bond is thawing"
    assert not packed._has_active(word), "registry: jobs are running"
    bond: uint256 = self._bond(provider)
    self.words[provider] = packed._with_status(word, packed.EXITED)
    # SAFETY: the bond is the low bits of the slot.
    self.keys[provider] = unsafe_sub(self.keys[provider], bond)
    return bond
