"""The shapes of the API's JSON objects, as type checkers see them; nothing is checked at run time.

Readers are tolerant: members the service leaves out in some situations are `NotRequired`.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

__all__ = [
    "CreationCertificate",
    "DocWire",
    "EntryWire",
    "IdentityWire",
    "LedgerWire",
    "TerminationCertificate",
    "TwinWire",
    "WhoAmI",
]


class WhoAmI(TypedDict):
    """Whom a credential stands for: three UUIDs."""

    account: str
    user: str
    role: str


class CreationCertificate(TypedDict):
    """Who made an object, and when (Unix seconds)."""

    creator: str
    created_ts: float
    uuid: NotRequired[str]
    identity: NotRequired[str]
    size: NotRequired[int]
    hash: NotRequired[str | None]


class TerminationCertificate(TypedDict):
    """Who terminated a Twin, and when (Unix seconds)."""

    issuer: str
    terminated_ts: float


class TwinWire(TypedDict):
    """A Twin."""

    owner: str
    status: str
    updated_ts: NotRequired[float]
    description: NotRequired[dict[str, Any]]
    creation_certificate: CreationCertificate
    termination_certificate: NotRequired[TerminationCertificate]


class EntryWire(TypedDict, total=False):
    """An Entry of a Ledger, or the error that stands in its place."""

    value: Any
    visibility: str | None
    history: str | None
    timeseries: dict[str, Any] | None
    publish: dict[str, list[str]] | None
    ref: dict[str, str]
    include: dict[str, str]
    entry_created_ts: float
    entry_updated_ts: float
    value_changed_ts: float
    error: str


class LedgerWire(TypedDict, total=False):
    """A Ledger."""

    entries: dict[str, EntryWire]
    entry_created_ts: float
    entry_updated_ts: float
    value_changed_ts: float
    indexes: list[str]


class IdentityWire(TypedDict, total=False):
    """An Identity, in full or as listed."""

    validity_ts: float | None
    visibility: str | None
    created_ts: float
    updated_ts: float
    creation_certificate: CreationCertificate
    error: str


class DocWire(TypedDict, total=False):
    """A Doc."""

    creation_certificate: CreationCertificate
    storage_class: str
    status: str
    updated_ts: float
    description: dict[str, Any]
    download: dict[str, Any]
    error: str
