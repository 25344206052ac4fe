"""What processes drop, heard through a channel of a Redis server."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

from ttorm.api import codec
from ttorm.connection.keys import EVERYTHING, Drop
from ttorm.connection.redisdoor import RedisDoor, UnreachableError, reason
from ttorm.flows import Flow, query

__all__ = ["RedisListener", "listening", "message_of"]

_CHECK = 10.0
"""Seconds after which a connection has to show that it still hears."""


class RedisListener:
    """Hears what processes drop; messages are taken without waiting.

    Args:
        connection: A connection to the server, of its own.
        channel: The channel.
        losses: Counts what was missed by others in this process: one more ends it, too.
        fail: Is told why it hears no more.
    """

    def __init__(
        self,
        connection: Any,
        channel: str,
        losses: Callable[[], int],
        fail: Callable[[UnreachableError], None],
    ) -> None:
        self._connection = connection
        self._losses, self._before = losses, losses()
        self._fail = fail
        self._lock = threading.Lock()
        self._process, self._closed = os.getpid(), False
        self._checked, self._awaited = monotonic(), False
        connection.connect()
        connection.send_command("SUBSCRIBE", channel)
        connection.read_response(push_request=True)

    def news(self) -> list[Drop] | None:
        """Return what was dropped since the last time, without waiting."""
        # A forked child does not share its parent's connection.
        if self._closed or self._process != os.getpid() or self._losses() != self._before:
            return None
        try:
            with self._lock:
                drops = [_heard(message) for message in self._taken()]
        except Exception as error:  # noqa: BLE001 # whatever it is, something may be missed
            if not self._closed:
                self.close()
                self._fail(UnreachableError(reason(error)))
            return None
        # What was closed meanwhile may have opened itself again, and hears nothing.
        return None if self._closed else drops

    def _taken(self) -> list[bytes]:
        found: list[bytes] = []
        while self._connection.can_read(timeout=0):
            match self._connection.read_response(push_request=True):
                case [b"message", _, content]:
                    found.append(content)
                case _:
                    self._awaited = False
        now = monotonic()
        if now - self._checked > _CHECK:
            # Something on the way may have forgotten the connection, and tells neither end.
            if self._awaited:
                raise UnreachableError("a connection that listened was forgotten on the way")
            self._connection.send_command("PING", check_health=False)
            self._checked, self._awaited = now, True
        return found

    def close(self) -> None:
        """Stop listening."""
        self._closed = True
        self._connection.disconnect()


class _Ear:
    """The door through which a listener is made."""

    def __init__(
        self,
        door: RedisDoor,
        losses: Callable[[], int],
        fail: Callable[[UnreachableError], None],
    ) -> None:
        self._door = door
        self._losses = losses
        self._fail = fail

    def send(self, channel: str, /) -> RedisListener:
        try:
            return RedisListener(self._door.connection(), channel, self._losses, self._fail)
        except Exception as error:  # noqa: BLE001 # what it reads may be anything
            raise UnreachableError(reason(error)) from None

    async def asend(self, channel: str, /) -> RedisListener:
        from asyncio import to_thread

        return await to_thread(self.send, channel)


def listening(
    door: RedisDoor,
    channel: str,
    losses: Callable[[], int],
    fail: Callable[[UnreachableError], None],
) -> Flow[RedisListener]:
    """Listen to a channel from now on; the arguments are those of a listener.

    Raises:
        UnreachableError: The server did not answer.
    """
    return (yield from query(_Ear(door, losses, fail), channel))


def message_of(drop: Drop) -> bytes:
    """Write a message; scopes are not told, so that drops of one are heard as those of all."""
    names = None if drop.operations is None else sorted(drop.operations)
    return codec.encode([drop.subject, names])


def _heard(message: bytes) -> Drop:
    """Read a message; what is none drops everything, which does no harm."""
    try:
        told = codec.decode(message)
    except (ValueError, TypeError):
        return EVERYTHING
    match told:
        case [str() | None as subject, None]:
            return Drop(subject)
        case [str() | None as subject, [*names]] if all(isinstance(name, str) for name in names):
            return Drop(subject, None, frozenset(names))
        case _:
            return EVERYTHING
