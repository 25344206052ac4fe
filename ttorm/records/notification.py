"""Notifications: what the platform tells of changes, and what becomes of records known here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from ttorm import signals
from ttorm.api.answers import member
from ttorm.api.codec import JSONValue, same
from ttorm.api.moments import moment
from ttorm.api.request import api_request
from ttorm.connection.core import Connection
from ttorm.connection.invalidation import after_notification
from ttorm.connection.reads import kept_answer
from ttorm.flows import Flow
from ttorm.records.cells import ABSENT
from ttorm.records.changes import Change, attribute_name, shown
from ttorm.records.items import Items
from ttorm.records.lookup import state_at
from ttorm.records.models import model_of
from ttorm.records.state import PERSONAL, TwinState, known_state
from ttorm.records.twin import Twin
from ttorm.records.values import PLAIN
from ttorm.results import SaveResult
from ttorm.sessions import current_session, live_sessions

__all__ = ["Notification", "take_over"]

_ENTRIES = "ledger.entry."


class Notification(NamedTuple):
    """What the platform tells of a change.

    Attributes:
        message: UUID of the message; a message that comes again keeps it.
        topic: The topic it was published to.
        account: The account that subscribed to the topic.
        trigger: What happened: ``ledger.entry.added``, ``ledger.entry.updated``,
            ``ledger.entry.deleted``, ``sticker.put``, ``sticker.removed`` or ``sticker.expired``.
        twin: UUID of the Twin that it happened to.
        event: What the platform tells of it: Entries by name, each with ``old_value``,
            ``new_value`` and ``changed_ts``; or a Sticker.
        sent_ts: When it was sent, in Unix seconds.
    """

    message: str
    topic: str
    account: str
    trigger: str
    twin: str
    event: Mapping[str, Any]
    sent_ts: float

    @property
    def sent_at(self) -> datetime:
        """When it was sent, in UTC."""
        return moment(self.sent_ts)

    @property
    def entries(self) -> dict[str, Change]:
        """The Entries that changed, with their old and new JSON values; empty for Stickers."""
        if not self.trigger.startswith(_ENTRIES):
            return {}
        told = {name: member(self.event, name) for name in self.event}
        return {
            name: Change(change.get("old_value"), change.get("new_value"))
            for name, change in told.items()
        }


def take_over(
    connection: Connection, others: Collection[Connection], message: Notification
) -> Flow[None]:
    """Forget what a message makes stale, have known records follow, and tell who listens.

    Args:
        connection: Who has subscribed. Receivers of signals get its record.
        others: Further connections to the same service. Those of other credentials take nothing
            from the message but that something has changed.
        message: What the platform tells.
    """
    several = list(dict.fromkeys((connection, *others)))
    for one in several:
        if one.cache is not None:
            after_notification(one.cache, message.twin, message.trigger)
            yield from one.cache.deliver()
    known = [
        state
        for one in several
        for session in live_sessions(one)
        if (state := known_state(session, message.twin)) is not None
    ]
    scope = connection.scope()
    for state in known:
        # What the subscriber is told, others may not be allowed to see: they ask for themselves.
        _follow(state, message, told=state.session.connection.scope() == scope)
    yield from _tell(connection, several, known, message)


def _follow(state: TwinState, message: Notification, *, told: bool) -> None:
    """Bring what is known of Entries up to date; what was changed here stays as it is."""
    for alias, ledger in list(state.ledgers.items()):
        own = told and alias == PERSONAL and state.known_account == message.account
        touched = dict(ledger)
        for name, change in message.entries.items():
            if name not in touched or not touched[name].is_modified():
                changed_ts = member(message.event, name).get("changed_ts")
                _follow_entry(ledger, name, change, changed_ts, message.trigger, own=own)
    state.forget_values()


def _follow_entry(
    ledger: Items, name: str, change: Change, changed_ts: JSONValue, trigger: str, *, own: bool
) -> None:
    known = ledger.base.get(name)
    if known is None:
        if ledger.complete:
            # One that was not there; all that is told of it is its value.
            ledger.forget(name)
    elif _is_older(known, changed_ts):
        # Of whose Ledger it speaks a message does not say: this one, when all of it fits.
        if not (own and known.get("publish") and same(known.get("value"), change.old)):
            ledger.forget(name)
        else:
            gone = trigger == f"{_ENTRIES}deleted"
            now = {**known, "value": change.new, "value_changed_ts": changed_ts}
            ledger.settle(name, {}, ABSENT if gone else now)


def _is_older(known: Mapping[str, Any], changed_ts: JSONValue) -> bool:
    try:
        return float(known["value_changed_ts"]) < float(changed_ts)
    except (KeyError, TypeError, ValueError, OverflowError):
        return True


def _tell(
    connection: Connection,
    several: list[Connection],
    known: list[TwinState],
    message: Notification,
) -> Flow[None]:
    if signals.cache_invalidated.receivers:
        for one in several:
            yield from signals.emit(
                signals.cache_invalidated,
                one,
                operation="notification",
                path=f"/twins/{message.twin}",
                connection=one,
            )
    if not (signals.notification.receivers or signals.entry_changed.receivers):
        return
    record = _record(connection, known, message.twin)
    yield from signals.emit(signals.notification, type(record), record=record, message=message)
    changes = _changes(record._state, message)
    if changes:
        yield from signals.emit(
            signals.entry_changed,
            type(record),
            record=record,
            changes=changes,
            result=_result(message.trigger, tuple(changes)),
            message=message,
        )


def _record(connection: Connection, known: list[TwinState], twin: str) -> Twin:
    """Return the record of a Twin as the most special class that is known to show it."""
    models = {state.model for state in known if issubclass(state.model, Twin)}
    kept = kept_answer(connection, api_request("get_twin", [twin]))
    if kept is not None:
        models.add(model_of(member(kept.body, "description"), Twin) or Twin)
    model = max(models, key=lambda one: len(one.__mro__), default=Twin)
    state = state_at(model, twin, current_session(connection))
    record: Twin = state.view(model)
    return record


def _changes(state: TwinState, message: Notification) -> dict[str, Change]:
    """Give the changes as those of a save: by attribute, in the types of the fields."""
    found: dict[str, Change] = {}
    for name, change in message.entries.items():
        spec = state.model.__targets__.get(("ledger", name))
        codec = PLAIN if spec is None else spec.codec
        known = attribute_name(state, "ledger", name)
        found[known] = Change(*(shown(raw, codec, known, state) for raw in change))
    return found


def _result(trigger: str, names: tuple[str, ...]) -> SaveResult:
    match trigger.removeprefix(_ENTRIES):
        case "added":
            return SaveResult(created=names)
        case "deleted":
            return SaveResult(deleted=names)
        case _:
            return SaveResult(updated=names)
