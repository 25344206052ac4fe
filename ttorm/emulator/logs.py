"""The logs of accounts: what went wrong where no caller could be told."""

from __future__ import annotations

from collections.abc import Sequence

from ttorm.emulator.store import Transaction

__all__ = ["MAX_MESSAGES", "report", "take"]

MAX_MESSAGES = 1_000
"""How many unread messages an account's log keeps: the newest."""

_COUNT = (
    "INSERT INTO logs (account, number) VALUES (?, ?) "
    "ON CONFLICT (account) DO UPDATE SET number = logs.number + excluded.number RETURNING number"
)


def report(tx: Transaction, account: str, messages: Sequence[str]) -> None:
    """Add messages to the log of an account."""
    if not messages:
        return
    (row,) = tx.rows(_COUNT, account, len(messages))
    last = row["number"]
    kept = messages[-MAX_MESSAGES:]
    for number, message in enumerate(kept, last - len(kept) + 1):
        tx.run(
            "INSERT INTO log_messages (account, number, message) VALUES (?, ?, ?)",
            account,
            number,
            message,
        )
    tx.run(
        "DELETE FROM log_messages WHERE account = ? AND number <= ?", account, last - MAX_MESSAGES
    )


def take(tx: Transaction, account: str, fragment: str | None, following: str) -> list[str] | None:
    """Take the unread messages out of an account's log.

    Args:
        tx: A write transaction.
        account: The account.
        fragment: The fragment that is asked for; None takes whatever there is.
        following: Names the fragment that the next messages will be in.

    Returns:
        The messages, or None when the fragment is not the one that follows the last one read.
    """
    row = tx.row("SELECT fragment FROM logs WHERE account = ?", account)
    if fragment is not None and (row is None or row["fragment"] != fragment):
        return None
    found = tx.rows("SELECT message FROM log_messages WHERE account = ? ORDER BY number", account)
    tx.run("DELETE FROM log_messages WHERE account = ?", account)
    tx.run(
        "INSERT INTO logs (account, fragment, number) VALUES (?, ?, 0) "
        "ON CONFLICT (account) DO UPDATE SET fragment = excluded.fragment",
        account,
        following,
    )
    return [row["message"] for row in found]
