"""The order in which records of one unit of work are saved: what is spoken of before who speaks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from ttorm.api.errors import SaveError
from ttorm.flows import Flow, gather
from ttorm.results import SaveResult, Stage
from ttorm.units import Unit

__all__ = ["Together", "Wave", "in_order", "waves"]

W = TypeVar("W", bound=Unit)
Save: TypeAlias = Callable[[W, bool], Flow[SaveResult]]
"""Saves a record; early, it leaves out what speaks of others."""
Together: TypeAlias = Callable[[Iterable[Flow[SaveResult]]], Flow[list[SaveResult | Exception]]]
"""Runs flows side by side, each to its end."""


class Wave(NamedTuple, Generic[W]):
    """What can be saved side by side.

    Attributes:
        units: The records.
        stage: Whether they are saved as a whole, or in two steps.
    """

    units: list[W]
    stage: Stage = "whole"


def waves(units: Iterable[W]) -> Iterator[Wave[W]]:
    """Put records in order, each after those it waits for.

    What waits for each other in a circle is saved twice: first what it can do without the others,
    then the rest.
    """
    left = {id(unit): unit for unit in units}
    before = {key: {id(other) for other in unit.waits_for()} - {key} for key, unit in left.items()}
    while left:
        ready = [key for key in left if before[key].isdisjoint(left)]
        if not ready:
            circle = list(left.values())
            yield Wave(circle, "early")
            yield Wave(circle, "late")
            return
        yield Wave([left.pop(key) for key in ready])


def in_order(
    units: Iterable[W], save: Save[W], together: Together = gather
) -> Flow[list[SaveResult | Exception]]:
    """Save records, each after those it waits for, otherwise side by side.

    Args:
        units: The records.
        save: Saves one.
        together: Runs several saves.

    Returns:
        What was done and what failed, of one record after the other; notes on what failed name
        the record.
    """
    outcomes: list[SaveResult | Exception] = []
    failed: set[int] = set()
    for wave in waves(units):
        some = [unit for unit in wave.units if id(unit) not in failed]
        early = wave.stage == "early"
        saved = yield from together(save(unit, early) for unit in some)
        for unit, outcome in zip(some, saved, strict=True):
            if isinstance(outcome, Exception):
                outcome.add_note(f"in the save of {unit.record()!r}")
            if not early or not isinstance(outcome, Exception):
                outcomes.append(outcome)
            elif isinstance(outcome, SaveError):
                # What was refused is tried, and told, with the rest.
                outcomes.append(outcome.result)
            else:
                # Nobody knows what a second try would do: a Twin may be there already.
                failed.add(id(unit))
                outcomes.append(outcome)
    return outcomes
