"""The mock TaskList and somebody who opens tasks: what keepers race for, and nothing else."""

from dataclasses import dataclass
from typing import Any

from headrace.chain.abi import Abi, Call
from headrace.chain.contract import Contract
from headrace.chain.fees import GWEI
from headrace.chain.rpc import Rpc
from scripts.compiler import compile_contract
from tests.harness import Anvil

NOTHING, OPEN, DONE = 0, 1, 2


class TaskList(Contract):
    """The mock of that name: tasks that anybody may perform, each once."""

    ARTIFACT = "TaskList"

    @classmethod
    def abi(cls) -> Abi:
        """Of the mock's source; it is in no package."""
        return Abi(compile_contract("TaskList").abi)

    def perform(self, task: int) -> Call:
        """Do an open task."""
        return self.call("perform", task)

    def times(self, task: int) -> int:
        """How often a task was performed."""
        return int(self.read("times", task))

    def state_of(self, task: int) -> int:
        """NOTHING, OPEN or DONE."""
        return int(self.read("state_of", task))


@dataclass
class Office:
    """Somebody who opens tasks, by the node's own account. The chain mines when told."""

    anvil: Anvil
    tasks: TaskList

    @classmethod
    def open(cls, anvil: Anvil) -> "Office":
        """A list of its own."""
        tasks = deploy(anvil, compile_contract("TaskList").bytecode)
        return cls(anvil, TaskList(Rpc(anvil.url), tasks))

    def send(self, function: str, *args: Any, tip: int = GWEI) -> None:
        """Into the pool; blocks take the highest tips first."""
        call = self.tasks.call(function, *args)
        request = {
            "from": self.anvil.rpc("eth_accounts")[0],
            "to": call.to,
            "data": "0x" + call.data.hex(),
            "gas": hex(500_000),
            "maxFeePerGas": hex(1_000 * GWEI),
            "maxPriorityFeePerGas": hex(tip),
        }
        self.anvil.rpc("eth_sendTransaction", request)

    def post(self, *tasks: int) -> None:
        """Open tasks, in a block that is mined now."""
        for task in tasks:
            self.send("post", task)
        self.anvil.rpc("evm_mine")

    def mood(self, *, is_stopped: bool = False, growls: bool = False, appetite: int = 0) -> None:
        """How the list behaves from a block on that is mined now."""
        self.send("set_mood", is_stopped, growls, appetite)
        self.anvil.rpc("evm_mine")


def deploy(anvil: Anvil, bytecode: str) -> str:
    """The address of a contract without arguments, in a block that is mined now."""
    account = anvil.rpc("eth_accounts")[0]
    tx = anvil.rpc(
        "eth_sendTransaction", {"from": account, "data": bytecode, "gas": hex(5_000_000)}
    )
    anvil.rpc("evm_mine")
    return str(anvil.rpc("eth_getTransactionReceipt", tx)["contractAddress"])
