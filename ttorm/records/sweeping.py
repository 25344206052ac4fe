"""Finishing what killed programs have begun: Twins that were created and never got their key."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from time import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ttorm.api.answers import member, needed, needed_list
from ttorm.api.errors import AlreadyDoneError
from ttorm.api.moments import given_seconds
from ttorm.api.names import IDENTITY
from ttorm.api.request import api_request
from ttorm.connection.calls import perform
from ttorm.flows import Flow, gather
from ttorm.records.creating import MARK
from ttorm.records.lookup import age, resolve, shown_found
from ttorm.records.models import model_of
from ttorm.results import all_of
from ttorm.rules import TWIN
from ttorm.sessions import current_session

if TYPE_CHECKING:
    from ttorm.records.twin import Twin

__all__ = ["Swept", "sweep"]

_Finished: TypeAlias = "tuple[Twin | None, str | None]"
"""The Twin that got its key, or the UUID of the one that was terminated."""


class Swept(NamedTuple):
    """What a sweep did.

    Attributes:
        adopted: Twins that got the key they were created for.
        terminated: UUIDs of Twins whose key another Twin has got.
    """

    adopted: tuple[Twin, ...] = ()
    terminated: tuple[str, ...] = ()


def sweep(model: Any, older_than: float) -> Flow[Swept]:
    """Give Twins of a class their keys, or terminate them."""
    before = time() - older_than if older_than else inf
    marked = yield from _marked(model, before)
    of_key: dict[str, list[dict[str, Any]]] = {}
    for wire in sorted(marked, key=age):
        of_key.setdefault(_key(wire), []).append(wire)
    found = all_of((yield from gather(_finish_each(model, some) for some in of_key.values())))
    done = [one for several in found for one in several]
    return Swept(
        tuple(twin for twin, _ in done if twin is not None),
        tuple(uuid for _, uuid in done if uuid is not None),
    )


def _marked(model: Any, before: float) -> Flow[list[dict[str, Any]]]:
    """List the alive Twins of a class that bear a mark with a key, and are old enough."""
    connection, found, cursor = current_session().connection, list[dict[str, Any]](), None
    rule = str(TWIN[MARK] != None)  # noqa: E711 # an expression
    while True:
        query = {"cursor": cursor, "count": 1000, "match": rule, "details": True}
        answer = yield from perform(connection, api_request("scan_twins", query=query))
        found.extend(wire for wire in needed_list(answer, "twins") if _is_due(model, wire, before))
        cursor = answer.get("cursor")
        if cursor is None:
            return found


def _is_due(model: Any, wire: Mapping[str, Any], before: float) -> bool:
    needed(wire, "creation_certificate", "uuid")
    created = given_seconds(member(wire, "creation_certificate").get("created_ts"))
    return (
        wire.get("status") == "alive"
        and created < before
        and bool(IDENTITY.fullmatch(_key(wire)))
        and model_of(member(wire, "description"), model) is not None
    )


def _key(wire: Mapping[str, Any]) -> str:
    return str(member(wire, "description").get(MARK)).partition(" ")[0]


def _finish_each(model: Any, several: list[dict[str, Any]]) -> Flow[list[_Finished]]:
    """Finish Twins of one key, the oldest first: it gets the key, and the others see that."""
    done: list[_Finished] = []
    for wire in several:
        finished = yield from _finish(model, wire)
        done.append(finished)
    return done


def _finish(model: Any, wire: Mapping[str, Any]) -> Flow[_Finished]:
    connection, text = current_session().connection, _key(wire)
    uuid = needed(wire, "creation_certificate", "uuid")
    holders = yield from resolve(model, text)
    if any(needed(one, "creation_certificate", "uuid") == uuid for one in holders):
        return None, None
    if holders:
        try:
            yield from perform(connection, api_request("terminate_twin", [uuid]))
        except AlreadyDoneError:
            return None, None
        return None, uuid
    body: dict[str, Any] = {"identities": {text: {}}}
    yield from perform(connection, api_request("create_twin_identity", [uuid], body=body))
    return shown_found(model, wire, text), None
