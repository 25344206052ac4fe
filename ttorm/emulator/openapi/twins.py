"""Shapes of Twins, Identities, Docs and uploads."""

from __future__ import annotations

from ttorm.emulator.handlers.docs import HASH, NAME, STORAGE_CLASSES
from ttorm.emulator.openapi.schema import (
    Schema,
    Shape,
    array,
    choice,
    named,
    nullable,
    record,
    ref,
    text,
)

__all__ = ["DOC_NAME", "SCHEMAS", "SHAPES"]

DOC_NAME = text(NAME, "Manuals/service_v2.pdf")
"""The name of a Doc, with its folders."""

_UUID, _TIMESTAMP = ref("Uuid"), ref("Timestamp")
_HASH = text(HASH, "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")
_DESCRIBED = record(optional={"description": nullable(ref("Description"))})
_TWINS = array(
    {"anyOf": [_UUID, ref("Twin")]},
)
_IDENTITY_FIELDS = {
    "validity_ts": nullable(_TIMESTAMP),
    "visibility": nullable(ref("Rule")),
}
_HANDLER = {
    "type": "string",
    "description": "Names an upload.",
    "examples": ["a7fbcd7c-50a7-4df5-a6e5-416559ae24ae"],
}
_STORAGE = choice(STORAGE_CLASSES)
_LISTING = record({"docs": ref("DocFolder")})


def _doc(**more: Schema) -> Schema:
    certificate = {
        "creator": _UUID,
        "created_ts": _TIMESTAMP,
        "size": {"type": "integer", "minimum": 0, "description": "Bytes."},
        "hash": _HASH,
    }
    return record(
        {
            **more,
            "creation_certificate": record(certificate),
            "storage_class": _STORAGE,
            "status": choice(("ok", "copying", "hash_mismatch")),
            "updated_ts": _TIMESTAMP,
        },
        {"description": ref("Description"), "download": ref("Download")},
    )


SCHEMAS: dict[str, Schema] = {
    "Twin": record(
        {
            "owner": _UUID,
            "status": choice(("alive", "terminated")),
            "updated_ts": _TIMESTAMP,
            "creation_certificate": record(
                {"uuid": _UUID, "creator": _UUID, "created_ts": _TIMESTAMP}
            ),
        },
        {
            "description": ref("Description"),
            "termination_certificate": record({"issuer": _UUID, "terminated_ts": _TIMESTAMP}),
        },
    ),
    "Identity": record(
        {
            **_IDENTITY_FIELDS,
            "updated_ts": _TIMESTAMP,
            "creation_certificate": record(
                {"identity": ref("IdentityName"), "creator": _UUID, "created_ts": _TIMESTAMP}
            ),
        }
    ),
    "IdentityChange": record(optional=_IDENTITY_FIELDS),
    "IdentitySummary": record(
        {
            "validity_ts": nullable(_TIMESTAMP),
            "created_ts": _TIMESTAMP,
            "updated_ts": _TIMESTAMP,
        }
    ),
    "Doc": _doc(),
    "AttachedDoc": _doc(handler=_HANDLER),
    "NewDoc": record(
        {"handler": _HANDLER},
        {
            "storage_class": _STORAGE,
            "description": nullable(ref("Description")),
            "hash": nullable({**_HASH, "description": "The SHA-256 that the file should have."}),
        },
    ),
    "DocFolder": {
        "type": "object",
        "description": "Docs by name; as a tree also folders by theirs.",
        "additionalProperties": {"anyOf": [ref("DocSummary"), ref("DocFolder")]},
        "examples": [{"Manuals/service_v2.pdf": [1718000000.125, 1718000000.125, 4096]}],
    },
    "DocSummary": {
        "type": "array",
        "description": "When it was attached, when it was last changed, and its size in bytes.",
        "prefixItems": [_TIMESTAMP, _TIMESTAMP, {"type": "integer", "minimum": 0}],
        "items": False,
        "minItems": 3,
    },
}

SHAPES: dict[str, Shape] = {
    "create_twin": Shape(ref("Twin"), _DESCRIBED, body_needed=False),
    "get_twin": Shape(ref("Twin")),
    "update_twin": Shape(ref("Twin"), _DESCRIBED, body_needed=False),
    "terminate_twin": Shape(ref("Twin")),
    "scan_twins": Shape(record({"cursor": nullable({"type": "string"}), "twins": _TWINS})),
    "resolve_twin_identity": Shape(record({"twins": _TWINS})),
    "create_twin_identity": Shape(
        record(
            {
                "identities": named(
                    ref("IdentityName"), {"anyOf": [ref("Identity"), ref("ItemError")]}
                )
            }
        ),
        record({"identities": named(ref("IdentityName"), ref("IdentityChange"), minProperties=1)}),
    ),
    "get_twin_identities": Shape(
        record({"identities": named(ref("IdentityName"), ref("IdentitySummary"))})
    ),
    "get_twin_identity": Shape(ref("Identity")),
    "update_twin_identity": Shape(ref("Identity"), ref("IdentityChange")),
    "delete_twin_identity": Shape(ref("Identity")),
    "attach_twin_doc": Shape(
        record({"docs": named(DOC_NAME, {"anyOf": [ref("AttachedDoc"), ref("ItemError")]})}),
        record({"docs": named(DOC_NAME, ref("NewDoc"), minProperties=1)}),
    ),
    "get_twin_docs": Shape(_LISTING),
    "delete_twin_docs": Shape(_LISTING),
    "get_twin_doc": Shape(ref("Doc")),
    "update_twin_doc": Shape(ref("Doc"), _DESCRIBED, body_needed=False),
    "delete_twin_doc": Shape(ref("Doc")),
    "download_doc": Shape(None),
    "create_upload_url": Shape(
        record(
            {
                "handler": _HANDLER,
                "url": {
                    "type": "string",
                    "format": "uri",
                    "description": "Where the file is put, with PUT and without a credential.",
                    "examples": ["https://host/upload/a"],
                },
                "validity_ts": _TIMESTAMP,
            }
        )
    ),
    "invalidate_upload_url": Shape(record({"handler": _HANDLER})),
}
