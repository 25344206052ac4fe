"""The account."""

from __future__ import annotations

from typing import Any

from ttorm.emulator.body import check_fields, check_mapping, check_rule
from ttorm.emulator.call import Call
from ttorm.emulator.clock import later
from ttorm.emulator.handlers import handles
from ttorm.emulator.handlers.series import check_log, read_log
from ttorm.emulator.rows import AccountRow, to_json

__all__ = ["get_account", "update_account"]


@handles("get_account")
def get_account(call: Call) -> dict[str, Any]:
    """Show the caller's account."""
    return _account_object(_own_account(call))


@handles("update_account")
def update_account(call: Call) -> dict[str, Any]:
    """Change which accesses are to be logged in which Timeseries tables."""
    body = call.require_body()
    check_fields(body, {"resource_access_log"})
    log = body.get("resource_access_log")
    if log is not None:
        log = _read_log(call, log)
    account = _own_account(call)
    account = account._replace(
        resource_access_log=log if "resource_access_log" in body else account.resource_access_log,
        updated_ts=later(call.now, account.updated_ts),
    )
    log = account.resource_access_log
    call.tx.run(
        "UPDATE accounts SET resource_access_log = ?, updated_ts = ? WHERE uuid = ?",
        None if log is None else to_json(log),
        account.updated_ts,
        account.uuid,
    )
    return _account_object(account)


def _read_log(call: Call, value: Any) -> dict[str, Any]:
    log = {
        check_rule(rule, "A key of 'resource_access_log'"): read_log(tables, f"the rule {rule!r}")
        for rule, tables in check_mapping(value, "'resource_access_log'").items()
    }
    check_log(call, {table for tables in log.values() for table in tables})
    return log


def _own_account(call: Call) -> AccountRow:
    # Accounts are never deleted.
    [row] = call.tx.rows("SELECT * FROM accounts WHERE uuid = ?", call.account)
    return AccountRow.from_row(row)


def _account_object(account: AccountRow) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "uuid": account.uuid,
        "created_ts": account.created_ts,
        "updated_ts": account.updated_ts,
    }
    if account.resource_access_log is not None:
        shown["resource_access_log"] = account.resource_access_log
    return shown
