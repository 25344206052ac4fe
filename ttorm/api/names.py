"""The platform's names and identifiers: what they look like, checked before anything is sent."""

from __future__ import annotations

import re
from urllib.parse import quote

from ttorm.api.errors import ValidationError

__all__ = [
    "COLOR",
    "DESCRIPTION_KEY",
    "DISPLAY_NAME",
    "DOC_NAME",
    "ENTRY_NAME",
    "ENTRY_NAME_ACCEPTED",
    "HISTORY",
    "IDENTITY",
    "TABLE_NAME",
    "TOPIC",
    "UUID",
    "check_color",
    "check_description_key",
    "check_display_name",
    "check_doc_name",
    "check_entry_name",
    "check_history",
    "check_identity",
    "check_identity_type",
    "check_period",
    "check_table_name",
    "check_topic",
    "check_uuid",
    "encode_segment",
    "hashed_identity",
]

ENTRY_NAME = re.compile(r"(?=.{1,128}\Z)(?:_+[0-9a-z]|[a-z])[0-9a-z]*(?:_[0-9a-z]+)*")
"""Entry names that every published form of the rule allows: what ttorm sends."""
ENTRY_NAME_ACCEPTED = re.compile(
    r"(?=.{1,128}\Z)(?:[a-z_][0-9a-z_]*|_*[0-9a-z]+(?:[_-][0-9a-z]+)*)"
)
"""Entry names that some published form of the rule allows: what the emulator accepts."""
IDENTITY = re.compile(r"[A-Za-z_][0-9A-Za-z_]{0,7}#[0-9A-Za-z_=+-]{1,128}")
DESCRIPTION_KEY = re.compile(r"[a-z_][0-9a-z_]{0,63}")
DISPLAY_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_ \-]{0,30}[0-9A-Za-z]")
"""Names of users and roles."""
DOC_NAME = re.compile(r"(?:[a-zA-Z0-9_-]{1,32}/){0,5}[a-zA-Z0-9_-]{1,32}(?:\.[a-zA-Z0-9]{1,8})?")
HISTORY = re.compile(r"[1-9][0-9]{0,2}[DWMY]|INF")
TABLE_NAME = re.compile(r"[a-z_][0-9a-z_]{0,63}")
"""Names of tables and of their columns."""
COLOR = re.compile(r"[0-9A-Za-z-]{3,48}")
"""Colours of Stickers, which are words such as ``red`` or ``dark-grey``."""
TOPIC = re.compile(r"[0-9A-Za-z-]{3,48}")
"""Topics of notifications."""
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_IDENTITY_TYPE = re.compile(r"[A-Za-z_][0-9A-Za-z_]{0,7}")


def encode_segment(text: str) -> str:
    """Percent-encode one path segment with nothing left safe.

    Example:
        >>> encode_segment("RFID#a+b=")
        'RFID%23a%2Bb%3D'
    """
    return quote(text, safe="")


def _check(pattern: re.Pattern[str], value: object, what: str, form: str) -> str:
    if isinstance(value, str) and pattern.fullmatch(value):
        return value
    raise ValidationError(f"{value!r} is no {what}: expected {form}", code="bad-name")


def check_entry_name(name: object) -> str:
    """Return the name of an Entry, or raise `ValidationError`."""
    return _check(
        ENTRY_NAME,
        name,
        "Entry name",
        "1 to 128 lower-case letters, digits and single underscores between them, "
        "not starting with a digit, such as 'battery_level'",
    )


def check_identity(identity: object) -> str:
    """Return an Identity, or raise `ValidationError`."""
    return _check(
        IDENTITY,
        identity,
        "Identity",
        "a type of 1 to 8 letters, digits or '_', a '#', and 1 to 128 characters out of "
        "A-Z a-z 0-9 _ = + -, such as 'SN#A17'",
    )


