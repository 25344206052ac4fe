"""Columns of Timeseries and Indexes tables: how bodies describe and change them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from ttorm.api.names import TABLE_NAME
from ttorm.emulator.answers import Fault
from ttorm.emulator.body import check_array, check_fields, check_mapping
from ttorm.emulator.columntypes import TYPES, ColumnType
from ttorm.emulator.rows import from_json, to_json

__all__ = [
    "MAX_COLUMNS",
    "ColumnChanges",
    "Columns",
    "check_distinct",
    "read_changes",
    "read_new_columns",
]

MAX_COLUMNS = 500
"""Most columns of a table; databases have limits of their own, which lie higher."""

_TAKEN = frozenset(("_timestamp", "_twin", "tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"))
"""Names of columns that the platform, or PostgreSQL, adds itself."""


class Columns(NamedTuple):
    """Some columns of a table.

    Attributes:
        names: Their names.
        types: The names of their types, in the same order.
    """

    names: tuple[str, ...]
    types: tuple[str, ...]

    def column_types(self) -> Iterable[tuple[str, ColumnType]]:
        """The columns by name."""
        return ((name, TYPES[kind]) for name, kind in zip(self.names, self.types, strict=True))

    def and_also(self, other: Columns) -> Columns:
        """These columns and others behind them."""
        return Columns(self.names + other.names, self.types + other.types)

    def shown(self) -> dict[str, list[str]]:
        """The columns as bodies have them."""
        return {"names": [*self.names], "types": [*self.types]}

    def to_json(self) -> str:
        """Encode for a TEXT column."""
        return to_json(self.shown())

    @classmethod
    def from_json(cls, text: str) -> Columns:
        """Decode what `to_json` wrote."""
        fields = from_json(text)
        return cls(tuple(fields["names"]), tuple(fields["types"]))


class ColumnChanges(NamedTuple):
    """Columns that a table is to have: those it has, perhaps with other names, and new ones.

    Attributes:
        where: How messages call them.
        before: The names that they have, in order.
        after: The columns as they are to be.
    """

    where: str
    before: tuple[str, ...]
    after: Columns

    def check(self, old: Columns) -> None:
        """Refuse changes other than new names and columns behind the others (400897)."""
        count = len(old.names)
        if self.before[:count] != old.names or self.before[count:] != self.after.names[count:]:
            raise Fault(
                400897,
                f"{self.where} must name all columns in their order and new ones last: expected "
                f'to begin with {", ".join(old.names)}; write ["old", "new"] to rename one.',
            )
        if self.after.types[:count] != old.types:
            raise Fault(400897, f"{self.where} changes a type, which columns keep.")

    @property
    def renames(self) -> dict[str, str]:
        """New names by old ones, of the columns that get one."""
        pairs = zip(self.before, self.after.names, strict=True)
        return {before: after for before, after in pairs if before != after}


def read_new_columns(value: Any, types: Collection[str], where: str) -> Columns:
    """Read the columns of a new table (400589 if they are none)."""
    names, kinds = _read(value, where)
    return Columns(
        tuple(_check_name(name, where) for name in names),
        tuple(_check_type(kind, types, where) for kind in kinds),
    )


def read_changes(value: Any, types: Collection[str], where: str) -> ColumnChanges:
    """Read the columns that a table is to have (400589 if they are none).

    A column that there is gets another name by a list of the old and the new one in its place.
    """
    names, kinds = _read(value, where)
    pairs = [check_array(name, where) if isinstance(name, list) else [name, name] for name in names]
    if any(len(pair) != 2 for pair in pairs):
        raise Fault(400589, f"{where} has a list of names that is not one old and one new name.")
    return ColumnChanges(
        where,
        tuple(_check_name(old, where) for old, _ in pairs),
        Columns(
            tuple(_check_name(new, where) for _, new in pairs),
            tuple(_check_type(kind, types, where) for kind in kinds),
        ),
    )


def _read(value: Any, where: str) -> tuple[list[Any], list[Any]]:
    fields = check_mapping(value, where)
    check_fields(fields, {"names", "types"}, required=("names", "types"), where=where)
    names = check_array(fields["names"], f"the names of {where}")
    kinds = check_array(fields["types"], f"the types of {where}")
    if len(names) != len(kinds):
        raise Fault(400589, f"{where} has {len(names)} names and {len(kinds)} types.")
    return [*names], kinds


def _check_name(name: Any, where: str) -> str:
    if not isinstance(name, str) or not TABLE_NAME.fullmatch(name):
        raise Fault(
            400589,
            f"{where} has the name {name!r}: write 1 to 64 lower-case letters, digits and '_', "
            "not starting with a digit.",
        )
    if name in _TAKEN:
        raise Fault(400589, f"{where} has the name {name!r}, which is reserved.")
    return name


def _check_type(kind: Any, types: Collection[str], where: str) -> str:
    if isinstance(kind, str) and kind in types:
        return kind
    raise Fault(400589, f"{where} has the type {kind!r}: write one of {', '.join(sorted(types))}.")


def check_distinct(names: Collection[str], where: str) -> None:
    """Refuse a table with two columns of one name, or too many (400589)."""
    if len(set(names)) < len(names):
        raise Fault(400589, f"{where} has two columns of the same name.")
    if len(names) > MAX_COLUMNS:
        raise Fault(400589, f"{where} has {len(names)} columns, it may have {MAX_COLUMNS}.")
