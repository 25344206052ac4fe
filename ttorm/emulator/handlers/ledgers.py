"""Ledgers: adding, reading, changing and removing Entries."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ttorm.api.names import UUID
from ttorm.emulator.access import entry_allowed
from ttorm.emulator.answers import Fault
from ttorm.emulator.body import check_fields
from ttorm.emulator.call import Call
from ttorm.emulator.feeds import Change, Feed, indexed_in
from ttorm.emulator.handlers import handles
from ttorm.emulator.handlers.conditions import Guard, guarded, read_guard
from ttorm.emulator.handlers.entries import (
    Draft,
    Outcome,
    check_entry_name,
    check_item,
    check_size,
    entry_object,
    plan_addition,
    plan_update,
    read_addition,
    read_draft,
    read_drafts,
    read_value,
    remove,
    store,
    value_object,
)
from ttorm.emulator.handlers.series import check_series
from ttorm.emulator.handlers.twins import find_twin
from ttorm.emulator.ledgers import Entries, resolve_includes, stored_ledger, values_of
from ttorm.emulator.propagation import follow
from ttorm.emulator.rows import EntryRow, TwinRow

__all__ = ["ALIASES", "find_ledger", "visible_entries"]

ALIASES = {
    "get_twin_ledger_entry": ("creator", "owner"),
    "get_twin_ledger_entry_history": ("owner",),
    "get_twin_ledger_entry_value": ("owner",),
}
"""Words that may stand for an account, beside ``personal``, by operation."""

_WRITE_FIELDS = {"entries", "conditions", "transaction"}


def find_ledger(call: Call) -> tuple[TwinRow, str]:
    """Read the Twin and the account whose Ledger the path names."""
    ledger = call.args["ledger"]
    words = ("personal", *ALIASES.get(call.operation.name, ()))
    if ledger not in words and not UUID.fullmatch(ledger):
        raise Fault(
            400589, f"No Ledger is {ledger!r} here: write {', '.join(words)} or an account's UUID."
        )
    twin = find_twin(call)
    accounts = {"personal": call.account, "owner": twin.owner, "creator": twin.creator}
    return twin, accounts.get(ledger, ledger.lower())


def visible_entries(call: Call, twin: TwinRow, account: str) -> Entries:
    """Read the Entries of a Ledger that the caller may see."""
    entries = stored_ledger(call.tx, twin.uuid, account)
    ledger = values_of(entries)
    return {
        name: entry for name, entry in entries.items() if entry_allowed(call, twin, entry, ledger)
    }


@handles("get_twin_ledger_entry")
def get_twin_ledger_entry(call: Call) -> dict[str, Any]:
    """Show a Ledger: whole to its account, the visible values of it to others."""
    names = call.names("entries")
    references = call.flag("show_references", default=True)
    public = call.flag("show_public", default=True)
    private = call.flag("show_private", default=True)
    twin, account = find_ledger(call)
    entries = visible_entries(call, twin, account)
    asked = _named(entries.values(), names)
    if account != call.account:
        return {"entries": {entry.name: value_object(entry) for entry in asked}}
    shown = {
        entry.name: entry_object(entry)
        for entry in asked
        if (public if entry.visibility is not None else private)
        and (references or not entry.is_reference)
    }
    indexes = indexed_in(call, account, twin.uuid)
    return {**_times(entries), "entries": shown, **_indexes_object(indexes)}


@handles("get_twin_ledger_entry_value")
def get_twin_ledger_entry_value(call: Call) -> dict[str, Any]:
    """Show the visible values of a Ledger."""
    names = call.names("entries")
    twin, account = find_ledger(call)
    entries = visible_entries(call, twin, account)
    return {
        "entries": {entry.name: value_object(entry) for entry in _named(entries.values(), names)}
    }


def _named(entries: Iterable[EntryRow], names: list[str] | None) -> list[EntryRow]:
    return [entry for entry in entries if not names or entry.name in names]


def _times(entries: Entries) -> dict[str, float]:
    if not entries:
        return {}
    return {
        name: max(getattr(entry, name) for entry in entries.values())
        for name in ("entry_created_ts", "entry_updated_ts", "value_changed_ts")
    }


@handles("add_twin_ledger_entry")
def add_twin_ledger_entry(call: Call) -> dict[str, Any]:
    """Add Entries; those that exist are left as they are."""
    body = call.require_body()
    check_fields(body, _WRITE_FIELDS)
    drafts, guard = read_drafts(body, read_addition), read_guard(body)
    check_series(call, (draft.get("timeseries") for draft in drafts.values()))
    twin, account = _own_ledger(call)
    entries = stored_ledger(call.tx, twin.uuid, account)
    outcomes: dict[str, Outcome] = {
        name: "Entry already exists."
        if name in entries
        else plan_addition(twin, account, name, draft, call.now)
        for name, draft in drafts.items()
    }
    return _write(call, twin, entries, outcomes, guard)


@handles("update_twin_ledger_entry")
def update_twin_ledger_entry(call: Call) -> dict[str, Any]:
    """Change values and properties of Entries."""
    body = call.require_body()
    check_fields(body, _WRITE_FIELDS)
    return _update(call, read_drafts(body, read_draft), read_guard(body))


@handles("update_twin_ledger_entry_value")
def update_twin_ledger_entry_value(call: Call) -> dict[str, Any]:
    """Change values of Entries and nothing else."""
    body = call.require_body()
    check_fields(body, _WRITE_FIELDS)
    return _update(call, read_drafts(body, read_value), read_guard(body))


def _update(call: Call, drafts: dict[str, Draft], guard: Guard) -> dict[str, Any]:
    check_series(call, (draft.get("timeseries") for draft in drafts.values()))
    twin, account = _own_ledger(call)
    entries = stored_ledger(call.tx, twin.uuid, account)
    outcomes: dict[str, Outcome] = {}
    for name, entry in _accessible(call, twin, entries, drafts).items():
        outcomes[name] = entry if isinstance(entry, str) else plan_update(call, entry, drafts[name])
    return _write(call, twin, entries, outcomes, guard)


@handles("delete_twin_ledger_entry")
def delete_twin_ledger_entry(call: Call) -> dict[str, Any]:
    """Remove the named Entries, or all when none are named."""
    body = call.body or {}
    check_fields(body, {"conditions", "transaction"})
    guard = read_guard(body)
    names = call.names("entries")
    if names == []:
        raise Fault(
            400589, "'entries' is empty: name Entries, or leave it out to delete all of them."
        )
    for name in names or ():
        check_entry_name(name)
    twin, account = _own_ledger(call)
    entries = stored_ledger(call.tx, twin.uuid, account)
    if names is None:
        names = list(visible_entries(call, twin, account))
    outcomes: dict[str, Outcome] = {
        name: entry if isinstance(entry, str) else None
        for name, entry in _accessible(call, twin, entries, names).items()
    }
    return _write(call, twin, entries, outcomes, guard)


def _own_ledger(call: Call) -> tuple[TwinRow, str]:
    twin, account = find_ledger(call)
    if account != call.account:
        raise Fault(403535, "Entries are written by the account whose Ledger it is.")
    return twin, account


def _accessible(
    call: Call, twin: TwinRow, entries: Entries, names: Iterable[str]
) -> dict[str, EntryRow | str]:
    """Find Entries to change, or say why they cannot be."""
    ledger = values_of(entries)
    found: dict[str, EntryRow | str] = {}
    for name in names:
        entry = entries.get(name)
        if entry is None:
            found[name] = "Entry does not exist."
        elif not entry_allowed(call, twin, entry, ledger):
            found[name] = "Entry not accessible."
        else:
            found[name] = entry
    return found


def _write(
    call: Call, twin: TwinRow, entries: Entries, outcomes: dict[str, Outcome], guard: Guard
) -> dict[str, Any]:
    """Do what was planned as far as the guard admits it, and show it."""
    outcomes = guarded(call, twin, entries, outcomes, guard)
    after = dict(entries)
    changes: list[Change] = []
    touched: list[EntryRow] = []
    for name, outcome in outcomes.items():
        if outcome is None:
            touched.append(after.pop(name))
            remove(call, entries[name])
            changes.append(Change(entries[name], None))
        elif isinstance(outcome, EntryRow) and outcome != entries.get(name):
            check_item(call, outcome)
            after[name] = store(call, entries.get(name), outcome)
            touched.append(after[name])
            changes.append(Change(entries.get(name), after[name]))
    check_size(entries, after)
    resolved = {entry.name: entry for entry in resolve_includes(call.tx, [*after.values()])}
    if changes:
        feed = Feed(call, call.account, by_user=True)
        indexes = feed.take(twin.uuid, changes, lambda: (twin, resolved))
    else:
        indexes = indexed_in(call, call.account, twin.uuid)
    answer = _answer(entries, resolved, outcomes) | _indexes_object(indexes)
    # References are looked up when the answer is made: it still calls the new ones "created".
    follow(call, [*touched, *_reconsidered(after, touched)])
    return answer


def _reconsidered(entries: Entries, touched: list[EntryRow]) -> list[EntryRow]:
    """Find Entries whose visibility may be another one because others have changed."""
    names = {entry.name for entry in touched}
    return [
        entry
        for entry in entries.values()
        if names and entry.name not in names and "LEDGER" in (entry.visibility or "")
    ]


def _answer(before: Entries, resolved: Entries, outcomes: dict[str, Outcome]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, outcome in outcomes.items():
        if isinstance(outcome, str):
            shown[name] = {"error": outcome}
        else:
            shown[name] = entry_object(before[name] if outcome is None else resolved[name])
    return {**_times(resolved), "entries": shown}


def _indexes_object(names: list[str] | None) -> dict[str, Any]:
    """Show the Indexes tables that a Ledger is in, if accounts have that service."""
    return {} if names is None else {"indexes": names}
