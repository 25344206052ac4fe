"""Usage of the account and of its users, in the current hour and the one before."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ttorm.api.operations import OPERATIONS
from ttorm.emulator.call import Call
from ttorm.emulator.handlers import handles
from ttorm.emulator.handlers.users import find_user
from ttorm.emulator.usage import hour_of

__all__ = ["get_account_usage", "get_user_usage"]


@handles("get_account_usage")
def get_account_usage(call: Call) -> dict[str, Any]:
    """Show what no user of the account did."""
    return _usage_object(call, "")


@handles("get_user_usage")
def get_user_usage(call: Call) -> dict[str, Any]:
    """Show what a user did."""
    return _usage_object(call, find_user(call).uuid)


def _usage_object(call: Call, owner: str) -> dict[str, Any]:
    found = call.world.usage.read(call.tx, call.account, owner, hour_of(call.now))
    usage: dict[str, dict[str, int]] = {}
    for (_, _, hour, item), amount in sorted(found.items()):
        items = usage.setdefault(_name(hour), {})
        if item in OPERATIONS:
            items[f"task_{item}_count"] = amount
            for name in ("rest_count", "request_count"):
                items[name] = items.get(name, 0) + amount
        elif amount:
            items[item] = amount
    return {"usage": {hour: items for hour, items in usage.items() if items}}


def _name(hour: int) -> str:
    return datetime.fromtimestamp(hour * 3_600, UTC).strftime("%Y-%m-%d-%H")