def check_identity_type(prefix: object) -> str:
    """Return the part of an Identity before its ``#``, or raise `ValidationError`."""
    return _check(
        _IDENTITY_TYPE, prefix, "Identity type", "1 to 8 letters, digits or '_', such as 'SN'"
    )


def hashed_identity(kind: str, data: str) -> str:
    """Make the Identity of something whose name is not to be given away, such as an address.

    It is what the platform's own tools make of the same texts: ``HID#`` and a hash (BLAKE2b of 21
    bytes). Who knows the name finds the Twin; the name cannot be read from the Identity. Texts that
    can be guessed, such as telephone numbers, can be tried out.

    Args:
        kind: What the name is, such as ``"email"``.
        data: The name. Letter case and blanks count, so agree on one spelling.

    Returns:
        The Identity, 32 characters.

    Raises:
        ValidationError: One of them is no text, or empty.

    Example:
        >>> ttorm.hashed_identity("email", "ann@example.com")
        'HID#...'
    """
    from base64 import urlsafe_b64encode
    from hashlib import blake2b

    for text in (kind, data):
        if not isinstance(text, str) or not text:
            raise ValidationError(
                f"{text!r} cannot be hashed: expected two texts, as in "
                'hashed_identity("email", "ann@example.com")',
                code="bad-argument",
            )
    digest = blake2b(f"{kind}:{data}".encode(), digest_size=21).digest()
    return f"HID#{urlsafe_b64encode(digest).decode('ascii')}"


def check_description_key(key: object) -> str:
    """Return a key of a description or dictionary, or raise `ValidationError`."""
    return _check(
        DESCRIPTION_KEY,
        key,
        "description key",
        "1 to 64 lower-case letters, digits and '_', not starting with a digit, such as 'model'",
    )


def check_display_name(name: object) -> str:
    """Return the name of a user or role, or raise `ValidationError`."""
    return _check(
        DISPLAY_NAME,
        name,
        "name of a user or role",
        "2 to 32 letters, digits, blanks, '_' and '-', a letter or digit first and last, such as "
        "'Line 4 gateway'",
    )


def check_doc_name(name: object) -> str:
    """Return the name of a Doc, or raise `ValidationError`."""
    return _check(
        DOC_NAME,
        name,
        "Doc name",
        "up to 5 folders and a file name of 1 to 32 characters out of A-Z a-z 0-9 _ - each, and "
        "at most one extension of 1 to 8 letters or digits, such as 'Manuals/service_v2.pdf'",
    )


def check_history(period: object) -> str | None:
    """Return a history period (None switches history off), or raise `ValidationError`."""
    if period is None:
        return None
    return _check(
        HISTORY,
        period,
        "history period",
        "1 to 999 followed by D, W, M or Y, such as '3M', or 'INF' for the newest 1,000 changes",
    )


def check_color(color: object) -> str:
    """Return the colour of a Sticker, or raise `ValidationError`."""
    return _check(
        COLOR, color, "colour", "3 to 48 letters, digits and '-', such as 'red' or 'dark-grey'"
    )


def check_topic(topic: object) -> str:
    """Return a topic of notifications, or raise `ValidationError`."""
    return _check(TOPIC, topic, "topic", "3 to 48 letters, digits and '-', such as 'battery-low'")


def check_period(period: object) -> str:
    """Return how long rows are kept or stored together, or raise `ValidationError`."""
    return _check(
        HISTORY, period, "period", "1 to 999 followed by D, W, M or Y, such as '3M', or 'INF'"
    )


def check_table_name(name: object, what: str = "table name") -> str:
    """Return the name of a table or column, or raise `ValidationError`."""
    return _check(
        TABLE_NAME,
        name,
        what,
        "1 to 64 lower-case letters, digits and '_', not starting with a digit, such as 'weather'",
    )


def check_uuid(value: object, what: str = "UUID") -> str:
    """Return a UUID in lower case, or raise `ValidationError`."""
    text = str(value) if not isinstance(value, str) else value
    return _check(UUID, text, what, "a UUID such as '0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11'").lower()
