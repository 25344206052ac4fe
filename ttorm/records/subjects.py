"""Who is meant: accounts, roles and users, by UUID or as records."""

from __future__ import annotations

from typing import TypeAlias
from uuid import UUID

from ttorm.api.errors import StateError
from ttorm.api.names import check_uuid
from ttorm.records.account import Account
from ttorm.records.role import Role
from ttorm.records.user import User

__all__ = ["Subject", "subject"]

Subject: TypeAlias = Account | Role | User | UUID | str
"""An account, role or user: the record, or its UUID."""


def subject(who: object, what: str, *kinds: type[Account | Role | User]) -> str:
    """Return the UUID of an account, role or user.

    Args:
        who: The record, or its UUID.
        what: What it is to be, for the message.
        *kinds: Which records are meant.

    Raises:
        StateError: The record was not saved yet.
        ValidationError: It is none.

    Example:
        >>> subject("0F6A3A52-9c1e-4b7d-8f20-3b9f4d5c6a11", "user", User)
        '0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11'
    """
    if not isinstance(who, kinds):
        return check_uuid(who, what)
    if who._key is None:
        raise StateError(f"{who!r} was not saved yet: save() it first")
    return who._key
