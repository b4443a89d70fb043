"""Typed clients of the contracts, one class each.

A read takes `block` (a number, or "latest") and returns at once; a move returns a `Call` for the
Sender and sends nothing. Structs go in and come out as the words of `headrace.terms` or as the
dataclasses of views.py, job and claim ids as 32 bytes, amounts in token units, times in unix
seconds. Errors of a read: `Rejected` with the contract's reason, `Unreachable`, `RetryLater`;
UsageError when there is no contract at the address.
"""

from collections.abc import Iterable, Sequence

from headrace.chain.abi import Call
from headrace.chain.contract import LATEST, Contract, Owned, read_many
from headrace.chain.rpc import BlockTag
from headrace.chain.views import Account, JobState, Policy, Provider, Slot
from headrace.terms.amounts import Money
from headrace.terms.words import Ask, Exclusion, Node, Record, Terms


class Token(Contract):
    """The ERC-20 that all amounts are in, with the faucet's `drip` where it has one."""

    ARTIFACT = "FaucetToken"

    def balance_of(self, account: str, block: BlockTag = LATEST) -> int:
        """Token units that an account holds outside of the Vault."""
        return int(self.read("balanceOf", account, block=block))

    def allowance(self, account: str, spender: str, block: BlockTag = LATEST) -> int:
        """What `spender` may take of the account's."""
        return int(self.read("allowance", account, spender, block=block))

    def money(self) -> Money:
        """How its amounts are written."""
        decimals, symbol = read_many(self.rpc, [self.query("decimals"), self.query("symbol")])
        return Money(int(decimals), str(symbol))

    def decimals(self) -> int:
        """Digits behind the point in a token."""
        return int(self.read("decimals"))

    def approve(self, spender: str, amount: int) -> Call:
        """Let `spender` take `amount`."""
        return self.call("approve", spender, amount)

    def transfer(self, receiver: str, amount: int) -> Call:
        """Send tokens."""
        return self.call("transfer", receiver, amount)

    def drip(self, amount: int) -> Call:
        """Faucet only: get new tokens."""
        return self.call("drip", amount)


class Vault(Owned):
    """The only contract that holds tokens."""

    ARTIFACT = "Vault"
    ESCROW_BOOK = 0
    REGISTRY_BOOK = 1
    FAULT_PROOF_BOOK = 2
    GRAPH_PROOF_BOOK = 3

    def account_of(self, account: str, block: BlockTag = LATEST) -> Account:
        """All that an account has here."""
        return Account(*self.read("account_of", account, block=block))

    def free_of(self, account: str, block: BlockTag = LATEST) -> int:
        """What an account may withdraw."""
        return int(self.read("free_of", account, block=block))

    def reserved_of(self, account: str, index: int, block: BlockTag = LATEST) -> int:
        """What the book at `index` has put aside of an account's."""
        return int(self.read("reserved_of", account, index, block=block))

    def book_at(self, index: int, block: BlockTag = LATEST) -> str:
        """The book at `index`."""
        return str(self.read("book_at", index, block=block))

    def total_held(self, block: BlockTag = LATEST) -> int:
        """What all accounts and the sink have together."""
        return int(self.read("total_held", block=block))

    def sunk(self, block: BlockTag = LATEST) -> int:
        """What is in the sink."""
        return int(self.read("sunk", block=block))

    def nonces(self, account: str) -> int:
        """The nonce of an account's next signed authorisation."""
        return int(self.read("nonces", account))

    def deposit(self, amount: int) -> Call:
        """Pay in; needs the Vault's allowance."""
        return self.call("deposit", amount)

    def deposit_and_authorise(self, amount: int, books: int) -> Call:
        """Pay in and authorise the books of a bit mask."""
        return self.call("deposit_and_authorise", amount, books)

    def withdraw(self, amount: int, receiver: str) -> Call:
        """Take out what is free."""
        return self.call("withdraw", amount, receiver)

    def authorise(self, books: int) -> Call:
        """Let the books of a bit mask reserve from now on."""
        return self.call("authorise", books)

    def revoke(self, books: int) -> Call:
        """Let the books of a bit mask reserve no more."""
        return self.call("revoke", books)

    def add_book(self, book: str) -> Call:
        """Owner: append a book."""
        return self.call("add_book", book)

    def flush_sink(self) -> Call:
        """Send the sink to its receiver."""
        return self.call("flush_sink")


