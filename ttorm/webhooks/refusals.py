"""Replies to the platform, and to those who only say that they are the platform."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["RefusedError", "Reply"]


class Reply(NamedTuple):
    """What is answered to a message.

    Attributes:
        body: A short JSON text.
        status: HTTP status: 201 when something was done, 200 when it was done before.
        headers: Header names and values.
    """

    body: bytes
    status: int
    headers: Mapping[str, str]

    @classmethod
    def of(cls, status: int, text: str, **headers: str) -> Reply:
        """Make a reply that says one thing."""
        body = json.dumps({"error" if status >= 400 else "result": text}).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(body, status, {"content-type": "application/json", **named})


class RefusedError(Exception):
    """A message is not taken.

    Args:
        status: HTTP status of the reply.
        reason: What is wrong, in words that tell nothing a stranger could use.
        headers: Further headers of the reply.
    """

    def __init__(self, status: int, reason: str, **headers: str) -> None:
        super().__init__(reason)
        self.reply = Reply.of(status, reason, **headers)
