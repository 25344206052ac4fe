"""Tables of several classes, and those of models, brought up to date together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ttorm.pairs import twin_of
from ttorm.records.meta import Meta
from ttorm.records.twin import Twin
from ttorm.results import SaveResult
from ttorm.sessions import current_session
from ttorm.tables.declared import DeclaredTable
from ttorm.tables.indexes import IndexTable
from ttorm.tables.migrations import Wanted, migrate

__all__ = ["amigrate_all", "migrate_all"]


def migrate_all(*classes: type[DeclaredTable[Any] | Twin]) -> SaveResult:
    """Bring the tables of several classes up to date: all that are missing by one request a kind.

    Args:
        *classes: Classes that declare tables; of a model, the tables that its ``class Meta`` names
            and the index tables that are declared for it.

    Raises:
        SaveError: The service refused some of the tables; the others are done.
        StateError: Columns of one would have to be dropped, reordered or given other types;
            nothing was sent.

    Example:
        >>> class Weather(TimeseriesTable):
        ...     celsius: Column[float] = measurement()
        >>> class Station(Twin):
        ...     celsius: Field[float] = entry()
        ...     class Meta:
        ...         timeseries = Weather
        >>> class Hot(IndexTable[Station]):
        ...     celsius: Column[float] = column()
        ...     class Meta:
        ...         rule = Station.celsius > 30
        >>> ttorm.migrate_all(Station).created
        ('weather', 'hot')
    """
    return current_session().connection.run(migrate(_wanted(classes)))


@twin_of(migrate_all)
async def amigrate_all(*classes: type[DeclaredTable[Any] | Twin]) -> SaveResult:
    return await current_session().connection.arun(migrate(_wanted(classes)))


def _wanted(classes: Iterable[object]) -> list[Wanted]:
    """Return the tables of some classes, each one once.

    Raises:
        TypeError: A class declares none.
    """
    tables: dict[Any, None] = {}
    for one in classes:
        if isinstance(one, type) and issubclass(one, (Twin, DeclaredTable)):
            tables.update(dict.fromkeys(_tables_of(one) if issubclass(one, Twin) else [one]))
        else:
            raise TypeError(
                f"migrate_all({one!r}): expected a class that declares a table, or a model"
            )
    return [table._definition_of() for table in tables]


def _tables_of(model: type[Twin]) -> list[Any]:
    """Return the tables that a model names, and the index tables that are declared for it."""
    meta: Meta = model.__meta__
    index_tables = () if model is Twin else _below(IndexTable)
    declared = [table for table in index_tables if table.__model__ is model]
    named: Any = [*meta.timeseries, *meta.indexes, *declared]
    # Of classes of one table, as notebooks leave them behind, the last one counts.
    found: dict[Any, Any] = {table.__place__: table for table in named}
    return list(found.values())


def _below(kind: type[Any]) -> Iterator[Any]:
    subclasses: list[Any] = type.__subclasses__(kind)
    for subclass in subclasses:
        if subclass.__place__ is not None:
            yield subclass
        yield from _below(subclass)
