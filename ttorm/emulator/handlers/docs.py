"""Docs: files attached to Twins."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeAlias

from ttorm.emulator.answers import Fault
from ttorm.emulator.body import check_description, check_fields, check_mapping
from ttorm.emulator.call import Call
from ttorm.emulator.clock import later
from ttorm.emulator.handlers import handles
from ttorm.emulator.handlers.downloads import download
from ttorm.emulator.handlers.twins import find_twin
from ttorm.emulator.handlers.uploads import find_upload, release
from ttorm.emulator.patterns import PatternError, check_pattern
from ttorm.emulator.rows import DocRow, TwinRow, to_json

__all__ = ["HASH", "NAME", "STORAGE_CLASSES", "VIEWS"]

# The platform publishes the rule with an unescaped dot before the extension.
NAME = re.compile(r"(?:[a-zA-Z0-9_-]{1,32}/){0,5}[a-zA-Z0-9_-]{1,32}(?:.[a-zA-Z0-9]{1,8})?")
"""What names of Docs look like, with their folders."""
HASH = re.compile(r"[0-9a-fA-F]{64}")
"""A SHA-256."""
STORAGE_CLASSES = ("access_optimized", "cost_optimized")
"""How a Doc is stored, the default first; without effect here."""
VIEWS = ("list", "tree")
"""How Docs can be listed, the default first."""

Draft: TypeAlias = dict[str, Any]
"""What a request says about a Doc to attach."""


def _check_doc_name(name: str) -> str:
    if NAME.fullmatch(name):
        return name
    raise Fault(
        400589,
        f"{name!r} is no Doc name: write up to 5 folders and a file name of 1 to 32 letters, "
        "digits, '_' and '-' each, and at most one extension.",
    )


def _read_draft(name: str, fields: Any) -> Draft:
    where = f"Doc {name!r}"
    check_fields(
        check_mapping(fields, where),
        {"handler", "storage_class", "description", "hash"},
        required={"handler"},
        where=where,
    )
    draft = {"storage_class": STORAGE_CLASSES[0], "description": None, "hash": None, **fields}
    if not isinstance(draft["handler"], str):
        raise Fault(400589, f"The handler of {where} is no text.")
    if draft["storage_class"] not in STORAGE_CLASSES:
        choices = " or ".join(STORAGE_CLASSES)
        raise Fault(400589, f"The storage_class of {where} is unknown: write {choices}.")
    check_description(draft["description"], f"the description of {where}")
    expected = draft["hash"]
    if expected is not None:
        if not isinstance(expected, str) or not HASH.fullmatch(expected):
            raise Fault(400589, f"The hash of {where} is no SHA-256: write 64 hexadecimal digits.")
        draft["hash"] = expected.lower()
    return draft


def _doc_object(doc: DocRow) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "creation_certificate": {
            "creator": doc.account,
            "created_ts": doc.created_ts,
            "size": doc.size,
            "hash": doc.hash,
        },
        "storage_class": doc.storage_class,
        "status": doc.status,
        "updated_ts": doc.updated_ts,
    }
    if doc.description is not None:
        shown["description"] = doc.description
    return shown


def _column(description: dict[str, Any] | None) -> str | None:
    return None if description is None else to_json(description)


def _docs_of(call: Call, twin: TwinRow) -> list[DocRow]:
    rows = call.tx.rows(
        "SELECT * FROM docs WHERE twin = ? AND account = ? ORDER BY name", twin.uuid, call.account
    )
    return [_as_of(call, DocRow.from_row(row)) for row in rows]


def _find_doc(call: Call) -> DocRow:
    """Read the caller's Doc that the path names (404653 if there is none)."""
    name = _check_doc_name(call.args["doc_name"])
    doc = _doc_at(call, find_twin(call), name)
    if doc is None:
        raise Fault(404653, f"The account has no Doc {name} on this Twin.")
    return doc


def _doc_at(call: Call, twin: TwinRow, name: str) -> DocRow | None:
    row = call.tx.row(
        "SELECT * FROM docs WHERE twin = ? AND account = ? AND name = ?",
        twin.uuid,
        call.account,
        name,
    )
    return None if row is None else _as_of(call, DocRow.from_row(row))


def _as_of(call: Call, doc: DocRow) -> DocRow:
    """Call a Doc still being copied as long as the policy says so."""
    copied = call.now >= doc.created_ts + call.policy.doc_delay
    return doc if copied else doc._replace(status="copying")


@handles("attach_twin_doc")
def attach_twin_doc(call: Call) -> dict[str, Any]:
    """Attach uploaded files to a Twin.

    The copy is made at once, yet the answer calls it under way, as the platform's does.
    """
    body = call.require_body()
    check_fields(body, {"docs"}, required={"docs"})
    drafts = {
        _check_doc_name(name): _read_draft(name, fields)
        for name, fields in check_mapping(body["docs"], "'docs'").items()
    }
    if not drafts:
        raise Fault(400589, "'docs' is empty: name at least one Doc.")
    twin = find_twin(call)
    return {"docs": {name: _attach(call, twin, name, draft) for name, draft in drafts.items()}}


