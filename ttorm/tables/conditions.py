"""Conditions on the rows of tables: what comparisons of columns make; values never become text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, NoReturn, TypeAlias

from ttorm.api.errors import ValidationError
from ttorm.connection.readers import Kind, Part, Ref
from ttorm.display import shortened

__all__ = ["Condition", "Ordering", "Place", "parts_for"]


class Place(NamedTuple):
    """The table that a column belongs to.

    Attributes:
        kind: ``"timeseries"`` or ``"indexes"``.
        table: The table's name.
    """

    kind: Kind
    table: str


_Operand: TypeAlias = tuple[Part, ...]
_FLAT = 256
"""Longest chain without parentheses: databases nest what they read from left to right."""


class Condition:
    """What rows are to fulfil; combine conditions by ``&``, ``|`` and ``~``.

    Missing values fulfil no comparison but ``!=`` and `Column.is_null`; ``~`` turns every answer
    round, also theirs.
    """

    __slots__ = ("_operands", "_places", "_word")

    def __init__(self, parts: Iterable[Part], places: Iterable[Place]) -> None:
        self._operands: tuple[_Operand, ...] = (tuple(parts),)
        self._places = frozenset(places)
        # What joins its operands.
        self._word = ""

    @property
    def _parts(self) -> _Operand:
        return _chained(self._operands, self._word)

    def __and__(self, other: Condition) -> Condition:
        return self._joined(" AND ", other)

    def __or__(self, other: Condition) -> Condition:
        return self._joined(" OR ", other)

    def __invert__(self) -> Condition:
        # In SQL, what is neither true nor false stays so when it is turned round.
        return Condition(("NOT COALESCE((", *self._parts, "), FALSE)"), self._places)

    def _joined(self, word: str, other: Condition) -> Condition:
        if not isinstance(other, Condition):
            raise TypeError(
                f"expected a condition such as Weather.celsius > 30, found {shortened(other)}"
            )
        joined = Condition((), self._places | other._places)
        joined._operands = (*self._within(word), *other._within(word))
        joined._word = word
        return joined

    def _within(self, word: str) -> tuple[_Operand, ...]:
        return self._operands if self._word == word else (("(", *self._parts, ")"),)

    def __bool__(self) -> NoReturn:
        raise TypeError(
            f"the condition {self!r} has no truth value in Python: combine conditions with &, | "
            "and ~ in parentheses instead of 'and', 'or' and 'not'"
        )

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<condition {_shown(self._parts)}>"


def _chained(operands: tuple[_Operand, ...], word: str) -> _Operand:
    """Join operands; many of them in halves, since databases bear no deep nesting."""
    if len(operands) <= _FLAT:
        first, *others = operands
        return (*first, *(part for operand in others for part in (word, *operand)))
    middle = len(operands) // 2
    left, right = (_chained(half, word) for half in (operands[:middle], operands[middle:]))
    return ("(", *left, ")", word, "(", *right, ")")


class Ordering:
    """A column to sort by, and in which direction."""

    __slots__ = ("_parts", "_places")

    def __init__(self, name: str, place: Place, *, descending: bool) -> None:
        # Databases differ in where they put missing values: here they always come last.
        null: tuple[Part, ...] = ("CASE WHEN ", Ref(name), " IS NULL THEN 1 ELSE 0 END, ")
        self._parts: tuple[Part, ...] = (*null, Ref(name), " DESC" if descending else " ASC")
        self._places = frozenset([place])

    def __repr__(self) -> str:
        return f"<ordering {_shown(self._parts[3:])}>"


def _shown(parts: Iterable[Part]) -> str:
    return "".join(
        part if isinstance(part, str) else part.name if isinstance(part, Ref) else repr(part.value)
        for part in parts
    )


def parts_for(asked: Condition | Ordering, place: Place) -> tuple[Part, ...]:
    """Return the pieces of a condition or ordering for a table.

    Raises:
        ValidationError: It speaks of columns of another table.
    """
    for other in asked._places - {place}:
        raise ValidationError(
            f"{asked!r} speaks of the {other.kind} table {other.table!r}, which is not "
            f"{place.table!r}: write it with columns of the table whose rows are read",
            code="bad-argument",
        )
    return asked._parts
