"""A receiver as a web application, for servers and frameworks that take one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import IO, Any, TypeAlias

from ttorm.webhooks.receiver import Receiver
from ttorm.webhooks.refusals import Reply

__all__ = ["Asgi", "Wsgi"]

_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]
_StartResponse: TypeAlias = Callable[[str, list[tuple[str, str]]], object]

_POST_ONLY = Reply.of(405, "expected POST", allow="POST")
_ENDLESS = Reply.of(400, "the body has no end")


class Asgi:
    """An ASGI application that takes messages for a receiver, at any path.

    Args:
        receiver: The receiver.

    Example:
        >>> from fastapi import FastAPI
        >>> receiver = ttorm.webhooks.Receiver()
        >>> FastAPI().add_route("/hook", ttorm.webhooks.Asgi(receiver), methods=["POST"])
    """

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            await _send(send, await _asgi_reply(self._receiver, scope, receive))


async def _asgi_reply(receiver: Receiver, scope: _Message, receive: _Receive) -> Reply:
    if scope["method"] != "POST":
        return _POST_ONLY
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    body = bytearray()
    # One byte more than is taken: the rest of a large body is not waited for.
    while len(body) <= receiver.max_body:
        message = await receive()
        if message["type"] == "http.disconnect":
            return _ENDLESS
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    return await receiver.ahandle(bytes(body), headers)


async def _send(send: _Send, reply: Reply) -> None:
    headers = {**reply.headers, "content-length": str(len(reply.body))}
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": pairs})
    await send({"type": "http.response.body", "body": reply.body})


class Wsgi:
    """A WSGI application that takes messages for a receiver, at any path.

    Args:
        receiver: The receiver.

    Example:
        >>> from wsgiref.simple_server import make_server
        >>> receiver = ttorm.webhooks.Receiver()
        >>> make_server("127.0.0.1", 0, ttorm.webhooks.Wsgi(receiver)).server_close()
    """

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def __call__(self, environ: dict[str, Any], start_response: _StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        reply = _wsgi_reply(self._receiver, environ)
        headers = {**reply.headers, "content-length": str(len(reply.body))}
        status = f"{reply.status} {HTTPStatus(reply.status).phrase}"
        start_response(status, list(headers.items()))
        return [reply.body]


def _wsgi_reply(receiver: Receiver, environ: dict[str, Any]) -> Reply:
    if environ.get("REQUEST_METHOD") != "POST":
        return _POST_ONLY
    length = environ.get("CONTENT_LENGTH") or ""
    if not (length.isascii() and length.isdigit() and len(length) < 20):
        return Reply.of(411, "expected the length of the body")
    if int(length) > receiver.max_body:
        return Reply.of(413, f"a message has at most {receiver.max_body} bytes")
    body = _read(environ["wsgi.input"], int(length))
    if len(body) < int(length):
        return _ENDLESS
    named = {"content-type": "CONTENT_TYPE", "content-encoding": "HTTP_CONTENT_ENCODING"}
    headers = {name: environ[key] for name, key in named.items() if environ.get(key)}
    return receiver.handle(body, headers)


def _read(source: IO[bytes], length: int) -> bytes:
    """Read a body; one whose sender breaks off or falls silent is none."""
    try:
        return source.read(length)
    except OSError:
        return b""
