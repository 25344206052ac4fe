"""Answers kept for a while, each for the one credential scope that got it.

The cache holds answers of operations that the table marks cacheable. Answers belong to a
*subject* (a Twin's UUID, an Identity's text, a user's UUID), so that a write drops exactly what it
touches.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Any, NamedTuple, Protocol

from cachetools import LRUCache

from ttorm.api.request import ApiRequest

__all__ = ["Cache", "CacheBackend", "CacheKey", "CacheStatistics", "MemoryBackend"]


class CacheKey(NamedTuple):
    """What an answer is kept under.

    Attributes:
        scope: The credential scope (see `ttorm.api.credentials.credential_scope`).
        subject: The object the answer is about.
        operation: Name of the operation.
        detail: The rest of the path, and the query.
    """

    scope: str
    subject: str
    operation: str
    detail: tuple[Any, ...]


class CacheBackend(Protocol):
    """Where answers are kept. Implementations are safe to use from many threads."""

    def get(self, key: CacheKey) -> Mapping[str, Any] | None:
        """Return the answer, or None when there is none that is still valid."""
        ...

    def put(self, key: CacheKey, answer: Mapping[str, Any], ttl: float) -> None:
        """Keep an answer for some seconds."""

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
        self._process, self._lock = os.getpid(), threading.Lock()

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

    def put(self, key: CacheKey, answer: Mapping[str, Any], ttl: float) -> None:
        """Keep an answer."""
        with self._alone():
            answers = self._subjects.setdefault(key.subject, {})
            answers[key] = (self._clock() + ttl, answer)

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
            return sum(_drop(answers, scope, operations) for answers in buckets)


def _drop(
    answers: dict[CacheKey, Any], scope: str | None, operations: frozenset[str] | None
) -> int:
    stale = [key for key in answers if _concerns(key, None, scope, operations)]
    for key in stale:
        del answers[key]
    return len(stale)


def _concerns(
    key: CacheKey, subject: str | None, scope: str | None, operations: frozenset[str] | None
) -> bool:
    return (
        subject in (None, key.subject)
        and scope in (None, key.scope)
        and (operations is None or key.operation in operations)
    )


class CacheStatistics(NamedTuple):
    """Counters since the cache was made."""

    hits: int
    misses: int
    stored: int
    dropped: int


class _Flight:
    """A read under way, which others asking for the same may wait for."""

    __slots__ = ("done", "key", "stale")

    def __init__(self, key: CacheKey) -> None:
        self.key = key
        # Imported with the first miss: it brings half of the standard library along.
        from concurrent.futures import Future

        self.done: Future[None] = Future()
        self.stale = False


class Cache:
    """The cache of a connection.

    Args:
        ttl: Seconds an answer is kept.
        ttls: Other times for some operations, by name; 0 keeps their answers not at all.
        size: Most subjects (Twins, users, ...) kept in memory.
        backend: Where answers are kept; None keeps them in memory.

    Example:
        >>> cache = Cache(ttl=60, ttls={"who_am_i": 3600})
        >>> cache.statistics
        CacheStatistics(hits=0, misses=0, stored=0, dropped=0)
    """

    def __init__(
        self,
        ttl: float = 30.0,
        *,
        ttls: Mapping[str, float] | None = None,
        size: int = 10_000,
        backend: CacheBackend | None = None,
    ) -> None:
        self.ttl = ttl
        self._ttls = dict(ttls or {})
        self._backend = MemoryBackend(size) if backend is None else backend
        self._hits = self._misses = self._stored = self._dropped = 0
        self._renew()

    def _renew(self) -> None:
        self._flights: dict[CacheKey, _Flight] = {}
        self._process, self._lock = os.getpid(), threading.Lock()

    def _alone(self) -> threading.Lock:
        if self._process != os.getpid():
            # Reads that were under way in the parent never land in a forked child.
            self._renew()
        return self._lock

    @property
    def statistics(self) -> CacheStatistics:
        """Counters since the cache was made."""
        return CacheStatistics(self._hits, self._misses, self._stored, self._dropped)

    def key(self, scope: str, request: ApiRequest) -> CacheKey | None:
        """Return the key of a request, or None when its answer is not kept."""
        operation, arguments, query = request.operation, request.arguments, request.query
        if not operation.cacheable or not self._ttls.get(operation.name, self.ttl):
            return None
        if query:
            # A download address is a credential of its own, made anew for each who asks.
            if any(name == "download" for name, _ in query):
                return None
            query = tuple(sorted(query))
        subject = arguments[0] if arguments else operation.name
        return CacheKey._make((scope, subject, operation.name, (arguments[1:], query)))

    def get(self, key: CacheKey) -> Mapping[str, Any] | None:
        """Return a kept answer; it is shared and must not be changed."""
        answer = self._backend.get(key)
        if answer is None:
            self._misses += 1
        else:
            self._hits += 1
        return answer

    def peek(self, key: CacheKey) -> Mapping[str, Any] | None:
        """Return a kept answer without counting the look-up."""
        return self._backend.get(key)

    def count_hit(self) -> None:
        """Count an answer found by `peek` that was used."""
        self._hits += 1

    def put(self, key: CacheKey, answer: Mapping[str, Any], ttl: float | None = None) -> None:
        """Keep an answer for some seconds, those of its operation when none are given."""
        self._stored += 1
        self._backend.put(
            key, answer, self._ttls.get(key.operation, self.ttl) if ttl is None else ttl
        )

    def drop(
        self,
        subject: str | None = None,
        *,
        scope: str | None = None,
        operations: Iterable[str] | None = None,
    ) -> None:
        """Forget answers: of a subject, of a scope, of operations; None means all of them.

        A write drops what it touches in every scope: whoever asks next has to see it. Reads under
        way are dropped as well, since they may have been answered before the write.
        """
        names = None if operations is None else frozenset(operations)
        with self._alone():
            for key in [key for key in self._flights if _concerns(key, subject, scope, names)]:
                self._flights.pop(key).stale = True
        self._dropped += self._backend.drop(subject, scope, names)

    def board(self, key: CacheKey, *, fresh: bool = False) -> tuple[_Flight, bool]:
        """Join the read under way for a key, or lead a new one.

        Args:
            key: What is read.
            fresh: Lead in any case: a read under way may have been answered already.

        Returns:
            The flight, and whether the caller leads it (and has to `land` it).
        """
        with self._alone():
            flight = self._flights.get(key)
            if flight is not None and not fresh:
                return flight, False
            if flight is not None:
                flight.stale = True
            flight = self._flights[key] = _Flight(key)
            return flight, True

    def land(
        self, flight: _Flight, answer: Mapping[str, Any] | None, ttl: float | None = None
    ) -> None:
        """End a read: keep its answer unless a write made it stale, and wake who waits."""
        with self._alone():
            # Kept before it has landed: a write in between would find nothing to drop.
            if answer is not None and not flight.stale:
                self.put(flight.key, answer, ttl)
            if self._flights.get(flight.key) is flight:
                del self._flights[flight.key]
        flight.done.set_result(None)
