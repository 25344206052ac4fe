"""FastAPI: a session for each request; records as path parameters and answers.

A model class is a type that pydantic knows: a parameter annotated with it takes a UUID and gives a
record, without asking the service; a record that a handler returns is sent as its fields.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, cast

from fastapi.routing import APIRoute

from ttorm.contrib.asgi import SessionMiddleware
from ttorm.records.dumping import complete
from ttorm.records.record import Record

__all__ = ["RecordRoute", "SessionMiddleware"]


class RecordRoute(APIRoute):
    """Routes that load what the records they answer with lack, all side by side.

    FastAPI makes JSON of an answer on its event loop, where records cannot wait for the service.
    Say ``app.router.route_class = RecordRoute`` or ``APIRouter(route_class=RecordRoute)`` before
    the handlers; without it they return ``scooter.load()`` or ``await scooter.aload()``.

    Args:
        path: The path.
        endpoint: The handler: it returns a record, a list or tuple of records, or anything else.
        **options: What FastAPI's own routes take.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, _loading(endpoint), **options)


def _loading(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """Have a handler load the records it returns."""

    @functools.wraps(endpoint)
    async def awaited(*arguments: Any, **named: Any) -> Any:
        found = await endpoint(*arguments, **named)
        if records := _records(found):
            await records[0]._connection.arun(complete(records))
        return found

    @functools.wraps(endpoint)
    def called(*arguments: Any, **named: Any) -> Any:
        found = endpoint(*arguments, **named)
        if records := _records(found):
            records[0]._connection.run(complete(records))
        return found

    answer: Any = awaited if inspect.iscoroutinefunction(endpoint) else called
    # Older versions of FastAPI look for the names in annotations here, not where the handler is.
    with suppress(NameError):
        answer.__signature__ = inspect.signature(endpoint, eval_str=True)
    return cast("Callable[..., Any]", answer)


def _records(found: Any) -> list[Any]:
    several = cast("Sequence[Any]", found) if isinstance(found, (list, tuple)) else [found]
    return [one for one in several if isinstance(one, Record) and one._state.uuid is not None]
