"""Bringing tables up to what their classes declare: those that are missing made, others altered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable
from weakref import WeakKeyDictionary

from ttorm.api.answers import refusal
from ttorm.api.errors import NotFoundError
from ttorm.api.request import ApiRequest, api_request
from ttorm.connection.calls import perform
from ttorm.flows import Flow, gather
from ttorm.pairs import twin_of
from ttorm.records.meta import Meta
from ttorm.records.twin import Twin
from ttorm.results import Plan, PlannedRequest, SaveResult, all_of
from ttorm.sessions import current_session
from ttorm.tables.alterations import Definition, altered
from ttorm.tables.stored import StoredTable, refused

__all__ = ["Migratable", "Wanted", "amigrate_all", "migrate", "migrate_all", "plan_of"]

Wanted: TypeAlias = tuple[type[StoredTable], Definition]
"""A table as it is to be, and what stands for it at the service."""
INDEXES: WeakKeyDictionary[type, list[Any]] = WeakKeyDictionary()
"""Index tables by the models that they are declared for."""


@runtime_checkable
class Migratable(Protocol):
    """A class that declares a table."""

    @classmethod
    def _definition_of(cls) -> Wanted: ...


class _Step(NamedTuple):
    """What one request of a migration does.

    Attributes:
        request: The request; None when a table is as it is to be.
        created: Names of the tables that it makes.
        updated: The table that it alters.
    """

    request: ApiRequest | None
    created: tuple[str, ...] = ()
    updated: tuple[StoredTable, Mapping[str, Any]] | None = None


def migrate_all(*classes: type[Migratable | Twin]) -> SaveResult:
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
async def amigrate_all(*classes: type[Migratable | Twin]) -> SaveResult:
    return await current_session().connection.arun(migrate(_wanted(classes)))


def _wanted(classes: Iterable[object]) -> list[Wanted]:
    """Return the tables of some classes, each one once.

    Raises:
        TypeError: A class declares none.
    """
    tables: dict[Any, None] = {}
    for one in classes:
        if isinstance(one, type) and issubclass(one, Twin):
            meta: Meta = one.__meta__
            tables.update(dict.fromkeys([*meta.timeseries, *meta.indexes, *INDEXES.get(one, ())]))
            continue
        if not isinstance(one, Migratable):
            raise TypeError(
                f"migrate_all({one!r}): expected a class that declares a table, or a model"
            )
        tables[one] = None
    return [table._definition_of() for table in tables]


def plan_of(wanted: Sequence[Wanted]) -> Flow[Plan]:
    """Give the requests that `migrate` would send."""
    steps = yield from _steps(wanted)
    return Plan([PlannedRequest.of(step.request) for step in steps if step.request is not None])


def migrate(wanted: Sequence[Wanted]) -> Flow[SaveResult]:
    """Make the tables that are missing, all of a kind by one request, and alter the others.

    Raises:
        SaveError: The service refused some of them; the others are done.
    """
    result = SaveResult()
    reasons: dict[str, str] = {}
    operation = ""
    for step in (yield from _steps(wanted)):
        if step.updated is not None:
            table, body = step.updated
            done = yield from table._sent(body)
            result = SaveResult.sum([result, done._replace(updated=(table.name,))])
        elif step.request is not None:
            answer = yield from perform(current_session().connection, step.request)
            operation = step.request.operation.name
            (kind,) = step.request.body
            found = {name: refusal(answer, kind, name) for name in step.created}
            reasons |= {name: reason for name, reason in found.items() if reason is not None}
            created = tuple(name for name, reason in found.items() if reason is None)
            result = SaveResult.sum([result, SaveResult(created, requests=1)])
    if reasons:
        raise refused(operation, reasons, result)
    return result


def _steps(wanted: Sequence[Wanted]) -> Flow[list[_Step]]:
    """Find out what is to be sent, creations first; refuses all when one cannot be done."""
    tables = [kind._at(definition.name) for kind, definition in wanted]
    exist = all_of((yield from gather(_exists(table) for table in tables)))
    missing: dict[type[StoredTable], dict[str, Any]] = {}
    steps: list[_Step] = []
    for table, (kind, definition), exists in zip(tables, wanted, exist, strict=True):
        if not exists:
            missing.setdefault(kind, {})[definition.name] = definition.wire
            continue
        body = altered(definition, table._item.known)
        if body:
            steps.append(_Step(table._request(kind._operations.update, body), (), (table, body)))
    creations = [
        _Step(api_request(kind._operations.create or "", body={kind._kind: found}), (*found,))
        for kind, found in missing.items()
    ]
    return [*creations, *steps]


def _exists(table: StoredTable) -> Flow[bool]:
    try:
        yield from table._load(fresh=True)
    except NotFoundError:
        return False
    return True
