"""Entries: reading what a request says about them, planning the change, storing and showing it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeGuard

from ttorm.api import names
from ttorm.emulator.answers import Fault
from ttorm.emulator.body import check_fields, check_mapping, check_rule, check_template
from ttorm.emulator.call import Call
from ttorm.emulator.clock import later
from ttorm.emulator.handlers.series import check_table_name, read_row_templates
from ttorm.emulator.history import record
from ttorm.emulator.ledgers import Entries
from ttorm.emulator.rows import EntryRow, TwinRow, to_json

__all__ = [
    "INCLUDE",
    "MAX_LEDGER",
    "REFERENCE",
    "Draft",
    "Outcome",
    "check_entry_name",
    "check_item",
    "check_size",
    "entry_object",
    "plan_addition",
    "plan_update",
    "read_addition",
    "read_draft",
    "read_drafts",
    "read_value",
    "remove",
    "store",
    "value_object",
]

MAX_LEDGER = 65_536
"""Largest Ledger, in bytes of its JSON: names, values and properties."""

MAX_ITEM = 512
"""Largest value that a history is meant for, in bytes of its JSON."""

_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
REFERENCE = re.compile(rf"(twin://{_UUID}/{_UUID}/)(.+)")
"""The address of an Entry in the Ledger of an account, up to its name and with it."""
INCLUDE = re.compile(rf"(twin://{_UUID}/)([^/]+)")
"""The address of an Entry in a Ledger of one's own, up to its name and with it."""
_TIMES = ("entry_created_ts", "entry_updated_ts", "value_changed_ts")
_KINDS = ("value", "ref", "include")
_SERVICES = ("history", "timeseries", "publish")
_PROPERTIES = ("visibility", *_SERVICES)
_FIELDS = {*_KINDS, *_PROPERTIES, *_TIMES}

Draft: TypeAlias = dict[str, Any]
"""What a request says about one Entry: ``value``, ``ref`` and ``include`` (addresses of sources),
``visibility``, ``history``, ``publish`` and ``timeseries``, each only if it was said."""


Outcome: TypeAlias = EntryRow | str | None
"""What a write makes of an Entry, why it cannot, or None when it removes it."""


def read_drafts(body: Mapping[str, Any], read: Callable[[str, Any], Draft]) -> dict[str, Draft]:
    """Read the ``entries`` of a body, each with `read`."""
    entries = check_mapping(body.get("entries"), "entries")
    if not entries:
        raise Fault(400589, "'entries' is empty: name at least one Entry.")
    return {check_entry_name(name): read(name, fields) for name, fields in entries.items()}


def check_entry_name(name: str) -> str:
    """Return the name of an Entry in any of its published forms."""
    if names.ENTRY_NAME_ACCEPTED.fullmatch(name):
        return name
    raise Fault(
        400589,
        f"{name!r} is no Entry name: write 1 to 128 lower-case letters, digits and '_', "
        "such as 'battery_level'.",
    )


def read_value(name: str, fields: Any) -> Draft:
    """Read an Entry of which only the value may be written."""
    where = f"Entry {name!r}"
    check_fields(check_mapping(fields, where), {"value"}, required={"value"}, where=where)
    return {"value": fields["value"]}


def read_addition(name: str, fields: Any) -> Draft:
    """Read a new Entry, which is of exactly one kind."""
    draft = read_draft(name, fields)
    kinds = [kind for kind in _KINDS if kind in draft]
    if len(kinds) != 1 or (kinds != ["value"] and draft[kinds[0]] is None):
        raise Fault(400589, f"Entry {name!r} needs exactly one of value, ref and include.")
    return draft


def read_draft(name: str, fields: Any) -> Draft:
    """Read an Entry of which everything may be written.

    What the service sets itself is ignored, so that an Entry that was read can be sent back.
    """
    where = f"Entry {name!r}"
    check_fields(check_mapping(fields, where), _FIELDS, where=where)
    draft: Draft = {key: fields[key] for key in fields if key not in _TIMES}
    if draft.get("ref") is not None:
        _read_reference(draft, where)
    if draft.get("include") is not None:
        draft["include"] = _read_include(draft["include"], where)
    if draft.get("include") is not None and _services(draft):
        raise Fault(400589, f"{where} is an include: it takes no {_services(draft)}.")
    if draft.get("visibility") is not None:
        check_rule(draft["visibility"], f"the visibility of {where}")
    if draft.get("history") is not None:
        _check_history(draft["history"], where)
    if "publish" in draft:
        draft["publish"] = _read_publish(draft["publish"], where)
    if "timeseries" in draft:
        draft["timeseries"] = _read_timeseries(draft["timeseries"], where)
    return draft


