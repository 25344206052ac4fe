"""What is sent to callbacks, and the hash by which a receiver knows that it is genuine.

The text is that of `json.dumps` with its defaults, so that a receiver who verifies the hash may
take the members' texts as they stand, or write the values anew.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

__all__ = ["message_hash", "write_message"]

_CONFIRMATION = ("type", "message", "sent_ts", "confirmation_url", "subscription")
"""The hashed members of a confirmation message, in this order."""


def message_hash(message: Mapping[str, Any], members: Iterable[str], key: str) -> str:
    """Return the hash of a message.

    Args:
        message: The message.
        members: Names of the members that are hashed, in this order; missing ones are passed over.
        key: The subscriber's secret followed by the server's.

    Example:
        >>> message_hash({"type": "Notification", "sent_ts": 1.5}, ["type", "sent_ts"], "key")
        'KaURvug+DZsGUPDmKDeLrbq+eYh2qPt434fPY3wvv90='
    """
    texts = (json.dumps(message[name]) for name in members if name in message)
    digest = blake2b("".join(texts).encode(), digest_size=32, key=key.encode())
    return b64encode(digest.digest()).decode()


def write_message(message: Mapping[str, Any], members: Iterable[str], key: str | None) -> bytes:
    """Write a message as it is sent.

    Args:
        message: The message.
        members: Names of the hashed members of a notification; confirmations have their own.
        key: As in `message_hash`; None when the subscriber has no secret: then there is no hash.
    """
    if key is None:
        return json.dumps(message).encode()
    hashed = _CONFIRMATION if "confirmation_url" in message else members
    return json.dumps({**message, "hash": message_hash(message, hashed, key)}).encode()
