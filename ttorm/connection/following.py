"""A first level of answers in the process, which hears what other processes drop."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

from ttorm.connection.keys import EVERYTHING, CacheKey, Drop
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
        self._begins: int | None = None

    def _renew(self) -> None:
        # Held until what was heard is forgotten: no other thread reads on before that. Whoever is
        # told by the log that nothing is heard may read through this itself.
        self._hearing = threading.RLock()
        super()._renew()

    def begin(self) -> Flow[Listener | None]:
        """Listen from now on; None when nobody tells, or somebody else is about to listen."""
        listener = self.follow()
        if listener is not None or self._begins == os.getpid():
            return listener
        self._begins = os.getpid()
        try:
            listener = yield from self._shared.listen()
        finally:
            self._begins = None
        with self._hearing:
            other, self._listener = self._listener, self._listener or listener
        if other is not None and listener is not None:
            listener.close()
        return self._listener

    def follow(self) -> Listener | None:
        """Take in what was told; None when something may have been missed."""
        if self._process != os.getpid():
            self._renew()
        with self._hearing:
            listener = self._listener
            if listener is None:
                return None
            try:
                drops = listener.news()
            except Exception:  # noqa: BLE001 # it may be the user's, and raise anything
                drops = None
            for drop in (EVERYTHING,) if drops is None else drops:
                self._forget(drop)
            if drops is not None:
                return listener
            self._listener = None
        listener.close()
        return None

    def get(self, key: CacheKey) -> Mapping[str, Any] | None:
        """Return an answer that nobody has dropped, or None."""
        return None if self.follow() is None else super().get(key)
