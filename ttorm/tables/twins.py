"""Twins that have a row in an index table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, TypeVar

from ttorm.pairs import twin_of
from ttorm.records.collection import Collection
from ttorm.records.listing import Attention, Listing
from ttorm.records.twin import Twin
from ttorm.sessions import current_session
from ttorm.tables.rows import Rows

__all__ = ["Twins"]

M = TypeVar("M", bound=Twin)


class Twins(Collection[M]):
    """Twins that have a row in an index table, in the order of the rows; iterable in both worlds.

    They are loaded when they are looked at, and then together with the next ones.
    """

    def __init__(self, rows: Rows[Any], model: type[M]) -> None:
        self._rows = rows
        self._model = model

    def __iter__(self) -> Iterator[M]:
        yield from self._shown(list(self._rows))

    async def __aiter__(self) -> AsyncIterator[M]:
        for twin in self._shown([row async for row in self._rows]):
            yield twin

    def _shown(self, rows: Iterable[Any]) -> list[M]:
        session = current_session()
        found = [self._model.at(row["uuid"]) for row in rows]
        listing = Listing(session, session.fetch, Attention())
        listing.uuids += [str(twin.uuid) for twin in found]
        for twin in found:
            twin._state.listing = listing
        return found

    def first(self) -> M | None:
        """Return the first one; None when there is none."""
        return next(iter(self._shown(self._rows._few(1))), None)

    @twin_of(first)
    async def afirst(self) -> M | None:
        return next(iter(self._shown([row async for row in self._rows._few(1)])), None)

    def count(self) -> int:
        """Count them in the database, without reading them."""
        return self._rows.count()

    @twin_of(count)
    async def acount(self) -> int:
        return await self._rows.acount()

    def __repr__(self) -> str:
        return f"<{self._model.__name__} Twins of {self._rows!r}>"
