"""Users: making, listing, changing and deleting them, all within the caller's account."""

from __future__ import annotations

from typing import Any

from ttorm.emulator.answers import Fault
from ttorm.emulator.body import (
    check_description,
    check_fields,
    check_name,
    check_uuid,
)
from ttorm.emulator.call import Call
from ttorm.emulator.clock import later
from ttorm.emulator.handlers import handles
from ttorm.emulator.handlers.roles import role_at
from ttorm.emulator.handlers.series import check_log, read_log
from ttorm.emulator.rows import UserRow, to_json

__all__ = ["create_user", "delete_user", "find_user", "get_user", "get_users", "update_user"]

_FIELDS = ("role", "name", "description", "activity")


def find_user(call: Call) -> UserRow:
    """Read the user that the path names (404653 unless it is of the caller's account)."""
    uuid = check_uuid(call.args["user"], "The user in the path")
    row = call.tx.row("SELECT * FROM users WHERE uuid = ? AND account = ?", uuid, call.account)
    if row is None:
        raise Fault(404653, f"There is no user {uuid}.")
    return UserRow.from_row(row)


@handles("create_user")
def create_user(call: Call) -> dict[str, Any]:
    """Make a user with a role of the account."""
    fields = _read(call, required=("role",))
    role_at(call, fields["role"])
    user = UserRow(
        uuid=call.world.ids.uuid(),
        account=call.account,
        role=fields["role"],
        name=fields.get("name"),
        description=fields.get("description"),
        activity=fields.get("activity"),
        created_ts=call.now,
        updated_ts=call.now,
    )
    call.tx.run(
        "INSERT INTO users (role, name, description, activity, updated_ts, uuid, account, "
        "created_ts) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        *_columns(user),
        user.account,
        user.created_ts,
    )
    return _user_object(user)


@handles("get_user")
def get_user(call: Call) -> dict[str, Any]:
    """Show a user."""
    return _user_object(find_user(call))


@handles("get_users")
def get_users(call: Call) -> dict[str, Any]:
    """List all users of the account in short form."""
    rows = call.tx.rows(
        "SELECT * FROM users WHERE account = ? ORDER BY created_ts, uuid", call.account
    )
    return {"users": {row["uuid"]: _short_object(UserRow.from_row(row)) for row in rows}}


@handles("update_user")
def update_user(call: Call) -> dict[str, Any]:
    """Replace what the body names of a user."""
    fields = _read(call)
    user = find_user(call)
    if "role" in fields:
        role_at(call, fields["role"])
    user = user._replace(**fields, updated_ts=later(call.now, user.updated_ts))
    call.tx.run(
        "UPDATE users SET role = ?, name = ?, description = ?, activity = ?, updated_ts = ? "
        "WHERE uuid = ?",
        *_columns(user),
    )
    return _user_object(user)


@handles("delete_user")
def delete_user(call: Call) -> dict[str, Any]:
    """Delete a user with its secret and PIN; what it made stays the account's."""
    user = find_user(call)
    if user.uuid == call.principal.user:
        raise Fault(400897, "A user cannot delete itself.")
    for table in ("pins", "secrets", "database_users"):
        call.tx.run(f"DELETE FROM {table} WHERE owner = ?", user.uuid)  # noqa: S608 - constants
    call.tx.run("DELETE FROM users WHERE uuid = ?", user.uuid)
    return _user_object(user)


def _read(call: Call, required: tuple[str, ...] = ()) -> dict[str, Any]:
    """Read the fields of a body; those that were not sent are left out."""
    body = call.require_body()
    check_fields(body, _FIELDS, required=required)
    fields = {name: body[name] for name in _FIELDS if name in body}
    if "role" in fields:
        fields["role"] = check_uuid(fields["role"], "'role'")
    if fields.get("name") is not None:
        check_name(fields["name"])
    check_description(fields.get("description"))
    if fields.get("activity") is not None:
        fields["activity"] = read_log(fields["activity"], "'activity'")
        check_log(call, fields["activity"])
    return fields


def _columns(user: UserRow) -> tuple[Any, ...]:
    return (
        user.role,
        user.name,
        None if user.description is None else to_json(user.description),
        None if user.activity is None else to_json(user.activity),
        user.updated_ts,
        user.uuid,
    )


def _user_object(user: UserRow) -> dict[str, Any]:
    return {name: value for name, value in user._asdict().items() if value is not None}


def _short_object(user: UserRow) -> dict[str, Any]:
    shown = {} if user.name is None else {"name": user.name}
    return shown | {
        "role": user.role,
        "created_ts": user.created_ts,
        "updated_ts": user.updated_ts,
    }
