"""The identity map of a session: one object for each Twin, as long as somebody holds it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any
from weakref import ref

__all__ = ["IdentityMap"]

_LEAST = 4_096
"""Below so many places it is not worth while to look for those whose objects have ended."""


class IdentityMap(MutableMapping[str, Any]):
    """Objects by UUID, weakly held.

    What `weakref.WeakValueDictionary` is, for objects that come and go by the thousand: the end of
    one calls nothing here, and the places of the ended are given up when the map has doubled.
    """

    __slots__ = ("_limit", "_places")

    def __init__(self) -> None:
        self._places: dict[str, ref[Any]] = {}
        self._limit = _LEAST

    def get(self, uuid: str, default: Any = None) -> Any:
        """Return the object of a UUID that is alive, or the default."""
        place = self._places.get(uuid)
        found = None if place is None else place()
        return default if found is None else found

    def find(self, uuids: Iterable[str]) -> list[Any]:
        """Return the objects of several UUIDs; None for each that there is not."""
        return [place and place() for place in map(self._places.get, uuids)]

    def add(self, uuids: Iterable[str], objects: Iterable[object]) -> None:
        """Take several objects with their UUIDs."""
        self._places.update(zip(uuids, map(ref, objects), strict=True))
        if len(self._places) > self._limit:
            places = self._places.items()
            self._places = {uuid: place for uuid, place in places if place() is not None}
            self._limit = max(_LEAST, 2 * len(self._places))

    def __getitem__(self, uuid: str) -> Any:
        found = self._places[uuid]()
        if found is None:
            raise KeyError(uuid)
        return found

    def __setitem__(self, uuid: str, value: object) -> None:
        self.add([uuid], [value])

    def __delitem__(self, uuid: str) -> None:
        del self._places[uuid]

    def __iter__(self) -> Iterator[str]:
        return iter([uuid for uuid, place in list(self._places.items()) if place() is not None])

    def __len__(self) -> int:
        return sum(1 for _ in self)
