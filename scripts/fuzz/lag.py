"""A node that is some blocks behind, in all that it says: a view of the chain as it was."""

import json
from typing import Any

from tests.misbehaving_rpc import Behind

# Methods with a block's tag at this place of their parameters.
_TAGGED = {"eth_call": 1, "eth_estimateGas": 1, "eth_getTransactionCount": 1, "eth_getBalance": 1}


class Lag(Behind):
    """As `Behind`, and state and receipts are those of the old head too."""

    def __call__(self, method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
        """As `Changes`."""
        place = _TAGGED.get(method)
        if place is not None and params[place:] == ["latest"]:
            old = [*params[:place], hex(self.number)]
            body = {"jsonrpc": "2.0", "id": answer["id"], "method": method, "params": old}
            reply = self._proxy.reply(json.dumps(body).encode())
            return answer if reply is None or isinstance(reply, str) else dict(json.loads(reply[2]))
        result = answer.get("result")
        if method == "eth_getTransactionReceipt" and result is not None:
            is_known = int(result["blockNumber"], 16) <= self.number
            return answer | {"result": result if is_known else None}
        return super().__call__(method, params, answer)