def _services(draft: Draft) -> str:
    asked = (name for name in _SERVICES if draft.get(name) is not None)
    return ", ".join(asked)


def _read_reference(draft: Draft, where: str) -> None:
    fields = check_mapping(draft["ref"], f"the ref of {where}")
    check_fields(
        fields, {"source", "status", "visibility"}, required={"source"}, where=f"the ref of {where}"
    )
    form = "twin://{twin UUID}/{account UUID}/{Entry name}"
    draft["ref"] = _read_source(REFERENCE, fields["source"], form, where)
    if "visibility" in fields:
        draft.setdefault("visibility", fields["visibility"])


def _read_include(include: Any, where: str) -> str:
    if not isinstance(include, str):
        fields = check_mapping(include, f"the include of {where}")
        check_fields(fields, {"source"}, required={"source"}, where=f"the include of {where}")
        include = fields["source"]
    return _read_source(INCLUDE, include, "twin://{twin UUID}/{Entry name}", where)


def _read_source(pattern: re.Pattern[str], source: Any, form: str, where: str) -> str:
    match = pattern.fullmatch(source) if isinstance(source, str) else None
    if match is None or not names.ENTRY_NAME_ACCEPTED.fullmatch(match[2]):
        raise Fault(400589, f"The source of {where} is {source!r}: write {form}.")
    return match[1].lower() + match[2]


def _check_history(period: Any, where: str) -> None:
    if not isinstance(period, str) or not names.HISTORY.fullmatch(period):
        raise Fault(
            400589,
            f"The history of {where} is {period!r}: write 1 to 999 followed by D, W, M or Y, "
            "'INF', or null.",
        )


def _read_publish(publish: Any, where: str) -> dict[str, list[str]] | None:
    if publish is None:
        return None
    for rule, topics in check_mapping(publish, f"the publish of {where}").items():
        check_rule(rule, f"a publish rule of {where}")
        if not _is_array(topics) or {*map(type, topics)} != {str}:
            raise Fault(400589, f"The topics of {where} are {topics!r}: write a list of texts.")
        for topic in topics:
            check_template(topic, f"a topic of {where}")
    return publish or None


