"""Answers kept in the memory of a process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, Protocol, runtime_checkable

from cachetools import LRUCache

from ttorm.connection.keys import CacheKey, Drop

__all__ = ["CacheBackend", "MemoryBackend"]

_MANY = 64
"""From how many answers of one subject, and at each doubling, the old ones are looked for."""


@runtime_checkable
class CacheBackend(Protocol):
    """Where answers are kept. Implementations are safe to use from many threads, and do not wait.

    What a method raises is logged and breaks neither a read nor a write: what is to be forgotten
    is then forgotten before anything is read from it again.
    """

    def get(self, key: CacheKey) -> Mapping[str, Any] | None:
        """Return the answer, or None when there is none that is still valid."""
        ...

    def put(self, key: CacheKey, answer: Mapping[str, Any], ttl: float) -> None:
        """Keep an answer, a JSON object, for some seconds at most; it is not to be changed."""

    def drop(
        self, subject: str | None, scope: str | None, operations: frozenset[str] | None
    ) -> int:
        """Forget answers: of a subject, of a scope, of operations; None means all of them.

        Returns:
            How many answers were dropped.
        """
        ...


class MemoryBackend:
    """Answers in this process's memory.

    Args:
        size: Most subjects kept; the least recently used go first.
        clock: Seconds of a clock that never goes back.
    """

    def __init__(self, size: int = 10_000, clock: Callable[[], float] = monotonic) -> None:
        self._size = size
        self._clock = clock
        self._renew()

    def _renew(self) -> None:
        self._subjects: LRUCache[str, dict[CacheKey, tuple[float, Mapping[str, Any]]]] = LRUCache(
            self._size
        )
        # The process last: of a child's threads, who sees it takes the lock.
        self._lock, self._process = threading.Lock(), os.getpid()

    def _alone(self) -> threading.Lock:
        if self._process != os.getpid():
            # Of what the parent's threads were doing, a forked child sees no end.
            self._renew()
        return self._lock

    def get(self, key: CacheKey) -> Mapping[str, Any] | None:
        """Return a valid answer or None."""
        # As in `_alone`, without the call: this is the way of every hit.
        if self._process != os.getpid():
            self._renew()
        with self._lock:
            try:
                answers = self._subjects[key.subject]
                deadline, answer = answers[key]
            except KeyError:
                return None
            if self._clock() < deadline:
                return answer
            del answers[key]
            return None

    def left(self, key: CacheKey) -> float:
        """Return for how many seconds an answer is still valid; 0 or less when there is none."""
        with self._alone():
            deadline, _ = self._subjects.get(key.subject, {}).get(key, (0.0, None))
            return deadline - self._clock() if deadline else 0.0

    def put(self, key: CacheKey, answer: Mapping[str, Any], ttl: float) -> None:
        """Keep an answer."""
        with self._alone():
            answers = self._subjects.setdefault(key.subject, {})
            now, number = self._clock(), len(answers)
            if number >= _MANY and number.bit_count() == 1:
                # Those that nobody asks for again would stay for ever.
                for over in [each for each, (end, _) in answers.items() if end <= now]:
                    del answers[over]
            answers[key] = (now + ttl, answer)

    def drop(
        self, subject: str | None, scope: str | None, operations: frozenset[str] | None
    ) -> int:
        """Forget answers."""
        with self._alone():
            buckets = (
                list(self._subjects.values())
                if subject is None
                else [self._subjects.get(subject, {})]
            )
            drop = Drop(subject, scope, operations)
            return sum(_drop(answers, drop) for answers in buckets)


def _drop(answers: dict[CacheKey, Any], drop: Drop) -> int:
    stale = [key for key in answers if drop.concerns(key)]
    for key in stale:
        del answers[key]
    return len(stale)
