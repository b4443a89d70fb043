"""What a key has signed: written down, and on disk, before it is sent.

One book per key and chain: a SQLite file, or a schema of a PostgreSQL database. Every transaction
of the key takes its nonce from here, in one database transaction with the signed bytes, so several
processes with the same book may share the key. An action (`finalise:<job>:<attempt>`) has at most
one transaction that is not at its end.

A row's *state* says what became of it as far as the chain is known; `is_final` says that this can't
change any more. Until then its nonce is looked after: a reorganisation may open it again.
"""

import json
from collections.abc import Callable
from pathlib import Path

from headrace.chain.database import Database
from headrace.chain.lease import Lease
from headrace.chain.outbox_rows import (
    ATTEMPT_COLUMNS,
    COLUMNS,
    Attempt,
    Draft,
    Limits,
    Tx,
    to_attempt,
    to_tx,
)
from headrace.chain.outbox_tables import bind, migrate
from headrace.chain.sqlite import SqliteFile
from headrace.errors import RetryLater, UsageError

# Rows that one `prune` lets go of at most: whoever else wants the book waits for so many only.
PRUNE_AT_ONCE = 500
# Of the table `meta`: a nonce and a row's id, see `_reach`.
_ACCOUNTED = "accounted"
# Of the same: the chain's time when the count was begun, as long as it may be moved.
_BEGUN = "begun"


class Deferred(RetryLater):
    """Nothing was signed, by a rule of our own: decide again at the next block."""


class ForeignNonce(Deferred):
    """Another program sends with the key: nothing leaves until an operator has seen to it."""


