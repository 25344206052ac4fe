"""Batches: one operation called many times, out of a file."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from typing import Any

from ttorm.api.operations import OPERATIONS, Operation
from ttorm.emulator.access import authorize
from ttorm.emulator.answers import Fault
from ttorm.emulator.batches import CANCELLED, FINISHED, STATUSES, BatchRow, cancel, remembered
from ttorm.emulator.body import check_description, check_fields, check_uuid
from ttorm.emulator.call import Call
from ttorm.emulator.clock import later
from ttorm.emulator.handlers import handles
from ttorm.emulator.handlers.downloads import download
from ttorm.emulator.handlers.uploads import find_upload, release

__all__ = ["CANCEL", "HASH", "MOST_BATCHES", "can_be_batched"]

_FIELDS = ("handler", "operation", "hash", "batch_dict")
HASH = re.compile(r"[a-f0-9]{64}")
"""A SHA-256."""
CANCEL = "cancel"
"""The status that callers can set."""
MOST_BATCHES = 1_000
"""How many batches one listing shows."""
_CURSOR = re.compile(r"([0-9]{1,15}\.[0-9]{1,3}) ([0-9a-f-]{36})")


def _batch_object(batch: BatchRow) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "batch": batch.uuid,
        "status": batch.status,
        "created_ts": batch.created_ts,
        "updated_ts": batch.updated_ts,
    }
    return shown if batch.hash is None else {**shown, "hash": batch.hash}


def _find_batch(call: Call) -> BatchRow:
    """Read the batch of the caller's account that the path names (404653 if there is none)."""
    uuid = check_uuid(call.args["batch"], "batch")
    row = call.tx.row("SELECT * FROM batches WHERE uuid = ? AND account = ?", uuid, call.account)
    if row is None:
        raise Fault(404653, f"The account has no batch {uuid}.")
    return BatchRow.from_row(row)


@handles("create_batch")
def create_batch(call: Call) -> dict[str, Any]:
    """Begin a batch with an uploaded file, which cannot be used again."""
    body = call.require_body()
    check_fields(body, _FIELDS, required=("handler", "operation"))
    operation, expected = _read_operation(body["operation"]), body.get("hash")
    if expected is not None and not (isinstance(expected, str) and HASH.fullmatch(expected)):
        raise Fault(400589, "'hash' is no SHA-256: write 64 digits and letters a to f.")
    dictionary = check_description(body.get("batch_dict"), "'batch_dict'")
    authorize(call.principal, operation)
    batch = BatchRow(
        uuid=call.world.ids.uuid(),
        account=call.account,
        caller=remembered(call.principal),
        origin=call.origin,
        operation=operation.name,
        dictionary=dictionary,
        status="new",
        hash=expected,
        content=_take_upload(call, body["handler"]),
        line=0,
        position=0,
        results=None,
        results_size=None,
        created_ts=call.now,
        updated_ts=call.now,
    )
    batch.insert(call.tx)
    call.afterwards.append(call.world.background.wake)
    return _batch_object(batch)


def can_be_batched(operation: Operation) -> bool:
    """Tell whether batches can call an operation."""
    return operation.credential and operation.category != "batches"


def _read_operation(name: Any) -> Operation:
    operation = OPERATIONS.get(name) if isinstance(name, str) else None
    if operation is None:
        raise Fault(400589, "'operation' is unknown: write the name of an operation.")
    if not can_be_batched(operation):
        raise Fault(
            400589,
            f"{operation.name} cannot be batched: write an operation that needs a credential and "
            "is none of batches.",
        )
    return operation


def _take_upload(call: Call, handler: Any) -> str:
    """Use up an upload and return what was put there."""
    if not isinstance(handler, str):
        raise Fault(400589, "'handler' is no text: write what create_upload_url answered.")
    upload = find_upload(call.tx, handler, call.now)
    if upload is None or upload.account != call.account:
        raise Fault(404653, "There is no such upload: it is unknown, expired or used.")
    if upload.content is None:
        raise Fault(404653, "No file was put to this upload.")
    call.tx.run("DELETE FROM uploads WHERE handler = ?", handler)
    return upload.content


