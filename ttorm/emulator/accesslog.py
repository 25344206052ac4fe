"""The access log: a line for each request, without what lets its reader do something."""

from __future__ import annotations

import logging
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ttorm.api.http import HttpRequest
from ttorm.emulator.routing import Route, route_of, shown_path

__all__ = ["AccessLog"]

_log = logging.getLogger("ttorm.emulator.access")
_MASK = "***"


class AccessLog:
    """Logs requests as ``ttorm.emulator.access``, at level INFO.

    A line has the client's address, method, path with its query, status, length of the answer in
    bytes and how long it took. PINs, handlers of files and tokens are masked, as is each query
    parameter that the operation does not have; headers and bodies are not logged.

    Args:
        app: Answers the requests.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and log it when it is answered or given up."""
        if scope["type"] != "http" or not _log.isEnabledFor(logging.INFO):
            await self._app(scope, receive, send)
            return
        status, size, started = "-", 0, perf_counter()

        async def counted(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = str(message["status"])
            size += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            client, _ = scope["client"] or ("-", 0)
            milliseconds = (perf_counter() - started) * 1_000
            place = _shown(scope)
            _log.info("%s %s %s %s %d bytes %.1f ms", client, *place, status, size, milliseconds)


def _shown(scope: Scope) -> tuple[str, str]:
    method = scope["method"]
    # "//secrets/..." is no operation, yet has a PIN where the operation has one.
    path = "/" + scope["raw_path"].decode("latin-1").lstrip("/")
    query = scope["query_string"].decode("latin-1")
    route = route_of(HttpRequest(method, f"http://localhost{path}"))
    shown = shown_path(path, route, _MASK)
    return method, f"{shown}?{_shown_query(query, route)}" if query else shown


def _shown_query(query: str, route: Route | None) -> str:
    harmless = frozenset(() if route is None else route.operation.query) - {"token"}
    parts = (part.partition("=") for part in query.split("&"))
    return "&".join(
        f"{name}={value}" if name in harmless else f"{name if value else ''}={_MASK}"
        for name, _, value in parts
    )
