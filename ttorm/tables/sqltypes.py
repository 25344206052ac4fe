"""The types of columns: the platform's names for them, and what they are in Python."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

__all__ = ["DIMENSION_TYPES", "SPATIAL", "STRUCTURED", "TEXTS", "TYPES", "sql_type", "value_type"]


def _uuid() -> type[Any]:
    # Most programs have no such column, and importing it takes a while.
    from uuid import UUID

    return UUID


_PYTHON: Mapping[str, Any] = {
    "bigint": int,
    "bool": bool,
    "boolean": bool,
    "character varying": str,
    "date": date,
    "double precision": float,
    "geography": Any,
    "geometry": Any,
    "int": int,
    "integer": int,
    "interval": Any,
    "json": Any,
    "jsonb": Any,
    "numeric": Decimal,
    "real": float,
    "smallint": int,
    "text": str,
    "time": time,
    "timestamp": datetime,
    "timestamptz": datetime,
    "uuid": _uuid,
    "varchar": str,
}
TYPES = frozenset(_PYTHON)
"""The types of measurements and properties."""
STRUCTURED = frozenset(("json", "jsonb"))
"""Types whose values are JSON of any shape."""
TEXTS = frozenset(("character varying", "text", "varchar"))
"""Types of texts."""
SPATIAL = frozenset(("geography", "geometry"))
"""Types of places and shapes."""
DIMENSION_TYPES = TYPES - STRUCTURED
"""The types of dimensions."""

_SQL: Mapping[type[Any], str] = {
    str: "varchar",
    bool: "boolean",
    int: "bigint",
    float: "double precision",
    Decimal: "numeric",
    datetime: "timestamptz",
    date: "date",
    time: "time",
    timedelta: "interval",
    dict: "jsonb",
    list: "jsonb",
}


def value_type(name: str) -> Any:
    """Return what values of a column are in Python when nobody declares it.

    Example:
        >>> value_type("smallint")
        int | None
    """
    kind = _uuid() if _PYTHON[name] is _uuid else _PYTHON[name]
    return kind if kind is Any else kind | None


def sql_type(annotation: Any) -> str | None:
    """Return the type of columns that hold values of a Python type; None when there is no one.

    Example:
        >>> sql_type(float | None), sql_type(list[str]), sql_type(complex)
        ('double precision', 'jsonb', None)
    """
    bare = _without_null(annotation)
    bare = get_origin(bare) or bare
    if not isinstance(bare, type):
        return None
    # The nearest in the order of inheritance: a datetime is a date, a truth value a number.
    known = {**_SQL, _uuid(): "uuid"}
    return next((known[kind] for kind in bare.__mro__ if kind in known), None)


def _without_null(annotation: Any) -> Any:
    if get_origin(annotation) not in (Union, UnionType):
        return annotation
    left = [part for part in get_args(annotation) if part is not NoneType]
    return left[0] if len(left) == 1 else None
