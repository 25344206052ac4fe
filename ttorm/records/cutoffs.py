"""Creations that were cut off: told of once, before something is made that may be there already."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from ttorm.api.errors import OutcomeUnknownError
from ttorm.api.request import ApiRequest
from ttorm.flows import Flow

__all__ = ["made_once"]

R = TypeVar("R")


class _Place(Protocol):
    """Where it is noted that a creation was begun, and nobody told what became of it."""

    perhaps_created: bool

    def record(self) -> Any: ...


def made_once(place: _Place, request: ApiRequest, making: Flow[R]) -> Flow[R]:
    """Make something that nobody could look for.

    Args:
        place: Where it is noted.
        request: What makes it.
        making: The flow that sends it.

    Raises:
        OutcomeUnknownError: An earlier attempt was cut off, and nobody was told of that yet.
    """
    if place.perhaps_created:
        place.perhaps_created = False
        making.close()
        raise OutcomeUnknownError(
            f"an earlier save of this new {type(place.record()).__name__} was cut off while it was "
            "made, so that it may exist or not: look for it; saving once more makes another one",
            operation=request.operation.name,
            request=request.label,
        )
    place.perhaps_created = True
    try:
        answer = yield from making
    except Exception:
        # Whoever asked is told.
        place.perhaps_created = False
        raise
    place.perhaps_created = False
    return answer
