"""The emulator as an ASGI application: a thin door between HTTP and its core."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Protocol, TypeVar, TypeVarTuple
from uuid import uuid4

from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ttorm.api.errors import StateError
from ttorm.api.http import HttpRequest, HttpResponse, Upload
from ttorm.api.request import MAX_BODY
from ttorm.emulator.accesslog import AccessLog
from ttorm.emulator.answers import Fault, fault_answer
from ttorm.emulator.clock import Clock
from ttorm.emulator.faults import Faults, Strike
from ttorm.emulator.hangups import HangUp
from ttorm.emulator.pages import Stored, pages
from ttorm.emulator.routing import split_url

if TYPE_CHECKING:
    from ttorm.emulator.admin import Admin

__all__ = ["LOOPBACK", "MAX_UPLOAD", "application"]

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
"""Names under which a server on this machine answers."""
MAX_UPLOAD = 5 << 30
"""Largest file that is taken unless something else is said, in bytes: 5 GiB."""

_PATIENCE = 60.0
"""Seconds after which a client that neither sends nor takes anything is given up."""
_THREADS = 8
_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


class Core(Stored, Protocol):
    """What the door opens to: the emulator, as far as it is needed here."""

    @property
    def clock(self) -> Clock:
        """The time."""
        ...

    @property
    def faults(self) -> Faults:
        """What goes wrong on purpose."""
        ...

    def expects_file(self, request: HttpRequest) -> bool:
        """Tell whether a request's body is a file that will be kept."""
        ...

    def handle(self, request: HttpRequest, *, strike: Strike) -> HttpResponse:
        """Answer one request that this befalls; what it has to wait for is over."""
        ...


def application(
    core: Core,
    hosts: Iterable[str] = LOOPBACK,
    *,
    max_upload: int = MAX_UPLOAD,
    patience: float = _PATIENCE,
    admin: Admin | None = None,
) -> ASGIApp:
    """Make an ASGI application of an emulator.

    Args:
        core: The emulator. It stays the caller's: stopping the server does not close it.
        hosts: Names accepted in the ``Host`` header. This refuses a web page that points a name
            of its own at this machine (DNS rebinding); for the same reason there is no CORS.
        max_upload: Largest file that is taken, in bytes.
        patience: Seconds after which a client that neither sends nor takes anything is given up.
        admin: Answers what is asked under ``/_emulator/``; without it nothing is there.
    """
    door = _Door(core, max_upload, patience, admin)
    guarded = TrustedHostMiddleware(door, allowed_hosts=list(hosts), www_redirect=False)
    return HangUp(AccessLog(guarded))


class _Door:
    """Hands requests to the core on a few threads, so that its storage may block."""

    def __init__(self, core: Core, max_upload: int, patience: float, admin: Admin | None) -> None:
        self._core = core
        self._admin = admin
        self._pages = pages(core)
        self._max_upload = max_upload
        self._patience = patience
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="ttorm-emulator")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._answer(scope, receive, partial(self._patiently, send))
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._threads.shutdown()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, partial(self._patiently, receive))
        with ExitStack() as files:
            try:
                answer = await self._handled(request, files)
            except Fault as fault:
                answer = _last(fault_answer(fault, str(uuid4())))
            except ClientDisconnect:
                return
            try:
                await self._response(answer)(scope, receive, send)
            except TimeoutError:
                return

    async def _handled(self, request: Request, files: ExitStack) -> HttpResponse:
        page = self._pages.get(request.scope["path"]) if request.method == "GET" else None
        if page is not None:
            return await self._run(page)
        asked = _http_request(request, b"")
        try:
            if request.method == "PUT" and not await self._expects_file(asked):
                # Refused without having been read: nobody can fill the disk.
                return _last(await self._done(asked))
            try:
                body = await self._body(request, files)
            except TimeoutError:
                raise Fault(400793, "The body has not come to its end.") from None
            return await self._done(asked._replace(body=body))
        except StateError:
            raise Fault(500000, "The emulator is closed.") from None

    async def _expects_file(self, asked: HttpRequest) -> bool:
        expects = self._core.expects_file
        if self._admin is not None and _is_admins(asked):
            expects = self._admin.expects_file
        return await self._run(expects, asked)

    async def _body(self, request: Request, files: ExitStack) -> bytes | Upload:
        if request.method == "PUT":
            return await self._file(request, files.enter_context(TemporaryFile()))
        return await _small(request)

    async def _done(self, asked: HttpRequest) -> HttpResponse:
        if self._admin is not None and _is_admins(asked):
            return await self._run(self._admin.handle, asked)
        strike = self._core.faults.strike(asked)
        if strike.delay:
            await asyncio.sleep(self._core.clock.pause(strike.delay))
        return await self._run(partial(self._core.handle, asked, strike=strike))

    async def _file(self, request: Request, file: IO[bytes]) -> Upload:
        self._check_size(int(request.headers.get("content-length", 0)))
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            self._check_size(size)
            await self._run(file.write, chunk)
        await self._run(file.flush)
        return Upload(lambda: _reader(file), size)

    def _check_size(self, size: int) -> None:
        if size > self._max_upload:
            raise Fault(400141, f"The file is larger than {self._max_upload} bytes.")

    async def _patiently(self, action: Callable[..., Awaitable[_T]], *message: Message) -> _T:
        async with asyncio.timeout(self._patience):
            return await action(*message)

    def _response(self, answer: HttpResponse) -> Response:
        if answer.stream is None:
            return Response(answer.body, answer.status, answer.headers)
        return StreamingResponse(self._chunks(iter(answer.stream)), answer.status, answer.headers)

    async def _chunks(self, chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
        while (chunk := await self._run(_next, chunks)) is not None:
            yield chunk

    async def _run(self, function: Callable[[*_Ts], _T], *arguments: *_Ts) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


def _is_admins(asked: HttpRequest) -> bool:
    return split_url(asked.url)[1].startswith("/_emulator/")


def _last(answer: HttpResponse) -> HttpResponse:
    """Close the connection after an answer: the rest of the request was not read."""
    return answer._replace(headers={**answer.headers, "connection": "close"})


def _http_request(request: Request, body: bytes | Upload) -> HttpRequest:
    # The decoded path would take an encoded "/" inside a segment for a separator. Not every server
    # refuses bytes that no address has.
    path = request.scope["raw_path"].decode("latin-1")
    query = request.scope["query_string"].decode("latin-1")
    host = request.headers.get("host", "localhost")
    url = f"{request.scope['scheme']}://{host}{path}"
    return HttpRequest(
        request.method, f"{url}?{query}" if query else url, dict(request.headers), body
    )


async def _small(request: Request) -> bytes:
    """Read a body that is no file; of a larger one, one byte too many tells the core enough."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk[: MAX_BODY + 1 - len(body)]
    return bytes(body)


def _reader(file: IO[bytes]) -> IO[bytes]:
    reader = os.fdopen(os.dup(file.fileno()), "rb")
    reader.seek(0)
    return reader


def _next(chunks: Iterator[bytes]) -> bytes | None:
    return next(chunks, None)
