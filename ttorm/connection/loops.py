"""What an HTTP transport has in each event loop: a client, its slots, and its end."""

from __future__ import annotations

import asyncio
import sys
import weakref
from collections.abc import AsyncGenerator, Coroutine
from functools import cache
from importlib.util import find_spec
from typing import Any, Protocol, TypeAlias

from ttorm.api.http import HttpResponse

__all__ = ["LoopClient", "Loops", "Opening", "forget_closed", "search_once"]

_SENDS = "http11.send_request_headers.started"


class _Client(Protocol):
    async def aclose(self) -> None: ...


class LoopClient:
    """The client of one event loop.

    Args:
        client: The HTTP library's client.
        loops: Where it is found, as long as its loop runs.
        connections: Most requests under way at once.

    Attributes:
        client: The client.
        guard: Closes the client when the loop ends that has started it.
    """

    def __init__(self, client: _Client, loops: Loops, connections: int) -> None:
        self.client: Any = client
        self.guard = self._close_with_loop(loops)
        self._slots = asyncio.Semaphore(connections)
        self._under_way: set[Any] = set()
        self._asking = 0
        self._ending = False

    async def _close_with_loop(self, loops: Loops) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            loops.pop(asyncio.get_running_loop(), None)
            await self.client.aclose()

    def enter(self) -> None:
        """Count a request, until it leaves."""
        self._asking += 1

    async def leave(self) -> None:
        """Count a request no more; the last one closes what was to end."""
        self._asking -= 1
        if self._ending and not self._asking:
            await self.guard.aclose()

    async def end(self) -> None:
        """Close the client, after the requests under way.

        The pool would never close a connection that a request gives back after the pool's end.
        """
        self._ending = True
        if not self._asking:
            await self.guard.aclose()

    async def take_slot(self, seconds: float | None) -> None:
        """Wait until a connection is free.

        Raises:
            TimeoutError: None was in so many seconds.
        """
        if not self._slots.locked():
            await self._slots.acquire()  # which does not wait: no time-out is worth while
            return
        async with asyncio.timeout(seconds):
            await self._slots.acquire()

    async def shielded(self, exchange: Coroutine[Any, Any, HttpResponse]) -> HttpResponse:
        """Run an exchange to its end whatever happens here, and give its slot back then."""

        def ended(task: Any) -> None:
            self._under_way.discard(task)
            self._slots.release()
            # Nobody else looks at what became of it when who asked is gone.
            _ = task.cancelled() or task.exception()

        if sys.version_info >= (3, 12):
            # It begins at once, not in the loop's next round.
            task = asyncio.Task(exchange, loop=asyncio.get_running_loop(), eager_start=True)
        else:
            task = asyncio.ensure_future(exchange)
        self._under_way.add(task)
        task.add_done_callback(ended)
        return task.result() if task.done() else await asyncio.shield(task)


class Opening:
    """A connection that a request has opened and that its pool does not know yet.

    The library forgets it when the request is cancelled before the TLS handshake is over: it would
    stay open until the garbage collector comes by.
    """

    def __init__(self) -> None:
        self._stream: Any = None

    async def __call__(self, event: str, info: dict[str, Any]) -> None:
        """Take what the library tells of its steps."""
        if event == "connection.connect_tcp.complete":
            self._stream = info["return_value"]
        # After a proxy was asked for the way, the handshake is yet to come.
        elif event == _SENDS and info["request"].method != b"CONNECT":
            self._stream = None

    async def close(self) -> None:
        """Close what is known to nobody else."""
        if self._stream is not None:
            await self._stream.aclose()


Loops: TypeAlias = weakref.WeakKeyDictionary[Any, LoopClient]
"""The clients of all event loops that run."""


def forget_closed(loops: weakref.WeakKeyDictionary[Any, Any]) -> None:
    """Let go of loops that were closed without an end to what ran in them.

    Their clients would keep them, and their sockets, for ever: nobody can close those in a loop
    that is no more, but the garbage collector does.
    """
    for loop in list(loops):
        if loop.is_closed():
            loops.pop(loop, None)


@cache
def search_once() -> None:
    """Have what httpx imports in each request, if it can, searched for on the disk only once.

    httpcore asks sniffio, several times a request, and anyio has not brought that along since 4.12.
    Searching for it in vain takes about as long as the rest of the request.
    """
    if "sniffio" not in sys.modules and find_spec("sniffio") is None:
        sys.modules["sniffio"] = None  # type: ignore[assignment] # Python's sign for "not there"
