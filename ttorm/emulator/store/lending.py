"""Connections that are lent to one thread at a time and kept open in between."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from ttorm.api.errors import StateError

__all__ = ["Lending"]


class _Closable(Protocol):
    def close(self) -> None: ...


_C = TypeVar("_C", bound=_Closable)


class Lending(Generic[_C]):
    """Lends connections, so many at once as the other side bears; more borrowers wait.

    Args:
        connect: Opens a connection.
        most: How many there are at most.
    """

    def __init__(self, connect: Callable[[], _C], most: int) -> None:
        self._connect = connect
        self._most = most
        self._idle: list[_C] = []
        self._free = threading.BoundedSemaphore(most)
        self._closing = weakref.finalize(self, _close_all, self._idle)

    def take(self) -> tuple[_C, bool]:
        """Borrow a connection; whoever does gives it back, also when it is broken.

        Returns:
            The connection, and whether it is a new one: others may have been cut since.

        Raises:
            StateError: The store is closed.
        """
        self._free.acquire()
        try:
            return self._taken()
        except BaseException:
            self._free.release()
            raise

    def _taken(self) -> tuple[_C, bool]:
        if not self._closing.alive:
            raise StateError(
                "this emulator is closed: connect() again, or open it by Emulator(url)"
            )
        try:
            return self._idle.pop(), False
        except IndexError:
            return self._connect(), True

    def give_back(self, connection: _C, *, usable: bool) -> None:
        """Take a connection back; one that is not usable is closed."""
        if usable and self._closing.alive:
            self._idle.append(connection)
            if not self._closing.alive:
                # Closed in this very moment: whoever takes the connection out closes it.
                _close_all(self._idle)
        else:
            connection.close()
        self._free.release()

    def close(self) -> None:
        """Close what is idle, and each that comes back; closing twice is harmless."""
        self._closing()

    def forked(self) -> list[_C]:
        """Let go of what the parent process holds, and return it: it must stay untouched."""
        self._free = threading.BoundedSemaphore(self._most)
        inherited = self._idle.copy()
        self._idle.clear()
        return inherited


def _close_all(connections: list[_C]) -> None:
    while connections:
        connections.pop().close()
