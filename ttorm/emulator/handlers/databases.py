"""Databases: where an account's tables are, and who may look into them from outside the API."""

from __future__ import annotations

from typing import Any, NamedTuple

from ttorm.emulator.answers import Fault
from ttorm.emulator.body import check_array, check_fields, check_text, check_uuid
from ttorm.emulator.call import Call
from ttorm.emulator.clock import later
from ttorm.emulator.handlers import handles
from ttorm.emulator.handlers.users import find_user
from ttorm.emulator.rows import from_json, to_json
from ttorm.emulator.store import Row
from ttorm.emulator.tables import (
    INDEXES,
    TIMESERIES,
    IndexesTable,
    TimeseriesTable,
    stats_of,
    tables_of,
)

__all__ = ["LONGEST_NOTE", "PERMISSIONS", "database_at", "default_database"]

LONGEST_NOTE = 256
"""Longest note of a database and name of an address."""
PERMISSIONS = {"timeseries": ["read"], "indexes": ["read"], "customer_data": ["read", "write"]}
"""What a user may do with each part of a database."""


class _Database(NamedTuple):
    """A row of the table ``databases``."""

    uuid: str
    account: str
    is_default: bool
    status: str
    instance_type: str
    note: str | None
    created_ts: float
    updated_ts: float

    @classmethod
    def from_row(cls, row: Row) -> _Database:
        database = cls(*(row[name] for name in cls._fields))
        return database._replace(is_default=bool(database.is_default))


def default_database(call: Call) -> str:
    """Return the UUID of the account's default database, of which there always is one."""
    (row,) = call.tx.rows(
        "SELECT uuid FROM databases WHERE account = ? AND is_default = 1", call.account
    )
    return str(row["uuid"])


def database_at(call: Call, uuid: str) -> _Database | None:
    """Read a database of the caller's account."""
    row = call.tx.row("SELECT * FROM databases WHERE uuid = ? AND account = ?", uuid, call.account)
    return None if row is None else _Database.from_row(row)


def _find_database(call: Call) -> _Database:
    """Read the database that the path names (404653 unless it is of the caller's account)."""
    name = call.args["database"]
    uuid = None if name == "default" else check_uuid(name, "database")
    call.require_service("databases")
    database = database_at(call, uuid or default_database(call))
    if database is None:
        raise Fault(404653, f"There is no database {uuid}.")
    return database


@handles("get_databases")
def get_databases(call: Call) -> dict[str, Any]:
    """List the account's databases in short form."""
    call.require_service("databases")
    rows = call.tx.rows(
        "SELECT * FROM databases WHERE account = ? ORDER BY created_ts, uuid", call.account
    )
    databases = [_Database.from_row(row) for row in rows]
    shown = ("status", "note", "created_ts", "updated_ts")
    return {
        "default": next(database.uuid for database in databases if database.is_default),
        "databases": {
            database.uuid: {name: getattr(database, name) for name in shown}
            for database in databases
        },
    }


@handles("get_database")
def get_database(call: Call) -> dict[str, Any]:
    """Show a database."""
    return _database_object(call, _find_database(call))


@handles("update_database")
def update_database(call: Call) -> dict[str, Any]:
    """Change the note of a database, or make it the default one."""
    body = call.require_body()
    check_fields(body, {"default", "note"})
    default = body.get("default", False)
    if not isinstance(default, bool):
        raise Fault(400589, f"'default' is {default!r}: write true or false.")
    if body.get("note") is not None:
        check_text(body["note"], "'note'", LONGEST_NOTE)
    database = _find_database(call)
    if database.is_default and body.get("default") is False:
        raise Fault(400897, "One database is the default: make another one the default instead.")
    if default and not database.is_default:
        call.tx.run("UPDATE databases SET is_default = 0 WHERE account = ?", call.account)
    database = database._replace(
        is_default=default or database.is_default,
        note=body.get("note", database.note),
        updated_ts=later(call.now, database.updated_ts),
    )
    call.tx.run(
        "UPDATE databases SET is_default = ?, note = ?, updated_ts = ? WHERE uuid = ?",
        int(database.is_default),
        database.note,
        database.updated_ts,
        database.uuid,
    )
    return _database_object(call, database)