class ProviderRegistry(Owned):
    """Who offers what, and how well they did."""

    ARTIFACT = "ProviderRegistry"

    def provider_of(self, provider: str, block: BlockTag = LATEST) -> Provider:
        """A provider's record."""
        return Provider(*self.read("provider_of", provider, block=block))

    def node_of(self, provider: str, node: int, block: BlockTag = LATEST) -> Node | None:
        """A provider's node; None if there is none at this index."""
        word = int(self.read("node_of", provider, node, block=block))
        return Node.unpack(word) if word else None

    def unmet(self, requirement: int, provider: str, node: int, block: BlockTag = LATEST) -> int:
        """The bits of a requirement that a node does not meet."""
        return int(self.read("unmet", requirement, provider, node, block=block))

    def places(self, provider: str, node: int, block: BlockTag = LATEST) -> int:
        """How many more jobs a node takes now."""
        return int(self.read("places", provider, node, block=block))

    def may_operate(self, provider: str, caller: str, block: BlockTag = LATEST) -> bool:
        """Whether `caller` may work for the provider."""
        return bool(self.read("may_operate", provider, caller, block=block))

    def gpu_models(self, block: BlockTag = LATEST) -> list[tuple[str, int]]:
        """The catalogue: name and memory in GiB of every GPU model, by index."""
        count = int(self.read("gpu_model_count", block=block))
        queries = [self.query("gpu_model", index) for index in range(count)]
        return [(str(name), int(vram)) for name, vram in read_many(self.rpc, queries, block)]

    def register(self, operator: str, payout: str, bond: int, spec: Node) -> Call:
        """Become a provider with a first node."""
        return self.call("register", operator, payout, bond, spec)

    def set_node(self, node: int, spec: Node | None) -> Call:
        """Say what a node is; None takes it out."""
        return self.call("set_node", node, 0 if spec is None else spec)

    def rotate_operator(self, operator: str) -> Call:
        """Change the key that works for the provider."""
        return self.call("rotate_operator", operator)

    def set_payout(self, payout: str) -> Call:
        """Change who is paid."""
        return self.call("set_payout", payout)

    def set_available(self, provider: str, is_available: bool) -> Call:
        """Take new matches, or none."""
        return self.call("set_available", provider, is_available)

    def heartbeat(self, provider: str) -> Call:
        """A sign of life."""
        return self.call("heartbeat", provider)

    def bump_epoch(self, provider: str) -> Call:
        """Revoke every ask that was signed."""
        return self.call("bump_epoch", provider)

    def revoke_lane(self, provider: str, lane: int) -> Call:
        """Revoke the asks of one lane."""
        return self.call("revoke_lane", provider, lane)

    def sweep(self, provider: str) -> Call:
        """Send on to the sink what was kept for it of a provider's final jobs."""
        return self.call("sweep", provider)

    def begin_exit(self) -> Call:
        """Take no more matches and let the bond thaw."""
        return self.call("begin_exit")

    def finish_exit(self, provider: str) -> Call:
        """Free the thawed bond."""
        return self.call("finish_exit", provider)

    def add_gpu_model(self, name: str, vram_gib: int) -> Call:
        """Owner: append a model to the catalogue."""
        return self.call("add_gpu_model", name, vram_gib)


