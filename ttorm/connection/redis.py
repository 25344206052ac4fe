"""Answers kept by a Redis server, for all processes that share one.

A hash for each subject holds its answers, and *marks*: random texts that a drop replaces. An answer
counts only while all marks that concern it are the ones that were there when its reading began, so
that a drop is one command whatever it covers, and an answer that was under way meanwhile is never
found. Marks for drops of no certain subject are in a hash of their own. Where marks are lost, by
eviction or a restart, so are the answers that they vouch for.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import inf
from time import monotonic, time
from typing import TYPE_CHECKING, Any, NamedTuple

from ttorm.api import codec
from ttorm.api.credentials import Secret, masked
from ttorm.api.errors import ConfigurationError, ValidationError
from ttorm.connection.keys import EVERYTHING, CacheKey, Drop
from ttorm.connection.redisdoor import Command, RedisDoor, UnreachableError
from ttorm.connection.redislistener import RedisListener, listening, message_of
from ttorm.connection.seals import ForgedError, Sealed, Sealer
from ttorm.connection.shared import NOTHING, Found
from ttorm.flows import Flow, query
from ttorm.pairs import twin_of
from ttorm.telling import tell

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["RedisBackend", "RedisStatistics"]

_log = logging.getLogger("ttorm.cache")
_ALL = "*"
"""The mark of all answers in a hash."""
_LEASE = 60
"""Seconds within which an answer has to come, to be kept."""
_DAY = 86_400
_MOST = 10_000
"""How many answers about one object are kept."""


class RedisStatistics(NamedTuple):
    """Counters since the backend was made.

    Attributes:
        found: Answers that were there.
        missed: Look-ups that found none.
        tampered: Entries that were not what a process with the key has written.
        failures: How often the server could not be asked.
        reachable: Whether the server answered the last time.
    """

    found: int
    missed: int
    tampered: int
    failures: int
    reachable: bool


class RedisBackend:
    """Keeps answers on a Redis server (7 or later), shared by processes and machines.

    Entries are JSON and signed: what others write there is not believed. When the server does not
    answer, answers are read from the service, and the server is left alone for a while; whoever
    finds it again has everything in it forgotten, since drops may have been missed. Needs the extra
    ``redis``.

    Args:
        where: ``redis://host:6379/0``, ``rediss://...`` or ``unix://...``, or a ``redis.Redis``.
        key: Signs entries, any long random text, the same in all processes. Without it they are
            signed with what only holders of the answers' credential know.
        prefix: What the names of keys in Redis begin with.
        timeout: Seconds to wait for the server before the service is asked instead.
        pause: Seconds in which a server that failed is not asked again.
        local: Seconds that answers are kept in this process as well. Drops of other processes are
            heard of before each use of them, as soon as Redis has told; 0 asks Redis each time.
        clock: Unix seconds.

    Raises:
        ConfigurationError: The extra is not installed, or an argument is of no use.

    Example:
        >>> backend = RedisBackend("redis://localhost:6379/0", key="a long random text")
        >>> backend
        <RedisBackend ttorm:>
        >>> cache = Cache(ttl=60, backend=backend)
    """

    def __init__(
        self,
        where: str | Redis,
        *,
        key: str | Secret | None = None,
        prefix: str = "ttorm:",
        timeout: float = 0.5,
        pause: float = 1.0,
        local: float = 0.0,
        clock: Callable[[], float] = time,
    ) -> None:
        # Before anything is raised here: tracebacks show locals, and this object among them.
        key = None if key is None else Secret(key)
        where = masked(where) if isinstance(where, str) else where
        self._prefix = prefix
        if key is not None and not key.reveal():
            raise ConfigurationError("key='' signs nothing: write a long random text, or leave it")
        times: tuple[object, ...] = (timeout, pause, local)
        numbers = all(isinstance(one, (int, float)) and 0 <= one < inf for one in times)
        if not (numbers and timeout > 0):
            raise ConfigurationError(
                f"timeout={timeout!r}, pause={pause!r}, local={local!r}: expected seconds, and a "
                "timeout above 0"
            )
        self.local = local
        self._door = RedisDoor(where, timeout, self._lose)
        self._sealer = Sealer(key)
        self._channel = f"{prefix}drops"
        self._pause = pause
        self._clock = clock
        self._found = self._missed = self._tampered = self._failures = 0
        self._down_until: float | None = None
        self._listeners: weakref.WeakSet[RedisListener] = weakref.WeakSet()
        self._renew()

    def _renew(self) -> None:
        self._noted: list[Drop] = []
        # The process last: of a child's threads, who sees it takes the lock.
        self._lock, self._process = threading.Lock(), os.getpid()

    def _alone(self) -> threading.Lock:
        if self._process != os.getpid():
            # What the parent has noted, it delivers itself.
            self._renew()
        return self._lock

    def __repr__(self) -> str:
        return f"<RedisBackend {self._prefix}>"

    @property
    def statistics(self) -> RedisStatistics:
        """Counters since the backend was made."""
        up = self._down_until is None
        return RedisStatistics(self._found, self._missed, self._tampered, self._failures, up)

    # Answers

    def look(self, key: CacheKey) -> Flow[Found]:
        """Look for an answer, once the drops noted so far are delivered."""
        subject, fresh = self._subject(key.subject), _mark()
        general = f"{self._prefix}marks"
        marks = self._marks(key)
        commands: list[Command] = [
            ("HSETNX", general, _ALL, fresh),
            ("EXPIRE", general, _DAY),
            ("HMGET", general, *marks),
            ("HSETNX", subject, _ALL, fresh),
            ("EXPIRE", subject, _LEASE, "NX"),
            ("HMGET", subject, *marks, self._place(key)),
        ]
        replies = yield from self._ask(commands)
        if replies is None:
            return NOTHING
        *own, entry = replies[5]
        if replies[2][0] is None or own[0] is None:
            # Thrown away, or dropped, right now.
            return NOTHING
        lease = "|".join((mark or b"").decode("latin-1") for mark in (*replies[2], *own))
        found = self._opened(key, entry, lease)
        if found.answer is None:
            self._missed += 1
        else:
            self._found += 1
        return found

    def _opened(self, key: CacheKey, entry: bytes | None, lease: str) -> Found:
        sealed = None
        if entry is not None:
            try:
                sealed = self._sealer.open(key, entry)
            except ForgedError:
                self._tampered += 1
        if sealed is None or sealed.lease != lease:
            return Found(lease=lease)
        now = self._clock()
        # What seems to be from the future would live for longer than it may: a clock was set.
        if not sealed.since <= now < sealed.until:
            return Found(lease=lease)
        return Found(sealed.answer, sealed.until - now, now - sealed.since, lease)

    def keep(self, key: CacheKey, lease: str, answer: Mapping[str, Any], ttl: float) -> Flow[None]:
        """Keep an answer for some seconds."""
        if ttl <= 0:
            return
        now = self._clock()
        try:
            entry = self._sealer.seal(key, Sealed(now, now + ttl, lease, dict(answer)))
        except ValidationError:
            # It came as JSON that ours cannot carry, such as half of a character.
            return
        subject, seconds = self._subject(key.subject), max(_LEASE, int(ttl) + 1)
        replies = yield from self._ask(
            [
                ("HSET", subject, self._place(key), entry),
                ("EXPIRE", subject, seconds, "NX"),
                ("EXPIRE", subject, seconds, "GT"),
                ("HLEN", subject),
            ]
        )
        if replies is not None and replies[3] > _MOST:
            # Each new one prolongs the life of all, also of those whose time is over.
            self.note(Drop(key.subject))
            yield from self.deliver()

    # Drops

    def note(self, drop: Drop) -> None:
        """Remember that answers are to be forgotten, until it is delivered."""
        with self._alone():
            if EVERYTHING in self._noted:
                # Another one: the one that is noted may be on its way, and come before the write.
                self._noted = [Drop()]
            else:
                self._noted.append(drop)

    def deliver(self) -> Flow[None]:
        """Have all processes forget what was noted.

        It is tried also while the server is left alone: it may be back, and others read from it.
        """
        if self._noted:
            yield from self._ask([], anyway=True)

    def _commands(self, drops: Iterable[Drop]) -> Iterator[Command]:
        for drop in drops:
            mark = _mark()
            names = self._dropped(drop)
            if drop.subject is None:
                target = f"{self._prefix}marks"
                yield ("HSET", target, *(part for name in names for part in (name, mark)))
                yield ("EXPIRE", target, _DAY)
            elif names == [_ALL]:
                yield ("DEL", self._subject(drop.subject))
            else:
                target = self._subject(drop.subject)
                yield ("HSET", target, *(part for name in names for part in (name, mark)))
                yield ("EXPIRE", target, _LEASE, "NX")
            yield ("PUBLISH", self._channel, message_of(drop))

    # Names in Redis

    def _subject(self, subject: str) -> str:
        return f"{self._prefix}of:{subject}"

    def _marks(self, key: CacheKey) -> list[str]:
        """Name all marks that concern an answer."""
        scope, operation = f"s:{self._sealer.name(key.scope)}", f"o:{key.operation}"
        return [_ALL, operation, scope, f"{scope} {operation}"]

    def _dropped(self, drop: Drop) -> list[str]:
        """Name the marks that a drop replaces."""
        scope = None if drop.scope is None else f"s:{self._sealer.name(drop.scope)}"
        if drop.operations is None:
            return [_ALL if scope is None else scope]
        before = "" if scope is None else f"{scope} "
        return [f"{before}o:{operation}" for operation in sorted(drop.operations)]

    def _place(self, key: CacheKey) -> str:
        detail = hashlib.sha256(codec.canonical(key.detail)).hexdigest()[:32]
        return f"a:{self._sealer.name(key.scope)} {key.operation} {detail}"

    # The server, and its absence

    def _may_ask(self) -> bool:
        return self._down_until is None or monotonic() >= self._down_until

    def _ask(self, commands: list[Command], *, anyway: bool = False) -> Flow[list[Any] | None]:
        """Run commands after the drops noted so far; None when there is no answer."""
        with self._alone():
            probes = self._down_until is not None
            if not (anyway or self._may_ask()):
                return None
            if probes:
                # One asks whether it is back, for all.
                self._down_until = monotonic() + self._pause
            drops, failures = list(self._noted), self._failures
        before = list(self._commands(drops))
        try:
            replies = yield from query(self._door, [*before, *commands])
        except UnreachableError as error:
            self._fail(error)
            return None
        if failures != self._failures:
            # What was found may be from before a loss.
            return None
        if drops:
            # Only now: until then all others deliver them, too, before they go on.
            self._delivered(drops)
        if probes:
            self._recover()
        return replies[len(before) :]

    def _delivered(self, drops: list[Drop]) -> None:
        done = set(map(id, drops))
        with self._alone():
            self._noted = [drop for drop in self._noted if id(drop) not in done]

    def _lose(self) -> None:
        """Take note that a connection was lost: others may have dropped in vain meanwhile."""
        with self._alone():
            self._failures += 1
            self._noted = [Drop()]

    def _fail(self, error: UnreachableError) -> None:
        with self._alone():
            news = self._down_until is None
            self._failures += 1
            self._down_until = monotonic() + self._pause
            # Also for others, who may not have come so far as to notice.
            self._noted = [Drop()]
        if news:
            tell(
                _log,
                logging.WARNING,
                "Redis does not answer (%s): reads go to the service, next try in %s s",
                error,
                self._pause,
            )

    def _recover(self) -> None:
        with self._alone():
            # Whoever failed meanwhile has noted it.
            back = EVERYTHING not in self._noted
            if back:
                self._down_until = None
        if back:
            tell(_log, logging.INFO, "Redis answers again: it was emptied, and is used again")

    # What others drop

    def listen(self) -> Flow[RedisListener | None]:
        """Hear from now on what is dropped; None when that cannot be."""
        if not self._may_ask():
            return None
        try:
            listener = yield from listening(
                self._door, self._channel, lambda: self._failures, self._fail
            )
        except UnreachableError as error:
            self._fail(error)
            return None
        with self._alone():
            self._listeners.add(listener)
        return listener

    # Its end

    def close(self) -> None:
        """Close its connections, of event loops those of the running one; others end with theirs.

        A client of your own stays open. A closed backend opens them again when it is used.
        """
        self._hush()
        self._door.close()

    @twin_of(close)
    async def aclose(self) -> None:
        self._hush()
        await self._door.aclose()

    def _hush(self) -> None:
        with self._alone():
            listeners = list(self._listeners)
        for listener in listeners:
            listener.close()


def _mark() -> str:
    return os.urandom(8).hex()
