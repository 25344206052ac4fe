"""Turns: who saves a record while others wait."""

from __future__ import annotations

from os import getpid
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from ttorm.api.errors import StateError
from ttorm.connection.blocking import runner
from ttorm.flows import Flow, wait

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["Saver", "alone", "turn"]

R = TypeVar("R")
Saver: TypeAlias = "tuple[object, Future[None], int]"
"""Who saves, what to wait for until that is done, and in which process."""


class _Place(Protocol):
    """Where it is noted who saves a record."""

    saving: Saver | None

    def record(self) -> Any: ...


def turn(place: _Place) -> Flow[None]:
    """Wait until nobody else saves the same record.

    Raises:
        StateError: Waiting would never end.
    """
    while place.saving is not None:
        saver, done, process = place.saving
        if process != getpid():
            # Of what the parent's threads were doing, a forked child sees no end.
            place.saving = None
        elif saver == runner() or not (yield from wait(done)):
            raise StateError(
                f"{place.record()!r} is being saved right here: a receiver cannot save the record "
                "that it is told about, and save() cannot wait for an asave() of the same loop"
            )


def alone(place: _Place, saving: Flow[R]) -> Flow[R]:
    """Save while others wait for their turn."""
    from concurrent.futures import Future

    # A receiver of pre_save may have let another save begin.
    yield from turn(place)
    done: Future[None] = Future()
    place.saving = (runner(), done, getpid())
    try:
        return (yield from saving)
    finally:
        place.saving = None
        done.set_result(None)
