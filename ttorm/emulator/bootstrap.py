"""Accounts, which no operation of the API makes: with a role, a user and a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ttorm.api.errors import ConfigurationError
from ttorm.emulator.rows import from_json, to_json
from ttorm.emulator.store import Transaction
from ttorm.emulator.vault import issue_secret

if TYPE_CHECKING:
    from ttorm.emulator.core import Emulator

__all__ = [
    "Credentials",
    "accounts",
    "accounts_in",
    "first_user",
    "first_user_of",
    "insert_account",
    "insert_database",
    "make_account",
    "new_secret",
    "reinstate",
]

_STATEMENT = {"effect": "deny", "actions": None}
_RULES = {"twin_rule": None, "entry_rule": None, "identity_rule": None}
_FIRST = "first of "
"""Begins the names under which the first users and roles of accounts are kept."""
# Users that were made while a clock stood still have the same time.
_FIRST_USER = (
    "SELECT u.uuid, u.account FROM users u JOIN accounts a ON a.uuid = u.account "
    "LEFT JOIN meta m ON m.name = 'first of ' || a.uuid {where} ORDER BY a.number, "
    "CASE WHEN m.value LIKE '%' || u.uuid || '%' THEN 0 ELSE 1 END, u.created_ts, u.uuid LIMIT 1"
)


class Credentials(NamedTuple):
    """What the maker of an account gets: the only time that the secret is shown."""

    account: str
    user: str
    secret: str


def make_account(world: Emulator, name: str = "Super Admin") -> Credentials:
    """Make an account with a user who may do everything.

    Args:
        world: The emulator.
        name: Name of the user.
    """
    with world.store.transaction(write=True) as tx:
        account, user = insert_account(world, tx, name)
        secret = issue_secret(world, tx, account, user, None, world.clock.now())
        return Credentials(account, user, secret)


def first_user(world: Emulator) -> str:
    """Return the first user of the first account, making the account when there is none."""
    query = _FIRST_USER.format(where="")
    with world.store.transaction(write=False) as tx:
        row = tx.row(query)
    if row is not None:
        return str(row["uuid"])
    with world.store.transaction(write=True) as tx:
        # Another process may have been faster.
        row = tx.row(query)
        return str(row["uuid"]) if row is not None else insert_account(world, tx)[1]


def new_secret(world: Emulator, account: str) -> Credentials:
    """Give the first user of an account a new secret, which takes the place of the old one.

    Raises:
        ConfigurationError: There is no such account, or it has no user.
    """
    with world.store.transaction(write=True) as tx:
        account, user = first_user_of(tx, account)
        secret = issue_secret(world, tx, account, user, None, world.clock.now())
        return Credentials(account, user, secret)


def first_user_of(tx: Transaction, account: str) -> tuple[str, str]:
    """Return an account and its first user.

    Raises:
        ConfigurationError: There is no such account, or it has no user.
    """
    row = tx.row(_FIRST_USER.format(where="WHERE a.uuid = ?"), account.lower())
    if row is None:
        known = ", ".join(accounts_in(tx)) or "none"
        raise ConfigurationError(f"there is no account {account} with a user; there are: {known}")
    return row["account"], row["uuid"]


def accounts(world: Emulator) -> list[str]:
    """Return the UUIDs of all accounts in the order they were made."""
    with world.store.transaction(write=False) as tx:
        return accounts_in(tx)


def accounts_in(tx: Transaction) -> list[str]:
    """Return the UUIDs of all accounts in the order they were made."""
    return [row["uuid"] for row in tx.rows("SELECT uuid FROM accounts ORDER BY number")]


def insert_account(world: Emulator, tx: Transaction, name: str = "Super Admin") -> tuple[str, str]:
    """Make an account, and return its UUID and that of its user, who may do everything."""
    account, role, user = (world.ids.uuid() for _ in range(3))
    now = world.clock.now()
    tx.run(
        "INSERT INTO accounts (uuid, number, created_ts, updated_ts) "
        "SELECT ?, COALESCE(MAX(number), 0) + 1, ?, ? FROM accounts",
        account,
        now,
        now,
    )
    first = {"user": user, "role": role, "name": name}
    tx.run("INSERT INTO meta (name, value) VALUES (?, ?)", _FIRST + account, to_json(first))
    _put_first(tx, account, first, now)
    insert_database(tx, world.ids.uuid(), account, now, default=True)
    return account, user


def _put_first(tx: Transaction, account: str, first: dict[str, str], now: float) -> None:
    """Write an account's first role and user as they were made."""
    tx.run(
        "INSERT INTO roles (uuid, account, name, statement, rules, created_ts, updated_ts) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (uuid) DO UPDATE SET name = excluded.name, "
        "statement = excluded.statement, rules = excluded.rules, updated_ts = excluded.updated_ts",
        first["role"],
        account,
        "Super Admin",
        to_json(_STATEMENT),
        to_json(_RULES),
        now,
        now,
    )
    tx.run(
        "INSERT INTO users (uuid, account, role, name, created_ts, updated_ts) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (uuid) DO UPDATE SET role = excluded.role, "
        "name = excluded.name, description = NULL, activity = NULL, "
        "updated_ts = excluded.updated_ts",
        first["user"],
        account,
        first["role"],
        first["name"],
        now,
        now,
    )


def reinstate(tx: Transaction) -> None:
    """Bring all accounts to their first state, each with its first user and that user's secret.

    Of accounts that an older version of ttorm made, users and roles stay as they are.
    """
    for account in tx.rows("SELECT uuid, created_ts FROM accounts"):
        uuid, made = account["uuid"], account["created_ts"]
        row = tx.row("SELECT value FROM meta WHERE name = ?", _FIRST + uuid)
        if row is not None:
            first = from_json(row["value"])
            for table, column, kept in (
                ("secrets", "owner", "user"),
                ("users", "uuid", "user"),
                ("roles", "uuid", "role"),
            ):
                tx.run(
                    f"DELETE FROM {table} WHERE account = ? AND {column} <> ?",  # noqa: S608
                    uuid,
                    first[kept],
                )
            _put_first(tx, uuid, first, made)
    tx.run("UPDATE accounts SET resource_access_log = NULL, updated_ts = created_ts")
    tx.run("UPDATE databases SET note = NULL, updated_ts = created_ts")


def insert_database(
    tx: Transaction, uuid: str, account: str, now: float, *, default: bool = False
) -> None:
    """Give an account a database, which no operation of the API does."""
    tx.run(
        "INSERT INTO databases (uuid, account, is_default, status, instance_type, created_ts, "
        "updated_ts) VALUES (?, ?, ?, ?, ?, ?, ?)",
        uuid,
        account,
        int(default),
        "running",
        "micro",
        now,
        now,
    )
