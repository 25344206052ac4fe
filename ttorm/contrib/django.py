"""Django: a connection from the settings, and a session for each request.

```python
INSTALLED_APPS = [..., "ttorm.contrib.django"]
MIDDLEWARE = [..., "ttorm.contrib.django.SessionMiddleware"]
TTORM = {"url": "sqlite:///fleet.db"}
```
"""

# Django has no types of its own.
# pyright: basic

from __future__ import annotations

from threading import Lock
from typing import Any

from django import conf

from ttorm.api.credentials import masked, masked_address
from ttorm.api.errors import ConfigurationError
from ttorm.connection.core import Connection
from ttorm.connection.opening import connect, default_connection
from ttorm.sessions import Session

__all__ = ["SessionMiddleware", "connection"]

_known: list[tuple[dict[str, Any], Connection]] = []
_lock = Lock()


def connection() -> Connection:
    """Return the connection of the setting ``TTORM``, made at the first use.

    Its keys are the arguments of `ttorm.connect`; without it the default connection counts.

    Raises:
        ConfigurationError: The setting has no URL, or something `ttorm.connect` does not take.
    """
    if getattr(conf.settings, "TTORM", None) is None:
        return default_connection()
    options = _options()
    with _lock:
        for known, made in _known:
            if known == options:
                return made
        try:
            made = connect(**{"default": not _known, **options})
        except TypeError as error:
            raise ConfigurationError(f"the setting TTORM: {error}") from None
        _known.append((options, made))
        return made


def _options() -> dict[str, Any]:
    """Read the setting; names may be written in capitals, as Django's are."""
    options: dict[str, Any] = {}
    # Not the setting by itself: tracebacks show locals.
    if isinstance(conf.settings.TTORM, dict):
        options = dict(_option(*given) for given in conf.settings.TTORM.items())
    if "url" not in options:
        raise ConfigurationError(
            "the setting TTORM has no URL: expected a dictionary such as "
            '{"url": "sqlite:///fleet.db"}'
        )
    return options


def _option(name: object, value: Any) -> tuple[str, Any]:
    key = str(name).lower()
    if isinstance(value, str):
        value = masked(value) if key in ("secret", "token", "proxy") else masked_address(value)
    return key, value


def SessionMiddleware(get_response: Any) -> Any:  # noqa: N802 # Django's are classes, or look so
    """Open a session block around each request, in sync and async views.

    What the view changed is saved before the answer is sent, so that a save that fails becomes an
    error of the request; an answer of 400 or more, or an exception, forgets the changes.

    Args:
        get_response: What answers the request: the next middleware, or the view.
    """
    return _in_async_views(get_response) if _is_async(get_response) else _in_views(get_response)


# What Django asks of a middleware for both kinds of views.
SessionMiddleware.sync_capable = SessionMiddleware.async_capable = True  # type: ignore[attr-defined]


def _is_async(get_response: Any) -> bool:
    # Django marks callables of its own as coroutine functions.
    from asgiref.sync import iscoroutinefunction as is_marked

    return is_marked(get_response)


def _in_views(get_response: Any) -> Any:
    def answer(request: Any) -> Any:
        block = _begun()
        try:
            response = get_response(request)
            if response.status_code < 400:
                block.flush()
            return response
        finally:
            _end(block)

    return answer


def _in_async_views(get_response: Any) -> Any:
    async def answer(request: Any) -> Any:
        block = _begun()
        try:
            response = await get_response(request)
            if response.status_code < 400:
                await block.aflush()
            return response
        finally:
            _end(block)

    return answer


def _begun() -> Session:
    # Django hands a request from its loop to its threads and back, one at a time.
    block = Session(connection(), keep=True, anchored=False)
    block.begin()
    return block


def _end(block: Session) -> None:
    block.rollback()
    block.end()
