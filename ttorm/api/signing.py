"""The hash by which a receiver of notifications knows that a message is the platform's."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["CONFIRMATION_MEMBERS", "NOTIFICATION_MEMBERS", "message_hash"]

CONFIRMATION_MEMBERS = ("type", "message", "sent_ts", "confirmation_url", "subscription")
"""The hashed members of a confirmation message, in their order."""
NOTIFICATION_MEMBERS = (
    "type",
    "trigger",
    "message",
    "twin",
    "event",
    "sent_ts",
    "subscription",
)
"""Those of a notification. Provisional: of these the order is not documented."""


def message_hash(texts: Iterable[str], key: str) -> str:
    """Return the hash of a message.

    Args:
        texts: The JSON texts of its hashed members as they stand in it, in their order.
        key: The subscriber's secret followed by the server's.

    Example:
        >>> message_hash(['"Notification"', "1.5"], "key")
        'KaURvug+DZsGUPDmKDeLrbq+eYh2qPt434fPY3wvv90='
    """
    from base64 import b64encode
    from hashlib import blake2b

    digest = blake2b("".join(texts).encode(), digest_size=32, key=key.encode())
    return b64encode(digest.digest()).decode()
