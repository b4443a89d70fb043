# pragma version 0.4.3
# pragma nonreentrancy off
"""
@title GPU catalogue
@license AGPL-3.0-only
@notice The GPU models that nodes may have, and what a node's word may say.
@dev Owns the catalogue, which only grows: a model's index is a bit of every requirement. A model that is
     in it has memory, so `_vram` also says which indices are taken.
"""

# A requirement has one bit for each model, and one for each region.
_MAX_MODELS: constant(uint256) = 96
_REGIONS: constant(uint256) = 32
# What fits the field of a node's running jobs.
_MAX_CAPACITY: constant(uint256) = 63
# The flags that are known.
_FLAGS: constant(uint256) = 1

_M8: constant(uint256) = 2**8 - 1
_M16: constant(uint256) = 2**16 - 1
_M152: constant(uint256) = 2**152 - 1

# Number of models.
_count: uint256
# index => memory of one GPU, in GiB
_vram: uint256[_MAX_MODELS]
# index => name
_names: HashMap[uint256, String[32]]
# hash of a name => whether a model has it
_is_taken: HashMap[bytes32, bool]


@external
@view
def gpu_model(model: uint256) -> (String[32], uint256):
    """
    @notice A GPU model of the catalogue.
    @param model Its index, below `gpu_model_count`.
    @return Its name, and the memory of one GPU in GiB.
    """
    return self._names[model], self._vram_of(model)


@external
@view
def gpu_model_count() -> uint256:
    """
    @notice Size of the catalogue.
    @return The number of GPU models.
    """
    return self._count


@internal
def _append(name: String[32], vram_gib: uint256) -> uint256:
    """
    @dev Returns the new model's index.
    """
    model: uint256 = self._count
    assert model < _MAX_MODELS, "registry: catalogue is full"
    assert len(name) > 0, "registry: name is empty"
    assert 0 < vram_gib and vram_gib <= _M16, "registry: vram out of range"
    key: bytes32 = keccak256(name)
    assert not self._is_taken[key], "registry: name is taken"
    self._is_taken[key] = True
    self._names[model] = name
    self._vram[model] = vram_gib
    self._count = model + 1
    return model


@internal
@view
def _vram_of(model: uint256) -> uint256:
    vram_gib: uint256 = 0
    if model < _MAX_MODELS:
        vram_gib = self._vram[model]
    assert vram_gib != 0, "registry: unknown gpu model"
    return vram_gib


@internal
@view
def _check(spec: uint256):
    """
    @dev Reverts unless `spec` is the word of a node, of the layout in docs/encoding.md.
    """
    assert spec & _M152 == 0, "registry: spare bits are set"
    assert (spec >> 224) & _M16 <= self._vram_of(spec >> 240), "registry: vram above the model's"
    assert (spec >> 216) & _M8 != 0, "registry: node has no gpu"
    assert (spec >> 208) & _M8 < _REGIONS, "registry: unknown region"
    capacity: uint256 = self._capacity(spec)
    assert 0 < capacity and capacity <= _MAX_CAPACITY, "registry: capacity out of range"
    assert (spec >> 192) & _M8 != 0, "registry: no latency class"
    assert (spec >> 184) & _M8 <= _FLAGS, "registry: unknown flag"


@internal
@pure
def _capacity(spec: uint256) -> uint256:
    return (spec >> 200) & _M8
