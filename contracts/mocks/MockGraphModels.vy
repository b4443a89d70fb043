# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy off
"""
@title Mock graph models
@license AGPL-3.0-only
@notice Test only: a registry that checks nothing, so that also what a real one refuses can be put
        before the rules.
"""


struct Facts:
    graph_root: bytes32
    head: uint256


_facts: HashMap[bytes32, Facts]


@external
def put(program: bytes32, graph_root: bytes32, head: uint256):
    """
    @notice Make a model known.
    """
    self._facts[program] = Facts(graph_root=graph_root, head=head)


@external
@view
def facts(program: bytes32) -> (bytes32, uint256):
    """
    @notice As GraphModels'.
    """
    assert self._facts[program].head != 0, "mock: no such model"
    return self._facts[program].graph_root, self._facts[program].head