def _database_object(call: Call, database: _Database) -> dict[str, Any]:
    tables: list[TimeseriesTable | IndexesTable] = [
        *tables_of(call.tx, TIMESERIES, call.account).values(),
        *tables_of(call.tx, INDEXES, call.account).values(),
    ]
    return {
        "uuid": database.uuid,
        "default": database.is_default,
        "status": database.status,
        "database_size": sum(
            stats_of(call.tx, table)["total_size"]
            for table in tables
            if table.database == database.uuid
        ),
        "instance_type": database.instance_type,
        "note": database.note,
        "created_ts": database.created_ts,
        "updated_ts": database.updated_ts,
    }


@handles("get_database_access")
def get_database_access(call: Call) -> dict[str, Any]:
    """List which users may read and write a database, and from which addresses."""
    database = _find_database(call)
    rows = call.tx.rows(
        "SELECT * FROM database_users WHERE database = ? ORDER BY owner", database.uuid
    )
    return {
        "users": {row["owner"]: _permissions(row) for row in rows},
        "ips": _addresses(call, database.uuid),
    }


def _permissions(row: Row | None) -> dict[str, list[str]]:
    if row is None:
        return {name: [] for name in PERMISSIONS}
    return {name: from_json(row[name]) for name in PERMISSIONS}


def _addresses(call: Call, database: str) -> dict[str, str]:
    rows = call.tx.rows("SELECT * FROM database_ips WHERE database = ? ORDER BY network", database)
    return {row["network"]: row["name"] for row in rows}


@handles("update_database_user_access")
def update_database_user_access(call: Call) -> dict[str, Any]:
    """Change what a user may do with a database; one who may do nothing is not listed."""
    body = call.require_body()
    check_fields(body, PERMISSIONS)
    changes = {name: _read_permissions(name, body[name]) for name in body if name in PERMISSIONS}
    database, user = _find_database(call), find_user(call)
    key = database.uuid, user.uuid
    row = call.tx.row("SELECT * FROM database_users WHERE database = ? AND owner = ?", *key)
    access = {**_permissions(row), **changes}
    call.tx.run("DELETE FROM database_users WHERE database = ? AND owner = ?", *key)
    if any(access.values()):
        call.tx.run(
            "INSERT INTO database_users (database, owner, timeseries, indexes, customer_data) "
            "VALUES (?, ?, ?, ?, ?)",
            *key,
            *map(to_json, access.values()),
        )
    return access


def _read_permissions(name: str, value: Any) -> list[str]:
    known = PERMISSIONS[name]
    given = check_array(value, f"{name!r}")
    for permission in given:
        if permission not in known:
            raise Fault(400589, f"{name!r} has {permission!r}: write {' or '.join(known)}.")
    return [permission for permission in known if permission in given]


@handles("update_database_ip_access")
def update_database_ip_access(call: Call) -> dict[str, Any]:
    """Name addresses and networks from which a database may be reached; null removes them."""
    names = {
        _read_network(address): None
        if name is None
        else check_text(name, f"{address!r}", LONGEST_NOTE)
        for address, name in call.require_body().items()
    }
    database = _find_database(call)
    for network, name in names.items():
        key = database.uuid, network
        call.tx.run("DELETE FROM database_ips WHERE database = ? AND network = ?", *key)
        if name is not None:
            call.tx.run(
                "INSERT INTO database_ips (database, network, name) VALUES (?, ?, ?)", *key, name
            )
    return _addresses(call, database.uuid)


def _read_network(address: str) -> str:
    from ipaddress import ip_interface

    try:
        # Bits of a host within the network are kept as they were written.
        if "%" not in address:
            return ip_interface(address).compressed
    except ValueError:
        pass
    raise Fault(
        400589,
        f"{address[:80]!r} is no address or network: write one such as '192.0.2.10' or "
        "'198.51.100.0/24'.",
    )
