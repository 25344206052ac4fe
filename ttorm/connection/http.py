"""The HTTP library: the only module that imports one.

`httpx2` when it is installed, else `httpx`; both have the same interface. Their types and
exceptions stay in here.
"""

from __future__ import annotations

import os
import ssl
import threading
import weakref
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from ttorm.api.credentials import masked
from ttorm.api.errors import ConfigurationError, RequestTimeoutError, StateError, TransportError
from ttorm.api.http import HttpRequest, HttpResponse, Limits, Upload
from ttorm.connection.bodies import Intake, achunks, chunks
from ttorm.connection.httplogs import keep_quiet
from ttorm.connection.reasons import advice, slowness

if TYPE_CHECKING:
    import httpx

    from ttorm.connection.loops import LoopClient, Loops
else:
    try:
        import httpx2 as httpx
    except ImportError:
        import httpx

__all__ = ["LIBRARY", "HttpTransport"]

LIBRARY: str = httpx.__name__
"""Name of the library in use."""

C = TypeVar("C", bound="httpx.Client | httpx.AsyncClient")
_UNSENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
# Refusals that come after the handshake, such as of a client's certificate, are told as they are.
_FAILURES = (httpx.HTTPError, ssl.SSLError)
_PHASES: dict[type, str] = {
    httpx.ConnectTimeout: "connect", httpx.WriteTimeout: "write", httpx.PoolTimeout: "pool"
}  # fmt: skip
# A proxy that the environment names would read the credential, and has another machine by these
# names than who asks. None stands for the way without one.
_UNPROXIED = {f"all://{name}": None for name in ("localhost", "*.localhost", "127.0.0.1", "[::1]")}


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
        self._closed = False
        self._begin()
        phases = self._limits
        self._timeout = {
            "connect": phases.connect,
            "read": phases.read,
            "write": phases.write,
            "pool": phases.pool,
        }
        _transports.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._slots = threading.Semaphore(self._limits.connections)
        self._client: httpx.Client | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None
        self._loops: Loops = weakref.WeakKeyDictionary()
        self._sending = 0

    def begin_in_child(self) -> None:
        """Drop what is shared with the parent process, and close none of it."""
        _inherited.append((self._client, *self._loops.values()))
        if self._finalizer is not None:
            self._finalizer.detach()
        self._begin()

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
            raise self._failure(httpx.PoolTimeout(""), request.url)
        try:
            return self._exchange(client, request)
        finally:
            self._slots.release()
            self._leave()

    def _exchange(self, client: httpx.Client, request: HttpRequest) -> HttpResponse:
        content = chunks(request.body) if isinstance(request.body, Upload) else request.body
        try:
            response = client.send(self._build(request, content), stream=True)
            try:
                return self._receive(request, response)
            finally:
                response.close()
        except _FAILURES as error:
            failure = self._failure(error, request.url)
        except RuntimeError:
            self._check_open()  # it may have been closed in the meantime
            raise
        # Raised out here, so that the library's exception, which holds the request, stays behind.
        raise failure

    def _receive(self, request: HttpRequest, response: httpx.Response) -> HttpResponse:
        intake = self._intake(request, response)
        if not response.is_stream_consumed:
            for chunk in response.iter_raw():
                intake.feed(chunk)
        return intake.finish()

    def _enter(self) -> httpx.Client:
        with self._lock:
            self._check_open()
            if self._client is None:
                self._client = self._made(httpx.Client)
                self._finalizer = weakref.finalize(self, self._client.close)
            self._sending += 1
            return self._client

    def _leave(self) -> None:
        with self._lock:
            self._sending -= 1
            self._close_idle()

    # Event loops

    async def asend(self, request: HttpRequest) -> HttpResponse:
        """Send from the running event loop; raises like `send`."""
        here = await self._loop_client()
        here.enter()
        if LIBRARY != "httpx":
            return await self._aexchange(here, request)
        # The pool of httpx loses the connections of cancelled requests for ever. So who waits for
        # one waits in front of the pool, and what is under way goes on unseen when it is cancelled.
        try:
            await here.take_slot(self._limits.pool)
        except BaseException as error:
            await here.leave()
            if isinstance(error, TimeoutError):
                raise self._failure(httpx.PoolTimeout(""), request.url) from None
            raise
        return await here.shielded(self._aexchange(here, request))

    async def _aexchange(self, here: LoopClient, request: HttpRequest) -> HttpResponse:
        from ttorm.connection.loops import Opening

        content = achunks(request.body) if isinstance(request.body, Upload) else request.body
        opening = Opening()
        try:
            built = self._build(request, content, trace=opening)
            response = await here.client.send(built, stream=True)
            try:
                return await self._areceive(request, response)
            finally:
                await response.aclose()
        except _FAILURES as error:
            failure = self._failure(error, request.url)
        finally:
            try:
                await opening.close()
            finally:
                await here.leave()
        # Raised out here, so that the library's exception, which holds the request, stays behind.
        raise failure

    async def _areceive(self, request: HttpRequest, response: httpx.Response) -> HttpResponse:
        intake = self._intake(request, response)
        if not response.is_stream_consumed:
            async for chunk in response.aiter_raw():
                intake.feed(chunk)
        return intake.finish()

    async def _loop_client(self) -> LoopClient:
        import asyncio

        from ttorm.connection.loops import LoopClient, forget_closed, search_once

        self._check_open()
        loop = asyncio.get_running_loop()
        here = self._loops.get(loop)
        if here is None:
            if LIBRARY == "httpx":
                search_once()
            forget_closed(self._loops)
            client = self._made(httpx.AsyncClient)
            here = self._loops[loop] = LoopClient(client, self._loops, self._limits.connections)
            # Started in the loop, so that the loop ends the guard when it ends itself.
            await anext(here.guard)
        return here

    # Both

    def _build(self, request: HttpRequest, content: Any, **extensions: Any) -> httpx.Request:
        headers = dict(request.headers)
        if isinstance(request.body, Upload):
            headers["content-length"] = str(request.body.size)
        try:
            built = httpx.Request(
                request.method,
                request.url,
                headers=headers,
                content=content,
                extensions={"timeout": self._timeout, **extensions},
            )
            if "authorization" not in headers:
                # The service may have given it, and the libraries check neither name nor port.
                built.url.host.encode("idna")
                _ = urlsplit(request.url).port
                built.url = _Unlogged(request.url)
        except (httpx.InvalidURL, ValueError) as error:
            raise TransportError(
                f"the address cannot be used ({error}): check the connection's URL", sent=False
            ) from None
        return built

    def _intake(self, request: HttpRequest, response: httpx.Response) -> Intake:
        headers = {name.lower(): value for name, value in response.headers.items()}
        headers.update(response.extensions.get(_LOCATION, {}))
        intake = Intake(request, response.status_code, headers, self._limits)
        if response.is_stream_consumed:
            # A transport in place of the network may have read and decoded it already.
            intake.take_decoded(response.content)
        return intake

    def _made(self, kind: type[C]) -> C:
        """Make a client.

        Raises:
            ConfigurationError: The environment or the proxy says what cannot be used.
        """
        try:
            aside = _put_aside if kind is httpx.Client else _aput_aside
            hooks = {"response": [aside]}
            return kind(transport=self._transport, event_hooks=hooks, **self._settings())
        except ImportError:
            why = "a SOCKS proxy needs a package of its own: pip install socksio"
        except OSError:
            why = "SSL_CERT_FILE or SSL_CERT_DIR names no certificates that can be read"
        except (ValueError, TypeError, httpx.InvalidURL):
            why = (
                "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY or NO_PROXY has no address that can be used: "
                "expected http://host:port, https:// or socks5://, or write connect(proxy=...)"
            )
        # Raised out here: those exceptions may hold a proxy's password.
        raise ConfigurationError(why)

    def _settings(self) -> dict[str, Any]:
        """Give what the clients of threads and of loops have in common."""
        limits = httpx.Limits(
            max_connections=self._limits.connections,
            max_keepalive_connections=min(20, self._limits.connections),
        )
        return {
            "limits": limits,
            "verify": self._tls or (_tls() if self._transport is None else True),
            "proxy": self._proxy,
            "mounts": _UNPROXIED if self._proxy is None else None,
            # None is ever sent, so none is kept.
            "cookies": CookieJar(DefaultCookiePolicy(allowed_domains=())),
            # What a service redirects to has no business with the credential.
            "follow_redirects": False,
        }

    def _failure(self, error: httpx.HTTPError | ssl.SSLError, url: str) -> TransportError:
        """Say what an error of the library's means, and what may be done about it."""
        sent = not isinstance(error, _UNSENT)
        if isinstance(error, httpx.TimeoutException):
            what = slowness(_PHASES.get(type(error), "read"), self._limits, url)
            return RequestTimeoutError(f"no answer in time ({what})", sent=sent)
        what = str(error) or type(error).__name__
        if not sent:
            proxy = None if self._proxy is None else str(self._proxy.url)
            what += f": {advice(error, url, proxy, by_environment=self._transport is None)}"
        return TransportError(f"no answer ({what})", sent=sent)

    def _check_open(self) -> None:
        if self._closed:
            raise StateError("this connection is closed: make a new one with ttorm.connect()")

    def close(self) -> None:
        """Close the threads' client, after the requests under way.

        The loops' clients close with their loops.
        """
        self._closed = True
        with self._lock:
            self._close_idle()

    def _close_idle(self) -> None:
        # The pool would never close a connection that a request gives back after the pool's end.
        if self._closed and not self._sending and self._finalizer is not None:
            self._finalizer()
            self._client = self._finalizer = None

    async def aclose(self) -> None:
        """Close the threads' client and the running loop's, after the requests under way."""
        import asyncio

        self.close()
        here = self._loops.get(asyncio.get_running_loop())
        if here is not None:
            await here.end()


