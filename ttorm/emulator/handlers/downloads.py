"""Downloads: temporary addresses of files, and what is sent from there."""

from __future__ import annotations

import re
from typing import Any

from ttorm.api.http import HttpResponse
from ttorm.emulator import batchfile
from ttorm.emulator.answers import Fault
from ttorm.emulator.body import check_uuid
from ttorm.emulator.call import Call
from ttorm.emulator.handlers import handles
from ttorm.emulator.zips import zipped

__all__ = ["VALIDITY", "download"]

VALIDITY = 3_600.0
"""Life of an upload or download address in seconds."""

_DOC = "SELECT name, content, size FROM docs WHERE uuid = ? AND account = ?"
_RESULTS = "SELECT results, results_size FROM batches WHERE uuid = ? AND account = ?"


def download(call: Call, uuid: str, validity_ts: float | None = None) -> dict[str, Any]:
    """Make a temporary address of one of the account's files.

    Args:
        call: The request.
        uuid: The Doc, or the batch whose results are to be fetched.
        validity_ts: When the address ends; None for an hour from now.
    """
    until = round(call.now + VALIDITY, 3) if validity_ts is None else validity_ts
    # A name that only this store can make, so that nothing has to be kept.
    named = f"{uuid}-{until!r}"
    handler = f"{named}-{call.world.vault.hash(f'download {named}')}"
    return {"url": f"{call.origin}/download/{call.account}/{handler}", "validity_ts": until}


@handles("download_doc")
def download_doc(call: Call) -> HttpResponse:
    """Send a file; the address is the credential."""
    account, handler = check_uuid(call.args["account"], "account"), call.args["handler"]
    named, _, seal = handler.rpartition("-")
    uuid, validity_ts = named[:36], named[37:]
    sealed = seal.isascii() and call.world.vault.holds(f"download {named}", seal)
    if sealed and float(validity_ts) > call.now:
        doc = call.tx.row(_DOC, uuid, account)
        if doc is not None and doc["content"] is not None:
            return _send_doc(call, doc["name"], doc["content"], doc["size"])
        batch = call.tx.row(_RESULTS, uuid, account)
        if batch is not None and batch["results"] is not None:
            filename = f"{uuid}{batchfile.SUFFIX}"
            return _send(call, batchfile.TYPE, filename, batch["results"], batch["results_size"])
    raise Fault(404653, "This download address is unknown or expired, or the file was deleted.")


def _send_doc(call: Call, name: str, content: str, size: int) -> HttpResponse:
    # Any character may stand before the extension: only plain ones go into the header.
    filename = re.sub(r"[^A-Za-z0-9_.-]", "_", name.rpartition("/")[2])
    if not call.policy.zip_downloads:
        return _send(call, "application/octet-stream", filename, content, size)
    headers = _headers("application/zip", f"{filename}.zip")
    return HttpResponse(200, headers, stream=zipped(filename, call.world.blobs.read(content)))


def _send(call: Call, kind: str, filename: str, content: str, size: int) -> HttpResponse:
    headers = {**_headers(kind, filename), "content-length": str(size)}
    return HttpResponse(200, headers, stream=call.world.blobs.read(content))


def _headers(kind: str, filename: str) -> dict[str, str]:
    return {
        "content-type": kind,
        "content-disposition": f'attachment; filename="{filename}"',
    }
