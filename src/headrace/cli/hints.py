"""What to do about a refusal, by its reason.

Reasons of a match are explained by the sentences of `terms.unmet`, so that a revert and a bit say
the same.
"""

from collections.abc import Mapping
from types import MappingProxyType

from headrace.terms.requirement import PROVIDER_BITS, REQUESTER_BITS
from headrace.terms.unmet import explain

# The revert that a bit of `unmet` turns into, by the bit's name.
_REQUESTER_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "registry: not active": "not_active",
        "registry: unavailable": "unavailable",
        "registry: stale": "stale",
        "registry: no such node": "no_node",
        "registry: wrong gpu model": "gpu_model",
        "registry: too few gpus": "gpu_count",
        "registry: too little vram": "vram",
        "registry: wrong region": "region",
        "registry: latency too high": "latency",
        "registry: not attested": "attestation",
        "registry: benchmark too low": "benchmark",
        "registry: too few completions": "completions",
        "registry: fault rate too high": "fault_rate",
        "registry: weight too low": "weight",
        "registry: no place left": "capacity",
        "match: job isn't valid yet": "too_early",
        "match: job is over": "too_late",
        "match: price above the ramp": "price",
        "match: provider is excluded": "excluded",
        "match: verifier is stopped": "verifier_stopped",
        "match: job is not open": "not_open",
        "match: bid is revoked": "not_open",
    }
)
_PROVIDER_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "registry: wrong signer": "signer",
        "registry: wrong epoch": "epoch",
        "registry: lane is revoked": "lane",
        "match: ask expired or too long": "expired",
        "match: program not in ask": "program",
        "match: too many units": "units",
        "match: input too large": "input_bytes",
        "match: ack too short": "ack_seconds",
        "match: verifier not in ask": "verifier",
        "match: lock above ask": "lock",
        "match: delay too long": "delay",
        "match: ask is for another": "counterparty",
        "vault: not enough to lock": "stake",
        "match: attempt too short": "attempt_seconds",
    }
)
_SENTENCES: Mapping[str, str] = MappingProxyType(
    {
        "vault: not enough free": "`headrace earnings` shows what is free; the rest is in use",
        "vault: book not authorised": "run `headrace authorise` first, then this again",
        "vault: payer not authorised": "the requester has to run `headrace authorise`",
        "vault: locker not authorised": "the provider has to run `headrace authorise`",
        "vault: not enough to reserve": "run `headrace deposit AMOUNT` first, then this again",
        "vault: not enough to pay": "the requester has to deposit more",
        "vault: withdrawal is zero": "there is nothing to withdraw; give an amount above zero",
        "vault: deposit is zero": "give an amount above zero",
        "vault: token refused to pull": "`headrace faucet` gives tokens of a test chain; "
        "else send some to this account first",
        "vault: bad receiver": "choose another receiver",
        "faucet: too much at once": "ask for less at once",
        "escrow: job exists": "these terms were posted before: see `headrace status`",
        "escrow: job is not open": "somebody works on it, or it is over: see `headrace status JOB`",
        "escrow: only requester revokes": "use the account that signed it (--account)",
        "escrow: not the requester": "use the account that the terms name (--account)",
        "escrow: before final deadline": "until then only its requester may cancel it (--account)",
        "escrow: wrong exclusions": "somebody moved at the same time: run this again",
        "terms: bad no_show_bps": "no_show must be from 10% to 50%",
        "terms: bad attempt_seconds": "time.attempt is longer than this deployment allows; "
        "shorten it",
        "terms: deadline is over": "set time.deadline later",
        "terms: deadline too far": "set time.deadline to 30 days at most",
        "registry: bond too small": "give a larger --bond",
        "registry: registered before": "an account can be a provider once; use another account",
        "registry: exit has begun": "the exit is under way: `headrace exit` says until when",
        "registry: bond is thawing": "wait until the bond has thawed: `headrace exit` says when",
        "registry: jobs are running": "wait until the running jobs have ended",
        "registry: node has running jobs": "run `headrace drain`, wait until its jobs are over",
        "registry: not registered": "run `headrace register NODEFILE`, or name the --provider",
        "registry: not the operator": "use the provider's account or its operator's (--account)",
        "registry: vram above the model's": "give at most the memory that this GPU model has",
        "registry: unknown gpu model": "`headrace providers --gpus` lists the catalogue",
        "model: not registered": "run `headrace model add FILE` first",
        "graph: model not registered": "run `headrace model add FILE` first",
        "graph: too few mirrors": "more accounts have to say where they keep the model: "
        "`headrace model mirror MODEL URL`",
        "graph: units out of range": "split the input: the model takes fewer units at once",
        "graph: window out of bounds": "set check.window within this deployment's bounds",
        "graph: reply out of bounds": "set check.reply within this deployment's bounds",
        "graph: follow out of bounds": "set check.follow within this deployment's bounds",
        "models: no mirror of yours": "`headrace model list` shows who keeps it",
        "models: trace too large": "import the model with fewer units at once (max_units)",
        "proof: units out of range": "split the input: the model takes fewer rows at once",
        "proof: trace too large": "split the input: the trace of so many rows can't be published",
        "proof: window out of bounds": "set check.window within this deployment's bounds",
        "proof: reply out of bounds": "set check.reply within this deployment's bounds",
        "proof: follow out of bounds": "set check.follow within this deployment's bounds",
    }
)


def hint(reason: str) -> str | None:
    """The sentence that says what to do; None if there is none for this reason."""
    if reason in _SENTENCES:
        return _SENTENCES[reason]
    for reasons, names, is_provider in (
        (_REQUESTER_REASONS, REQUESTER_BITS, False),
        (_PROVIDER_REASONS, PROVIDER_BITS, True),
    ):
        name = reasons.get(reason)
        for bit, known in names.items():
            if known == name:
                found = explain(0, 1 << bit) if is_provider else explain(1 << bit, 0)
                return found[0].sentence
    return None
