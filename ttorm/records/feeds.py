"""Which Timeseries tables an Entry feeds: its property `timeseries`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias, cast, runtime_checkable

__all__ = ["Feed", "Feeds", "feeds_of"]


@runtime_checkable
class Feed(Protocol):
    """A class of a Timeseries table, or a column of one."""

    def __feeds__(self) -> Mapping[str, Any]:
        """Give the property `timeseries` of an Entry that feeds it."""
        ...


Feeds: TypeAlias = Mapping[str, Any] | Feed | Sequence[Feed]
"""What an Entry feeds: a table, a column of one, or several; or the platform's own form of that."""


def feeds_of(feeds: Feeds, where: str = "timeseries") -> dict[str, Any]:
    """Give the tables that an Entry feeds as the API takes them.

    Args:
        feeds: A column, a class of a table, a list of such, or what the API takes.
        where: How messages name it.

    Raises:
        TypeError: It is none of these.

    Example:
        >>> class Weather(TimeseriesTable):
        ...     celsius: Column[float] = measurement()
        >>> feeds_of(Weather.celsius)
        {'weather': {'measurement': 'celsius'}}
    """
    if isinstance(feeds, Mapping):
        return dict(feeds)
    if isinstance(feeds, Feed):
        return dict(feeds.__feeds__())
    if not isinstance(cast(object, feeds), (list, tuple)):
        raise TypeError(
            f"{where} = {feeds!r}: expected a column such as Weather.celsius, a class of a table, "
            "a list of such, or the dictionary that the platform takes"
        )
    return {name: one for feed in feeds for name, one in feeds_of(feed, where).items()}
