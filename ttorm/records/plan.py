"""From changes to requests: the fewest that write them, as data, without any I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from ttorm.api.codec import JSONValue, encode
from ttorm.api.errors import QuotaError, StateError
from ttorm.api.request import MAX_BODY, ApiRequest, api_request, encode_query
from ttorm.records.cells import ABSENT, UNKNOWN
from ttorm.records.items import Item, Items
from ttorm.records.loading import part_request
from ttorm.records.needs import (
    Spot,
    account_needs_asking,
    keys_about_itself,
    spots_that_wait,
)
from ttorm.records.state import PERSONAL, TwinState
from ttorm.results import Plan, PlannedRequest, Stage

__all__ = ["Step", "check_atomic", "is_complete", "plan", "repeated", "steps"]

_URL_ROOM = 8_000
"""Bytes of ``entries=`` parameters in one URL."""
_NEW = "new"

Part = Literal["description", "identities", "ledger", "docs"]
Does = Literal["create", "update", "delete"]
Sent = dict[str, dict[str, JSONValue]]
Spots = frozenset[Spot]


class Step(NamedTuple):
    """One request of a save, and what its answer settles.

    Attributes:
        request: The request.
        part: The part of the Twin it writes.
        does: What it does to the items.
        sent: The attributes written, by item.
    """

    request: ApiRequest
    part: Part
    does: Does
    sent: Sent


def plan(state: TwinState, stage: Stage = "whole", circle: Collection[object] = ()) -> Plan:
    """Give the requests a save would send, reads included.

    Args:
        state: The Twin.
        stage: Whether the save is a whole one; an early one, without what speaks of Twins that are
            not saved yet; or the late one that follows it.
        circle: The Twins that are saved in two steps, too.
    """
    waiting = frozenset[Spot]() if stage == "whole" else spots_that_wait(state, None, circle)
    uuid = state.uuid or _NEW
    requests: list[ApiRequest] = []
    if stage == "late":
        requests.extend(step.request for step in _late(state, uuid, waiting))
    else:
        requests.extend(_first(state, uuid, waiting))
        requests.extend(step.request for step in _following(state, uuid, waiting))
    return Plan(map(PlannedRequest.of, requests))


def _first(state: TwinState, uuid: str, without: Spots) -> Iterator[ApiRequest]:
    """Give what creates the Twin, or is read before it is written."""
    for part in sorted(state.in_doubt):
        yield part_request(state, part)
    if account_needs_asking(state):
        yield api_request("who_am_i")
    if state.uuid is None:
        yield creation(state, without | keys_about_itself(state))
    elif description_needs_reading(state):
        yield part_request(state, "description")
    if identities_need_reading(state):
        yield part_request(state, "identities")


def _following(state: TwinState, uuid: str, without: Spots) -> Iterator[Step]:
    """Give the writes, also those that follow the creation of a Twin."""
    if keys_about_itself(state) - without:
        yield from _description(state, uuid, without)
    yield from steps(state, uuid, without=without)


def _late(state: TwinState, uuid: str, waiting: Spots) -> Iterator[Step]:
    """Give the writes of what has waited."""
    if any(part == "description" for part, _ in waiting):
        yield from _description(state, uuid, frozenset())
    entries = ((name, item) for name, item in state.ledger if ("ledger", name) in waiting)
    yield from _writes(state, uuid, entries)


def creation(state: TwinState, without: Spots = frozenset()) -> ApiRequest:
    """Give the request that creates the Twin, without some keys of its description."""
    described = _described(state, without)
    body = {"description": described} if described or state.replaced else None
    return api_request("create_twin", body=body)


def description_needs_reading(state: TwinState) -> bool:
    """Tell whether the description has to be read before it is replaced as a whole."""
    return state.redescribed() and not state.fresh and not state.replaced


def identities_need_reading(state: TwinState) -> bool:
    """Tell whether the present Identities decide what an assigned field removes."""
    return bool(state.identity_fields)


def ledger_needs_reading(state: TwinState, only: tuple[Part, str] | None) -> bool:
    """Tell whether a changed Entry was never seen, so that nothing is known to compare with."""
    if only is not None and only[0] != "ledger":
        return False
    return any(
        item.present is None and item.is_modified() for _, item in _chosen(state.ledger, only)
    )


def check_atomic(state: TwinState, found: list[Step]) -> None:
    """Refuse an atomic save that the API cannot do: it has transactions of one request only.

    Raises:
        StateError: The changes are of several kinds.
        QuotaError: They are too large for one request.
    """
    operations = dict.fromkeys(step.request.operation.name for step in found)
    if state.uuid is None or len(operations) > 1 or any(step.part != "ledger" for step in found):
        asked = "the Twin itself" if state.uuid is None else ", ".join(operations)
        raise StateError(
            "an atomic save is one request, which adds Entries, changes them or removes them; this "
            f"one needs {asked}: save() the other changes first",
            code="not-atomic",
        )
    if len(found) > 1:
        raise QuotaError(
            f"an atomic save is one request of at most {MAX_BODY:,} bytes, this one would be "
            f"{len(found)}: write fewer or smaller values at a time, or store a Doc"
        )


def steps(
    state: TwinState,
    uuid: str,
    only: tuple[Part, str] | None = None,
    without: Spots = frozenset(),
) -> list[Step]:
    """Give the writes of a save, each one checked and within the platform's limits.

    Args:
        state: The Twin; what decides about the requests has been read where it can be.
        uuid: Its UUID.
        only: One item, by part and name, when not everything is saved.
        without: Keys and Entries, by part and name, that have to wait.

    Raises:
        QuotaError: A value is over the limit by itself.
        ValidationError: A container was changed to what JSON cannot hold.
        ConflictError: A value was changed in two places.
    """
    found: list[Step] = []
    if only is None and state.uuid is not None:
        found.extend(_description(state, uuid, without))
    if only is None or only[0] == "identities":
        found.extend(_identities(state, uuid, only))
    if only is None or only[0] == "ledger":
        found.extend(_ledger(state, uuid, only, without))
    if only is None or only[0] == "docs":
        found.extend(_docs(state, uuid, only))
    for step in found:
        step.request.encode_body()
    return found


def _chosen(items: Items, only: tuple[Part, str] | None) -> Iterator[tuple[str, Item]]:
    return ((name, item) for name, item in items if only is None or only[1] == name)


def _described(state: TwinState, without: Spots) -> dict[str, JSONValue]:
    changes = state.description.changes()
    return {key: value for key, value in changes.items() if ("description", key) not in without}


def _description(state: TwinState, uuid: str, without: Spots) -> Iterator[Step]:
    changes = _described(state, without)
    if not changes and not (state.replaced and state.description.base is UNKNOWN):
        return
    state.check_alive()
    known = {**state.description.known, **changes}
    whole = {key: value for key, value in known.items() if value is not ABSENT}
    request = api_request("update_twin", [uuid], body={"description": whole})
    yield Step(request, "description", "update", {"description": changes})


# Ledger


def _ledger(
    state: TwinState, uuid: str, only: tuple[Part, str] | None, without: Spots
) -> Iterator[Step]:
    chosen = _chosen(state.ledger, only)
    entries = ((name, item) for name, item in chosen if ("ledger", name) not in without)
    yield from _writes(state, uuid, entries)


def repeated(state: TwinState, step: Step, names: Iterable[str]) -> list[Step]:
    """Give the requests that write what is left to write of some Entries of a step."""
    [uuid, *_] = step.request.arguments
    return list(_writes(state, uuid, ((name, state.ledger.item(name)) for name in names)))


def _writes(state: TwinState, uuid: str, entries: Iterable[tuple[str, Item]]) -> Iterator[Step]:
    new: Sent = {}
    changed: Sent = {}
    removed: list[str] = []
    for name, item in entries:
        if item.removed:
            if item.is_modified():
                removed.append(name)
        elif changes := item.changes():
            (new if item.present is False else changed)[name] = changes
    for name, sent in new.items():
        _check_complete(state, name, sent)
    yield from adding(state, uuid, new)
    yield from _updating(uuid, changed)
    for names in _by_url(removed):
        request = api_request("delete_twin_ledger_entry", [uuid, PERSONAL], {"entries": names})
        yield Step(request, "ledger", "delete", {name: {} for name in names})


def is_complete(sent: Mapping[str, JSONValue]) -> bool:
    """Tell whether an Entry can be made of attributes, or only changed by them."""
    return any(kind in sent for kind in ("value", "ref", "include"))


def _check_complete(state: TwinState, name: str, sent: Mapping[str, JSONValue]) -> None:
    if not is_complete(sent):
        raise StateError(
            f"the Ledger of {state.record()!r} has no Entry {name!r}, and only its "
            f"{', '.join(sent)} was assigned: assign a value as well, or discard() the changes",
            code="missing-entry",
        )


def _declared(state: TwinState, name: str) -> dict[str, JSONValue]:
    """Give the properties that the model declares for a new Entry."""
    spec = state.model.__targets__.get(("ledger", name))
    return {} if spec is None else dict(spec.options)


def adding(state: TwinState, uuid: str, entries: Sent) -> list[Step]:
    """Give the requests that create Entries."""
    created = {name: {**_declared(state, name), **sent} for name, sent in entries.items()}
    return list(_adding(uuid, created))


def _adding(uuid: str, entries: Sent) -> Iterator[Step]:
    for chunk in _by_size(entries):
        request = api_request("add_twin_ledger_entry", [uuid, PERSONAL], body={"entries": chunk})
        yield Step(request, "ledger", "create", chunk)


def _updating(uuid: str, entries: Sent) -> Iterator[Step]:
    values_only = all(set(sent) == {"value"} for sent in entries.values())
    name = "update_twin_ledger_entry_value" if values_only else "update_twin_ledger_entry"
    for chunk in _by_size(entries):
        request = api_request(name, [uuid, PERSONAL], body={"entries": chunk})
        yield Step(request, "ledger", "update", chunk)


def _by_size(entries: Sent) -> Iterator[Sent]:
    """Split Entries over as many bodies as their sizes ask for, usually one."""
    chunk: Sent = {}
    size = frame = len(b'{"entries":{}}') - 1  # no comma before the first
    for name, sent in entries.items():
        own = len(encode({name: sent})) - 1
        if frame + own > MAX_BODY:
            raise QuotaError(
                f"the Entry {name!r} takes {own:,} bytes, a request and a Ledger hold at most "
                f"{MAX_BODY:,}: store it as a Doc, or split it into several Entries"
            )
        if chunk and size + own > MAX_BODY:
            yield chunk
            chunk, size = {}, frame
        chunk[name] = sent
        size += own
    if chunk:
        yield chunk


def _by_url(names: list[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    size = 0
    for name in names:
        own = len(encode_query((("entries", name),))) + 1
        if chunk and size + own > _URL_ROOM:
            yield chunk
            chunk, size = [], 0
        chunk.append(name)
        size += own
    if chunk:
        yield chunk


# Identities and Docs


def _identities(state: TwinState, uuid: str, only: tuple[Part, str] | None) -> Iterator[Step]:
    new, changed, removed = _identity_changes(state, only)
    if new:
        request = api_request("create_twin_identity", [uuid], body={"identities": new})
        yield Step(request, "identities", "create", new)
    for text, changes in changed.items():
        request = api_request("update_twin_identity", [uuid, text], body=changes)
        yield Step(request, "identities", "update", {text: changes})
    for text in removed:
        request = api_request("delete_twin_identity", [uuid, text])
        yield Step(request, "identities", "delete", {text: {}})


def _identity_changes(
    state: TwinState, only: tuple[Part, str] | None
) -> tuple[Sent, Sent, list[str]]:
    new: Sent = {}
    changed: Sent = {}
    removed: list[str] = []
    for text, item in _chosen(state.identities, only):
        changes = item.changes()
        if item.removed:
            if item.is_modified():
                removed.append(text)
        elif item.present is False or (item.adding and not item.present):
            if item.adding or changes:
                new[text] = {key: value for key, value in changes.items() if value is not None}
        elif changes:
            changed[text] = changes
    return new, changed, removed


def _docs(state: TwinState, uuid: str, only: tuple[Part, str] | None) -> Iterator[Step]:
    for name, item in _chosen(state.docs, only):
        if item.removed:
            if item.is_modified():
                request = api_request("delete_twin_doc", [uuid, name])
                yield Step(request, "docs", "delete", {name: {}})
        elif changes := item.changes():
            request = api_request("update_twin_doc", [uuid, name], body=changes)
            yield Step(request, "docs", "update", {name: changes})
