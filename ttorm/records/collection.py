"""Collections of the platform's objects: read page by page, while somebody goes through them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Generic, TypeVar

from ttorm.connection.core import Connection
from ttorm.flows import Flow
from ttorm.pairs import twin_of
from ttorm.records.unread import Unread
from ttorm.sessions import current_session

__all__ = ["Collection"]

T = TypeVar("T")


class Collection(Unread, Generic[T]):
    """Objects that a listing names, in its order; iterable and async iterable, each time anew."""

    def __init__(
        self, what: str, page: Callable[[Connection, Any], Flow[tuple[list[T], Any]]]
    ) -> None:
        self._what = what
        # Gets where to go on (None at first); returns objects, and where the next page begins.
        self._page = page

    def __iter__(self) -> Iterator[T]:
        connection, place = current_session().connection, None
        while True:
            found, place = connection.run(self._page(connection, place))
            yield from found
            if place is None:
                return

    async def __aiter__(self) -> AsyncIterator[T]:
        connection, place = current_session().connection, None
        while True:
            found, place = await connection.arun(self._page(connection, place))
            for one in found:
                yield one
            if place is None:
                return

    def all(self) -> list[T]:
        """Return all of them."""
        return list(self)

    @twin_of(all)  # noqa: A003 # the verb above
    async def aall(self) -> list[T]:
        return [one async for one in self]

    def first(self) -> T | None:
        """Return the first one; None when there is none."""
        return next(iter(self), None)

    @twin_of(first)
    async def afirst(self) -> T | None:
        async for one in self:
            return one
        return None

    def __repr__(self) -> str:
        return f"<Collection of {self._what}>"
