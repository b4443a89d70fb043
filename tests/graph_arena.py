"""GraphProof beside the real JobEscrow, Vault and Registry: `Court` with jobs that were matched."""

import itertools
from dataclasses import replace
from typing import Any

from headrace.graph2.claimed import ClaimedTrace
from headrace.graph2.model import Model
from headrace.graph2.quads import tensor_root
from headrace.graph2.trace import Trace
from tests.harness import Account, Receipt
from tests.system import Attempt, System
from tests.unit.graph_proof.court import Case, Claim, Court, deploy_rules, settings

GRAPH_PROOF_BOOK = 8
NODE_FEE = 20_000


class Arena(Court):
    """The whole system with the verifier of version 2, and a model that is registered."""

    system: System
    attempts: dict[bytes, Attempt]
    claims: dict[bytes, Receipt]

    @classmethod
    def on(cls, system: System, model: Model, tensor: Any) -> "Arena":
        """Deploy version 2 into a system; watchers and providers let its book reserve."""
        chain, p = system.chain, system.parameters
        models = chain.deploy("GraphModels", 0, sender=system.owner)
        rules = deploy_rules(chain)
        bounds = (*p.window, *p.reply)
        proof = chain.deploy(
            "GraphProof", system.escrow, system.vault, models, rules, NODE_FEE, *bounds
        )
        arena = cls(chain, system.escrow, system.vault, models, rules, proof, model, tensor)
        arena.system, arena.attempts, arena.claims = system, {}, {}
        system.vault.add_book(proof, sender=system.owner)
        for account in (*system.watchers, *system.providers, *system.requesters):
            system.vault.authorise(GRAPH_PROOF_BOOK, sender=account)
        system.enact(proof, p.charge_bps, p.keeper_fee)
        arena.register(model)
        arena.salts = itertools.count(1)
        return arena

    def beside(self, model: Model, tensor: Any) -> "Arena":
        """The same contracts with another model, which is registered, or another input."""
        self.register(model)
        made = replace(self, model=model, tensor=tensor)
        made.system, made.attempts, made.claims = self.system, {}, {}
        return made

    def claim(
        self,
        trace: Trace | ClaimedTrace,
        *,
        provider: int = 1,
        config: int | None = None,
        **changes: Any,
    ) -> Claim:
        """A job, matched and claimed with this trace."""
        claimed = ClaimedTrace(trace) if isinstance(trace, Trace) else trace
        model, units = claimed.model, claimed.units
        words = settings() if config is None else config
        terms = self.system.terms(
            verifier=self.proof.address,
            settings=words,
            program=model.program,
            input_id=tensor_root(model.input, self.tensor),
            units=units,
            **changes,
        )
        ask = self.system.ask(
            provider,
            verifier=self.proof,
            settings=words,
            programs=model.program,
            max_lock=500 * 10**6,
        )
        attempt = self.system.match(terms, ask)
        self.claims[attempt.job_id] = self.system.claim(attempt, claimed.root)
        self.attempts[attempt.job_id] = attempt
        at = self.system.job(attempt).time
        facts = model.graph_root, model.op_count, units
        case = Case(attempt.job_id, attempt.claim_id, claimed.root, *facts, at, words)
        ids = attempt.job_id, attempt.claim_id, at, attempt.number
        return Claim(terms.pack(), attempt.record.pack(), claimed.root, *ids, claimed, case)

    def fund(self, account: Account, amount: int = 0) -> Account:
        """Everybody has money already."""
        return account

    def finalise(self, claim: Claim, **options: Any) -> Any:
        """End a claim that stands."""
        attempt = self.attempts[claim.job_id]
        return self.system.finalise(attempt, claim.commitment, **options)

    def refute(self, claim: Claim, **options: Any) -> Any:
        """Carry a verdict out."""
        return self.system.refute(self.attempts[claim.job_id], claim.commitment, **options)

    def state(self, claim: Claim) -> int:
        """The state of the claim's job."""
        return int(self.system.job(claim.job_id).state)

    def held(self, account: Account) -> int:
        """What is put aside of an account for its demands."""
        return int(self.vault.reserved_of(account, 3))
