"""Who is meant: accounts, roles and users, by UUID or as records."""

from __future__ import annotations

from typing import TypeAlias
from uuid import UUID

from ttorm.api.names import check_uuid
from ttorm.records.resource import Resource

__all__ = ["Subject", "subject"]

Subject: TypeAlias = str | UUID | Resource
"""An account, role or user: its UUID, or the record."""


def subject(who: object, what: str) -> str:
    """Return the UUID of an account, role or user.

    Args:
        who: The UUID, or the record.
        what: What it is to be, for the message.

    Raises:
        StateError: The record was not saved yet.
        ValidationError: It is none.

    Example:
        >>> subject("0F6A3A52-9c1e-4b7d-8f20-3b9f4d5c6a11", "recipient")
        '0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11'
    """
    return who._saved_key() if isinstance(who, Resource) else check_uuid(who, what)