def _is_array(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _read_timeseries(timeseries: Any, where: str) -> dict[str, Any] | None:
    if timeseries is None:
        return None
    tables = check_mapping(timeseries, f"the timeseries of {where}")
    return {
        name: read_row_templates(templates, f"the table {check_table_name(name)!r} of {where}")
        for name, templates in tables.items()
    } or None


def plan_addition(twin: TwinRow, account: str, name: str, draft: Draft, now: float) -> Outcome:
    """Plan a new Entry."""
    entry = EntryRow(
        seq=0,
        twin=twin.uuid,
        account=account,
        name=name,
        value=draft.get("value"),
        source=draft.get("ref") or draft.get("include"),
        ref_status="created" if "ref" in draft else None,
        visibility=draft.get("visibility"),
        history=draft.get("history"),
        publish=draft.get("publish"),
        timeseries=draft.get("timeseries"),
        entry_created_ts=now,
        entry_updated_ts=now,
        value_changed_ts=now,
        size=0,
    )
    return _own_ledger_error(entry) or entry


def plan_update(call: Call, entry: EntryRow, draft: Draft) -> Outcome:
    """Plan a change of an Entry: what is said replaces, the rest stays."""
    now, error = call.now, _kind_error(entry, draft)
    if error:
        return error
    properties: dict[str, Any] = {key: draft[key] for key in _PROPERTIES if key in draft}
    new = entry._replace(**properties)
    source = draft.get("ref") or draft.get("include")
    if source and source != entry.source:
        new = _resourced(new, source, now)
        error = _own_ledger_error(new)
        properties["source"] = source
    if properties or ("value" in draft and call.policy.entry_updated_ts == "every_write"):
        new = new._replace(entry_updated_ts=later(now, entry.entry_updated_ts))
    if "value" in draft:
        changed = later(now, entry.value_changed_ts)
        new = new._replace(value=draft["value"], value_changed_ts=changed)
    return error or new


def _kind_error(entry: EntryRow, draft: Draft) -> str:
    kind = "ref" if entry.is_reference else "include" if entry.is_include else "value"
    if "value" in draft and kind != "value":
        return "Entry value cannot be changed."
    for other in ("ref", "include"):
        if other in draft and (other != kind or draft[other] is None):
            return "Entry type cannot be changed."
    if kind == "include" and _services(draft):
        return f"An include Entry takes no {_services(draft)}."
    return ""


def _resourced(entry: EntryRow, source: str, now: float) -> EntryRow:
    entry = entry._replace(source=source)
    if not entry.is_reference:
        return entry
    if entry.value is not None:
        changed = later(now, entry.value_changed_ts)
        entry = entry._replace(value=None, value_changed_ts=changed)
    return entry._replace(ref_status="created")


def _own_ledger_error(entry: EntryRow) -> str:
    key = entry.source_key
    if key is None or key[:2] != (entry.twin, entry.account):
        return ""
    kind = "Reference" if entry.is_reference else "Include"
    return f"{kind} source must be in a different Ledger."


def store(call: Call, old: EntryRow | None, new: EntryRow) -> EntryRow:
    """Write an added or changed Entry with its history, and return it as it is kept."""
    entry = new._replace(size=_size(new))
    # What an include includes is looked up at each reading and never kept.
    value = "null" if entry.is_include else to_json(entry.value)
    changed_ts = entry.entry_created_ts if entry.is_include else entry.value_changed_ts
    columns = (
        value,
        entry.source,
        entry.ref_status,
        entry.visibility,
        entry.history,
        None if entry.publish is None else to_json(entry.publish),
        None if entry.timeseries is None else to_json(entry.timeseries),
        entry.entry_created_ts,
        entry.entry_updated_ts,
        changed_ts,
        entry.size,
    )
    if entry.seq:
        call.tx.run(
            "UPDATE entries SET value = ?, source = ?, ref_status = ?, visibility = ?, "
            "history = ?, publish = ?, timeseries = ?, entry_created_ts = ?, "
            "entry_updated_ts = ?, value_changed_ts = ?, size = ? WHERE seq = ?",
            *columns,
            entry.seq,
        )
    else:
        (row,) = call.tx.rows(
            "INSERT INTO entries (twin, account, name, value, source, ref_status, visibility, "
            "history, publish, timeseries, entry_created_ts, entry_updated_ts, "
            "value_changed_ts, size) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq",
            *entry.key,
            *columns,
        )
        entry = entry._replace(seq=row["seq"])
    record(call.tx, old, entry, call.now)
    call.count("ledger_size_delta", entry.size - (old.size if old else 0), entry.account)
    return entry


def remove(call: Call, entry: EntryRow) -> None:
    """Delete an Entry with its history."""
    call.tx.run("DELETE FROM history WHERE entry = ?", entry.seq)
    call.tx.run("DELETE FROM entries WHERE seq = ?", entry.seq)
    call.count("ledger_size_delta", -entry.size, entry.account)


def _size(entry: EntryRow) -> int:
    stored = {
        "value": None if entry.is_include else entry.value,
        "source": entry.source,
        "visibility": entry.visibility,
        "history": entry.history,
        "publish": entry.publish,
        "timeseries": entry.timeseries,
    }
    kept = {key: value for key, value in stored.items() if value is not None or key == "value"}
    # Without one brace, so that a Ledger's sizes and one more make the length of its JSON.
    return len(to_json({entry.name: kept}).encode()) - 1


def check_size(before: Entries, after: Entries) -> None:
    """Refuse a write that makes a Ledger larger than it may be (400141)."""
    size = 1 + sum(entry.size for entry in after.values())
    if size > MAX_LEDGER and size > 1 + sum(entry.size for entry in before.values()):
        raise Fault(
            400141, f"The Ledger would have {size} bytes, it may have at most {MAX_LEDGER}."
        )


def check_item(call: Call, entry: EntryRow) -> None:
    """Refuse what a history does not take, where its quota is a hard one (400141)."""
    if call.policy.history_quota == "soft" or entry.history is None:
        return
    size = len(to_json(entry.value).encode())
    if size > MAX_ITEM:
        raise Fault(
            400141,
            f"The value of Entry {entry.name!r} has {size} bytes, its history takes {MAX_ITEM}.",
        )


def value_object(entry: EntryRow) -> dict[str, Any]:
    """Show what every reader may see of an Entry."""
    return {"value": entry.value, **_times(entry)}


def entry_object(entry: EntryRow) -> dict[str, Any]:
    """Show an Entry to the account that owns it."""
    shown: dict[str, Any] = {"value": entry.value}
    if entry.is_reference:
        shown["ref"] = {"source": entry.source, "status": entry.ref_status}
    elif entry.is_include:
        shown["include"] = {"source": entry.source}
    if entry.visibility is not None or not entry.is_include:
        shown["visibility"] = entry.visibility
    if entry.history is not None:
        shown["history"] = entry.history
    if entry.timeseries is not None:
        shown["timeseries"] = entry.timeseries
    if entry.publish is not None:
        shown["publish"] = entry.publish
    return {**shown, **_times(entry)}


def _times(entry: EntryRow) -> dict[str, float]:
    return {name: getattr(entry, name) for name in _TIMES}
