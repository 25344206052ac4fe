"""Events: what happened and may be told to subscribers, kept until somebody delivers it.

This is where the emulator's operations end and notifications begin: an operation raises an event
in its own transaction, so that an event is kept exactly when what it tells has happened, and
whoever delivers takes it from the table ``outbox`` afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ttorm.emulator.rows import to_json
from ttorm.emulator.store import Transaction

if TYPE_CHECKING:
    from ttorm.emulator.core import Emulator

__all__ = ["Moment", "raise_event"]


class Moment(Protocol):
    """When something happens: during a call, or in work that no call asked for."""

    @property
    def world(self) -> Emulator:
        """The emulator."""
        ...

    @property
    def tx(self) -> Transaction:
        """The transaction of what happens."""
        ...

    @property
    def now(self) -> float:
        """The time in Unix seconds."""
        ...


def raise_event(
    moment: Moment,
    kind: str,
    *,
    account: str,
    twin: str,
    topics: Iterable[str],
    event: Mapping[str, Any],
) -> None:
    """Keep an event for delivery, once for each topic.

    Args:
        moment: The transaction in which it happens, and the time.
        kind: What happened, such as ``sticker.put``: a notification's ``trigger``.
        account: The account that publishes it, whose subscriptions are told.
        twin: The Twin that it happened to.
        topics: Topics to publish it to; none keeps nothing.
        event: What notifications tell of it.
    """
    for topic in dict.fromkeys(topics):
        moment.tx.run(
            "INSERT INTO outbox (uuid, number, kind, account, twin, topic, event, raised_ts) "
            "SELECT ?, COALESCE(MAX(number), 0) + 1, ?, ?, ?, ?, ?, ? FROM outbox",
            moment.world.ids.uuid(),
            kind,
            account,
            twin,
            topic,
            to_json(event),
            moment.now,
        )
