"""Turns: who saves a record while others wait."""

from __future__ import annotations

from os import getpid
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from ttorm.api.errors import StateError
from ttorm.connection.blocking import runner
from ttorm.flows import Flow, wait

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["Saver", "alone", "asked", "check_unasked", "turn"]

R = TypeVar("R")
Saver: TypeAlias = "tuple[object, Future[None], int]"
"""Who saves, what to wait for until that is done, and in which process."""


class _Place(Protocol):
    """Where it is noted who saves a record; its dictionary says so only while somebody does."""

    saving: Saver | None = None
    asking: frozenset[object]

    def record(self) -> Any: ...


def turn(place: _Place) -> Flow[None]:
    """Wait until nobody else saves the same record.

    Raises:
        StateError: Waiting would never end.
    """
    check_unasked(place)
    # Another thread may end its save at any time.
    while (saving := place.saving) is not None:
        saver, done, process = saving
        if process != getpid():
            # Of what the parent's threads were doing, a forked child sees no end.
            vars(place).pop("saving", None)
        elif saver == runner() or not (yield from wait(done)):
            raise StateError(
                f"{place.record()!r} is being saved right here: a receiver cannot save the record "
                "that it is told about, and save() cannot wait for an asave() of the same loop"
            )


def check_unasked(place: _Place) -> None:
    """Refuse to save what the receivers of `pre_save` are asked about right here.

    Raises:
        StateError: One of them is to blame.
    """
    if place.asking and runner() in place.asking:
        raise StateError(
            f"{place.record()!r} is about to be saved right here: a receiver of pre_save changes "
            "the record, or refuses by an exception, and leaves the saving to the save under way"
        )


def asked(place: _Place, telling: Flow[None]) -> Flow[None]:
    """Ask those who may refuse a save; to save themselves would ask them again, without end."""
    asker = runner()
    place.asking |= {asker}
    try:
        yield from telling
    finally:
        place.asking -= {asker}


def alone(place: _Place, saving: Flow[R]) -> Flow[R]:
    """Save while others wait for their turn."""
    from concurrent.futures import Future

    done: Future[None] = Future()
    mine = (runner(), done, getpid())
    # A receiver of pre_save may have let another save begin, and another thread just now.
    yield from turn(place)
    while vars(place).setdefault("saving", mine) is not mine:
        yield from turn(place)
    try:
        return (yield from saving)
    finally:
        vars(place).pop("saving", None)
        done.set_result(None)