class JobEscrow(Owned):
    """The life of a job."""

    ARTIFACT = "JobEscrow"

    def job(self, job_id: bytes, block: BlockTag = LATEST) -> Slot:
        """A job's slot."""
        state, attempt, time, digest = self.read("job", job_id, block=block)
        return Slot(JobState(state), attempt, time, digest)

    def jobs(self, job_ids: Sequence[bytes], block: BlockTag = LATEST) -> list[Slot]:
        """Several jobs' slots, in one request."""
        slots = read_many(self.rpc, [self.query("job", job_id) for job_id in job_ids], block)
        return [Slot(JobState(state), *rest) for state, *rest in slots]

    def policy_of(self, verifier: str, block: BlockTag = LATEST) -> Policy:
        """How new matches may use a verifier."""
        return Policy(*self.read("policy_of", verifier, block=block))

    def bid_epoch(self, requester: str, block: BlockTag = LATEST) -> int:
        """The epoch that a requester's bids must carry."""
        return int(self.read("bid_epoch", requester, block=block))

    def post_job(self, terms: Terms) -> Call:
        """Open a job."""
        return self.call("post_job", terms)

    def cancel(self, terms: Terms, excluded: Sequence[Exclusion]) -> Call:
        """Close a job that nobody works on; `excluded` as for `match`."""
        return self.call("cancel", terms, list(excluded))

    def revoke_bids(self) -> Call:
        """Revoke every bid that was signed and isn't matched."""
        return self.call("revoke_bids")

    def match(
        self,
        terms: Terms,
        bid_signature: bytes,
        ask: Ask,
        ask_signature: bytes,
        program_proof: Sequence[bytes],
        excluded: Sequence[Exclusion],
    ) -> Call:
        """
        Put a job and an offer together; `bid_signature` is empty for a job on record, `excluded`
        are the job's exclusions so far, in order.
        """
        proof, others = list(program_proof), list(excluded)
        return self.call("match", terms, bid_signature, ask, ask_signature, proof, others)

    def match_batch(
        self,
        terms: Terms,
        inputs: Sequence[bytes],
        bid_signature: bytes,
        ask: Ask,
        ask_signature: bytes,
        program_proof: Sequence[bytes],
    ) -> Call:
        """Match up to 32 jobs that differ only in their input."""
        members, proof = list(inputs), list(program_proof)
        return self.call("match_batch", terms, members, bid_signature, ask, ask_signature, proof)

    def decline(self, job_id: bytes, record: Record) -> Call:
        """Step back from a job."""
        return self.call("decline", job_id, record)

    def submit_claim(self, job_id: bytes, record: Record, commitment: bytes) -> Call:
        """Say what the result is."""
        return self.call("submit_claim", job_id, record, commitment)

    def submit_claims(self, record: Record, items: Iterable[tuple[bytes, bytes]]) -> Call:
        """Claims of jobs that share a record: (job id, commitment) each, at most 32."""
        return self.call("submit_claims", record, list(items))

    def finalise(self, job_id: bytes, record: Record, commitment: bytes) -> Call:
        """Pay for a claim that stands."""
        return self.call("finalise", job_id, record, commitment)

    def finalise_batch(self, record: Record, items: Iterable[tuple[bytes, bytes]]) -> Call:
        """Pay for claims that share a record: (job id, commitment) each, at most 32."""
        return self.call("finalise_batch", record, list(items))

    def expire(self, job_id: bytes, record: Record) -> Call:
        """End an attempt whose time is over."""
        return self.call("expire", job_id, record)

    def refute(self, job_id: bytes, record: Record, commitment: bytes) -> Call:
        """Carry out the verdict that a claim falls."""
        return self.call("refute", job_id, record, commitment)

    def void_claim(self, job_id: bytes, record: Record, commitment: bytes) -> Call:
        """Undo a claim whose verifier has failed."""
        return self.call("void_claim", job_id, record, commitment)

    def propose_policy(self, verifier: str, charge_bps: int, keeper_fee: int) -> Call:
        """Owner: propose how a verifier may be used."""
        return self.call("propose_policy", verifier, charge_bps, keeper_fee)

    def enact_policy(self, verifier: str) -> Call:
        """Put a proposed policy into force once its time has come."""
        return self.call("enact_policy", verifier)
