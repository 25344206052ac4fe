"""New identifiers and secrets: random, or repeatable from a seed."""

from __future__ import annotations

import os
import random
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any
from uuid import UUID

__all__ = ["PIN_LENGTH", "PIN_LETTERS", "Ids"]

PIN_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""What PINs are made of."""
PIN_LENGTH = 6
"""How many of these letters a PIN has."""


class Ids:
    """Makes UUIDs, secrets and PINs.

    Args:
        seed: Repeats the same sequence at each start, for tests that compare whole answers;
            only for new stores, because a second start would make the same UUIDs again.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._random = None if seed is None else random.Random(seed)  # noqa: S311 - on purpose
        self._bytes: Callable[[int], bytes] = os.urandom
        if self._random is not None:
            self._bytes = self._random.randbytes

    def state(self) -> list[Any] | None:
        """Return where the sequence is, as JSON; None when everything is random."""
        return None if self._random is None else [*self._random.getstate()]

    def resume(self, state: list[Any] | None) -> None:
        """Go on from a state of the sequence; where everything is random it stays so."""
        if self._random is not None and state is not None:
            version, numbers, gauss = state
            self._random.setstate((version, tuple(numbers), gauss))

    def uuid(self) -> str:
        """Return a new UUID of version 4."""
        return str(UUID(bytes=self._bytes(16), version=4))

    def key(self) -> bytes:
        """Return a new key for hashing and signing."""
        return self._bytes(32)

    def secret(self) -> str:
        """Return a new secret: 64 characters of base64."""
        return b64encode(self._bytes(48)).decode()

    def server_secret(self) -> str:
        """Return a new secret for message hashes: 16 characters of URL-safe base64."""
        return urlsafe_b64encode(self._bytes(12)).decode()

    def pin(self) -> str:
        """Return a new PIN: 6 digits and capital letters."""
        number = int.from_bytes(self._bytes(8), "big")
        letters: list[str] = []
        for _ in range(PIN_LENGTH):
            number, letter = divmod(number, len(PIN_LETTERS))
            letters.append(PIN_LETTERS[letter])
        return "".join(letters)
