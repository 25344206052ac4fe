"""Connections that break on purpose: closed without an answer, as a network would do it."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ttorm.api.errors import TransportError

__all__ = ["HangUp"]


class HangUp:
    """Closes the connection of a request whose application raises `TransportError`.

    Under uvicorn, that is: other servers get the error and do with it what they do with any.

    Args:
        app: Answers the requests.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or close its connection."""
        try:
            await self._app(scope, receive, send)
        except TransportError:
            # The method of uvicorn, of which a request knows no more.
            connection = getattr(getattr(send, "__self__", None), "transport", None)
            if connection is None:
                raise
            connection.close()
            # Whoever returns before the server has noticed is said to have forgotten the answer.
            await _end(receive)


async def _end(receive: Receive) -> None:
    message: Message = {"type": ""}
    while message["type"] != "http.disconnect":
        message = await receive()
