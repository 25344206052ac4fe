"""A session for each request of an ASGI application: Starlette, FastAPI and others.

```python
app.add_middleware(SessionMiddleware)
```
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from ttorm.connection.core import Connection
from ttorm.connection.opening import default_connection
from ttorm.sessions import Fetch, Session, check_fetch

__all__ = ["SessionMiddleware"]

_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]
_App: TypeAlias = Callable[[_Message, _Receive, _Send], Awaitable[None]]


class SessionMiddleware:
    """Opens a session block around each HTTP request.

    What the request changed is saved before the answer begins, so that a save that fails becomes
    an error of the request; an answer of 400 or more, or an exception, forgets the changes. What is
    changed later, while the answer is sent or by a background task, is saved at the end.

    Handlers that run on threads use the block as well, and may wait for the service there; in
    coroutines, reading what is not loaded raises `NotLoadedError` as everywhere.

    Args:
        app: The application.
        connection: The connection; the default one of each moment when left out.
        fetch: See `ttorm.session`.
        budget: Most requests that one request may send; None allows any number.

    Example:
        >>> from fastapi import FastAPI
        >>> from ttorm.contrib.fastapi import SessionMiddleware
        >>> app = FastAPI()
        >>> app.add_middleware(SessionMiddleware, budget=50)
    """

    def __init__(
        self,
        app: _App,
        *,
        connection: Connection | None = None,
        fetch: Fetch = "peers",
        budget: int | None = None,
    ) -> None:
        check_fetch(fetch)
        self._app = app
        self._connection = connection
        self._fetch: Fetch = fetch
        self._budget = budget

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Answer one request inside a block of its own."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # The framework hands a request from its loop to its threads and back, one at a time.
        block = Session(
            self._connection or default_connection(),
            keep=True,
            fetch=self._fetch,
            budget=self._budget,
            anchored=False,
        )

        async def saving(message: _Message) -> None:
            if message["type"] == "http.response.start":
                if message["status"] < 400:
                    await block.aflush()
                else:
                    block.rollback()
            await send(message)

        block.begin()
        try:
            await self._app(scope, receive, saving)
            await block.aflush()
        except BaseException:
            block.rollback()
            raise
        finally:
            block.end()
