"""Answers as they lie in a store that others can write to: signed, so that none can be forged."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, NamedTuple, cast

from ttorm.api import codec
from ttorm.api.credentials import Secret
from ttorm.connection.keys import CacheKey

__all__ = ["ForgedError", "Sealed", "Sealer"]

_PURPOSE = b"ttorm cache 1"
_SIZE = 64
"""Characters of a signature."""


class ForgedError(ValueError):
    """An entry that nobody with the key has written for this place."""


class Sealed(NamedTuple):
    """What an entry says.

    Attributes:
        since: When it was written, in Unix seconds.
        until: When it ends.
        lease: What had been dropped until it was read.
        answer: The answer.
    """

    since: float
    until: float
    lease: str
    answer: dict[str, Any]


class Sealer:
    """Signs entries and verifies them.

    Args:
        key: A key that all processes have which share the store. None signs with what only
            holders of the answers' credential know.
    """

    def __init__(self, key: Secret | None = None) -> None:
        self._key = key

    def name(self, scope: str) -> str:
        """Name a scope in the store: the scope itself is a key, and not to be shown there."""
        return hmac.new(scope.encode(), b"name", hashlib.sha256).hexdigest()[:32]

    def seal(self, key: CacheKey, sealed: Sealed) -> bytes:
        """Write an entry.

        Raises:
            ValidationError: The answer has something that JSON cannot carry.
        """
        content = codec.encode(list(sealed))
        return self._signature(key, content) + content

    def open(self, key: CacheKey, entry: bytes) -> Sealed | None:
        """Read an entry; None when it is of another version, or JSON cannot carry it.

        Raises:
            ForgedError: It was not sealed for this key, or changed since.
        """
        signature, content = entry[:_SIZE], entry[_SIZE:]
        if not hmac.compare_digest(signature, self._signature(key, content)):
            raise ForgedError("the signature does not fit")
        try:
            told = codec.decode(content)
        except (ValueError, TypeError, RecursionError):
            return None
        match told:
            case [int() | float() as since, int() | float() as until, str() as lease, {**answer}]:
                return Sealed(since, until, lease, cast("dict[str, Any]", answer))
            case _:
                return None

    def _signature(self, key: CacheKey, content: bytes) -> bytes:
        shared = b"" if self._key is None else self._key.reveal().encode()
        own = hmac.new(shared, _PURPOSE + key.scope.encode(), hashlib.sha256).digest()
        place = codec.canonical([key.scope, key.subject, key.operation, key.detail])
        return hmac.new(own, place + b"\n" + content, hashlib.sha256).hexdigest().encode()
