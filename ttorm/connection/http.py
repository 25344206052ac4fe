"""The HTTP library: the only module that imports one.

`httpx2` when it is installed, else `httpx`; both have the same interface. Their types and
exceptions stay in here.
"""

from __future__ import annotations

import logging
import os
import ssl
import sys
import threading
import weakref
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import IO, TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from ttorm.api.errors import (
    ConfigurationError,
    RequestTimeoutError,
    ResponseFormatError,
    ResponseTooLargeError,
    StateError,
    TransportError,
)
from ttorm.api.http import HttpRequest, HttpResponse, Limits, Upload

if TYPE_CHECKING:
    import httpx
else:
    try:
        import httpx2 as httpx
    except ImportError:
        import httpx

__all__ = ["LIBRARY", "HttpTransport"]

LIBRARY: str = httpx.__name__
"""Name of the library in use."""

_CHUNK = 1 << 16
_UNSENT = (
    *(httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout),
    # The proxy has not let it through.
    *(httpx.ProxyError, httpx.UnsupportedProtocol),
)


class HttpTransport:
    """Carries requests over HTTP with pooled clients: one for threads, one for each event loop.

    Args:
        limits: Time-outs and bounds.
        transport: A transport of the HTTP library to use in place of the network, for tests.
        tls: Whom to trust in place of the machine's certificate authorities.
        proxy: Address of a proxy, in place of what the environment says.

    Raises:
        ConfigurationError: The proxy has no usable address.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        transport: Any = None,
        *,
        tls: ssl.SSLContext | None = None,
        proxy: str | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._transport = transport
        self._tls = tls
        self._proxy = None if proxy is None else _proxy(proxy)
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._slots = threading.Semaphore(self._limits.connections)
        self._client: httpx.Client | None = None
        self._loops: _Loops = weakref.WeakKeyDictionary()
        self._finalizer: Callable[[], object] = _nothing
        self._closed = False
        self._sending = 0
        phases = self._limits
        self._extensions = {
            "timeout": {
                "connect": phases.connect,
                "read": phases.read,
                "write": phases.write,
                "pool": phases.pool,
            }
        }

    # Threads

    def send(self, request: HttpRequest) -> HttpResponse:
        """Send on the calling thread.

        Raises:
            TransportError: The service was not reached or the connection broke.
            RequestTimeoutError: A time-out passed.
            ResponseTooLargeError: The answer is over the limit.
        """
        client = self._enter()
        # The pool of httpx mixes up its connections when more threads ask than it has: they wait
        # in front of it.
        if not self._slots.acquire(timeout=self._limits.pool):
            self._leave()
            raise _translate(httpx.PoolTimeout(""))
        try:
            return self._exchange(client, request)
        finally:
            self._slots.release()
            self._leave()

    def _exchange(self, client: httpx.Client, request: HttpRequest) -> HttpResponse:
        content = _chunks(request.body) if isinstance(request.body, Upload) else request.body
        try:
            response = client.send(self._build(request, content), stream=True)
            try:
                return self._receive(request, response)
            finally:
                response.close()
        except httpx.HTTPError as error:
            failure = _translate(error, request.url)
        except RuntimeError:
            self._check_process()  # it may have been closed in the meantime
            raise
        # Raised out here, so that the library's exception, which holds the request, stays behind.
        raise failure

    def _receive(self, request: HttpRequest, response: httpx.Response) -> HttpResponse:
        reader = _Reader(request, response, self._limits.body)
        if not response.is_stream_consumed:
            for chunk in response.iter_raw(_CHUNK):
                reader.feed(chunk)
        return reader.finish()

    def _enter(self) -> httpx.Client:
        client = self._sync_client()
        with self._lock:
            self._check_process()
            self._sending += 1
        return client

    def _leave(self) -> None:
        with self._lock:
            self._sending -= 1
            self._close_idle()

    def _sync_client(self) -> httpx.Client:
        self._check_process()
        with self._lock:
            self._check_process()
            if self._client is None:
                self._client = httpx.Client(transport=self._transport, **self._settings())
                self._finalizer = weakref.finalize(self, _close, self._client, os.getpid())
            return self._client

    # Event loops

    async def asend(self, request: HttpRequest) -> HttpResponse:
        """Send from the running event loop; raises like `send`."""
        here = await self._loop_client()
        if LIBRARY != "httpx":
            return await self._aexchange(here.client, request)
        # The pool of httpx loses the connections of cancelled requests for ever. So who waits for
        # one waits in front of the pool, and what is under way goes on unseen when it is cancelled.
        await here.take_slot(self._limits.pool)
        return await here.shielded(self._aexchange(here.client, request))

    async def _aexchange(self, client: httpx.AsyncClient, request: HttpRequest) -> HttpResponse:
        content = _achunks(request.body) if isinstance(request.body, Upload) else request.body
        try:
            response = await client.send(self._build(request, content), stream=True)
            try:
                return await self._areceive(request, response)
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            failure = _translate(error, request.url)
        # Raised out here, so that the library's exception, which holds the request, stays behind.
        raise failure

    async def _areceive(self, request: HttpRequest, response: httpx.Response) -> HttpResponse:
        reader = _Reader(request, response, self._limits.body)
        if not response.is_stream_consumed:
            async for chunk in response.aiter_raw(_CHUNK):
                reader.feed(chunk)
        return reader.finish()

    async def _loop_client(self) -> _LoopClient:
        import asyncio

        self._check_process()
        loop = asyncio.get_running_loop()
        try:
            return self._loops[loop]
        except KeyError:
            client = httpx.AsyncClient(transport=self._transport, **self._settings())
            here = _LoopClient(client, self._loops, self._limits.connections)
            self._loops[loop] = here
            # Started in the loop, so that the loop ends the guard when it ends itself.
            await anext(here.guard)
            return here

    # Both

    def _build(self, request: HttpRequest, content: Any) -> httpx.Request:
        headers = dict(request.headers)
        if isinstance(request.body, Upload):
            headers["content-length"] = str(request.body.size)
        try:
            built = httpx.Request(
                request.method,
                request.url,
                headers=headers,
                content=content,
                extensions=self._extensions,
            )
        except httpx.InvalidURL as error:
            raise TransportError(
                f"the address cannot be used ({error}): check the connection's URL", sent=False
            ) from None
        if "authorization" not in headers:
            built.url = _Unlogged(request.url)
        return built

    def _settings(self) -> dict[str, Any]:
        """Give what the clients of threads and of loops have in common."""
        limits = httpx.Limits(
            max_connections=self._limits.connections,
            max_keepalive_connections=min(20, self._limits.connections),
        )
        return {
            "limits": limits,
            "verify": self._tls or _tls(),
            "proxy": self._proxy,
            # None is ever sent, so none is kept.
            "cookies": CookieJar(DefaultCookiePolicy(allowed_domains=())),
            # What a service redirects to has no business with the credential.
            "follow_redirects": False,
        }

    def _check_process(self) -> None:
        if self._closed:
            raise StateError("this connection is closed: make a new one with ttorm.connect()")
        if self._pid != os.getpid():
            # Sockets shared with the parent process: dropped, not closed, and made afresh.
            self._pid = os.getpid()
            self._lock = threading.Lock()
            self._slots = threading.Semaphore(self._limits.connections)
            self._client = None
            self._sending = 0
            self._loops.clear()

    def close(self) -> None:
        """Close the threads' client, after the requests under way.

        The loops' clients close with their loops.
        """
        self._closed = True
        with self._lock:
            self._close_idle()

    def _close_idle(self) -> None:
        # The pool would never close a connection that a request gives back after the pool's end.
        if self._closed and not self._sending and self._pid == os.getpid():
            self._finalizer()
            self._client = None

    async def aclose(self) -> None:
        """Close the threads' client and the running loop's."""
        import asyncio

        here = self._loops.get(asyncio.get_running_loop())
        if here is not None:
            await here.guard.aclose()
        self.close()


class _LoopClient:
    """The client of one event loop."""

    def __init__(self, client: httpx.AsyncClient, loops: _Loops, connections: int) -> None:
        from asyncio import Semaphore

        self.client = client
        self.guard = self._close_with_loop(loops)
        self._slots = Semaphore(connections)
        self._under_way: set[Any] = set()

    async def _close_with_loop(self, loops: _Loops) -> AsyncGenerator[None]:
        import asyncio

        try:
            yield
        finally:
            loops.pop(asyncio.get_running_loop(), None)
            await self.client.aclose()

    async def take_slot(self, seconds: float | None) -> None:
        """Wait until a connection is free."""
        import asyncio

        if not self._slots.locked():
            await self._slots.acquire()  # which does not wait: no time-out is worth while
            return
        try:
            async with asyncio.timeout(seconds):
                await self._slots.acquire()
        except TimeoutError:
            raise _translate(httpx.PoolTimeout("")) from None

    async def shielded(self, exchange: Coroutine[Any, Any, HttpResponse]) -> HttpResponse:
        """Run an exchange to its end whatever happens here, and give its slot back then."""
        import asyncio

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


_Loops: TypeAlias = weakref.WeakKeyDictionary[Any, _LoopClient]


class _Unlogged(httpx.URL):
    """An address that is a credential by itself."""


def _hide(record: logging.LogRecord) -> bool:
    """Have the library's log show of such addresses where they lead only."""
    if isinstance(record.args, tuple):
        record.args = tuple(
            f"{value.scheme}://{value.netloc.decode()}/..."
            if isinstance(value, _Unlogged)
            else value
            for value in record.args
        )
    return True


