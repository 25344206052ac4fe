"""Connections end when the head of a request does not come: uvicorn waits for it without end."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn import Config

__all__ = ["HEAD_SECONDS", "impatient"]

HEAD_SECONDS = 20.0
"""How long the head of a request may take."""


def impatient(config: Config, seconds: float = HEAD_SECONDS) -> type[asyncio.Protocol]:
    """Return the protocol that a server would use, with an end to its patience.

    Args:
        config: The server's configuration.
        seconds: How long the head of a request may take.
    """
    if not config.loaded:
        config.load()
    base: type[Any] = config.http_protocol_class
    return type("Protocol", (_Impatient, base), {"head_seconds": seconds})


class _Impatient(asyncio.Protocol):
    head_seconds: float
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    cycle: Any
    _alarm: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._calm()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._calm()
        elif self._alarm is None:
            self._alarm = self.loop.call_later(self.head_seconds, self.transport.close)

    def _calm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
