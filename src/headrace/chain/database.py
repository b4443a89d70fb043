"""What the tables of the chain and of an outbox ask of a database: a file, or a schema on a server.

Statements mark their arguments with `?` and keep to the words that both databases know. Errors come
out as HeadraceError with what to do; UsageError if only a person can. A database that can't be
written ends the process, because nothing may be sent that isn't written down.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar


class Database(ABC):
    """An open database of one writer at a time. Of one thread."""

    # What differs in the tables' definitions: an integer, bytes, a column that numbers itself, and
    # what a definition without row numbers ends with.
    types: ClassVar[Mapping[str, str]]
    # For messages: never with a password.
    label: str
    is_readonly: bool = False

    @abstractmethod
    def has_table(self, table: str) -> bool:
        """Whether there is a table of this name."""

    @abstractmethod
    def has_tables(self) -> bool:
        """Whether it was used before."""

    def create(self, script: str) -> None:
        """
        Run the statements of `script`, which name `types` in braces, in a transaction of the
        caller.
        """
        for statement in script.format(**self.types).split(";"):
            self.write(statement)

    @abstractmethod
    def read(self, statement: str, args: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a statement."""

    @abstractmethod
    def stream(self, statement: str, args: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a query that may have very many."""

    @abstractmethod
    def write(self, statement: str, args: Sequence[object] = ()) -> None:
        """One statement."""

    @abstractmethod
    def write_many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """The same statement for each of `rows`."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[None]:
        """All of it or nothing, and no other writer inside."""

    @abstractmethod
    def backup(self, label: str) -> None:
        """Put a copy beside it, named with `label`, where that can be done here."""

    @abstractmethod
    def close(self) -> None:
        """Let go of it."""
