"""Answers that processes share: what a cache asks of a backend outside of the process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

from ttorm.connection.keys import CacheKey, Drop
from ttorm.flows import Flow

__all__ = ["NOTHING", "Found", "Listener", "SharedBackend"]


class Found(NamedTuple):
    """What a look into a shared backend brought.

    Attributes:
        answer: The answer, when a valid one was there.
        left: Seconds that it is still valid.
        age: Seconds since it was kept.
        lease: What an answer is kept with that is read now; None keeps none. It is over as soon as
            somebody drops what it is about, so that no answer from before a write is kept after it.
    """

    answer: Mapping[str, Any] | None = None
    left: float = 0.0
    age: float = 0.0
    lease: str | None = None


NOTHING = Found()


class Listener(Protocol):
    """Hears what processes drop. Safe to use from many threads."""

    def news(self) -> Iterable[Drop] | None:
        """Return what was dropped since the last time, without waiting.

        Returns:
            None when something may have been missed, from then on.
        """
        ...

    def close(self) -> None:
        """Stop listening."""


@runtime_checkable
class SharedBackend(Protocol):
    """Where processes keep answers for each other. Safe to use from many threads and event loops.

    No method raises because the backend is out of reach: answers are then read from the service.

    Attributes:
        local: Seconds that answers are kept in this process as well; 0 asks the backend each time.
    """

    local: float

    def look(self, key: CacheKey) -> Flow[Found]:
        """Look for an answer, once the drops noted so far are delivered."""
        ...

    def keep(self, key: CacheKey, lease: str, answer: Mapping[str, Any], ttl: float) -> Flow[None]:
        """Keep an answer for some seconds."""
        ...

    def note(self, drop: Drop) -> None:
        """Remember that answers are to be forgotten, until it is delivered."""
        ...

    def deliver(self) -> Flow[None]:
        """Have all processes forget what was noted."""
        ...

    def listen(self) -> Flow[Listener | None]:
        """Hear from now on what is dropped; None when that cannot be."""
        ...
