"""Where a receiver finds the subscriptions whose messages it expects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ttorm.records.subscription import Subscription

__all__ = ["MemoryStore", "Store"]


class Store(Protocol):
    """Where subscriptions are kept; implementations are safe to use from many threads.

    One of one's own lets several processes receive: it writes `Subscription.export`, which has
    secrets in plain text, under `Subscription.id`, and reads by `Subscription.restore`.
    """

    def put(self, subscription: Subscription) -> None:
        """Keep a subscription, in the place of one with the same `id`."""

    def remove(self, subscription: Subscription) -> None:
        """Forget a subscription."""

    def find(self, topic: str) -> Iterable[Subscription]:
        """Return the subscriptions to a topic."""
        ...

    def all(self) -> Iterable[Subscription]:
        """Return all subscriptions."""
        ...


class MemoryStore:
    """The subscriptions of this process."""

    def __init__(self) -> None:
        self._kept: dict[str, Subscription] = {}

    def put(self, subscription: Subscription) -> None:
        """Keep a subscription."""
        self._kept[subscription.id] = subscription

    def remove(self, subscription: Subscription) -> None:
        """Forget a subscription."""
        self._kept.pop(subscription.id, None)

    def find(self, topic: str) -> list[Subscription]:
        """Return the subscriptions to a topic."""
        return [one for one in self.all() if one.topic == topic]

    def all(self) -> list[Subscription]:
        """Return all subscriptions."""
        return list(self._kept.values())
