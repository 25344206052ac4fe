"""Events: what happened and is told to subscribers.

This is where the emulator's operations end and notifications begin: an operation raises an event
in its own transaction, in which it becomes one message for each subscription that there is. So a
message is kept exactly when what it tells has happened, and what nobody wants to know is not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ttorm.emulator.deliveries import add_messages
from ttorm.emulator.rows import to_json
from ttorm.emulator.store import Transaction
from ttorm.emulator.subscriptions import audience

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

    @property
    def afterwards(self) -> list[Callable[[], None]]:
        """What is done once the transaction is committed."""
        ...

    def count(self, item: str, amount: int = 1, account: str | None = None) -> None:
        """Add to the usage; see `Call.count`."""
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
    """Let subscribers be told of an event, once for each topic.

    Args:
        moment: The transaction in which it happens, and the time.
        kind: What happened, such as ``sticker.put``: a notification's ``trigger``.
        account: The account that publishes it, whose subscriptions are told.
        twin: The Twin that it happened to.
        topics: Topics to publish it to; none tells nobody.
        event: What notifications tell of it.
    """
    topics = dict.fromkeys(topics)
    if not topics:
        return
    moment.count("task_publish_topic_count", len(topics), account)
    told = {account: list(topics)}
    if moment.world.policy.topic_access == "delivered":
        for owner, shared in audience(moment.tx, account):
            told[owner] = [topic for topic in topics if topic in shared]
    text, wake = to_json(event), moment.world.background.wake
    for owner, named in told.items():
        for topic in named:
            found = add_messages(moment, kind, account=owner, topic=topic, twin=twin, event=text)
            if found and wake not in moment.afterwards:
                moment.afterwards.append(wake)