logging.getLogger(LIBRARY).addFilter(_hide)


@cache
def _tls() -> ssl.SSLContext:
    """Make the TLS context once: reading the certificates takes longer than most requests."""
    return httpx.create_ssl_context()


def _proxy(address: str) -> httpx.Proxy:
    try:
        return httpx.Proxy(address)
    except (ValueError, TypeError, httpx.InvalidURL):
        # The address may hold a password: it is not shown.
        raise ConfigurationError(
            "proxy= is no address of a proxy: expected http://host:port, https:// or socks5://"
        ) from None


def _close(client: httpx.Client, pid: int) -> None:
    # A forked child that ends must not say good-bye on its parent's connections.
    if os.getpid() == pid:
        client.close()


def _nothing() -> None:
    """Stand in for a finalizer before there is something to finalize."""


def _chunks(upload: Upload) -> Iterator[bytes]:
    with upload.open() as reader:
        while chunk := reader.read(_CHUNK):
            yield chunk


async def _achunks(upload: Upload) -> AsyncIterator[bytes]:
    import asyncio

    reader: IO[bytes] = await asyncio.to_thread(upload.open)
    try:
        while chunk := await asyncio.to_thread(reader.read, _CHUNK):
            yield chunk
    finally:
        reader.close()


def _translate(error: httpx.HTTPError, url: str = "") -> TransportError:
    sent = not isinstance(error, _UNSENT)
    what = str(error) or type(error).__name__
    if isinstance(error, httpx.PoolTimeout):
        what = "all connections are busy: raise limits.connections, or lower the concurrency"
    elif isinstance(error, httpx.ProxyError):
        what = f"{what}: the proxy did not let it through"
    elif not sent:
        place = urlsplit(url)
        what = f"{what}: is a service running at {place.scheme}://{place.netloc}, as the URL says?"
    if isinstance(error, httpx.TimeoutException):
        return RequestTimeoutError(f"no answer in time ({what})", sent=sent)
    return TransportError(f"no answer ({what})", sent=sent)


