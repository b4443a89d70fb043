"""The rules on a chain, and what they and their Python twin say of proofs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from headrace.graph2.check import Facts, Judgement, NotProven, check
from headrace.graph2.model import Model
from tests.abi import reason_of
from tests.graph2.onchain.prover import Claimed, Proof
from tests.harness import Chain, Contract

BATCH = 64
CALL_GAS = 30_000_000


@dataclass
class Court:
    """The four contracts of the rules, before a registry of models that wants no mirrors."""

    chain: Chain
    models: Contract
    rules: Contract
    parts: tuple[Contract, ...]

    @classmethod
    def of(cls, chain: Chain) -> "Court":
        """Deploy everything."""
        models = chain.deploy("GraphModels", 0)
        names = "GraphRowRules", "GraphElementRules", "GraphFormRules"
        parts = tuple(chain.deploy(name) for name in names)
        return cls(chain, models, chain.deploy("GraphRules", *parts), parts)

    def register(self, model: Model) -> None:
        """Make a model known."""
        given = model.input.word
        self.models.register_model(model.descriptors, given, model.max_units, bytes(32))

    def judge(self, claim: Claimed, proofs: Sequence[Proof], **changes: Any) -> list[Any]:
        """A Judgement, or the reason of a revert, for each proof."""
        return self.judge_all([(claim, proof) for proof in proofs], **changes)

    def judge_all(self, cases: Sequence[tuple[Claimed, Proof]], **changes: Any) -> list[Any]:
        """As `judge`, each proof with its claim as it is now."""
        data = [
            self.rules.encode("prove", reference(claim, **changes), proof) for claim, proof in cases
        ]
        return self.call(data)

    def call(self, calls: Sequence[bytes]) -> list[Any]:
        """What the rules answer to each call, in batches of eth_call."""
        function = self.rules.abi.function("prove", 2)
        answers: list[Any] = []
        for start in range(0, len(calls), BATCH):
            body = [
                {
                    "jsonrpc": "2.0",
                    "id": at,
                    "method": "eth_call",
                    "params": [
                        self.chain.request(None, self.rules.address, data, gas=CALL_GAS),
                        "latest",
                    ],
                }
                for at, data in enumerate(calls[start : start + BATCH])
            ]
            for answer in sorted(self.chain.anvil.post(body), key=lambda item: item["id"]):
                if "error" not in answer:
                    found = function.result(bytes.fromhex(answer["result"][2:]))
                    answers.append(Judgement(*found))
                    continue
                raw = str(answer["error"].get("data") or "0x")
                answers.append(reason_of(bytes.fromhex(raw[2:]), answer["error"]["message"]))
        assert len(answers) == len(calls)
        return answers


def reference(
    claim: Claimed,
    *,
    units: int | None = None,
    commitment: bytes | None = None,
    input_id: bytes | None = None,
) -> tuple[Any, ...]:
    """The claim as the contract takes it."""
    units = claim.units if units is None else units
    given = claim.input_id if input_id is None else input_id
    terms = (0, 0, 0, claim.model.program, given, 0, 0, units << 160)
    return terms, (0,) * 8, claim.commitment if commitment is None else commitment


def twin(
    claim: Claimed,
    proof: Proof,
    *,
    units: int | None = None,
    commitment: bytes | None = None,
    input_id: bytes | None = None,
) -> Any:
    """What the Python twin says: a Judgement or a reason."""
    facts = Facts.of(
        claim.model,
        claim.units if units is None else units,
        claim.input_id if input_id is None else input_id,
        claim.commitment if commitment is None else commitment,
    )
    try:
        return check(facts, proof)  # type: ignore[arg-type]
    except NotProven as error:
        return str(error)
