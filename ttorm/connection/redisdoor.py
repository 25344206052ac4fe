"""Commands to a Redis server, several in one round trip, from threads and from event loops."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from ttorm.api.errors import ConfigurationError

if TYPE_CHECKING:
    from asyncio import Future, Semaphore

    from redis import Redis

__all__ = ["Command", "Messages", "RedisDoor", "UnreachableError"]

Command: TypeAlias = "tuple[str | bytes | int | float, ...]"
_MOST = 64
"""Most connections of one event loop."""


class UnreachableError(Exception):
    """The server gave no answer, or one that is of no use."""


class RedisDoor:
    """Sends commands to a server.

    Args:
        where: The server's URL, or a client of your own; event loops use that one on threads.
        timeout: Seconds to wait for the server, to connect and for each answer.
        broken: Called when a connection that was lost is made again. Clients of your own do not
            tell.
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
        self._client: Any = self._connected(where) if isinstance(where, str) else _checked(where)
        self._loops: weakref.WeakKeyDictionary[Any, _LoopClient] = weakref.WeakKeyDictionary()
        self._process = os.getpid()

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

    def _connect(self, connection: Any) -> None:
        self._note(connection)
        connection.on_connect()

    async def _aconnect(self, connection: Any) -> None:
        self._note(connection)
        await connection.on_connect()

    def _connected(self, url: str) -> Any:
        options = {**self._options(), "redis_connect_func": self._connect}
        try:
            return self._redis.Redis.from_url(url, **options)
        except ValueError as error:
            raise ConfigurationError(
                f"that is no URL of a Redis server ({error}): expected redis://host:6379/0"
            ) from None

    def send(self, commands: Sequence[Command], /) -> list[Any]:
        """Run commands on the calling thread and return their results.

        Raises:
            UnreachableError: Not all of them were answered; any of them may have had its effect.
        """
        try:
            with self._client.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                return list(pipeline.execute())
        except (self._redis.RedisError, OSError) as error:
            raise UnreachableError(_told(error)) from None

    async def asend(self, commands: Sequence[Command], /) -> list[Any]:
        """Run commands from the running event loop; raises like `send`."""
        import asyncio

        if self._url is None:
            return await asyncio.to_thread(self.send, commands)
        here = await self._here(self._url)
        # A cancelled exchange would break its connection, which would look like a loss.
        task = asyncio.ensure_future(self._exchange(here, commands))
        here.under_way.add(task)
        task.add_done_callback(here.under_way.discard)
        return await asyncio.shield(task)

    async def _exchange(self, here: _LoopClient, commands: Sequence[Command]) -> list[Any]:
        try:
            async with here.slots, here.client.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                return list(await pipeline.execute())
        except (self._redis.RedisError, OSError) as error:
            raise UnreachableError(_told(error)) from None

    async def _here(self, url: str) -> _LoopClient:
        import asyncio

        import redis.asyncio

        clients: Any = redis.asyncio.Redis
        if self._process != os.getpid():
            # Sockets shared with the parent process: dropped, not closed, and made afresh.
            self._process = os.getpid()
            self._loops.clear()
        loop = asyncio.get_running_loop()
        here = self._loops.get(loop)
        if here is None:
            options = {**self._options(), "redis_connect_func": self._aconnect}
            here = self._loops[loop] = _LoopClient(clients.from_url(url, **options))
            # Started in the loop, so that the loop ends the guard when it ends itself.
            await anext(here.guard)
        return here

    def follow(self, channel: str) -> Messages:
        """Listen to a channel from now on.

        Raises:
            UnreachableError: The server did not answer.
        """
        try:
            return Messages(self._client, channel)
        except (self._redis.RedisError, OSError) as error:
            raise UnreachableError(_told(error)) from None

    def close(self) -> None:
        """Close the connections of threads; a client of your own stays open."""
        if self._url is not None:
            self._client.close()

    async def aclose(self) -> None:
        """Close the connections of threads and of the running event loop."""
        import asyncio

        here = self._loops.get(asyncio.get_running_loop())
        if here is not None:
            await here.guard.aclose()
        self.close()


class _LoopClient:
    """The client of one event loop; it closes with the loop."""

    def __init__(self, client: Any) -> None:
        from asyncio import Semaphore

        self.client = client
        self.slots: Semaphore = Semaphore(_MOST)
        self.under_way: set[Future[list[Any]]] = set()
        self.guard = self._close_with_loop()

    async def _close_with_loop(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await self.client.aclose()


class Messages:
    """Messages of a channel, taken without waiting.

    Attributes:
        process: Whose they are: forked children do not share them.
    """

    def __init__(self, client: Any, channel: str) -> None:
        self._connection = client.connection_pool.make_connection()
        self._lock = threading.Lock()
        self.process = os.getpid()
        self._connection.connect()
        self._connection.send_command("SUBSCRIBE", channel)
        self._connection.read_response(push_request=True)

    def take(self) -> list[bytes]:
        """Return what came since the last time.

        Raises:
            UnreachableError: The connection is lost, and messages may be, too.
        """
        found: list[bytes] = []
        with self._lock:
            try:
                while self._connection.can_read(timeout=0):
                    kind, _, content = self._connection.read_response(push_request=True)
                    if kind in (b"message", "message"):
                        found.append(_bytes(content))
            except Exception as error:  # noqa: BLE001 # whatever it is, something may be missed
                self._connection.disconnect()
                raise UnreachableError(_told(error)) from None
        return found

    def close(self) -> None:
        """Stop listening."""
        with self._lock:
            self._connection.disconnect()


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _checked(client: Any) -> Any:
    from redis import Redis

    if not isinstance(client, Redis):
        raise ConfigurationError(
            f"RedisBackend takes a URL or a redis.Redis, found {type(client).__name__}; event "
            "loops get clients of their own from the URL"
        )
    return client


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
