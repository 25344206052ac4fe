"""Twins: making, reading, scanning, describing and terminating them."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Any

from ttorm.emulator.access import matches, twin_allowed
from ttorm.emulator.answers import Fault
from ttorm.emulator.body import check_description, check_fields, check_rule, check_uuid
from ttorm.emulator.call import Call
from ttorm.emulator.clock import later
from ttorm.emulator.handlers import handles
from ttorm.emulator.ledgers import stored_ledgers, values_of
from ttorm.emulator.many import rows_among
from ttorm.emulator.rows import EntryRow, TwinRow, to_json
from ttorm.emulator.rules import MAX_STEPS

__all__ = ["MOST_TWINS", "find_twin", "owned_twin", "twin_at", "twin_object", "twins_at"]

MOST_TWINS = 1_000
"""How many Twins one page of a scan looks at."""


def twin_at(call: Call, uuid: str) -> TwinRow | None:
    """Read a Twin, whoever asks."""
    row = call.tx.row("SELECT * FROM twins WHERE uuid = ?", uuid)
    return None if row is None else TwinRow.from_row(row)


def twins_at(call: Call, uuids: Iterable[str]) -> dict[str, TwinRow]:
    """Read many Twins by UUID, whoever asks."""
    rows = rows_among(call.tx, "SELECT * FROM twins WHERE uuid IN (...)", uuids)
    return {row["uuid"]: TwinRow.from_row(row) for row in rows}


def find_twin(call: Call) -> TwinRow:
    """Read the Twin that the path names.

    Raises:
        Fault: There is none (404653), or the caller's role hides it (403535).
    """
    uuid = check_uuid(call.args["twin"], "twin")
    twin = twin_at(call, uuid)
    if twin is None:
        raise Fault(404653, f"There is no Twin {uuid}.")
    if not twin_allowed(call, twin):
        raise Fault(403535, "Twin not visible to the user.")
    return twin


def owned_twin(call: Call) -> TwinRow:
    """Read the Twin that the path names, if the caller's account owns it (else 403535)."""
    twin = find_twin(call)
    if twin.owner != call.account:
        raise Fault(403535, "Only the owner of a Twin may do this.")
    return twin


def twin_object(twin: TwinRow) -> dict[str, Any]:
    """Show a Twin."""
    shown: dict[str, Any] = {
        "owner": twin.owner,
        "status": twin.status,
        "updated_ts": twin.updated_ts,
    }
    if twin.description is not None:
        shown["description"] = twin.description
    shown["creation_certificate"] = {
        "uuid": twin.uuid,
        "creator": twin.creator,
        "created_ts": twin.created_ts,
    }
    if twin.terminated_ts is not None:
        shown["termination_certificate"] = {
            "issuer": twin.issuer,
            "terminated_ts": twin.terminated_ts,
        }
    return shown


def _read_description(call: Call) -> dict[str, Any]:
    """Read a body that may say a description: ``{"description": ...}``, or nothing."""
    body = call.body or {}
    check_fields(body, {"description"})
    if "description" in body:
        check_description(body["description"])
    return body


def _column(description: dict[str, Any] | None) -> str | None:
    return None if description is None else to_json(description)


@handles("create_twin")
def create_twin(call: Call) -> dict[str, Any]:
    """Make a Twin that the caller's account owns."""
    description = _read_description(call).get("description")
    uuid = call.world.ids.uuid()
    call.tx.run(
        "INSERT INTO twins (uuid, owner, creator, description, created_ts, updated_ts) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        uuid,
        call.account,
        call.account,
        _column(description),
        call.now,
        call.now,
    )
    call.count("twins_created")
    return twin_object(
        TwinRow(0, uuid, call.account, call.account, description, call.now, call.now, None, None)
    )


@handles("get_twin")
def get_twin(call: Call) -> dict[str, Any]:
    """Show a Twin; a terminated one only if it is asked for."""
    terminated = call.flag("show_terminated", default=True)
    twin = find_twin(call)
    if twin.status == "terminated" and not terminated:
        raise Fault(404653, f"The Twin {twin.uuid} is terminated.")
    return twin_object(twin)


