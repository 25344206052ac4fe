"""Backends that raise: it breaks no read and no write, and leaves nothing old behind."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, TypeVar, cast

from ttorm.connection.keys import EVERYTHING, CacheKey, Drop
from ttorm.connection.memory import CacheBackend
from ttorm.connection.shared import NOTHING, Found, Listener, SharedBackend
from ttorm.flows import Flow
from ttorm.telling import tell

__all__ = ["GuardedBackend", "GuardedSharedBackend"]

R = TypeVar("R")
_log = logging.getLogger("ttorm.cache")
_MOST = 1_000
"""Drops that are remembered one by one; more of them are remembered as one of everything."""


class _Guard:
    """Tells once of a backend that fails, and once that it works again."""

    def __init__(self, backend: object) -> None:
        self._name = type(backend).__name__
        self._fails = False

    def fail(self, error: Exception) -> None:
        if not self._fails:
            self._fails = True
            told = "the cache's backend %s failed: reads go to the service"
            tell(_log, logging.WARNING, told, self._name, exc_info=error)

    def work(self) -> None:
        if self._fails:
            self._fails = False
            tell(_log, logging.INFO, "the cache's backend %s works again", self._name)


class GuardedBackend:
    """Keeps answers in a backend that may fail.

    Drops that failed are made up for before anything is read from it again.

    Args:
        backend: The backend.
    """

    def __init__(self, backend: CacheBackend) -> None:
        self._backend = backend
        self._guard = _Guard(backend)
        # Numbered, so that threads add and remove without a lock.
        self._missed: dict[int, Drop] = {}
        self._numbers = count()

    def get(self, key: CacheKey) -> Mapping[str, Any] | None:
        """Return an answer, or None when there is none that can be believed."""
        try:
            self._make_up()
            answer = _checked(self._backend.get(key))
        except Exception as error:  # noqa: BLE001 # it is the user's, and may raise anything
            self._guard.fail(error)
            return None
        self._guard.work()
        return answer

    def put(self, key: CacheKey, answer: Mapping[str, Any], ttl: float) -> None:
        """Keep an answer if that works."""
        try:
            self._make_up()
            self._backend.put(key, answer, ttl)
        except Exception as error:  # noqa: BLE001 # it is the user's, and may raise anything
            self._guard.fail(error)

    def drop(
        self, subject: str | None, scope: str | None, operations: frozenset[str] | None
    ) -> int:
        """Forget answers, now or before the next look."""
        self._missed[next(self._numbers)] = Drop(subject, scope, operations)
        try:
            return self._make_up()
        except Exception as error:  # noqa: BLE001 # it is the user's, and may raise anything
            self._guard.fail(error)
            self._sum_up()
            return 0

    def _sum_up(self) -> None:
        told = list(self._missed)
        if len(told) > _MOST:
            # First: at no time is less to be forgotten.
            self._missed[next(self._numbers)] = EVERYTHING
            for number in told:
                self._missed.pop(number, None)

    def _make_up(self) -> int:
        dropped = 0
        while self._missed:
            for number, drop in list(self._missed.items()):
                told = cast(object, self._backend.drop(*drop))
                dropped += told if isinstance(told, int) else 0
                self._missed.pop(number, None)
        return dropped


def _checked(answer: object) -> Mapping[str, Any] | None:
    if answer is None or isinstance(answer, Mapping):
        return cast("Mapping[str, Any] | None", answer)
    raise TypeError(f"get() returned {type(answer).__name__}, expected a dict or None")


class GuardedSharedBackend:
    """Asks a shared backend that may fail; what it was to forget by then is then everything.

    Attributes:
        backend: The backend.
        local: Seconds that answers are kept in this process as well.
    """

    def __init__(self, backend: SharedBackend) -> None:
        self.backend = backend
        self.local = backend.local
        self._guard = _Guard(backend)
        # Numbers of the last failure, and of the last one that was made up for: threads that fail
        # meanwhile are not forgotten.
        self._failures = count(1)
        self._failed = self._made_up = 0

    @property
    def _has_missed(self) -> bool:
        return self._failed != self._made_up

    def look(self, key: CacheKey) -> Flow[Found]:
        """Look for an answer."""
        failed = self._failed
        if failed != self._made_up:
            self.note(EVERYTHING)
            # Not before: who looks meanwhile is not to believe what it finds.
            self._made_up = failed
        found = yield from self._asked(NOTHING, self.backend.look, key)
        return NOTHING if self._has_missed else found

    def keep(self, key: CacheKey, lease: str, answer: Mapping[str, Any], ttl: float) -> Flow[None]:
        """Keep an answer if that works."""
        yield from self._asked(None, self.backend.keep, key, lease, answer, ttl)

    def note(self, drop: Drop) -> None:
        """Remember that answers are to be forgotten."""
        try:
            self.backend.note(drop)
        except Exception as error:  # noqa: BLE001 # it may be the user's, and raise anything
            self._miss(error)

    def deliver(self) -> Flow[None]:
        """Have all processes forget what was noted, now or before the next look."""
        yield from self._asked(None, self.backend.deliver)

    def listen(self) -> Flow[Listener | None]:
        """Hear from now on what is dropped; None when that cannot be."""
        return (yield from self._asked(None, self.backend.listen))

    def _asked(self, otherwise: R, ask: Callable[..., Flow[R]], *arguments: object) -> Flow[R]:
        try:
            result = yield from ask(*arguments)
        except Exception as error:  # noqa: BLE001 # it may be the user's, and raise anything
            self._miss(error)
            return otherwise
        if not self._has_missed:
            self._guard.work()
        return result

    def _miss(self, error: Exception) -> None:
        self._failed = next(self._failures)
        self._guard.fail(error)
