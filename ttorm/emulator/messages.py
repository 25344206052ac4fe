"""What is sent to callbacks, and the hash by which a receiver knows that it is genuine.

The text is that of `json.dumps` with its defaults, so that a receiver who verifies the hash may
take the members' texts as they stand, or write the values anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ttorm.api.signing import CONFIRMATION_MEMBERS, message_hash

__all__ = ["write_message"]


def write_message(message: Mapping[str, Any], members: Iterable[str], key: str | None) -> bytes:
    """Write a message as it is sent.

    Args:
        message: The message.
        members: Names of the hashed members of a notification; confirmations have their own.
        key: As in `message_hash`; None when the subscriber has no secret: then there is no hash.
    """
    if key is None:
        return json.dumps(message).encode()
    hashed = CONFIRMATION_MEMBERS if "confirmation_url" in message else members
    texts = (json.dumps(message[name]) for name in hashed if name in message)
    return json.dumps({**message, "hash": message_hash(texts, key)}).encode()
