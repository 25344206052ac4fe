"""Answers kept for a while, each for the one credential scope that got it.

The cache holds answers of operations that the table marks cacheable. Answers belong to a
*subject* (a Twin's UUID, an Identity's text, a user's UUID), so that a write drops exactly what it
touches.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from math import inf
from typing import Any, NamedTuple

from ttorm.api.errors import ConfigurationError, ValidationError
from ttorm.api.operations import OPERATIONS
from ttorm.api.request import ApiRequest
from ttorm.connection.absence import is_absence
from ttorm.connection.following import FollowingBackend
from ttorm.connection.guards import GuardedBackend, GuardedSharedBackend
from ttorm.connection.keys import CacheKey, Drop
from ttorm.connection.memory import CacheBackend, MemoryBackend
from ttorm.connection.shared import Listener, SharedBackend
from ttorm.flows import Flow

__all__ = [
    "Cache",
    "CacheBackend",
    "CacheKey",
    "CacheStatistics",
    "MemoryBackend",
    "Writing",
]


class CacheStatistics(NamedTuple):
    """Counters since the cache was made."""

    hits: int
    misses: int
    stored: int
    dropped: int


class Flight:
    """A read under way, which others asking for the same may wait for."""

    __slots__ = ("answer", "done", "key", "lease", "left", "listener", "stale")

    def __init__(self, key: CacheKey) -> None:
        self.key = key
        # Imported with the first miss: it brings half of the standard library along.
        from concurrent.futures import Future

        self.done: Future[None] = Future()
        self.stale = False
        self.answer: Mapping[str, Any] | None = None
        # What a shared backend has told of it.
        self.lease: str | None = None
        self.left: float | None = None
        self.listener: Listener | None = None


class Writing:
    """A write under way.

    Attributes:
        subject: What it is about.
        reads: Operations whose answers it may change.
        overtaken: Whether another one has ended meanwhile, so that nobody knows which was later.
    """

    __slots__ = ("overtaken", "reads", "subject")

    def __init__(self, subject: str | None, reads: Iterable[str]) -> None:
        self.subject = subject
        self.reads = frozenset(reads)
        self.overtaken = False

    def meets(self, drop: Drop) -> bool:
        """Tell whether what another write drops is what this one changes."""
        same = drop.operations is None or not self.reads.isdisjoint(drop.operations)
        return same and drop.subject in (None, self.subject)


class Cache:
    """The cache of a connection.

    Args:
        ttl: Seconds an answer is kept.
        ttls: Other times for some operations, by name; 0 keeps their answers not at all.
        negative: Seconds it is kept that something does not exist; 0 asks each time.
        size: Most subjects (Twins, users, ...) kept in memory.
        backend: Where answers are kept, such as a `ttorm.RedisBackend`; None keeps them in memory.

    Raises:
        ConfigurationError: A time, name, size or backend is none.

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
        negative: float = 0.0,
        size: int = 10_000,
        backend: CacheBackend | SharedBackend | None = None,
    ) -> None:
        _check_times({**(ttls or {}), "ttl": ttl, "negative": negative}, set(ttls or {}))
        _check_size(size)
        self.ttl = ttl
        self.negative = negative
        self._ttls = dict(ttls or {})
        self._shared: GuardedSharedBackend | None = None
        self._following: FollowingBackend | None = None
        given = _instance(backend)
        match given:
            case SharedBackend():
                self._shared = GuardedSharedBackend(given)
                # What is shared is kept here only by what hears of drops: else this stays empty.
                self._backend: CacheBackend = MemoryBackend(size)
                if given.local:
                    self._following = FollowingBackend(size, self._shared, self._forget)
                    self._backend = self._following
            case None:
                self._backend = MemoryBackend(size)
            case MemoryBackend():
                self._backend = given
            case CacheBackend():
                self._backend = GuardedBackend(given)
            case _:
                raise _no_backend(given)
        self._hits = self._misses = self._stored = self._dropped = 0
        self._renew()

    def _renew(self) -> None:
        self._flights: dict[CacheKey, Flight] = {}
        self._writings: set[Writing] = set()
        # The process last: of a child's threads, who sees it takes the lock.
        self._lock, self._process = threading.Lock(), os.getpid()

    def _alone(self) -> threading.Lock:
        if self._process != os.getpid():
            # Reads that were under way in the parent never land in a forked child.
            self._renew()
        return self._lock

    @property
    def statistics(self) -> CacheStatistics:
        """Counters since the cache was made."""
        return CacheStatistics(self._hits, self._misses, self._stored, self._dropped)

    @property
    def is_shared(self) -> bool:
        """Whether other processes keep answers in the same place."""
        return self._shared is not None

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

    def left(self, key: CacheKey) -> float:
        """Return for how many seconds an answer is still valid here; 0 when that is not known."""
        return self._backend.left(key) if isinstance(self._backend, MemoryBackend) else 0.0

    # Writes

    def begin(self, subject: str | None, reads: Iterable[str]) -> Writing:
        """Note that a write is under way, until it has ended.

        Args:
            subject: What it is about; None when it has none yet.
            reads: Operations whose answers it may change.
        """
        writing = Writing(subject, reads)
        with self._alone():
            self._writings.add(writing)
        return writing

    def end(self, writing: Writing) -> None:
        """Note that a write is over."""
        with self._alone():
            self._writings.discard(writing)

    def put(
        self,
        key: CacheKey,
        answer: Mapping[str, Any],
        ttl: float | None = None,
        *,
        by: Writing | None = None,
    ) -> None:
        """Keep what a write of our own has answered, in this process.

        Where other processes keep answers, too, it is not kept: theirs may be newer. Nor is it when
        another write has ended meanwhile.
        """
        seconds = self._time(key, ttl)
        if self._shared is not None or seconds <= 0:
            return
        with self._alone():
            if by is None or not by.overtaken:
                self._stored += 1
                self._backend.put(key, answer, seconds)

    def drop(
        self,
        subject: str | None = None,
        *,
        scope: str | None = None,
        operations: Iterable[str] | None = None,
        by: Writing | None = None,
    ) -> None:
        """Forget answers: of a subject, of a scope, of operations; None means all of them.

        A write drops what it touches in every scope: whoever asks next has to see it. Reads under
        way are dropped as well, since they may have been answered before the write. Other processes
        hear of it by `deliver`, or else with the next read.

        Raises:
            ValidationError: The subject is no text, or the operations are none.
        """
        if not isinstance(subject, str | None) or isinstance(operations, str):
            raise ValidationError(
                f"drop({subject!r}, operations={operations!r}): expected a UUID and a list of "
                "operations, as in drop(twin.uuid, operations=['get_twin'])",
                code="bad-argument",
            )
        drop = Drop(subject, scope, None if operations is None else frozenset(operations))
        if drop.operations == frozenset():
            # Of some areas nothing is kept: there is nothing to tell anybody.
            return
        self._forget(drop, by)
        if self._shared is not None:
            self._shared.note(drop)

    def _forget(self, drop: Drop, by: Writing | None = None) -> None:
        with self._alone():
            for key in [key for key in self._flights if drop.concerns(key)]:
                self._flights.pop(key).stale = True
            for writing in self._writings:
                if writing is not by and writing.meets(drop):
                    writing.overtaken = True
            # At one go: a write that began in between would build on what is not to be kept.
            self._dropped += self._backend.drop(*drop)

    def deliver(self) -> Flow[None]:
        """Have other processes forget what was dropped here."""
        if self._shared is not None:
            yield from self._shared.deliver()

    # Reads

    def board(self, key: CacheKey, *, fresh: bool = False) -> tuple[Flight, bool]:
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
            flight = self._flights[key] = Flight(key)
            return flight, True

    def look(
        self, flight: Flight, *, fresh: bool = False, ttl: float | None = None
    ) -> Flow[Mapping[str, Any] | None]:
        """Look for an answer where other processes keep theirs; the leader does.

        Args:
            flight: The read.
            fresh: Only prepare for keeping one.
            ttl: Seconds that an answer is kept; None leaves it to the cache. Whoever kept it may
                have had more patience.
        """
        if self._shared is None:
            return None
        if self._following is not None:
            flight.listener = yield from self._following.begin()
        found = yield from self._shared.look(flight.key)
        flight.lease = found.lease
        if fresh or found.answer is None:
            return None
        most = self.negative if is_absence(found.answer) else self._time(flight.key, ttl)
        if found.age >= most:
            return None
        flight.left = min(found.left, most - found.age)
        self._misses, self._hits = self._misses - 1, self._hits + 1
        return found.answer

    def land(
        self, flight: Flight, answer: Mapping[str, Any] | None, ttl: float | None = None
    ) -> None:
        """End a read: keep its answer unless a write made it stale, and wake who waits."""
        heard = None if self._following is None else self._following.follow()
        with self._alone():
            # Kept before it has landed: a write in between would find nothing to drop.
            if answer is not None and not flight.stale:
                flight.answer = answer
                self._keep_here(flight, answer, self._time(flight.key, ttl), heard)
            if self._flights.get(flight.key) is flight:
                del self._flights[flight.key]
        flight.done.set_result(None)

    def _keep_here(
        self, flight: Flight, answer: Mapping[str, Any], ttl: float, heard: Listener | None
    ) -> None:
        if self._shared is None:
            self._stored += 1
            self._backend.put(flight.key, answer, ttl)
        elif heard is not None and heard is flight.listener:
            left = ttl if flight.left is None else flight.left
            self._backend.put(flight.key, answer, min(left, self._shared.local))

    def share(
        self, flight: Flight, answer: Mapping[str, Any], ttl: float | None = None
    ) -> Flow[None]:
        """Keep an answer for other processes, too."""
        if self._shared is not None and flight.lease is not None and not flight.stale:
            self._stored += 1
            seconds = self._time(flight.key, ttl)
            yield from self._shared.keep(flight.key, flight.lease, answer, seconds)

    def _time(self, key: CacheKey, ttl: float | None = None) -> float:
        return self._ttls.get(key.operation, self.ttl) if ttl is None else ttl


def _check_times(times: Mapping[str, object], operations: set[str]) -> None:
    for name, seconds in times.items():
        known = OPERATIONS.get(name) if name in operations else None
        if name in operations and (known is None or not known.cacheable):
            raise ConfigurationError(
                f"ttls={{{name!r}: ...}}: expected an operation whose answers are kept, such as "
                "'get_twin' or 'who_am_i'"
            )
        if not isinstance(seconds, (int, float)) or not 0 <= seconds < inf:
            raise ConfigurationError(f"{name}={seconds!r}: expected seconds, 0 for none")


def _check_size(size: object) -> None:
    if not isinstance(size, int) or size < 1:
        raise ConfigurationError(
            f"size={size!r}: expected how many objects to keep, at least 1; write connect(cache="
            "None) to keep none"
        )


def _instance(backend: object) -> object:
    # A class has all that its objects have.
    if isinstance(backend, type):
        raise _no_backend(backend)
    return backend


def _no_backend(backend: object) -> ConfigurationError:
    return ConfigurationError(
        f"backend={backend!r} keeps no answers: expected a ttorm.RedisBackend, or an object with "
        "the methods get, put and drop (ttorm.connection.cache.CacheBackend)"
    )