def _attach(call: Call, twin: TwinRow, name: str, draft: Draft) -> dict[str, Any]:
    if _doc_at(call, twin, name) is not None:
        return {"error": "Doc already exists."}
    upload = find_upload(call.tx, draft["handler"], call.now)
    if upload is None or upload.account != call.account:
        return {"error": "Handler not found."}
    if upload.content is None or upload.size is None:
        return {"error": "File not uploaded."}
    matches = draft["hash"] in (None, upload.content)
    doc = DocRow(
        uuid=call.world.ids.uuid(),
        twin=twin.uuid,
        account=call.account,
        name=name,
        status="ok" if matches else "hash_mismatch",
        storage_class=draft["storage_class"],
        description=draft["description"],
        hash=draft["hash"] or upload.content,
        size=upload.size,
        content=upload.content if matches else None,
        created_ts=call.now,
        updated_ts=call.now,
    )
    call.tx.run(
        "INSERT INTO docs (uuid, twin, account, name, status, storage_class, description, hash, "
        "size, content, created_ts, updated_ts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        *doc._replace(description=None)[:6],
        _column(doc.description),
        *doc[7:],
    )
    return {"handler": draft["handler"], **_doc_object(doc._replace(status="copying"))}


@handles("get_twin_doc")
def get_twin_doc(call: Call) -> dict[str, Any]:
    """Show a Doc, with a temporary address for fetching it if that is asked for."""
    wanted = call.flag("download", default=False)
    validity_ts = call.timestamp("validity_ts")
    if wanted and validity_ts is not None and validity_ts <= call.now:
        raise Fault(400589, "'validity_ts' is in the past.")
    doc = _find_doc(call)
    shown = _doc_object(doc)
    if wanted and doc.status == "ok":
        shown["download"] = download(call, doc.uuid, validity_ts)
    return shown


@handles("update_twin_doc")
def update_twin_doc(call: Call) -> dict[str, Any]:
    """Replace the description of a Doc."""
    body = call.body or {}
    check_fields(body, {"description"})
    if "description" in body:
        check_description(body["description"])
    doc = _find_doc(call)
    doc = doc._replace(
        description=body.get("description", doc.description),
        updated_ts=later(call.now, doc.updated_ts),
    )
    call.tx.run(
        "UPDATE docs SET description = ?, updated_ts = ? WHERE uuid = ?",
        _column(doc.description),
        doc.updated_ts,
        doc.uuid,
    )
    return _doc_object(doc)


@handles("delete_twin_doc")
def delete_twin_doc(call: Call) -> dict[str, Any]:
    """Remove a Doc and show it as it was."""
    doc = _find_doc(call)
    _delete(call, doc)
    return _doc_object(doc)


def _delete(call: Call, doc: DocRow) -> None:
    call.tx.run("DELETE FROM docs WHERE uuid = ?", doc.uuid)
    release(call, doc.content)


@handles("get_twin_docs")
def get_twin_docs(call: Call) -> dict[str, Any]:
    """List the caller's Docs of a Twin."""
    view, mask = _view(call), call.text("mask") or ""
    _check_mask(mask, "")
    docs = _docs_of(call, find_twin(call))
    _check_mask(mask, max((doc.name for doc in docs), key=len, default=""))
    return {"docs": _listing((doc for doc in docs if re.search(mask, doc.name)), view)}


def _check_mask(mask: str, name: str) -> None:
    try:
        check_pattern(mask, len(name), search=True)
    except PatternError as error:
        raise Fault(400589, f"'mask' cannot be used: {error}.") from None


@handles("delete_twin_docs")
def delete_twin_docs(call: Call) -> dict[str, Any]:
    """Remove all of the caller's Docs of a Twin and list them."""
    view = _view(call)
    docs = _docs_of(call, find_twin(call))
    for doc in docs:
        _delete(call, doc)
    return {"docs": _listing(docs, view)}


def _view(call: Call) -> str:
    view = call.text("view") or VIEWS[0]
    if view not in VIEWS:
        raise Fault(400589, f"'view' is {view!r}: write list or tree.")
    return view


def _listing(docs: Iterable[DocRow], view: str) -> dict[str, Any]:
    listing: dict[str, Any] = {}
    for doc in docs:
        folders: list[str] = []
        name = doc.name
        if view == "tree":
            *folders, name = doc.name.split("/")
        place = listing
        for folder in folders:
            # A Doc beside the folder may have its name.
            taken = isinstance(place.get(folder), list)
            place = place.setdefault(f"{folder}/" if taken else folder, {})
        place[name] = [doc.created_ts, doc.updated_ts, doc.size]
    return listing
