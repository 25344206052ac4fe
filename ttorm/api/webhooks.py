"""What subscriptions are made of: addresses, secrets, tokens and lives, checked before use."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

from ttorm.api.credentials import Secret
from ttorm.api.errors import ValidationError

__all__ = [
    "MAX_SECONDS",
    "check_callback",
    "check_client_secret",
    "check_expires",
    "new_client_secret",
    "token_of",
]

MAX_SECONDS = 604_800
"""Longest life of a subscription, in seconds; refreshing begins it anew."""
_MAX_URL = 512
_SECRET = re.compile(r"[0-9A-Za-z_-]{16}")


def token_of(url: object) -> Secret:
    """Take the token out of an address of the platform's; the address is never asked."""
    try:
        (token,) = parse_qs(urlsplit(url if isinstance(url, str) else "").query)["token"]
    except (KeyError, ValueError):
        # The address is not shown: whoever has its token can use it.
        raise ValidationError(
            "that is no address of a subscription: expected one with ?token=, as the platform "
            "sends it to the callback",
            code="bad-argument",
        ) from None
    return Secret(token)


def check_callback(url: object) -> str:
    """Return an address for messages, or raise `ValidationError`."""
    try:
        parts = urlsplit(url) if isinstance(url, str) and len(url) <= _MAX_URL else None
    except ValueError:
        parts = None
    if isinstance(url, str) and parts and parts.scheme in ("https", "http") and parts.hostname:
        return url
    raise ValidationError(
        f"{url!r} is no address that messages could be sent to: expected https://host/path, at "
        f"most {_MAX_URL} characters",
        code="bad-argument",
    )


def new_client_secret() -> Secret:
    """Make a subscriber's secret."""
    from base64 import urlsafe_b64encode

    return Secret(urlsafe_b64encode(os.urandom(12)).decode())


def check_client_secret(secret: str | Secret) -> Secret:
    """Return a subscriber's secret, wrapped, or raise `ValidationError`."""
    if isinstance(secret, (str, Secret)) and _SECRET.fullmatch(Secret(secret).reveal()):
        return Secret(secret)
    # What was given is not told: it may be a good secret with a slip.
    raise ValidationError(
        "the secret of a subscription has 16 letters, digits, '-' and '_': leave it out to have "
        "one made",
        code="bad-argument",
    )


def check_expires(expires: float | timedelta) -> int:
    """Return the life of a subscription in seconds, or raise `ValidationError`."""
    seconds = expires.total_seconds() if isinstance(expires, timedelta) else expires
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if is_number and 1 <= seconds <= MAX_SECONDS:
        return int(seconds)
    raise ValidationError(
        f"expires={expires!r}: expected seconds, 1 to {MAX_SECONDS:,} (a week)",
        code="bad-argument",
    )
