"""Commands to a Redis server, several in one round trip, from threads and from event loops."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from ttorm.api.credentials import masked
from ttorm.api.errors import ConfigurationError

if TYPE_CHECKING:
    from asyncio import Future, Semaphore

    from redis import Redis

__all__ = ["Command", "RedisDoor", "UnreachableError", "reason"]

Command: TypeAlias = "tuple[str | bytes | int | float, ...]"
_MOST = 16
"""Most connections of all threads together, and of one event loop."""
_OF_A_POOL = frozenset(
    {
        "cache",
        "cache_config",
        "connection_pool",
        "himport_registry",
        "maint_notifications_pool_handler",
    }
)
"""What a pool puts among the settings of its connections for its own use."""


class UnreachableError(Exception):
    """The server gave no answer, or one that is of no use."""


class RedisDoor:
    """Sends commands to a server.

    Args:
        where: The server's URL, or a client of your own, whose settings connections have that are
            made here; event loops use that one on threads.
        timeout: Seconds to wait for the server, to connect and for each answer.
        broken: Called when a connection that was lost is made again.
    """

    def __init__(self, where: str | Redis, timeout: float, broken: Callable[[], None]) -> None:
        try:
            import redis
        except ImportError as error:
            raise ConfigurationError(
                f"RedisBackend needs the extra 'redis' ({error}): pip install 'ttorm[redis]'"
            ) from error
        # The library's types are Any in part: it is held at this door.
        self._redis: Any = redis
        self._timeout = timeout
        self._broken = broken
        self._connections: weakref.WeakSet[Any] = weakref.WeakSet()
        self._url = where if isinstance(where, str) else None
        self._client: Any = (
            self._connected(where) if isinstance(where, str) else self._alike(_checked(where))
        )
        self._refusals = 0
        self._renew()

    def _renew(self) -> None:
        # Sockets shared with the parent of a fork are dropped, not closed, and made afresh.
        self._slots = threading.Semaphore(_bound(self._client))
        self._loops: weakref.WeakKeyDictionary[Any, _LoopClient] = weakref.WeakKeyDictionary()
        # Last: of a child's threads, who sees it takes the new slots.
        self._process = os.getpid()

    # Its connections

    def _options(self) -> dict[str, Any]:
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        # A connection that was lost is to be noticed: something may have been missed meanwhile.
        return {
            "socket_timeout": self._timeout,
            "socket_connect_timeout": self._timeout,
            "retry": Retry(NoBackoff(), 0),
        }

    def _note(self, connection: Any) -> None:
        if connection in self._connections:
            self._broken()
        self._connections.add(connection)

    def _connect(self, connection: Any, greet: Callable[[Any], None] | None = None) -> None:
        self._note(connection)
        if greet is None:
            connection.on_connect()
        else:
            greet(connection)

    async def _aconnect(self, connection: Any) -> None:
        self._note(connection)
        await connection.on_connect()

    def _connected(self, url: str) -> Any:
        options = {**self._options(), "redis_connect_func": self._connect}
        # What the library says of it may quote a part of a password.
        with suppress(ValueError):
            return _plain(self._redis.Redis.from_url(url, **options))
        raise ConfigurationError(
            "that is no URL of a Redis server: expected redis://host:6379/0, with signs such as "
            "'@' and '/' in passwords written as '%40' and '%2F'"
        )

    def _alike(self, client: Any) -> Any:
        """Make a client with the settings of another: that one may wait and repeat as it likes."""
        import redis.sentinel

        sentinels: Any = redis.sentinel.SentinelConnectionPool
        pool = client.connection_pool
        settings = {
            name: value
            for name, value in pool.connection_kwargs.items()
            if name not in _OF_A_POOL and not name.startswith("orig_")
        }
        if isinstance(settings.get("password"), str):
            # Before anything is raised: tracebacks show locals.
            settings["password"] = masked(settings["password"])
        greet = partial(self._connect, greet=settings.get("redis_connect_func"))
        settings |= {
            **self._options(),
            "connection_class": pool.connection_class,
            "max_connections": pool.max_connections,
            "retry_on_error": [],
            "retry_on_timeout": False,
            "redis_connect_func": greet,
        }
        if isinstance(pool, sentinels):
            settings |= {"is_master": pool.is_master, "check_connection": pool.check_connection}
            made = sentinels(pool.service_name, pool.sentinel_manager, **settings)
        else:
            made = self._redis.ConnectionPool(**settings)
        return _plain(self._redis.Redis(connection_pool=made))

    # Commands

    def send(self, commands: Sequence[Command], /) -> list[Any]:
        """Run commands on the calling thread and return their results.

        Raises:
            UnreachableError: Not all of them were answered; any of them may have had its effect.
        """
        return self._send(commands, self._refusals)

    def _send(self, commands: Sequence[Command], before: int) -> list[Any]:
        if self._process != os.getpid():
            self._renew()
        with self._slots:
            self._go_on(before)
            try:
                with self._client.pipeline(transaction=False) as pipeline:
                    for command in commands:
                        pipeline.execute_command(*command)
                    return list(pipeline.execute())
            except Exception as error:  # noqa: BLE001 # what it reads may be anything
                raise self._refused(error) from None

    async def asend(self, commands: Sequence[Command], /) -> list[Any]:
        """Run commands from the running event loop; raises like `send`."""
        import asyncio

        if self._url is None:
            return await asyncio.to_thread(self._send, commands, self._refusals)
        here = await self._here(self._url)
        # A cancelled exchange would break its connection, which would look like a loss.
        task = asyncio.ensure_future(self._exchange(here, commands))
        here.under_way.add(task)
        task.add_done_callback(here.under_way.discard)
        return await asyncio.shield(task)

    async def _exchange(self, here: _LoopClient, commands: Sequence[Command]) -> list[Any]:
        before = self._refusals
        async with here.slots:
            self._go_on(before)
            try:
                async with here.client.pipeline(transaction=False) as pipeline:
                    for command in commands:
                        pipeline.execute_command(*command)
                    return list(await pipeline.execute())
            except Exception as error:  # noqa: BLE001 # what it reads may be anything
                raise self._refused(error) from None

    def _go_on(self, before: int) -> None:
        # Whoever waited for a turn does not wait once more for a server that hangs.
        if self._refusals != before:
            raise UnreachableError("it failed while others waited for their turns")

    def _refused(self, error: Exception) -> UnreachableError:
        self._refusals += 1
        return UnreachableError(reason(error))

    async def _here(self, url: str) -> _LoopClient:
        import asyncio

        import redis.asyncio

        from ttorm.connection.loops import forget_closed

        clients: Any = redis.asyncio.Redis
        if self._process != os.getpid():
            self._renew()
        loop = asyncio.get_running_loop()
        here = self._loops.get(loop)
        if here is None:
            forget_closed(self._loops)
            options = {**self._options(), "redis_connect_func": self._aconnect}
            here = self._loops[loop] = _LoopClient(_plain(clients.from_url(url, **options)))
            # Started in the loop, so that the loop ends the guard when it ends itself.
            await anext(here.guard)
        return here

    def connection(self) -> Any:
        """Make a connection beside those of commands, to listen at; it is not connected yet."""
        pool = self._client.connection_pool
        return pool.connection_class(**pool.connection_kwargs)

    def close(self) -> None:
        """Close the connections of threads; a client of your own keeps its own."""
        self._client.connection_pool.disconnect()

    async def aclose(self) -> None:
        """Close the connections of threads and of the running event loop."""
        import asyncio

        # Taken out: what comes later gets one that is closed with the loop, as this one was.
        here = self._loops.pop(asyncio.get_running_loop(), None)
        if here is not None:
            await here.guard.aclose()
        self.close()


class _LoopClient:
    """The client of one event loop; it closes with the loop."""

    def __init__(self, client: Any) -> None:
        from asyncio import Semaphore

        self.client = client
        self.slots: Semaphore = Semaphore(_bound(client))
        self.under_way: set[Future[list[Any]]] = set()
        self.guard = self._close_with_loop()

    async def _close_with_loop(self) -> AsyncGenerator[None]:
        import asyncio

        try:
            yield
        finally:
            # A write that was cancelled when the loop ended may still tell what it has dropped.
            while self.under_way:
                await asyncio.wait(self.under_way)
            await self.client.aclose()


def _checked(client: Any) -> Any:
    from redis import Redis

    if not isinstance(client, Redis):
        raise ConfigurationError(
            f"RedisBackend takes a URL or a redis.Redis, found {type(client).__name__}; event "
            "loops get clients of their own from the URL"
        )
    return client


def _plain(client: Any) -> Any:
    # Whatever its URL or settings say: entries are bytes.
    client.connection_pool.connection_kwargs["decode_responses"] = False
    return client


def _bound(client: Any) -> int:
    return min(_MOST, int(client.connection_pool.max_connections))


def reason(error: Exception) -> str:
    """Say in a line why the server is of no use."""
    from redis.exceptions import AskError, ClusterError

    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, (AskError, ClusterError)):
        # As AskError is the base of MovedError.
        return f"{said}; it is a node of a cluster: RedisBackend needs a server by itself"
    return said
