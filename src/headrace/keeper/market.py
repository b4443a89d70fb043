"""The chain as far as matching goes: `market.snapshot`, out of the words that a keeper knows."""

from collections.abc import Iterable
from dataclasses import dataclass

from headrace.chain.contract import read_many
from headrace.chain.contracts import Vault
from headrace.chain.views import Provider
from headrace.daemon.context import Context, View
from headrace.keeper.known import Known
from headrace.keeper.reads import account_key, epoch_key, node_key, places_key
from headrace.keeper.verifiers import Verifiers
from headrace.market.book import Book, LiveAsk
from headrace.market.snapshot import NodeState, ProviderState, Snapshot
from headrace.terms.requirement import ProviderRecord
from headrace.terms.words import Node


@dataclass(frozen=True, slots=True)
class Constants:
    """What a deployment never changes, in seconds."""

    heartbeat_ttl: int
    half_life: int
    attempt_max: int
    delay_max: int

    @classmethod
    def read(cls, context: Context) -> "Constants":
        """Those of a deployment. Unreachable and RetryLater if they can't be had now."""
        queries = [
            context.registry.query("HEARTBEAT_TTL"),
            context.registry.query("HALF_LIFE"),
            context.rules.query("ATTEMPT_MAX"),
            context.escrow.query("DELAY_MAX"),
        ]
        return cls(*map(int, read_many(context.rpc, queries)))


# A provider's record, and the indices, words and places of its nodes: what its state is made of.
_Parts = tuple[Provider, tuple[tuple[int, int, int], ...]]


class Market:
    """Makes snapshots."""

    def __init__(self, context: Context, known: Known, constants: Constants) -> None:
        """Reads what never changes. Unreachable and RetryLater if that can't be done now."""
        self._context = context
        self._known = known
        self._constants = constants
        self._verifiers = Verifiers(context, known)
        # Most providers are at a block what they were at the one before.
        self._states: dict[str, tuple[_Parts, ProviderState]] = {}

    def snapshot(self, view: View, book: Book) -> Snapshot:
        """The chain at the block of `view`, which `known` is at, for what `book` has."""
        parties = book.parties()
        programs = sorted({program for program, _ in parties})
        asks = {ask.ask_hash: ask for program in programs for ask in book.asks_for(program)}
        # Without offers too: whether it is them or the job that is wanting is read off these.
        requesters = sorted({requester for _, requester in parties})
        providers = self._providers(asks.values())
        people = sorted({*requesters, *providers})
        accounts = self._known.words([account_key(person) for person in people])
        epochs = self._known.words([epoch_key(requester) for requester in requesters])
        escrow_book = 1 << Vault.ESCROW_BOOK
        return Snapshot(
            now=view.now,
            keeper=self._context.address,
            providers=providers,
            verifiers=self._verifiers.read(programs),
            free={
                person: account.free
                for person, account in zip(people, accounts, strict=True)
                if account.books & escrow_book
            },
            bid_epochs=dict(zip(requesters, epochs, strict=True)),
            attempt_max=self._constants.attempt_max,
            delay_max=self._constants.delay_max,
        )

    def _providers(self, asks: Iterable[LiveAsk]) -> dict[str, ProviderState]:
        nodes = sorted({(ask.ask.provider, ask.ask.node) for ask in asks})
        names = sorted({provider for provider, _ in nodes})
        words = self._known.words([node_key(*node) for node in nodes])
        places = self._known.words([places_key(*node) for node in nodes])
        of_each: dict[str, list[tuple[int, int, int]]] = {name: [] for name in names}
        for (provider, node), word, left in zip(nodes, words, places, strict=True):
            of_each[provider].append((node, word, left))
        states = {}
        for name, record in zip(names, self._known.providers(names), strict=True):
            parts = record, tuple(of_each[name])
            before = self._states.get(name)
            is_same = before is not None and before[0] == parts
            states[name] = before if is_same and before else (parts, self._provider(*parts))
        self._states = states
        return {name: state for name, (_, state) in states.items()}

    def _provider(self, read: Provider, nodes: Iterable[tuple[int, int, int]]) -> ProviderState:
        """A provider's state; `nodes` have index, word and free places each."""
        return ProviderState(
            record=ProviderRecord(
                status=read.status,
                is_available=read.is_available,
                last_seen=read.last_seen,
                heartbeat_ttl=self._constants.heartbeat_ttl,
                active=read.active,
                completions=read.completions,
                good_weight=read.good_weight,
                bad_weight=read.bad_weight,
            ),
            operator=read.operator,
            epoch=read.epoch,
            revoked_lanes=read.revoked_lanes,
            nodes={
                node: NodeState(word=word, active=Node.unpack(word).capacity - left if word else 0)
                for node, word, left in nodes
            },
        )
