"""Batches as they are kept."""

from __future__ import annotations

from typing import Any, NamedTuple

from ttorm.emulator.access import Principal, find_principal
from ttorm.emulator.rows import from_json, to_json
from ttorm.emulator.store import Row, Transaction

__all__ = [
    "CANCELLED",
    "FINISHED",
    "STATUSES",
    "BatchRow",
    "any_unfinished",
    "caller_of",
    "cancel",
    "remembered",
    "unfinished",
]

FINISHED = ("hash_mismatch", "validation_failed", "cancelled", "completed")
"""Statuses that do not change any more."""
CANCELLED = ("cancel", "cancelling", "cancelled")
"""Statuses of a batch that somebody has cancelled."""
STATUSES = (
    *("new", "copying", "copied", "validating", "processing", "processed", "writing_results"),
    *("cancel", "cancelling", "deleting"),
    *FINISHED,
)
"""All statuses."""

_RUNS = "status NOT IN ('hash_mismatch', 'validation_failed', 'cancelled', 'completed')"
_UNFINISHED = f"SELECT * FROM batches WHERE {_RUNS} ORDER BY created_ts, uuid"  # noqa: S608 - a constant


class BatchRow(NamedTuple):
    """A batch.

    Attributes:
        uuid: Its UUID.
        account: The account it belongs to.
        caller: For whom it calls, as `remembered` has written it.
        origin: Scheme and host under which its maker reached this emulator.
        operation: The operation that it calls.
        dictionary: The request dictionary of calls that have none of their own.
        status: How far it is.
        hash: SHA-256 that the file should have; None when nothing was said about it.
        content: SHA-256 under which the file is kept; None when it is not needed any more.
        line: The last line that is done.
        position: The bytes of the file up to the end of that line.
        results: SHA-256 under which the results are kept; None before they are written.
        results_size: Their length in bytes.
        created_ts: When it was made.
        updated_ts: When its status last changed.
    """

    uuid: str
    account: str
    caller: dict[str, Any]
    origin: str
    operation: str
    dictionary: dict[str, Any] | None
    status: str
    hash: str | None
    content: str | None
    line: int
    position: int
    results: str | None
    results_size: int | None
    created_ts: float
    updated_ts: float

    @classmethod
    def from_row(cls, row: Row) -> BatchRow:
        """Read a row of the table ``batches``."""
        fields = {name: row[name] for name in cls._fields}
        fields["caller"] = from_json(row["caller"])
        fields["dictionary"] = None if row["dictionary"] is None else from_json(row["dictionary"])
        return cls(**fields)

    def insert(self, tx: Transaction) -> None:
        """Keep a new batch."""
        tx.run(
            "INSERT INTO batches (uuid, account, caller, origin, operation, dictionary, status, "
            "hash, content, line, position, results, results_size, created_ts, updated_ts) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            self.uuid,
            self.account,
            to_json(self.caller),
            self.origin,
            self.operation,
            None if self.dictionary is None else to_json(self.dictionary),
            *self[6:],
        )


def remembered(principal: Principal) -> dict[str, Any]:
    """Write down for whom a batch calls: the user, and what a token lets and makes it do."""
    return {
        "user": principal.user,
        "credential": principal.credential,
        "secret": principal.secret,
        "dictionary": principal.dictionary,
        "options": sorted(principal.options),
        "validity_ts": principal.validity_ts,
    }


def caller_of(batch: BatchRow, tx: Transaction, _now: float) -> Principal:
    """Return for whom a batch calls; what the user may do is what the role permits by now."""
    known: dict[str, Any] = {**batch.caller, "options": frozenset(batch.caller["options"])}
    return find_principal(tx, known.pop("user"), known.pop("credential"), **known)


def cancel(tx: Transaction, batch: BatchRow) -> bool:
    """Store that a batch is to be cancelled; False when it has come to its end."""
    return bool(
        tx.run(
            f"UPDATE batches SET status = ?, updated_ts = ? WHERE uuid = ? AND {_RUNS}",  # noqa: S608 - a constant
            batch.status,
            batch.updated_ts,
            batch.uuid,
        )
    )


def any_unfinished(tx: Transaction) -> bool:
    """Tell whether there are batches to run."""
    return tx.row(f"{_UNFINISHED} LIMIT 1") is not None


def unfinished(tx: Transaction) -> list[BatchRow]:
    """Read the batches that are to be run, the oldest first."""
    return [BatchRow.from_row(row) for row in tx.rows(_UNFINISHED)]
