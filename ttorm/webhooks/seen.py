"""Which messages came already: a message that comes again does nothing again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from ttorm.webhooks.refusals import RefusedError

__all__ = ["MemorySeen", "Seen"]


class Seen(Protocol):
    """Where messages are noted; implementations are safe to use from many threads.

    With Redis, shared by many processes::

        class RedisSeen:
            def add(self, message: str, seconds: float) -> bool:
                return bool(redis.set(f"seen:{message}", 1, nx=True, ex=int(seconds)))

            def forget(self, message: str) -> None:
                redis.delete(f"seen:{message}")
    """

    def add(self, message: str, seconds: float) -> bool:
        """Note a message.

        Args:
            message: What tells it apart.
            seconds: How long it has to be remembered at least.

        Returns:
            False when it was noted before.
        """
        ...

    def forget(self, message: str) -> None:
        """Forget a message that could not be worked on: it is to come again."""


class MemorySeen:
    """The messages that came to this process.

    Args:
        size: Most messages remembered. When so many came that none may be forgotten yet, further
            ones are refused for the time being: a message is never taken twice instead.
        clock: Seconds of a clock that never goes back.

    Example:
        >>> from ttorm.webhooks import MemorySeen
        >>> seen = MemorySeen()
        >>> seen.add("a", seconds=600), seen.add("a", seconds=600)
        (True, False)
    """

    def __init__(self, size: int = 100_000, clock: Callable[[], float] = monotonic) -> None:
        self._size = size
        self._clock = clock
        self._lock = threading.Lock()
        self._until: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._until)

    def add(self, message: str, seconds: float) -> bool:
        """Note a message; False when it was noted before."""
        now = self._clock()
        with self._lock:
            if message in self._until:
                return False
            if len(self._until) >= self._size:
                oldest, until = next(iter(self._until.items()))
                if until > now:
                    raise RefusedError(503, "too many messages", retry_after="60")
                del self._until[oldest]
            self._until[message] = now + seconds
            return True

    def forget(self, message: str) -> None:
        """Forget a message."""
        with self._lock:
            self._until.pop(message, None)
