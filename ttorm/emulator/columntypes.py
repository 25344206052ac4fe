"""The types of columns in Timeseries and Indexes tables, and which JSON values fit them.

A value fits when it is of the type, or a text that reads as one. Texts take everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from functools import partial
from sys import float_info
from typing import Any, NamedTuple, TypeGuard

from ttorm.api.names import UUID
from ttorm.emulator.rows import to_json

__all__ = ["DIMENSION_TYPES", "TIMESTAMPTZ", "TYPES", "ColumnType", "MisfitError"]

_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,300}(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,2})?")
_UNIT = "(year|month|week|day|hour|minute|second|millisecond|microsecond)s?"
_INTERVAL = re.compile(
    rf"(?=.)([+-]?[0-9]{{1,9}}(\.[0-9]+)? {_UNIT}\b *)*"
    r"([+-]?[0-9]+:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?)?"
    r"|P(?=.)([0-9]+Y)?([0-9]+M)?([0-9]+W)?([0-9]+D)?"
    r"(T(?=.)([0-9]+H)?([0-9]+M)?([0-9]+(\.[0-9]+)?S)?)?"
)
_SHAPE = re.compile(
    r"(SRID=[0-9]{1,6};)?(MULTI)?(POINT|LINESTRING|POLYGON|GEOMETRYCOLLECTION) *(Z|M|ZM)? *"
    r"(EMPTY|\(.*\))",
    re.DOTALL,
)
_LARGEST_REAL = 3.4028235e38


class MisfitError(ValueError):
    """A value is none of its column's type."""


class ColumnType(NamedTuple):
    """A type of columns.

    Attributes:
        sql: What it is called in the database.
        fit: Makes what is stored of a JSON value that is not null, or raises `MisfitError`.
    """

    sql: str
    fit: Callable[[Any], Any]


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _integer(bits: int, value: Any) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if _is_number(value) and value == value // 1 and -(1 << bits) <= value < 1 << bits:
        return int(value)
    raise MisfitError


def _float(largest: float, value: Any) -> float:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if _is_number(value) and abs(value) <= largest:
        return float(value)
    raise MisfitError


def _numeric(value: Any) -> int | float | str:
    """Whole numbers beyond 64 bits are handed over as text, which databases read exactly."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 63:
        value = str(value)
    if (isinstance(value, str) and _NUMBER.fullmatch(value)) or _is_number(value):
        return value
    raise MisfitError


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise MisfitError


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else to_json(value)
    if "\0" in text:
        raise MisfitError
    return text


def _moment(value: Any) -> datetime:
    try:
        if isinstance(value, str):
            at = datetime.fromisoformat(value)
            return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        if _is_number(value):
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise MisfitError


def _timestamptz(value: Any) -> str:
    return _moment(value).isoformat(" ", "milliseconds")


def _timestamp(value: Any) -> str:
    return _moment(value).replace(tzinfo=None).isoformat(" ", "milliseconds")


def _date(value: Any) -> str:
    day: date = _moment(value).date()
    return day.isoformat()


def _time(value: Any) -> str:
    try:
        return time.fromisoformat(value).replace(tzinfo=None).isoformat("milliseconds")
    except (TypeError, ValueError):
        raise MisfitError from None


def _matching(pattern: re.Pattern[str], value: Any) -> str:
    if isinstance(value, str) and pattern.fullmatch(value):
        return value
    raise MisfitError


def _shape(value: Any) -> str:
    """A shape in space, as well-known text or as GeoJSON."""
    return to_json(value) if isinstance(value, dict) else _matching(_SHAPE, value)


def _uuid(value: Any) -> str:
    return _matching(UUID, value).lower()


TIMESTAMPTZ = ColumnType("TIMESTAMPTZ", _timestamptz)
"""A moment, in Unix seconds or as ISO 8601, kept as text in UTC that sorts like the moments."""

_VARCHAR = ColumnType("VARCHAR", _text)
_INT = ColumnType("INTEGER", partial(_integer, 31))
_BOOL = ColumnType("BOOLEAN", _boolean)
_SPACE = ColumnType("TEXT", _shape)

DIMENSION_TYPES: Mapping[str, ColumnType] = {
    "bigint": ColumnType("BIGINT", partial(_integer, 63)),
    "bool": _BOOL,
    "boolean": _BOOL,
    "character varying": _VARCHAR,
    "date": ColumnType("DATE", _date),
    "double precision": ColumnType("DOUBLE PRECISION", partial(_float, float_info.max)),
    "geography": _SPACE,
    "geometry": _SPACE,
    "int": _INT,
    "integer": _INT,
    "interval": ColumnType("TEXT", partial(_matching, _INTERVAL)),
    "numeric": ColumnType("NUMERIC", _numeric),
    "real": ColumnType("REAL", partial(_float, _LARGEST_REAL)),
    "smallint": ColumnType("SMALLINT", partial(_integer, 15)),
    "text": ColumnType("TEXT", _text),
    "time": ColumnType("TIME", _time),
    "timestamp": ColumnType("TIMESTAMP", _timestamp),
    "timestamptz": TIMESTAMPTZ,
    "uuid": ColumnType("TEXT", _uuid),
    "varchar": _VARCHAR,
}
"""The types of dimensions by the platform's names."""

TYPES: Mapping[str, ColumnType] = {
    **DIMENSION_TYPES,
    "json": ColumnType("TEXT", to_json),
    "jsonb": ColumnType("TEXT", to_json),
}
"""The types of measurements and properties."""
