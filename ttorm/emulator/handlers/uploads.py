"""Uploads: places where files are put before Docs or batches are made of them."""

from __future__ import annotations

from io import BytesIO
from typing import IO, TYPE_CHECKING, Any

from ttorm.api.http import HttpRequest, HttpResponse, Upload
from ttorm.emulator.answers import Fault
from ttorm.emulator.blobs import Received
from ttorm.emulator.call import Call
from ttorm.emulator.handlers import handles
from ttorm.emulator.handlers.downloads import VALIDITY
from ttorm.emulator.routing import UPLOADS
from ttorm.emulator.rows import UploadRow
from ttorm.emulator.store import Transaction

if TYPE_CHECKING:
    from ttorm.emulator.core import Emulator

__all__ = [
    "contents",
    "find_upload",
    "note_release",
    "put_file",
    "receive",
    "release",
    "remove_released",
]


def find_upload(tx: Transaction, handler: str, now: float) -> UploadRow | None:
    """Read an upload that has not expired."""
    row = tx.row("SELECT * FROM uploads WHERE handler = ? AND validity_ts > ?", handler, now)
    return None if row is None else UploadRow.from_row(row)


@handles("create_upload_url")
def create_upload_url(call: Call) -> dict[str, Any]:
    """Make a place where a file can be put during the next hour."""
    _drop_expired(call)
    handler, validity_ts = call.world.ids.uuid(), round(call.now + VALIDITY, 3)
    call.tx.run(
        "INSERT INTO uploads (handler, account, validity_ts) VALUES (?, ?, ?)",
        handler,
        call.account,
        validity_ts,
    )
    url = f"{call.origin}{UPLOADS}{handler}"
    return {"handler": handler, "url": url, "validity_ts": validity_ts}


def _drop_expired(call: Call) -> None:
    rows = call.tx.rows("SELECT * FROM uploads WHERE validity_ts <= ?", call.now)
    for upload in map(UploadRow.from_row, rows):
        _drop(call, upload)


def _drop(call: Call, upload: UploadRow) -> None:
    call.tx.run("DELETE FROM uploads WHERE handler = ?", upload.handler)
    release(call, upload.content)


@handles("invalidate_upload_url")
def invalidate_upload_url(call: Call) -> dict[str, Any]:
    """Close an upload; Docs that were made of its file stay."""
    handler = call.args["handler"]
    upload = find_upload(call.tx, handler, call.now)
    if upload is None or upload.account != call.account:
        raise Fault(404653, "There is no such upload: it is unknown, expired or invalidated.")
    _drop(call, upload)
    return {"handler": handler}


def is_open(world: Emulator, handler: str) -> bool:
    """Tell whether a file may be put to an upload's address now."""
    with world.store.transaction(write=False) as tx:
        return find_upload(tx, handler, world.clock.now()) is not None


def receive(world: Emulator, handler: str, request: HttpRequest) -> HttpResponse:
    """Take a file that is put to an upload's address; the address is the credential.

    A second file takes the place of the first.
    """
    with world.store.transaction(write=False) as tx:
        _open_upload(world, tx, handler)
    with _reader(request.body) as source:
        received = world.blobs.receive(source)
    try:
        with world.store.transaction(write=True) as tx:
            # It may have ended while the file came in.
            upload = _open_upload(world, tx, handler)
            put_file(world, tx, upload, received)
    finally:
        world.blobs.forget(received)
    if upload.content is not None:
        remove_released(world)
    return HttpResponse(200)


def put_file(world: Emulator, tx: Transaction, upload: UploadRow, received: Received) -> None:
    """Make a received file that of an upload; what was there before is let go of."""
    world.blobs.keep(tx, received)
    tx.run(
        "UPDATE uploads SET content = ?, size = ? WHERE handler = ?",
        received.content,
        received.size,
        upload.handler,
    )
    if upload.content is not None:
        note_release(tx, upload.content)


def _open_upload(world: Emulator, tx: Transaction, handler: str) -> UploadRow:
    upload = find_upload(tx, handler, world.clock.now())
    if upload is None:
        raise Fault(403535, "This upload address is unknown, expired or invalidated.")
    return upload


def _reader(body: bytes | Upload) -> IO[bytes]:
    return body.open() if isinstance(body, Upload) else BytesIO(body)


def release(call: Call, content: str | None) -> None:
    """Let go of a content; its file is removed after the commit unless something else uses it."""
    if content is not None:
        note_release(call.tx, content)
        call.afterwards.append(lambda: remove_released(call.world))


def note_release(tx: Transaction, content: str) -> None:
    """Let go of a content; call `remove_released` after the commit."""
    tx.run("INSERT INTO released (content) VALUES (?) ON CONFLICT DO NOTHING", content)


def contents(tx: Transaction) -> list[str]:
    """Return all contents that something uses."""
    rows = tx.rows(
        "SELECT content FROM docs WHERE content IS NOT NULL "
        "UNION SELECT content FROM uploads WHERE content IS NOT NULL "
        "UNION SELECT content FROM batches WHERE content IS NOT NULL "
        "UNION SELECT results AS content FROM batches WHERE results IS NOT NULL"
    )
    return [row["content"] for row in rows]


def remove_released(world: Emulator) -> None:
    """Remove contents that nothing uses any more.

    This is a transaction of its own, after the one that let go of them is committed: a file is
    never removed for a change that did not happen. What a crash leaves is removed the next time.
    """
    with world.store.transaction(write=True) as tx:
        rows = tx.rows(
            "SELECT content FROM released "
            "WHERE NOT EXISTS (SELECT 1 FROM docs WHERE docs.content = released.content) "
            "AND NOT EXISTS (SELECT 1 FROM uploads WHERE uploads.content = released.content) "
            "AND NOT EXISTS (SELECT 1 FROM batches WHERE batches.content = released.content) "
            "AND NOT EXISTS (SELECT 1 FROM batches WHERE batches.results = released.content)"
        )
        for row in rows:
            world.blobs.remove(tx, row["content"])
        tx.run("DELETE FROM released")
