# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy off
"""
@title Mock graph rules
@license AGPL-3.0-only
@notice Test only: a judge that a proof tells what to say: `row` was claimed and `column` would have
        been right.
"""

from interfaces import IGraphRules

implements: IGraphRules


@external
@view
def prove(claim: IGraphRules.ClaimRef, proof: IGraphRules.Proof) -> IGraphRules.Judgement:
    """
    @notice What the proof says.
    """
    return self._judge(proof.kind, proof.row, proof.column)


@external
@view
def audit(claim: IGraphRules.ClaimRef, proof: IGraphRules.Proof) -> IGraphRules.Judgement:
    """
    @notice What the proof says.
    """
    return self._judge(proof.kind, proof.row, proof.column)


@internal
@pure
def _judge(kind: uint256, row: uint256, column: uint256) -> IGraphRules.Judgement:
    return IGraphRules.Judgement(
        is_fault=row != column,
        kind=kind,
        claimed=convert(row, int256),
        right=convert(column, int256),
    )
