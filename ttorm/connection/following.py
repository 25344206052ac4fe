"""A first level of answers in the process, which hears what other processes drop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from ttorm.connection.keys import CacheKey, Drop
from ttorm.connection.memory import MemoryBackend
from ttorm.connection.shared import Listener, SharedBackend
from ttorm.flows import Flow

__all__ = ["FollowingBackend"]


class FollowingBackend(MemoryBackend):
    """Answers in this process's memory, of which those go first that others have dropped.

    Args:
        size: Most subjects kept.
        shared: What tells of drops.
        forget: Forgets answers, those under way as well.
    """

    def __init__(self, size: int, shared: SharedBackend, forget: Callable[[Drop], None]) -> None:
        super().__init__(size)
        self._shared = shared
        self._forget = forget
        self._listener: Listener | None = None
        self._beginning = threading.Lock()

    def begin(self) -> Flow[Listener | None]:
        """Listen from now on; None when nobody tells."""
        listener = self.follow()
        if listener is not None:
            return listener
        listener = yield from self._shared.listen()
        with self._beginning:
            other = self._listener
            if other is None:
                self._listener = listener
                return listener
        if listener is not None:
            listener.close()
        return other

    def follow(self) -> Listener | None:
        """Take in what was told; None when something may have been missed."""
        listener = self._listener
        if listener is None:
            return None
        drops = listener.news()
        if drops is None:
            with self._beginning:
                if self._listener is listener:
                    self._listener = None
                    self.drop(None, None, None)
            return None
        for drop in drops:
            self._forget(drop)
        return listener

    def get(self, key: CacheKey) -> Mapping[str, Any] | None:
        """Return an answer that nobody has dropped, or None."""
        return None if self.follow() is None else super().get(key)
