"""What altering a table takes: whole lists of columns, with new names and new columns in them.

The platform renames columns and adds new ones behind the others. It neither drops columns nor
changes their order or types; who asks for that is refused before anything is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from ttorm.api.answers import listed, member
from ttorm.api.errors import StateError, ValidationError
from ttorm.api.names import check_table_name
from ttorm.records.meta import did_you_mean

__all__ = [
    "COLUMN_GROUPS",
    "Definition",
    "altered",
    "check_renames",
    "extended",
    "named_in",
    "names_and_types",
    "types_of",
]

COLUMN_GROUPS = ("dimensions", "measurements", "properties")
"""Members of tables that list columns."""
_SYNONYMS: Mapping[str, str] = {
    "bool": "boolean",
    "character varying": "varchar",
    "int": "integer",
}
_Wire = dict[str, Any]


class Definition(NamedTuple):
    """A table as its class declares it.

    Attributes:
        name: Its name.
        wire: Its members as the API takes them; those that are not declared are left out.
        formerly: Former names of columns that are to be renamed, by their names.
    """

    name: str
    wire: _Wire
    formerly: Mapping[str, str]


def names_and_types(columns: Mapping[str, str]) -> _Wire:
    """Write columns as the API has them.

    Example:
        >>> names_and_types({"city": "varchar"})
        {'names': ['city'], 'types': ['varchar']}
    """
    return {"names": [*columns], "types": [*columns.values()]}


def types_of(wire: Any) -> dict[str, str]:
    """Read columns as the API has them; the types by name."""
    names, types = map(str, listed(wire, "names")), map(str, listed(wire, "types"))
    return dict(zip(names, types, strict=False))


def named_in(wire: Any) -> list[str]:
    """Return the names of columns as the API has them, the new ones of those to be renamed.

    Example:
        >>> named_in({"names": ["city", ["ozone", "ppb"]], "types": ["varchar", "real"]})
        ['city', 'ppb']
    """
    # A pair is a column's old name and its new one.
    several: list[list[Any]] = [listed({"": name}, "") or [name] for name in listed(wire, "names")]
    return [str(names[-1]) for names in several]


def extended(
    table: str, known: Mapping[str, str], renames: Mapping[str, str], added: Mapping[str, str]
) -> _Wire:
    """Give the list of columns that renames some and adds others.

    Args:
        table: The table's name, for messages.
        known: Types of the columns that there are, by name.
        renames: New names by old ones; those of other lists are passed over.
        added: Types of the new columns, by name.

    Raises:
        StateError: A column is to be added that is there.
    """
    for name in added:
        check_table_name(name, "column name")
        if name in known and name not in renames:
            raise StateError(
                f"the table {table!r} has a column {name!r} already, of the type {known[name]}: "
                "add one of another name; types cannot be changed"
            )
    names: list[Any] = [[name, renames[name]] if name in renames else name for name in known]
    return {"names": [*names, *added], "types": [*known.values(), *added.values()]}


def check_renames(table: str, known: Sequence[str], renames: Mapping[str, str]) -> None:
    """Refuse new names for columns that are not there.

    Raises:
        ValidationError: There is no such column, or the new name is none.
    """
    for old, new in renames.items():
        check_table_name(new, "column name")
        if old not in known:
            raise ValidationError(
                f"the table {table!r} has no column {old!r}{did_you_mean(old, known)}",
                code="bad-argument",
            )


def altered(wanted: Definition, known: Mapping[str, Any]) -> _Wire:
    """Give the members to send so that a table becomes what its class declares; none if it is.

    Raises:
        StateError: Columns would have to be dropped, reordered or given other types, or the table
            moved to another database.
    """
    body: _Wire = {}
    for part, value in wanted.wire.items():
        if part in COLUMN_GROUPS:
            found = _columns(wanted, types_of(member(known, part)), types_of(value))
            body |= {} if found is None else {part: found}
        elif part == "database":
            if value != known.get(part):
                raise StateError(
                    f"the table {wanted.name!r} is in the database {known.get(part)}, and "
                    f"tables cannot be moved: declare that one, not {value}"
                )
        elif value != known.get(part):
            body[part] = value
    return body


def _columns(
    wanted: Definition, known: Mapping[str, str], declared: Mapping[str, str]
) -> _Wire | None:
    renames = {
        old: name
        for name, old in wanted.formerly.items()
        if name in declared and name not in known and old in known
    }
    after = {renames.get(name, name): kind for name, kind in known.items()}
    kept = [name for name in declared if name in after]
    dropped = [name for name in after if name not in declared]
    if dropped:
        _refuse(
            wanted,
            f"has the column {dropped[0]!r}, which the class does not declare, and columns cannot "
            f"be dropped: declare it, or say which column has its place now by formerly="
            f"{dropped[0]!r}",
        )
    for name, kind in after.items():
        if _SYNONYMS.get(kind, kind) != _SYNONYMS.get(declared[name], declared[name]):
            _refuse(
                wanted,
                f"has the column {name!r} of the type {kind}, and types cannot be changed to "
                f"{declared[name]}: declare type={kind!r}, or a new column of another name",
            )
    if kept != [*after] or [*declared][: len(kept)] != kept:
        _refuse(
            wanted,
            f"has its columns in the order {', '.join(after)}, which cannot be changed: declare "
            "them so, and new ones behind them",
        )
    added = {name: kind for name, kind in declared.items() if name not in after}
    return extended(wanted.name, known, renames, added) if renames or added else None


def _refuse(wanted: Definition, why: str) -> NoReturn:
    raise StateError(f"the table {wanted.name!r} {why}")
