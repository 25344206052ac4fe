"""Values that two sides have changed: telling, and deciding which one is written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ttorm.api.codec import JSONValue
from ttorm.api.errors import Conflict, ConflictError, Resolution, ValidationError
from ttorm.records.cells import ABSENT, NOTHING, UNKNOWN, alike
from ttorm.records.changes import attribute_name, shown
from ttorm.records.merging import merge
from ttorm.records.values import PLAIN, Codec

if TYPE_CHECKING:
    from ttorm.records.state import TwinState

__all__ = ["Lost", "conflict", "overlaps"]


class Lost(NamedTuple):
    """One value that was changed on both sides, as JSON; ABSENT where it is not there.

    Attributes:
        part: The part of the Twin it belongs to.
        name: The description key or Entry.
        base: What this record started from.
        mine: What it wants to write.
        theirs: What the service holds now.
    """

    part: Literal["description", "ledger"]
    name: str
    base: JSONValue
    mine: JSONValue
    theirs: JSONValue


def overlaps(base: JSONValue, mine: JSONValue, theirs: JSONValue) -> bool:
    """Tell whether both sides made something else of a value."""
    return base is not UNKNOWN and not alike(base, theirs) and not alike(mine, theirs)


def conflict(state: TwinState, lost: Iterable[Lost]) -> ConflictError:
    """Make the error of a save that would have overwritten what it has not seen."""
    found = _Conflicts(state, tuple(lost))
    told = found.told()
    error = ConflictError(
        f"{', '.join(one.name for one in told)} of Twin {state.uuid} was changed by somebody else "
        "since it was read: compare error.base, error.mine and error.theirs, decide by "
        "error.resolve('mine'), 'theirs', 'merge' or a function, and save again",
        base={one.name: one.base for one in told},
        mine={one.name: one.mine for one in told},
        theirs={one.name: one.theirs for one in told},
    )
    error._resolver = found
    return error


class _Conflicts:
    """The lost values of one save of one record."""

    def __init__(self, state: TwinState, lost: tuple[Lost, ...]) -> None:
        self.record: Any = state.record()
        self._lost = lost

    def told(self) -> list[Conflict]:
        """Give the conflicts with the values as the record reads them."""
        return [self._told(one) for one in self._lost]

    def _told(self, one: Lost) -> Conflict:
        state, codec = self.record._state, self._codec(one)
        values = [shown(raw, codec, one.name) for raw in (one.base, one.mine, one.theirs)]
        return Conflict(attribute_name(state, one.part, one.name), *values)

    def _codec(self, one: Lost) -> Codec:
        spec = self.record._state.model.__targets__.get((one.part, one.name))
        return PLAIN if spec is None else spec.codec

    def resolve(self, how: Resolution) -> None:
        """Have the next save write what was decided."""
        state: TwinState = self.record._state
        if how != "mine":
            # Everything is decided before anything is changed.
            decided = [(one, self._decided(one, how)) for one in self._lost]
            for one, value in decided:
                _write(state, one, value, self._codec(one))
            state.forget_values()
            state.touch()
        state.stuck = False

    def _decided(self, one: Lost, how: Resolution) -> Any:
        codec = self._codec(one)
        if how == "theirs":
            return NOTHING
        if how == "merge":
            merged = merge(one.base, one.mine, one.theirs)
            return ABSENT if merged is ABSENT else codec.load(merged, one.name)
        if not callable(how):
            raise ValidationError(
                f"{how!r} decides nothing: expected 'mine', 'theirs', 'merge' or a function",
                code="bad-argument",
            )
        value = how(self._told(one))
        if value is None and ABSENT in (one.mine, one.theirs):
            return ABSENT
        return codec.check(value, one.name)


def _write(state: TwinState, one: Lost, value: Any, codec: Codec) -> None:
    """Have the next save write a value; ABSENT removes it, NOTHING leaves it to the service."""
    if one.part == "description":
        cell = state.description.cell(one.name)
        remove = cell.remove
    else:
        item = state.ledger.item(one.name)
        cell, remove = item.cell("value"), item.remove
        if item.removed or one.theirs is ABSENT:
            # Without its value an Entry has no properties either.
            item.discard()
    if value is ABSENT:
        remove()
    elif value is NOTHING:
        cell.discard()
    else:
        cell.assign(value, codec)
