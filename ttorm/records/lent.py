"""Containers in users' hands, compared with what they were: all of a Twin's at once."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from operator import is_
from typing import TYPE_CHECKING, Any

from ttorm.api.codec import decode, encode

if TYPE_CHECKING:
    from ttorm.records.cells import Cell

__all__ = ["Lent"]

_CONTAINERS = frozenset((dict, list))
_JSON = frozenset((str, int, float, bool, type(None), dict, list))
_Level = tuple[list[type], bool]
_ROOM = 64
"""Containers that are kept before somebody looks which of them still count."""


class Lent:
    """What was handed out of a Twin of which nothing is changed.

    One comparison of two lists takes a fraction of the time of many calls, which is what asking
    each value for its changes takes. What it finds equal is; of what it does not, somebody has to
    look closer.
    """

    __slots__ = ("_bases", "_cells", "_known", "_levels", "_originals", "_room", "_values")

    def __init__(self) -> None:
        self._room = _ROOM
        self._clear()

    def _clear(self) -> None:
        self._known: set[int] = set()
        self._cells: list[Cell] = []
        self._bases: list[Any] = []
        self._values: list[Any] = []
        self._originals: list[Any] = []
        self._levels: list[_Level] | None = None

    def __len__(self) -> int:
        """How many containers are compared."""
        return len(self._values)

    def add(self, value: Any, cell: Cell) -> bool:
        """Take a container that was just handed out.

        Args:
            value: The container.
            cell: Where it belongs, with the JSON that it was made of and nobody changes.

        Returns:
            Whether it can be compared here: it is made of JSON's own types and nothing else.
        """
        if id(value) in self._known:
            return True
        if type(value) not in _CONTAINERS:
            return False
        original, levels = cell.base, _levels([value])
        if not all(_JSON.issuperset(kinds) for kinds, _ in levels):
            return False
        if value != original or levels != _levels([original]):
            # A field may read other JSON than is stored: 1 as 1.0.
            original = decode(encode(value))
        if len(self._values) >= self._room:
            self._let_go()
        self._take(cell, cell.base, value, original)
        return True

    def _take(self, cell: Cell, base: Any, value: Any, original: Any) -> None:
        self._known.add(id(value))
        self._cells.append(cell)
        self._bases.append(base)
        self._values.append(value)
        self._originals.append(original)
        self._levels = None

    def _let_go(self) -> None:
        """Forget what newer values have replaced: who reads for ever would fill it."""
        rows = list(zip(self._cells, self._bases, self._values, self._originals, strict=True))
        self._clear()
        for cell, base, value, original in rows:
            if any(value is one for one in cell.handed_out()):
                self._take(cell, base, value, original)
        self._room = _ROOM + 2 * len(self._values)

    def is_unchanged(self) -> bool:
        """Tell whether all are what they were when they were handed out."""
        values = self._values
        if values != self._originals:
            return False
        # Nor has what they are compared with become something else, if only True instead of 1.
        if not all(map(is_, [cell.base for cell in self._cells], self._bases)):
            return False
        if self._levels is None:
            self._levels = _levels(self._originals)
        # 1, 1.0 and True are equal, but not the same JSON.
        for kinds, deeper in self._levels:
            parts = _parts(values)
            if list(map(type, parts)) != kinds:
                return False
            values = _containers(parts) if deeper else []
        return True


def _levels(values: list[Any]) -> list[_Level]:
    """Give the types of all parts level by level, and whether there is a level below."""
    found: list[_Level] = []
    while values:
        parts = _parts(values)
        values = _containers(parts)
        found.append((list(map(type, parts)), bool(values)))
    return found


def _parts(containers: list[Any]) -> list[Any]:
    several: list[Iterable[Any]] = [
        one.values() if type(one) is dict else one for one in containers
    ]
    return list(chain.from_iterable(several))


def _containers(parts: list[Any]) -> list[Any]:
    return [part for part in parts if type(part) in _CONTAINERS]
