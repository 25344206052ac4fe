"""Objects beside Twins that are found by a UUID or name, and those of them that can be deleted."""

from __future__ import annotations

from typing import Self

from ttorm.api.names import check_uuid
from ttorm.connection.calls import perform
from ttorm.flows import Flow
from ttorm.pairs import twin_of
from ttorm.records.cells import ABSENT, Marker
from ttorm.records.resource import Resource
from ttorm.results import SaveResult
from ttorm.sessions import current_session

__all__ = ["Deletable", "KeyedResource"]


class KeyedResource(Resource):
    """A resource with a UUID or name."""

    __slots__ = ()

    @classmethod
    def _checked_key(cls, key: str) -> str:
        """Refuse what is no key; classes whose keys are names change this."""
        return check_uuid(key)

    @classmethod
    def at(cls, key: str) -> Self:
        """Return the object of a UUID or name without asking the service.

        Args:
            key: Its UUID or name.

        Raises:
            ValidationError: That is none.
        """
        return cls._at(cls._checked_key(key))

    @classmethod
    def get(cls, key: str, *, fresh: bool = False) -> Self:
        """Read an object.

        Args:
            key: Its UUID or name.
            fresh: Ask the service whatever the cache holds.

        Raises:
            NotFoundError: There is none.
            ValidationError: That is no UUID or name.
        """
        return current_session().connection.run(cls._fetch(key, fresh=fresh))

    @classmethod
    @twin_of(get)
    async def aget(cls, key: str, *, fresh: bool = False) -> Self:
        return await current_session().connection.arun(cls._fetch(key, fresh=fresh))

    @classmethod
    def _fetch(cls, key: str, *, fresh: bool) -> Flow[Self]:
        record = cls.at(key)
        yield from record._load(fresh=fresh)
        return record


class Deletable(KeyedResource):
    """A resource that can be deleted."""

    __slots__ = ()

    def delete(self) -> SaveResult:
        """Delete it at once. What it was stays readable; saving it makes a new one.

        Raises:
            NotFoundError: There is no such object.
            StateError: It was not saved yet.
        """
        return self._connection.run(self._delete())

    @twin_of(delete)
    async def adelete(self) -> SaveResult:
        return await self._connection.arun(self._delete())

    def _delete(self) -> Flow[SaveResult]:
        key = self._saved_key()
        yield from perform(self._connection, self._request(self._operations.delete))
        self._become_new()
        return SaveResult(deleted=(key,), requests=1)

    def _become_new(self) -> None:
        kept = {
            member.wire: self._item.current(member.wire)
            for member in self._members().values()
            if member.writable
        }
        bound = self._bound
        self._begin(None, ABSENT)
        self._bound = bound
        for wire, value in kept.items():
            if not isinstance(value, Marker) and value is not None:
                self._item.cell(wire).assign(value)