_transports: weakref.WeakSet[HttpTransport] = weakref.WeakSet()
_inherited: list[object] = []
"""What a forked child has of its parent's: kept, so that nobody says good-bye on its sockets."""


def _begin_in_child() -> None:
    for transport in list(_transports):
        transport.begin_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_in_child)


_LOCATION = "ttorm.location"


def _put_aside(response: httpx.Response) -> None:
    """Keep the library from reading where an answer leads: it may fail at what is no address."""
    location = response.headers.pop("location", None)
    if location is not None:
        response.extensions[_LOCATION] = {"location": location}


async def _aput_aside(response: httpx.Response) -> None:
    _put_aside(response)


class _Unlogged(httpx.URL):
    """An address that is a credential by itself."""

    hidden = True


keep_quiet(LIBRARY)


@cache
def _tls() -> ssl.SSLContext:
    """Make the TLS context once: reading the certificates takes longer than most requests."""
    return httpx.create_ssl_context()


def _proxy(address: str) -> httpx.Proxy:
    address = masked(address)
    try:
        proxy = httpx.Proxy(address)
        if proxy.url.host:
            return proxy
    except (ValueError, TypeError, httpx.InvalidURL):
        pass
    # The address may hold a password: neither it nor the library's exception is shown.
    raise ConfigurationError(
        "proxy= is no address of a proxy: expected http://host:port, https:// or socks5://"
    )
