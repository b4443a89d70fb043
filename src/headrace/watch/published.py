"""Reads the trace that somebody published on chain out of the transaction that did it."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from headrace.chain.abi import BadAnswer, decode_values
from headrace.chain.rpc import NodeError, Rpc, to_bytes
from headrace.chain.rules import FaultProof
from headrace.errors import RetryLater, Unreachable
from headrace.graph.errors import TraceError
from headrace.graph.model import Model
from headrace.graph.trace import Trace

log = logging.getLogger(__name__)

_FUNCTION = "publish_trace"


def published_trace(
    rpc: Rpc, verifier: str, tx_hash: bytes, model: Model, units: int, commitment: bytes
) -> Trace | None:
    """
    The trace with the root `commitment` that a transaction published with the FaultProof at
    `verifier`: from its calldata, wherever in it the call stands, or from the node's trace of its
    inner calls. None if neither holds it; RetryLater if the transaction isn't known (any more).
    """
    name = "0x" + tx_hash.hex()
    answer = rpc.call("eth_getTransactionByHash", name)
    if not isinstance(answer, Mapping):
        raise RetryLater(f"{name} is not known to the node")
    found = _in_calldata(to_bytes(answer.get("input")), model, units, commitment)
    if found is None:
        # Published by a contract that put the call together itself.
        for data in _inner_calls(rpc, name, verifier):
            found = found or _in_calldata(data, model, units, commitment)
    return found


def _in_calldata(data: bytes, model: Model, units: int, commitment: bytes) -> Trace | None:
    function = FaultProof.abi().functions[_FUNCTION]
    place = data.find(function.selector)
    while place >= 0:
        try:
            _, content = decode_values(function.inputs, data[place + 4 :], _FUNCTION)
            trace = Trace.from_bytes(model, units, content)
        except (BadAnswer, TraceError):
            trace = None
        if trace is not None and trace.root == commitment:
            return trace
        place = data.find(function.selector, place + 1)
    return None


def _inner_calls(rpc: Rpc, tx: str, verifier: str) -> Iterator[bytes]:
    try:
        top = rpc.call("debug_traceTransaction", tx, {"tracer": "callTracer"})
    except (NodeError, Unreachable) as error:
        log.error("no trace of inner calls", extra={"tx": tx, "why": str(error)})
        return
    waiting: list[Any] = [top]
    while waiting:
        call = waiting.pop()
        if not isinstance(call, Mapping):
            continue
        if str(call.get("to", "")).lower() == verifier.lower():
            yield to_bytes(call.get("input"))
        waiting += call.get("calls") or []
