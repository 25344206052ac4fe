"""The order in which records of one unit of work are saved: what is spoken of before who speaks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Generic, NamedTuple, Protocol, TypeVar

__all__ = ["Waiting", "Wave", "waves"]


class Waiting(Protocol):
    """Something that is saved after others."""

    def waits_for(self) -> Collection[object]:
        """Return what has to be saved first."""
        ...


W = TypeVar("W", bound=Waiting)


class Wave(NamedTuple, Generic[W]):
    """What can be saved side by side.

    Attributes:
        units: The records.
        early: Whether what speaks of others is left for a later wave.
    """

    units: list[W]
    early: bool = False


def waves(units: Iterable[W]) -> Iterator[Wave[W]]:
    """Put records in order, each after those it waits for.

    What waits for each other in a circle is saved twice: first what it can do without the others,
    then the rest.
    """
    left = {id(unit): unit for unit in units}
    before = {key: {id(other) for other in unit.waits_for()} - {key} for key, unit in left.items()}
    while left:
        ready = [key for key in left if before[key].isdisjoint(left)]
        if not ready:
            circle = list(left.values())
            yield Wave(circle, early=True)
            yield Wave(circle)
            return
        yield Wave([left.pop(key) for key in ready])
