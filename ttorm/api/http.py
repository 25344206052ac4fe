"""Requests and answers as plain data: what transports carry, whichever HTTP library they use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import IO, NamedTuple, Protocol
from urllib.parse import urlsplit, urlunsplit

__all__ = ["HttpRequest", "HttpResponse", "Limits", "Transport", "Upload", "origin"]


def origin(url: str) -> str:
    """Say where an address leads, without anything secret that it may hold; "" for a bare path.

    Example:
        >>> origin("https://ann:secret@files.example.com:8443/a?signature=b")
        'https://files.example.com:8443'
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that cannot be read"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], "", "", ""))


class Upload(NamedTuple):
    """A request body that is read while it is sent, and read again from the start on a repeat.

    Attributes:
        open: Returns a fresh binary reader positioned at the first byte; the sender closes it.
        size: Length in bytes.
    """

    open: Callable[[], IO[bytes]]
    size: int


class HttpRequest(NamedTuple):
    """One HTTP request.

    Attributes:
        method: Upper-case HTTP method.
        url: Absolute URL, already percent-encoded.
        headers: Header names (lower case) and values.
        body: The whole body, or an `Upload` to stream.
        sink: Where a successful answer's bytes go; None keeps them in memory.
    """

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: bytes | Upload = b""
    sink: IO[bytes] | None = None

    def __repr__(self) -> str:
        # Without a credential beside it, a path is one by itself.
        path = urlsplit(self.url).path if "authorization" in self.headers else "/..."
        return f"<HttpRequest {self.method} {origin(self.url)}{path}>"

    def __sentry_repr__(self) -> str:
        # Sentry shows tuples by their members otherwise.
        return repr(self)


class HttpResponse(NamedTuple):
    """One HTTP answer.

    Attributes:
        status: HTTP status code.
        headers: Header names (lower case) and values.
        body: The body, already decompressed; empty when it went to the request's sink.
        stream: Chunks of a body that is not held in memory (only from the emulator's core).
    """

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""
    stream: Iterable[bytes] | None = None

    def __repr__(self) -> str:
        return f"<HttpResponse {self.status}, {len(self.body)} bytes>"

    def __sentry_repr__(self) -> str:
        return repr(self)


class Limits(NamedTuple):
    """Bounds of one connection's requests.

    Attributes:
        connect: Seconds to reach the service.
        read: Seconds to wait for the next piece of an answer.
        write: Seconds to wait until the next piece of a request is taken.
        pool: Seconds to wait for a free connection.
        connections: Most open connections.
        body: Most bytes of an answer held in memory, decompressed.
        answer: Seconds for the whole body of an answer held in memory, however steadily it comes.
    """

    connect: float | None = 5.0
    read: float | None = 15.0
    write: float | None = 15.0
    pool: float | None = 5.0
    connections: int = 100
    body: int = 64 << 20
    answer: float | None = 120.0


class Transport(Protocol):
    """Carries requests, in both worlds."""

    def send(self, request: HttpRequest) -> HttpResponse:
        """Send on the calling thread and block until the answer is there."""
        ...

    async def asend(self, request: HttpRequest) -> HttpResponse:
        """Send from the running event loop."""
        ...

    def close(self) -> None:
        """Release what `send` opened; closing twice is harmless."""
        ...

    async def aclose(self) -> None:
        """Release what `send` and `asend` opened."""
        ...
