"""What rules mention, as a Twin has it: for rules that are evaluated here."""

from __future__ import annotations

from collections.abc import Collection
from time import time
from typing import Any

from ttorm.api.answers import member
from ttorm.api.request import api_request
from ttorm.connection.core import Connection
from ttorm.connection.reads import read
from ttorm.flows import Flow
from ttorm.records.cells import Marker
from ttorm.records.items import Item, Items
from ttorm.records.loading import check_blocking, load, require
from ttorm.records.state import TwinState

__all__ = ["load_variables", "variables"]

_PARTS = {"TWIN": "description", "twin_status": "description", "LEDGER": "ledger"}
_OF_CALLER = frozenset({"account", "user", "role", "ledger", "USER"})


def variables(state: TwinState, names: Collection[str]) -> dict[str, Any]:
    """Return the values of variables, loading what they need.

    Raises:
        NotLoadedError: Something is not loaded, and waiting is not allowed here.
    """
    for part in _parts(names):
        require(state, part, f"the {part}")
    caller: dict[str, Any] = {}
    if not _OF_CALLER.isdisjoint(names):
        check_blocking(state, "what the rule says of the caller", "rule.amatches(record)")
        caller = state.connection.run(_caller(state.connection, names))
    return caller | _known(state, names)


def load_variables(state: TwinState, names: Collection[str]) -> Flow[dict[str, Any]]:
    """Load what variables need, and return their values."""
    if parts := _parts(names):
        yield from load(state, parts)
    caller: dict[str, Any] = {}
    if not _OF_CALLER.isdisjoint(names):
        caller = yield from _caller(state.connection, names)
    return caller | _known(state, names)


def _parts(names: Collection[str]) -> list[str]:
    return list(dict.fromkeys(part for name, part in _PARTS.items() if name in names))


def _caller(connection: Connection, names: Collection[str]) -> Flow[dict[str, Any]]:
    who = (yield from read(connection, api_request("who_am_i"))).body
    found: dict[str, Any] = {**who, "ledger": who.get("account")}
    if "USER" in names:
        answer = yield from read(connection, api_request("get_user", [who.get("user")]))
        found["USER"] = member(answer.body, "description")
    return found


def _known(state: TwinState, names: Collection[str]) -> dict[str, Any]:
    """Return what is there already; changes that are not saved yet count."""
    found: dict[str, Any] = {"now": round(time(), 3)}
    if state.uuid is not None:
        found["twin"] = state.uuid
        found["twin_status"] = (state.facts or {}).get("status")
    if "DICT" in names:
        found["DICT"] = state.connection._dictionary
    if "TWIN" in names:
        found["TWIN"] = _description(state.description)
    if "LEDGER" in names:
        found["LEDGER"] = _values(state.ledger)
    return found


def _description(item: Item) -> dict[str, Any]:
    changed = {key: cell.current() for key, cell in item.cells.items()}
    return _present({**item.known, **changed})


def _values(ledger: Items) -> dict[str, Any]:
    touched = dict(ledger)
    return _present(
        {
            name: touched[name].current("value")
            if name in touched
            else ledger.base[name].get("value")
            for name in ledger.names()
        }
    )


def _present(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if not isinstance(value, Marker)}
