"""What Timeseries and Indexes tables have in common: names, places, and templates of rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ttorm.emulator.answers import Fault
from ttorm.emulator.body import check_fields, check_mapping, check_template, check_uuid
from ttorm.emulator.call import Call
from ttorm.emulator.columns import TABLE_NAME
from ttorm.emulator.handlers.databases import database_at, default_database
from ttorm.emulator.tables import timeseries_tables

__all__ = [
    "account_number",
    "check_series",
    "check_table_name",
    "find_place",
    "read_place",
    "read_row_templates",
    "read_tables",
]


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


def check_table_name(name: str) -> str:
    """Return the name of a table (else 400589)."""
    if TABLE_NAME.fullmatch(name):
        return name
    raise Fault(
        400589,
        f"{name[:80]!r} is no name of a table: write 1 to 64 lower-case letters, digits and '_', "
        "not starting with a digit.",
    )


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


def account_number(call: Call) -> int:
    """Return the place of the caller's account among all accounts, which names its SQL tables."""
    (row,) = call.tx.rows("SELECT number FROM accounts WHERE uuid = ?", call.account)
    return int(row["number"])


def read_row_templates(value: Any, where: str) -> dict[str, Any]:
    """Read the templates that make a row of a Timeseries table (400589 if they are none).

    Returns:
        ``measurement`` and ``timestamp``, which are templates, and ``dimensions``, which are
        templates by name; each only if it was said.
    """
    fields = check_mapping(value, where)
    check_fields(fields, {"measurement", "dimensions", "timestamp"}, where=where)
    for name in ("measurement", "timestamp"):
        if name in fields:
            check_template(fields[name], f"the {name} of {where}")
    dimensions = check_mapping(fields.get("dimensions", {}), f"the dimensions of {where}")
    for name, template in dimensions.items():
        check_template(template, f"the dimension {name!r} of {where}")
    return fields


def check_series(call: Call, timeseries: Iterable[dict[str, Any] | None]) -> None:
    """Refuse Entries that name what does not exist, if the policy is to refuse them.

    Args:
        call: The request.
        timeseries: Templates by Timeseries table, as each Entry has them.

    Raises:
        Fault: The account has no Timeseries service (400979) or not such a table (404653), or
            the table has not such a dimension (400589).
    """
    named = [item for tables in timeseries if tables for item in tables.items()]
    if not named or call.policy.series_of_entries == "logged":
        return
    call.require_service("timeseries")
    known = timeseries_tables(call.tx, call.account)
    for name, templates in named:
        if name not in known:
            raise Fault(404653, f"There is no Timeseries table {name!r}.")
        for dimension in templates.get("dimensions", ()):
            if dimension not in known[name].dimensions.names:
                raise Fault(400589, f"The table {name!r} has no dimension {dimension!r}.")
