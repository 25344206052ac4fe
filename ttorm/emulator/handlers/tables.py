"""What Timeseries and Indexes tables have in common: names, and the databases they are in."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ttorm.emulator.answers import Fault
from ttorm.emulator.body import check_fields, check_mapping, check_uuid
from ttorm.emulator.call import Call
from ttorm.emulator.handlers.databases import database_at, default_database
from ttorm.emulator.handlers.series import check_table_name

__all__ = [
    "MAX_TABLES",
    "account_number",
    "find_place",
    "read_place",
    "read_tables",
    "refusal",
]

MAX_TABLES = 100
"""How many tables of one service an account may have: each write to a Ledger asks them all."""


def read_tables(call: Call, service: str) -> Mapping[str, Any]:
    """Read the body of a creation: tables by name (400589 if there are none)."""
    body = call.require_body()
    check_fields(body, {service}, required={service})
    tables = check_mapping(body[service], f"{service!r}")
    if not tables:
        raise Fault(400589, f"{service!r} is empty: name at least one table.")
    for name in tables:
        check_table_name(name)
    return tables


def read_place(fields: Mapping[str, Any], where: str) -> str | None:
    """Read in which database a new table is to be; None leaves it to the account."""
    if fields.get("database") is None:
        return None
    return check_uuid(fields["database"], f"the database of {where}")


def find_place(call: Call, database: str | None) -> str | None:
    """Return the UUID of the database for a new table, or None if the account has none such."""
    if database is None:
        return default_database(call)
    return None if database_at(call, database) is None else database


def refusal(name: str, known: Collection[str]) -> str | None:
    """Return why a table cannot be made beside those of its service that there are, or None."""
    if name in known:
        return "Table already exists."
    return f"There are {MAX_TABLES} tables already." if len(known) >= MAX_TABLES else None


def account_number(call: Call) -> int:
    """Return the place of the caller's account among all accounts, which names its SQL tables."""
    (row,) = call.tx.rows("SELECT number FROM accounts WHERE uuid = ?", call.account)
    return int(row["number"])
