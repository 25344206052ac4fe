"""What rules and templates can mention: the caller, the Twin and the Entry at hand.

What is not given is null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ttorm.emulator.rows import EntryRow, TwinRow

if TYPE_CHECKING:
    from ttorm.emulator.call import Call

__all__ = ["of_caller", "of_entry", "of_twin"]


def of_caller(call: Call) -> dict[str, Any]:
    """The user who makes a request, the request's dictionary and its time."""
    principal = call.principal
    return {
        "account": principal.account,
        "user": principal.user,
        "role": principal.role,
        "now": call.now,
        "USER": principal.description,
        "DICT": call.dictionary,
    }


def of_twin(twin: TwinRow) -> dict[str, Any]:
    """A Twin."""
    return {"twin": twin.uuid, "twin_status": twin.status, "TWIN": twin.description}


def of_entry(ledger: str, name: str, entry: EntryRow | None) -> dict[str, Any]:
    """An Entry, of which nothing but its name is known when it does not exist.

    Args:
        ledger: The account whose Ledger it is in.
        name: Its name.
        entry: The Entry; None when there is none.
    """
    variables: dict[str, Any] = {"ledger": ledger, "entry_name": name}
    if entry is not None:
        variables["entry_value"] = entry.value
        variables["entry_created_ts"] = entry.entry_created_ts
        variables["entry_updated_ts"] = entry.entry_updated_ts
        variables["value_changed_ts"] = entry.value_changed_ts
    return variables
