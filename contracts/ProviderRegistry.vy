# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Provider registry
@license AGPL-3.0-only
@notice Who offers what, and how well they did. Says whether a node fits a job, and keeps its places.
@dev One word per provider (modules/provider_word) and one per node hold all that the life of a job
     touches. An account is a provider once: its record outlives its exit, so a clean one costs a new
     bond. For every provider and node active <= capacity, and the Vault's lane of this contract is
     the bond of every provider that has not exited.
     What a node is, is the provider's own word: a catalogue bounds it, nothing here measures it.
@custom:kill Has no switch: the owner can only add GPU models. Providers leave by themselves.
"""

from interfaces import IProviderRegistry
from interfaces import IVault

implements: IProviderRegistry

from snekmate.auth import ownable
from snekmate.auth import ownable_2step
from contracts.modules import gpu_catalogue
from contracts.modules import provider_book as book
from contracts.modules import provider_word as words
from contracts.modules import reputation
from contracts.modules import requirements

initializes: ownable
initializes: ownable_2step[ownable := ownable]
initializes: gpu_catalogue
initializes: book

exports: (
    ownable.owner,
    ownable_2step.pending_owner,
    ownable_2step.transfer_ownership,
    ownable_2step.accept_ownership,
    book.may_operate,
    book.places,
    book.node_of,
    gpu_catalogue.gpu_model,
    gpu_catalogue.gpu_model_count,
)

_M80: constant(uint256) = 2**80 - 1
# Bits of `ask_unmet`.
_SIGNER: constant(uint256) = 1
_EPOCH: constant(uint256) = 2
_LANE: constant(uint256) = 4
# A bond stays this much longer than the longest dispute that can follow the last match.
_THAW_MARGIN: constant(uint256) = 48 * 3600
_MAX_SECONDS: constant(uint256) = 365 * 86_400

VAULT: public(reentrant(immutable(IVault)))
# The only contract that may take and give back places, and write to a provider's record.
ESCROW: public(reentrant(immutable(address)))
# The least registration bond, in token units.
MIN_BOND: public(reentrant(immutable(uint256)))
# Seconds after which a provider that was neither heard nor finished a job gets no more matches.
HEARTBEAT_TTL: public(reentrant(immutable(uint256)))
# Seconds from the begin of an exit until the bond may leave.
THAW_SECONDS: public(reentrant(immutable(uint256)))
# Seconds in which what is on record loses half its weight.
HALF_LIFE: public(reentrant(immutable(uint256)))
# The most that one finished job adds to the good weight, in token units.
WEIGHT_CAP: public(reentrant(immutable(uint256)))


@deploy
def __init__(
    vault: IVault,
    escrow: address,
    owner: address,
    min_bond: uint256,
    heartbeat_ttl: uint256,
    attempt_max: uint256,
    delay_max: uint256,
    half_life: uint256,
    weight_cap: uint256,
):
    """
    @notice Fix the partners and bounds for the life of the registry.
    @param vault Holds the bonds; this contract must be its book 1.
    @param escrow The JobEscrow.
    @param owner May add GPU models, nothing else.
    @param min_bond Least bond in token units, above zero, of at most 80 bits.
    @param heartbeat_ttl Seconds that a sign of life counts, 1 second to 365 days.
    @param attempt_max The escrow's longest attempt in seconds, 1 second to 365 days.
    @param delay_max The escrow's longest D in seconds, 1 second to 365 days.
    @param half_life Seconds in which a record loses half its weight, 1 second to 365 days.
    @param weight_cap Most good weight of one job in token units, above zero, of at most 40 bits.
    """
    assert owner != empty(address), "registry: owner is zero"
    assert escrow != empty(address), "registry: escrow is zero"
    assert 0 < min_bond and min_bond <= _M80, "registry: bad min_bond"
    assert 0 < heartbeat_ttl and heartbeat_ttl <= _MAX_SECONDS, "registry: bad heartbeat_ttl"
    assert 0 < attempt_max and attempt_max <= _MAX_SECONDS, "registry: bad attempt_max"
    assert 0 < delay_max and delay_max <= _MAX_SECONDS, "registry: bad delay_max"
    assert 0 < half_life and half_life <= _MAX_SECONDS, "registry: bad half_life"
    assert 0 < weight_cap and weight_cap <= words.MAX_WEIGHT, "registry: bad weight_cap"
    ownable.__init__()
    ownable_2step.__init__()
    ownable._transfer_ownership(owner)
    VAULT = vault
    ESCROW = escrow
    MIN_BOND = min_bond
    HEARTBEAT_TTL = heartbeat_ttl
    THAW_SECONDS = attempt_max + delay_max + _THAW_MARGIN
    HALF_LIFE = half_life
    WEIGHT_CAP = weight_cap


# ---- provider


@external
def register(operator: address, payout: address, bond: uint256, spec: uint256):
    """
    @notice Become a provider, available at once, with a bond and a first node at index 0.
    @dev An account can do this once. It must have authorised this contract in the Vault.
    @param operator The key that signs asks and works for the caller; may be the caller.
    @param payout Who is credited for finished jobs; the caller for itself.
    @param bond Token units put aside until the exit, from MIN_BOND to 80 bits.
    @param spec The node's word.
    """
    assert bond >= MIN_BOND, "registry: bond too small"
    assert bond <= _M80, "registry: bond too large"
    gpu_catalogue._check(spec)

    book._open(msg.sender, operator, payout, bond, spec, block.timestamp)
    log IProviderRegistry.Registered(
        account=msg.sender, operator=operator, payout=payout, bond=bond
    )
    log IProviderRegistry.NodeSet(account=msg.sender, node=0, spec=spec)
    extcall VAULT.reserve(msg.sender, bond)


@external
def set_node(node: uint256, spec: uint256):
    """
    @notice Add, change or take away one of the caller's nodes.
    @param node Its index, 0 to 7; no job may be running on it.
    @param spec The node's word; one of capacity zero takes the node away.
    """
    book._registered(msg.sender)
    stored: uint256 = book._set_node(msg.sender, node, spec)
    if stored != 0:
        gpu_catalogue._check(stored)
    log IProviderRegistry.NodeSet(account=msg.sender, node=node, spec=stored)


@external
def rotate_operator(operator: address):
    """
    @notice Replace the caller's operator. What the old one signed can't be matched any more.
    @param operator The new key; may be the caller.
    """
    book._registered(msg.sender)
    old: address = book._operator(msg.sender)
    book._set_operator(msg.sender, operator)
    log IProviderRegistry.OperatorRotated(account=msg.sender, old=old, new=operator)


@external
def set_payout(payout: address):
    """
    @notice Choose who is credited for jobs that end from now on.
    @param payout The account; the caller for itself.
    """
    old: address = book._payout(msg.sender, book._registered(msg.sender))
    book._set_payout(msg.sender, payout)
    log IProviderRegistry.PayoutSet(account=msg.sender, old=old, new=payout)


@external
def begin_exit():
    """
    @notice Leave: no more matches, all asks void, and the bond thaws. Running jobs end as they would have.
    """
    word: uint256 = book._registered(msg.sender)
    assert words._status(word) == words.ACTIVE, "registry: exit has begun"
    thaws_at: uint256 = block.timestamp + THAW_SECONDS

    book.words[msg.sender] = words._with_status(words._with_next_epoch(word), words.EXITING)
    book.thaws_at[msg.sender] = thaws_at
    log IProviderRegistry.ExitBegun(account=msg.sender, thaws_at=thaws_at)


# ---- provider or its operator


@external
def set_available(provider: address, is_available: bool):
    """
    @notice Stop or resume being matched.
    @param provider The provider; the caller must be it or its operator.
    @param is_available Whether it takes jobs.
    """
    word: uint256 = book._operated(provider, msg.sender)

    book.words[provider] = words._with_available(word, is_available)
    log IProviderRegistry.AvailabilitySet(account=provider, is_available=is_available)


@external
def heartbeat(provider: address):
    """
    @notice Show that the provider is there; without it and without finished jobs it turns stale.
    @param provider The provider; the caller must be it or its operator.
    """
    word: uint256 = book._operated(provider, msg.sender)

    book.words[provider] = reputation._seen(word, 0, block.timestamp, HALF_LIFE)
    log IProviderRegistry.Heartbeat(account=provider)


@external
def bump_epoch(provider: address):
    """
    @notice Revoke every ask signed so far. Clears the revoked lanes.
    @param provider The provider; the caller must be it or its operator.
    """
    word: uint256 = book._operated(provider, msg.sender)
    epoch: uint256 = words._epoch(word)
    assert epoch < words.MAX_EPOCH, "registry: no epoch left"

    book.words[provider] = words._with_next_epoch(word)
    log IProviderRegistry.EpochBumped(account=provider, epoch=epoch + 1)


@external
def revoke_lane(provider: address, lane: uint256):
    """
    @notice Revoke the asks of one lane, until the next epoch.
    @param provider The provider; the caller must be it or its operator.
    @param lane 0 to 15. Revoking it again changes nothing.
    """
    word: uint256 = book._operated(provider, msg.sender)
    assert lane < words.LANES, "registry: no such lane"

    book.words[provider] = words._with_lane_revoked(word, lane)
    log IProviderRegistry.LaneRevoked(account=provider, lane=lane)


# ---- anyone


@external
def finish_exit(provider: address):
    """
    @notice Give a leaving provider its bond back, once it has thawed and no job is running.
    @param provider The provider.
    """
    bond: uint256 = book._close(provider, block.timestamp)
    log IProviderRegistry.Exited(account=provider, bond=bond)
    extcall VAULT.release(provider, bond)
    self._sweep(provider)


@external
def sweep(provider: address):
    """
    @notice Send on to the sink what JobEscrow kept for it of a provider's final jobs. The provider's lane holds
            that beside the bond and can't give it back.
    @param provider The provider.
    """
    self._sweep(provider)


# ---- owner


@external
def add_gpu_model(name: String[32], vram_gib: uint256):
    """
    @notice Add a GPU model to the catalogue; its index is the number of models so far.
    @param name What it is called, not empty and not taken.
    @param vram_gib Memory of one GPU in GiB, 1 to 65535.
    """
    ownable._check_owner()
    model: uint256 = gpu_catalogue._append(name, vram_gib)
    log IProviderRegistry.GpuModelAdded(model=model, name=name, vram_gib=vram_gib)


# ---- escrow
# These two call nobody, so they need no lock: it would cost every job some hundred gas.


@external
@reentrant
def engage(
    provider: address,
    node: uint256,
    signer: address,
    requirement: uint256,
    epoch: uint256,
    lane: uint256,
    count: uint256,
):
    """
    @notice Take places of a node for jobs that are matched. Reverts with the reason of the lowest bit of
            `unmet` that is set, then of `ask_unmet`. Is no sign of life.
    @param provider The provider.
    @param node Index of the node.
    @param signer Who signed the ask.
    @param requirement What the jobs require.
    @param epoch The ask's epoch.
    @param lane The ask's lane.
    @param count How many places, at least 1.
    """
    if msg.sender != ESCROW:
        self._refuse_caller()
    word: uint256 = book.words[provider]
    # As `_unmet`, without a call between.
    bits: uint256 = requirements._unmet(
        requirement,
        book.nodes[provider][node],
        word,
        node,
        count,
        block.timestamp,
        HEARTBEAT_TTL,
        HALF_LIFE,
    )
    if bits != 0:
        requirements._refuse(bits)
    bits = self._ask_unmet(provider, signer, epoch, lane, word)
    assert bits & _SIGNER == 0, "registry: wrong signer"
    assert bits & _EPOCH == 0, "registry: wrong epoch"
    assert bits & _LANE == 0, "registry: lane is revoked"
    # SAFETY: there is a node, so its index is in range; CAPACITY bounds the sum.
    book.words[provider] = words._with_taken(word, node, count)


@external
@reentrant
def disengage(
    provider: address,
    node: uint256,
    ending: IProviderRegistry.Ending,
    weight: uint256,
    count: uint256,
) -> address:
    """
    @notice Give places back and write down how the jobs ended. Never refuses for the provider's state.
    @dev Only a COMPLETION is a sign of life. The weights are as of `last_seen`, so what a FAULT or a
         NO_SHOW adds is first grown back to that time: at least `weight` of it counts today.
    @param provider The provider.
    @param node Index of the node.
    @param ending How all of them ended.
    @param weight Token units that were sunk for them.
    @param count How many, at most the node's running jobs.
    @return Who is to be paid for the provider.
    """
    if msg.sender != ESCROW:
        self._refuse_caller()
    word: uint256 = book.words[provider]
    # INVARIANT: places are given back once.
    assert (
        node < words.NODES and count <= words._active(word, node)
    ), "registry: places are not taken"
    word = words._with_given_back(word, node, count)

    if ending == IProviderRegistry.Ending.COMPLETION:
        # SAFETY: count is at most 63, and the cap has 40 bits.
        good: uint256 = min(weight, unsafe_mul(count, WEIGHT_CAP))
        word = reputation._seen(word, good, block.timestamp, HALF_LIFE)
        word = words._with_completions(word, count)
    elif ending == IProviderRegistry.Ending.FAULT:
        word = reputation._blamed(word, weight, block.timestamp, HALF_LIFE)
        word = words._with_faults(word, count)
    elif ending == IProviderRegistry.Ending.NO_SHOW:
        word = reputation._blamed(word, weight, block.timestamp, HALF_LIFE)
        word = words._with_no_shows(word, count)
    elif ending == IProviderRegistry.Ending.DECLINE:
        word = words._with_declines(word, count)

    book.words[provider] = word
    if (word >> words.AT_HAS_PAYOUT) & 1 == 0:
        return provider
    return book._payout(provider, word)


# ---- views


@external
@view
def unmet(requirement: uint256, provider: address, node: uint256) -> uint256:
    """
    @notice Why a node can't take one more job of a requirement now. A match enforces the same.
    @param requirement The requirement word.
    @param provider The provider.
    @param node Index of the node.
    @return Bits 0 to 14 of docs/encoding.md; zero if it can.
    """
    return self._unmet(requirement, provider, node, book.words[provider], 1)


@external
@view
def ask_unmet(provider: address, signer: address, epoch: uint256, lane: uint256) -> uint256:
    """
    @notice Why an ask doesn't bind the provider now. A match enforces the same.
    @param provider The provider.
    @param signer Who signed the ask.
    @param epoch The ask's epoch.
    @param lane The ask's lane.
    @return Bit 0: the signer is neither the provider nor its operator; 1: another epoch; 2: the lane is
            revoked, or there is none such.
    """
    return self._ask_unmet(provider, signer, epoch, lane, book.words[provider])


@external
@view
def provider_of(provider: address) -> IProviderRegistry.Provider:
    """
    @notice What is on record of a provider, with its weights as of now.
    @param provider The provider.
    @return The record; all zero if it never registered.
    """
    word: uint256 = book.words[provider]
    good: uint256 = 0
    bad: uint256 = 0
    good, bad = reputation._weights(word, block.timestamp, HALF_LIFE)
    return IProviderRegistry.Provider(
        status=words._status(word),
        is_available=words._is_available(word),
        operator=book._operator(provider),
        payout=empty(address) if word == 0 else book._payout(provider, word),
        bond=book._bond(provider),
        epoch=words._epoch(word),
        revoked_lanes=words._revoked_lanes(word),
        last_seen=words._last_seen(word),
        active=words._total_active(word),
        completions=words._completions(word),
        faults=words._faults(word),
        no_shows=words._no_shows(word),
        declines=words._declines(word),
        good_weight=good,
        bad_weight=bad,
        thaws_at=book.thaws_at[provider],
    )


# ---- internal

@internal
def _sweep(provider: address):
    # INVARIANT: this book has reserved the bond (none after an exit) and what is for the sink.
    charges: uint256 = staticcall VAULT.reserved_of(provider, 1) - book._bond(provider)
    if charges != 0:
        extcall VAULT.sink(provider, charges)


@internal
@pure
def _refuse_caller():
    raise "registry: not the escrow"


@internal
@view
def _unmet(
    requirement: uint256, provider: address, node: uint256, word: uint256, count: uint256
) -> uint256:
    return requirements._unmet(
        requirement,
        book.nodes[provider][node],
        word,
        node,
        count,
        block.timestamp,
        HEARTBEAT_TTL,
        HALF_LIFE,
    )


@internal
@view
def _ask_unmet(
    provider: address, signer: address, epoch: uint256, lane: uint256, word: uint256
) -> uint256:
    bits: uint256 = 0
    if signer != provider and signer != book._operator(provider):
        bits |= _SIGNER
    if (word >> words.AT_EPOCH) & words.M20 != epoch:
        bits |= _EPOCH
    # SAFETY: a lane is below 16 when its bit is looked at.
    if lane >= words.LANES or (word >> unsafe_add(words.AT_LANES, lane)) & 1 != 0:
        bits |= _LANE
    return bits
