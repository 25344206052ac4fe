"""What subscribers are told of the changes of Entries: by rules and topics that Entries have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from ttorm.api import names
from ttorm.emulator.cells import message
from ttorm.emulator.rules import Effort, holds
from ttorm.emulator.templates import Room, TemplateError, compile_template
from ttorm.emulator.variables import of_entry

if TYPE_CHECKING:
    from ttorm.emulator.feeds import Change

__all__ = ["Events", "events_of"]

Events: TypeAlias = dict[tuple[str, str], dict[str, Any]]
"""Changes by name of the Entry, for each kind of event and topic."""


def events_of(
    changes: Iterable[Change],
    variables: Mapping[str, Any],
    room: Room,
    has_room: Callable[[], bool],
    messages: list[str],
    effort: Effort,
) -> Events:
    """Evaluate the rules of changed Entries; those that lead to the same topic are told together.

    Args:
        changes: What became of the Entries of one Ledger.
        variables: What rules and templates may mention, beside the Entry.
        room: What the texts of topics are taken from.
        has_room: Tells, before each topic, whether there is room for one more.
        messages: What was wrong is added here.
        effort: What the rules may do.
    """
    events: Events = {}
    for change in changes:
        entry = change.entry
        known = {**variables, **of_entry(entry.account, entry.name, entry)}
        for template in _templates(entry.publish or {}, known, effort):
            if not has_room():
                return events
            topic = _topic(template, known, room, messages)
            if topic is not None:
                told = events.setdefault((change.kind, topic), {})
                told[entry.name] = _told(change, variables["now"])
    return events


def _templates(
    publish: Mapping[str, list[str]], variables: Mapping[str, Any], effort: Effort
) -> Iterable[str]:
    """Find the topics whose rules hold; one that fails does not, and is not worth a message."""
    for rule, topics in publish.items():
        if holds(rule, variables, effort):
            yield from topics


def _topic(
    template: str, variables: Mapping[str, Any], room: Room, messages: list[str]
) -> str | None:
    twin: str = variables["twin"]
    try:
        topic = compile_template(template).name(variables, room)
    except TemplateError as error:
        messages.append(message("No notification topic", reason=str(error), twin=twin))
        return None
    if names.TOPIC.fullmatch(topic):
        return topic
    messages.append(message("Invalid notification topic", topic=topic, twin=twin))
    return None


def _told(change: Change, now: float) -> dict[str, Any]:
    return {
        "new_value": None if change.new is None else change.new.value,
        "old_value": None if change.old is None else change.old.value,
        "changed_ts": now if change.new is None else change.new.value_changed_ts,
    }