class Outbox:
    """The open book of one key on one chain. Of one thread."""

    def __init__(
        self,
        place: Path | Database,
        *,
        chain_id: int,
        address: str,
        lease: Lease | None = None,
    ) -> None:
        """
        Open the file, or bind the database. With a `lease`, which is given back at the end, nothing
        leaves without it. UsageError if the book is of another chain or key, locked or damaged.
        """
        self._lease = lease
        self._db: Database
        try:
            if isinstance(place, Database):
                self._db = place
            else:
                # The signed bytes must survive a power cut before they leave: every commit waits
                # for the disk.
                self._db = SqliteFile(place, is_durable=True, is_shared=True)
        except BaseException:
            self._give_back()
            raise
        try:
            migrate(self._db)
            known = bind(self._db, {"chain_id": str(chain_id), "address": address})
        except BaseException:
            self.close()
            raise
        if known != (str(chain_id), address):
            self.close()
            raise UsageError(
                f"{self._db.label} is of key {known[1]} on chain {known[0]}, not of {address} on "
                f"chain {chain_id}: choose another home directory or move it away"
            )

    def close(self) -> None:
        """Give the lease back, and close the book."""
        self._give_back()
        self._db.close()

    def hold(self) -> None:
        """Keep the right to send. UsageError if another process has taken it over."""
        if self._lease is not None:
            self._lease.hold()

    def _give_back(self) -> None:
        if self._lease is not None:
            self._lease.close()

    # ---- reads

    def of_action(self, action: str) -> Tx | None:
        """The last transaction of an action."""
        found = self._select("action = ? ORDER BY id DESC LIMIT 1", action)
        return found[0] if found else None

    def get(self, tx_id: int) -> Tx:
        """The transaction with an id of `add`."""
        return self._select("id = ?", tx_id)[0]

    def unsettled(self) -> list[Tx]:
        """What is open or did its deed in a block that may still go, by nonce."""
        return self._select("state IN ('open', 'mined') ORDER BY nonce")

    def unfinished(self) -> list[Tx]:
        """Every transaction that a reorganisation may still change, by nonce."""
        return self._select("is_final = 0 ORDER BY nonce")

    def attempts(self, tx_id: int) -> list[Attempt]:
        """All that was signed for a transaction, the cheapest first."""
        rows = self._db.read(
            f"SELECT {ATTEMPT_COLUMNS} FROM attempt WHERE tx = ? "  # noqa: S608
            "ORDER BY length(max_fee), max_fee",
            (tx_id,),
        )
        return [to_attempt(row) for row in rows]

    def at_stake(self) -> int:
        """What all that is in no block yet may cost at most, in wei, values included."""
        return sum(self._worst(tx) + tx.value for tx in self._select("state = 'open'"))

    def spent(self, day: int, *, is_safety: bool) -> int:
        """
        What a class of actions has burnt in blocks of a day of chain time and may burn at most with
        what is in no block yet, in wei.
        """
        rows = self._db.read(
            "SELECT fee FROM tx WHERE fee_day = ? AND is_safety = ?", (day, int(is_safety))
        )
        open_now = self._select("state = 'open' AND is_safety = ?", int(is_safety))
        return sum(int(row[0]) for row in rows) + sum(self._worst(tx) for tx in open_now)

    def _worst(self, tx: Tx) -> int:
        return tx.gas * max(attempt.max_fee for attempt in self.attempts(tx.id))

    def _select(self, where: str, *args: object) -> list[Tx]:
        rows = self._db.read(f"SELECT {COLUMNS} FROM tx WHERE {where}", args)  # noqa: S608
        return [to_tx(row) for row in rows]

    # ---- writes

    def add(
        self,
        draft: Draft,
        *,
        chain_nonce: int,
        block: int,
        sign: Callable[[int], Attempt],
        limits: Limits | None = None,
    ) -> tuple[Tx, bool]:
        """
        Give `draft` the next nonce and keep what `sign` makes of it; `chain_nonce` is how many of
        the key's transactions are in blocks. The second value is False if another process was
        faster with the same action: then its transaction is returned. Deferred, and nothing is
        signed, if `limits` leave no room.
        """
        with self._db.transaction():
            rival = self._select("action = ? AND state IN ('open', 'mined')", draft.action)
            if rival:
                return rival[0], False
            if limits is not None:
                self._check(draft, limits)
            used = self._db.read("SELECT max(nonce) FROM tx WHERE is_final = 0")[0][0]
            nonce = chain_nonce if used is None else max(chain_nonce, used + 1)
            attempt = sign(nonce)
            row = self._db.read(
                "INSERT INTO tx (action, what, nonce, target, data, value, gas, state, "
                "made_at_block, deadline, is_safety) VALUES (?, ?, ?, ?, ?, ?, ?, 'open', ?, ?, ?) "
                "RETURNING id",
                (
                    *(draft.action, draft.what, nonce, draft.target, draft.data),
                    *(str(draft.value), draft.gas, block, draft.deadline, int(draft.is_safety)),
                ),
            )
            tx_id = row[0][0]
            self._insert(tx_id, attempt)
        return self.get(tx_id), True

    def _check(self, draft: Draft, limits: Limits) -> None:
        in_flight = len(self._select("state = 'open'"))
        if in_flight >= limits.in_flight:
            raise Deferred(f"{in_flight} transactions of the key are under way")
        if limits.budget is None:
            return
        spent = self.spent(limits.day, is_safety=draft.is_safety)
        if spent + draft.gas * limits.max_fee > limits.budget:
            raise Deferred(
                f"the day's gas budget is used up: {spent} of {limits.budget} wei are spent or "
                "under way"
            )

    def add_attempt(self, tx_id: int, attempt: Attempt) -> None:
        """Keep other bytes for the same nonce."""
        with self._db.transaction():
            self._insert(tx_id, attempt)

    def _insert(self, tx_id: int, attempt: Attempt) -> None:
        self._db.write(
            f"INSERT INTO attempt (tx, {ATTEMPT_COLUMNS}) "  # noqa: S608
            "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                *(tx_id, attempt.hash, attempt.raw, str(attempt.max_fee)),
                *(str(attempt.priority_fee), int(attempt.is_empty), attempt.made_at_block),
            ),
        )

    def settle(
        self,
        tx_id: int,
        state: str,
        *,
        is_final: bool = False,
        reason: str = "",
        mined: tuple[int, bytes, bytes] | None = None,
        fee: int = 0,
        fee_day: int | None = None,
    ) -> Tx:
        """
        Write down where a transaction is; `mined` is (block number, block hash, tx hash), `fee`
        what its gas cost in wei, on the chain's day `fee_day`.
        """
        number, block_hash, tx_hash = mined or (None, None, None)
        with self._db.transaction():
            self._db.write(
                "UPDATE tx SET state = ?, is_final = ?, reason = ?, mined_in = ?, mined_hash = ?, "
                "mined_tx = ?, fee = ?, fee_day = ? WHERE id = ?",
                (
                    *(state, int(is_final), reason, number, block_hash, tx_hash),
                    *(str(fee), fee_day, tx_id),
                ),
            )
        return self.get(tx_id)

    def set_deadline(self, tx_id: int, deadline: int) -> Tx:
        """After `deadline` (chain time) a transaction has no use any more: it may have moved."""
        with self._db.transaction():
            self._db.write("UPDATE tx SET deadline = ? WHERE id = ?", (deadline, tx_id))
        return self.get(tx_id)

    def reopen(self, tx_id: int) -> Tx:
        """
        A reorganisation took it out of its block. It is open again, unless its action has been
        given free since (it had failed): then only its nonce is to be used up.
        """
        with self._db.transaction():
            tx = self.get(tx_id)
            others = self._select(
                "action = ? AND id <> ? AND state IN ('open', 'mined')", tx.action, tx_id
            )
            is_given_up = tx.state in ("reverted", "empty") or bool(others)
            state = ("empty" if tx.state == "done" else tx.state) if is_given_up else "open"
            self._db.write(
                "UPDATE tx SET state = ?, mined_in = NULL, mined_hash = NULL, mined_tx = NULL, "
                "fee = '0', fee_day = NULL WHERE id = ?",
                (state, tx_id),
            )
        return self.get(tx_id)

    def take_back(self, chain_nonce: int, block: int) -> None:
        """
        Look after what was final again where `chain_nonce`, the count of the key's transactions at
        the head `block`, says that it is in no block: a reorganisation went deeper than finality,
        and what has a higher nonce would wait for it for ever. A node below its block can't know.
        """
        with self._db.transaction():
            self._db.write(
                "UPDATE tx SET is_final = 0 WHERE id IN ("
                "SELECT max(id) FROM tx WHERE is_final = 1 AND nonce >= ? AND mined_in <= ? "
                "AND nonce < (SELECT max(nonce) FROM tx WHERE is_final = 0) "
                "AND nonce NOT IN (SELECT nonce FROM tx WHERE is_final = 0) GROUP BY nonce)",
                (chain_nonce, block),
            )

    def others_of_nonce(self, tx: Tx) -> list[Attempt]:
        """
        What was signed for the nonce of `tx` before, in another row: it was final, a reorganisation
        took it out all the same, and the nonce was given again.
        """
        rows = self._select("nonce = ? AND id <> ?", tx.nonce, tx.id)
        return [attempt for row in rows for attempt in self.attempts(row.id)]

    def prune(self, day: int, *, keep_days: int) -> int:
        """
        Let go of what has been final for more than `keep_days` whole days of chain time, the
        longest first; returns how many rows went: at PRUNE_AT_ONCE there may be more. `day` is the
        chain's. Nothing that can still change goes, nor anything that a question about today (a
        budget, an action, a nonce) is answered from.
        """
        with self._db.transaction():
            # What goes stays accounted for.
            if (reached := self._reach()) is not None:
                self._set_meta(_ACCOUNTED, json.dumps(reached))
            # A day that lies ahead was an error of some node's clock: it is counted from now on.
            self._db.write(
                "UPDATE tx SET final_day = ? "
                "WHERE is_final = 1 AND (final_day IS NULL OR final_day > ?)",
                (day, day),
            )
            # The last row stays, so that SQLite gives no id a second time.
            found = self._db.read(
                "SELECT id FROM tx WHERE is_final = 1 AND final_day < ? "
                "AND id < (SELECT max(id) FROM tx) ORDER BY final_day, id LIMIT ?",
                (day - keep_days, PRUNE_AT_ONCE),
            )
            self._db.write_many("DELETE FROM attempt WHERE tx = ?", found)
            self._db.write_many("DELETE FROM tx WHERE id = ?", found)
        return len(found)

    # ---- whose the key's nonces are

    def accounted(self) -> int | None:
        """
        How many of the key's nonces, from 0 on, are accounted for: those up to where the count was
        begun, and those for which something was signed here, without a gap. None before it was.
        """
        reached = self._reach()
        return None if reached is None else reached[0]

    def account_from(self, nonce: int, *, at: int | None = None) -> None:
        """
        Begin the count, unless it was begun: all nonces below `nonce` are taken for ours. With
        `at`, the chain's time, it may be moved once.
        """
        with self._db.transaction():
            if self._reach() is None:
                self._set_meta(_ACCOUNTED, json.dumps([nonce, 0]))
                if at is not None:
                    self._set_meta(_BEGUN, json.dumps(at))

    def begun_at(self) -> int | None:
        """The `at` of `account_from`; None once the count was moved."""
        found = self._db.read("SELECT value FROM meta WHERE key = ?", (_BEGUN,))
        return int(json.loads(found[0][0])) if found else None

    def move_count(self, nonce: int) -> None:
        """Take all nonces below `nonce` for ours after all, unless the count was moved before."""
        with self._db.transaction():
            if self.begun_at() is not None:
                self._db.write("DELETE FROM meta WHERE key = ?", (_BEGUN,))
                self._set_meta(_ACCOUNTED, json.dumps([nonce, 0]))

    def _reach(self) -> tuple[int, int] | None:
        """The first nonce that isn't accounted for, and the id up to which no row has it."""
        found = self._db.read("SELECT value FROM meta WHERE key = ?", (_ACCOUNTED,))
        if not found:
            return None
        nonce, seen = json.loads(found[0][0])
        rows = self._db.read("SELECT nonce, id FROM tx WHERE id > ? ORDER BY nonce, id", (seen,))
        for at, _ in rows:
            nonce += at == nonce
        left = [tx_id for at, tx_id in rows if at > nonce]
        return nonce, min(left) - 1 if left else max((row[1] for row in rows), default=seen)

    def _set_meta(self, key: str, value: str) -> None:
        self._db.write(
            "INSERT INTO meta (key, value) VALUES (?, ?) "
            "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (key, value),
        )

    # ---- the latch

    def latched(self) -> str | None:
        """Why nothing may leave, or None."""
        row = self._db.read("SELECT value FROM meta WHERE key = 'foreign'")
        if not row:
            return None
        found = json.loads(row[0][0])
        return f"another program has sent with this key at nonce {found['nonce']}"

    def latch(self, nonce: int) -> None:
        """Let nothing leave any more, in this process or another: `nonce` is a stranger's."""
        with self._db.transaction():
            self._db.write(
                "INSERT INTO meta (key, value) VALUES ('foreign', ?) ON CONFLICT DO NOTHING",
                (json.dumps({"nonce": nonce}),),
            )

    def release(self) -> None:
        """
        An operator has seen to it: transactions may leave again, and what was sent until then by
        whomever is accounted for.
        """
        with self._db.transaction():
            self._db.write("DELETE FROM meta WHERE key IN ('foreign', ?, ?)", (_ACCOUNTED, _BEGUN))