@handles("update_twin")
def update_twin(call: Call) -> dict[str, Any]:
    """Replace the description of a Twin."""
    body = _read_description(call)
    twin = owned_twin(call)
    if twin.status == "terminated":
        raise Fault(400897, "The description of a terminated Twin cannot be changed.")
    description = body.get("description", twin.description)
    updated = later(call.now, twin.updated_ts)
    call.tx.run(
        "UPDATE twins SET description = ?, updated_ts = ? WHERE uuid = ?",
        _column(description),
        updated,
        twin.uuid,
    )
    twin = twin._replace(description=description, updated_ts=updated)
    _reconsider(call, twin)
    return twin_object(twin)


@handles("terminate_twin")
def terminate_twin(call: Call) -> dict[str, Any]:
    """End a Twin's life; what is attached to it stays."""
    twin = owned_twin(call)
    if twin.status == "terminated":
        raise Fault(400358, "Twin already terminated.")
    at = later(call.now, twin.updated_ts)
    call.tx.run(
        "UPDATE twins SET terminated_ts = ?, issuer = ?, updated_ts = ? WHERE uuid = ?",
        at,
        call.account,
        at,
        twin.uuid,
    )
    call.count("twins_terminated")
    twin = twin._replace(terminated_ts=at, issuer=call.account, updated_ts=at)
    _reconsider(call, twin)
    return twin_object(twin)


def _reconsider(call: Call, twin: TwinRow) -> None:
    """Let references follow Entries whose visibility depends on what a Twin is."""
    rows = call.tx.rows(
        "SELECT * FROM entries WHERE twin = ? AND (visibility LIKE '%TWIN%' "
        "OR visibility LIKE '%twin_status%')",
        twin.uuid,
    )
    if rows:
        from ttorm.emulator.propagation import follow

        follow(call, map(EntryRow.from_row, rows))


@handles("scan_twins")
def scan_twins(call: Call) -> dict[str, Any]:
    """List the Twins that the caller's account owns, page by page in the order of creation.

    Without details every owned Twin counts, also one that the caller's role hides. A page ends
    early when its rules have done as much as those of one request may.
    """
    count = call.integer("count", default=100, low=1, high=MOST_TWINS)
    details = call.flag("details", default=False)
    match = call.text("match")
    rule = None if match is None else check_rule(match, "match")
    rows = call.tx.rows(
        "SELECT * FROM twins WHERE owner = ? AND seq > ? ORDER BY seq LIMIT ?",
        call.account,
        _start(call),
        count + 1,
    )
    scanned = [TwinRow.from_row(row) for row in rows[:count]]
    _read_ledgers(call, scanned, rule, call.principal.rules.twin if details else None)
    seen: list[TwinRow] = []
    found: list[TwinRow] = []
    for twin in scanned:
        seen.append(twin)
        matched = rule is None or matches(call, rule, twin)
        if matched and (not details or twin_allowed(call, twin)):
            found.append(twin)
        if call.effort.left < 2 * MAX_STEPS:
            break  # the rules of the next one could be cut short
    return {
        "cursor": _cursor(seen[-1]) if len(rows) > len(seen) else None,
        "twins": [twin_object(twin) if details else twin.uuid for twin in found],
    }


def _read_ledgers(call: Call, twins: list[TwinRow], *rules: str | None) -> None:
    """Read at once the Ledgers that rules ask for, which would else be read one by one."""
    if any(rule is not None and "LEDGER" in rule for rule in rules):
        found = stored_ledgers(call.tx, call.account, [twin.uuid for twin in twins])
        for uuid, entries in found.items():
            call.ledgers[uuid, call.account] = values_of(entries)


def _cursor(twin: TwinRow) -> str:
    return b64encode(twin.uuid.encode()).decode()


def _start(call: Call) -> int:
    """Return the place of the last Twin of the page before, as the cursor says it."""
    cursor = call.text("cursor")
    if not cursor:
        return 0
    try:
        uuid = b64decode(cursor, validate=True).decode()
    except ValueError:
        uuid = ""
    row = call.tx.row("SELECT seq FROM twins WHERE uuid = ? AND owner = ?", uuid, call.account)
    if row is None:
        raise Fault(
            call.policy.cursor_fault,
            f"The cursor {cursor!r} is none that a scan of this account gave.",
        )
    return int(row["seq"])
