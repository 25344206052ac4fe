"""Bringing tables up to what their classes declare: those that are missing made, others altered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from ttorm.api.answers import refusal
from ttorm.api.errors import NotFoundError, OutcomeUnknownError
from ttorm.api.request import ApiRequest, api_request
from ttorm.connection.calls import perform
from ttorm.flows import Flow, gather
from ttorm.results import Plan, PlannedRequest, SaveResult, all_of
from ttorm.sessions import current_session
from ttorm.tables.alterations import Definition, altered
from ttorm.tables.stored import StoredTable, found_as, refused

__all__ = ["Wanted", "migrate", "plan_of"]

Wanted: TypeAlias = tuple[type[StoredTable], Definition]
"""A table as it is to be, and what stands for it at the service."""


class _Step(NamedTuple):
    """What one request of a migration does.

    Attributes:
        request: The request; None when a table is as it is to be.
        created: The tables that it makes.
        updated: The table that it alters.
    """

    request: ApiRequest | None
    created: tuple[Wanted, ...] = ()
    updated: tuple[StoredTable, Mapping[str, Any]] | None = None


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
            operation = step.request.operation.name
            found = yield from _created(step.request, step.created)
            reasons |= {name: reason for name, reason in found.items() if reason is not None}
            created = tuple(name for name, reason in found.items() if reason is None)
            result = SaveResult.sum([result, SaveResult(created, requests=1)])
    if reasons:
        raise refused(operation, reasons, result)
    return result


def _created(request: ApiRequest, wanted: Sequence[Wanted]) -> Flow[dict[str, str | None]]:
    """Make tables, and return why the service refused them, by name; None for those that it made.

    Raises:
        OutcomeUnknownError: No answer came, and the tables are not there.
    """
    answer: dict[str, Any] = {}
    connection = current_session().connection
    try:
        answer = yield from perform(connection, request)
    except OutcomeUnknownError:
        tables = yield from gather(
            found_as(kind, definition, connection) for kind, definition in wanted
        )
        if None in all_of(tables):
            raise
    return {
        definition.name: refusal(answer, kind._kind, definition.name) for kind, definition in wanted
    }


def _steps(wanted: Sequence[Wanted]) -> Flow[list[_Step]]:
    """Find out what is to be sent, creations first; refuses all when one cannot be done."""
    tables = [kind._at(definition.name) for kind, definition in wanted]
    exist = all_of((yield from gather(_exists(table) for table in tables)))
    missing: dict[type[StoredTable], list[Wanted]] = {}
    steps: list[_Step] = []
    for table, (kind, definition), exists in zip(tables, wanted, exist, strict=True):
        if not exists:
            missing.setdefault(kind, []).append((kind, definition))
            continue
        body = altered(definition, table._item.known)
        if body:
            steps.append(_Step(table._request(kind._operations.update, body), (), (table, body)))
    return [*(_creation(kind, several) for kind, several in missing.items()), *steps]


def _creation(kind: type[StoredTable], wanted: Sequence[Wanted]) -> _Step:
    body = {kind._kind: {definition.name: definition.wire for _, definition in wanted}}
    return _Step(api_request(kind._operations.create or "", body=body), tuple(wanted))


def _exists(table: StoredTable) -> Flow[bool]:
    try:
        yield from table._load(fresh=True)
    except NotFoundError:
        return False
    return True