@handles("get_batches")
def get_batches(call: Call) -> dict[str, Any]:
    """List the batches of the account: the newest first, or the oldest first after a time."""
    limit = call.integer("limit", default=MOST_BATCHES, low=1, high=MOST_BATCHES)
    since, until, status = call.timestamp("ge"), call.timestamp("le"), call.text("status")
    if status is not None and status not in STATUSES:
        raise Fault(400589, f"'status' is {status!r}: write one of {', '.join(STATUSES)}.")
    oldest_first = since is not None and until is None
    beyond, order = (">", "ASC") if oldest_first else ("<", "DESC")
    conditions: dict[str, tuple[Any, ...]] = {"account = ?": (call.account,)}
    if since is not None:
        conditions["created_ts >= ?"] = (since,)
    if until is not None:
        conditions["created_ts <= ?"] = (until,)
    if status is not None:
        conditions["status = ?"] = (status,)
    cursor = call.text("cursor")
    if cursor:
        conditions[f"(created_ts, uuid) {beyond} (?, ?)"] = _read_cursor(cursor)
    rows = call.tx.rows(
        f"SELECT uuid, status, created_ts FROM batches WHERE {' AND '.join(conditions)} "  # noqa: S608 - constants
        f"ORDER BY created_ts {order}, uuid {order} LIMIT ?",
        *(parameter for parameters in conditions.values() for parameter in parameters),
        limit + 1,
    )
    shown = rows[:limit]
    return {
        "batches": {row["uuid"]: row["status"] for row in shown},
        "cursor": _cursor(shown[-1]["created_ts"], shown[-1]["uuid"]) if rows[limit:] else None,
    }


def _cursor(created_ts: float, uuid: str) -> str:
    return b64encode(f"{created_ts!r} {uuid}".encode()).decode()


def _read_cursor(cursor: str) -> tuple[float, str]:
    try:
        match = _CURSOR.fullmatch(b64decode(cursor, validate=True).decode())
    except ValueError:
        match = None
    if match is None:
        raise Fault(400589, f"The cursor {cursor[:80]!r} is none that a listing gave.")
    return float(match[1]), match[2]


@handles("get_batch")
def get_batch(call: Call) -> dict[str, Any]:
    """Show a batch, with a temporary address of its results if that is asked for."""
    wanted = call.flag("download", default=False)
    batch = _find_batch(call)
    shown = _batch_object(batch)
    if wanted and batch.results is not None:
        shown["download"] = download(call, batch.uuid)
    return shown


@handles("update_batch")
def update_batch(call: Call) -> dict[str, Any]:
    """Cancel a batch; what it has done already stays done."""
    body = call.require_body()
    check_fields(body, {"status"}, required={"status"})
    if body["status"] != CANCEL:
        raise Fault(400589, f"'status' can only be set to {CANCEL!r}.")
    batch = _find_batch(call)
    if batch.status in CANCELLED:
        raise Fault(400358, "Batch already cancelled.")
    if batch.status in FINISHED:
        raise Fault(400592, f"The batch is finished: its status is {batch.status!r}.")
    batch = batch._replace(status=CANCEL, updated_ts=later(call.now, batch.updated_ts))
    # Where writers do not wait for each other, it may have come to its end just now.
    if not cancel(call.tx, batch):
        raise Fault(400592, "The batch is finished.")
    call.afterwards.append(call.world.background.wake)
    return _batch_object(batch)


@handles("delete_batch")
def delete_batch(call: Call) -> dict[str, Any]:
    """Stop a batch and forget it with its files."""
    batch = _find_batch(call)
    # First the batch, so that no result is added any more.
    call.tx.run("DELETE FROM batches WHERE uuid = ?", batch.uuid)
    call.tx.run("DELETE FROM batch_results WHERE batch = ?", batch.uuid)
    release(call, batch.content)
    release(call, batch.results)
    return _batch_object(
        batch._replace(status="deleting", updated_ts=later(call.now, batch.updated_ts))
    )
