"""Roles: which operations their users may do, and which Twins, Entries and Identities they see."""

from __future__ import annotations

from typing import Any

from ttorm.api.operations import ACTIONS
from ttorm.emulator.access import Statement, permits
from ttorm.emulator.answers import Fault
from ttorm.emulator.body import (
    check_array,
    check_fields,
    check_mapping,
    check_name,
    check_rule,
    check_uuid,
)
from ttorm.emulator.call import Call
from ttorm.emulator.clock import later
from ttorm.emulator.handlers import handles
from ttorm.emulator.rows import RoleRow, to_json

__all__ = [
    "ACTION_NAMES",
    "EFFECTS",
    "create_user_role",
    "delete_user_role",
    "get_user_role",
    "get_user_roles",
    "role_at",
    "update_user_role",
]

_FIELDS = ("name", "statement", "rules")
_OPEN: dict[str, Any] = {"effect": "deny", "actions": None}
# Named by the documentation's index of permissions, without an operation of that name.
ACTION_NAMES = ACTIONS | {"update_timeseries_access", "update_indexes_access"}
"""What a statement may list."""
EFFECTS = ("allow", "deny")
"""What a statement does with what it lists."""
_KINDS = ("twin", "entry", "identity")


def role_at(call: Call, uuid: str) -> RoleRow:
    """Read a role (404653 unless it is of the caller's account)."""
    row = call.tx.row("SELECT * FROM roles WHERE uuid = ? AND account = ?", uuid, call.account)
    if row is None:
        raise Fault(404653, f"There is no role {uuid}.")
    return RoleRow.from_row(row)


def _find_role(call: Call) -> RoleRow:
    return role_at(call, check_uuid(call.args["role"], "The role in the path"))


@handles("create_user_role")
def create_user_role(call: Call) -> dict[str, Any]:
    """Make a role that permits no more than the caller's own."""
    fields = _read(call)
    statement = fields.get("statement", _OPEN)
    _check_reach(call, statement)
    role = RoleRow(
        uuid=call.world.ids.uuid(),
        account=call.account,
        name=fields.get("name", "User Role Name"),
        statement=statement,
        rules=fields.get("rules", _rules(None)),
        created_ts=call.now,
        updated_ts=call.now,
    )
    call.tx.run(
        "INSERT INTO roles (name, statement, rules, updated_ts, uuid, account, created_ts) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        *_columns(role),
        role.account,
        role.created_ts,
    )
    return role._asdict()


@handles("get_user_role")
def get_user_role(call: Call) -> dict[str, Any]:
    """Show a role."""
    return _find_role(call)._asdict()


@handles("get_user_roles")
def get_user_roles(call: Call) -> dict[str, Any]:
    """List all roles of the account in short form."""
    rows = call.tx.rows(
        "SELECT * FROM roles WHERE account = ? ORDER BY created_ts, uuid", call.account
    )
    shown = ("name", "created_ts", "updated_ts")
    return {"roles": {row["uuid"]: {name: row[name] for name in shown} for row in rows}}


@handles("update_user_role")
def update_user_role(call: Call) -> dict[str, Any]:
    """Replace what the body names of a role; it acts from the next request on."""
    fields = _read(call)
    role = _find_role(call)
    if "statement" in fields:
        _check_reach(call, fields["statement"])
    role = role._replace(**fields, updated_ts=later(call.now, role.updated_ts))
    call.tx.run(
        "UPDATE roles SET name = ?, statement = ?, rules = ?, updated_ts = ? WHERE uuid = ?",
        *_columns(role),
    )
    return role._asdict()


@handles("delete_user_role")
def delete_user_role(call: Call) -> dict[str, Any]:
    """Delete a role; users who have it can do nothing until they get another."""
    role = _find_role(call)
    if role.uuid == call.principal.role:
        raise Fault(400897, "A user cannot delete the role it has.")
    call.tx.run("DELETE FROM roles WHERE uuid = ?", role.uuid)
    return role._asdict()


def _read(call: Call) -> dict[str, Any]:
    """Read the fields of a body; those that were not sent are left out."""
    body = call.require_body()
    check_fields(body, _FIELDS)
    fields: dict[str, Any] = {}
    if "name" in body:
        fields["name"] = check_name(body["name"])
    if "statement" in body:
        fields["statement"] = _statement(body["statement"])
    if "rules" in body:
        fields["rules"] = _rules(body["rules"])
    return fields


def _statement(value: Any) -> dict[str, Any]:
    where = "'statement'"
    statement = check_mapping(value, where)
    required = ("effect", "actions")
    check_fields(statement, required, required=required, where=where)
    if statement["effect"] not in EFFECTS:
        raise Fault(400589, "The effect of a statement is 'allow' or 'deny'.")
    if statement["actions"] is not None:
        for action in check_array(statement["actions"], "'actions'"):
            if not isinstance(action, str) or action not in ACTION_NAMES:
                raise Fault(400589, f"A statement lists {action!r}: write names of operations.")
    return {name: statement[name] for name in required}


def _rules(value: Any) -> dict[str, str | None]:
    where = "'rules'"
    given = {} if value is None else check_mapping(value, where)
    # The documentation also calls the members by their short names.
    check_fields(given, [*(f"{kind}_rule" for kind in _KINDS), *_KINDS], where=where)
    rules: dict[str, str | None] = {}
    for kind in _KINDS:
        name = f"{kind}_rule"
        if kind in given and name in given:
            raise Fault(400589, f"'rules' has both {name!r} and {kind!r}: write {name!r}.")
        rule = given.get(name, given.get(kind))
        rules[name] = None if rule is None else check_rule(rule, repr(name))
    return rules


def _check_reach(call: Call, statement: dict[str, Any]) -> None:
    """Refuse a statement that permits more than the caller may do (403535)."""
    own = call.principal.statement
    actions = statement["actions"]
    new = Statement(statement["effect"], None if actions is None else frozenset(actions))
    more = sorted(
        name for name in ACTION_NAMES if permits(new, name) and not (own and permits(own, name))
    )
    if more:
        raise Fault(
            403535,
            f"The role would permit what the caller's own does not: {', '.join(more[:5])}.",
        )


def _columns(role: RoleRow) -> tuple[Any, ...]:
    return role.name, to_json(role.statement), to_json(role.rules), role.updated_ts, role.uuid