class _Reader:
    """Takes an answer's chunks, decompresses them, and stops when there are too many bytes."""

    def __init__(self, request: HttpRequest, response: httpx.Response, limit: int) -> None:
        self._status = response.status_code
        self._headers = {name.lower(): value for name, value in response.headers.items()}
        self._sink = request.sink if 200 <= self._status < 300 else None
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._begun = False
        encoding = self._headers.pop("content-encoding", "identity").lower()
        if encoding not in ("identity", "gzip", "x-gzip", "deflate"):
            raise ResponseFormatError(
                f"the answer is compressed as {encoding!r}, ttorm asked for gzip at most"
            )
        self._inflate = None if encoding == "identity" else zlib.decompressobj(zlib.MAX_WBITS | 32)
        if response.is_stream_consumed:
            # A transport in place of the network may have read and decoded it already.
            self._inflate = None
            self._take(response.content)

    def feed(self, chunk: bytes) -> None:
        if self._inflate is None:
            self._take(chunk)
            return
        self._begun = True
        if self._inflate.eof:
            # zlib would put it all aside.
            raise ResponseFormatError("the answer goes on after the end of its compressed body")
        try:
            while chunk:
                self._take(self._inflate.decompress(chunk, _CHUNK))
                chunk = self._inflate.unconsumed_tail
        except zlib.error as error:
            raise ResponseFormatError(f"the answer's compression is broken: {error}") from None

    def _take(self, data: bytes) -> None:
        if self._sink is not None:
            self._sink.write(data)
            return
        self._size += len(data)
        if self._size > self._limit:
            raise ResponseTooLargeError(
                f"the answer has more than {self._limit:,} bytes decompressed: "
                "ask for less at once, or raise Limits(body=...)"
            )
        self._parts.append(data)

    def finish(self) -> HttpResponse:
        if self._inflate is not None:
            self._take(self._inflate.flush())
            if self._begun and not self._inflate.eof:
                raise ResponseFormatError("the answer's compressed body is cut short")
            if self._inflate.unused_data:
                raise ResponseFormatError("the answer goes on after the end of its compressed body")
        return HttpResponse(self._status, self._headers, b"".join(self._parts))
