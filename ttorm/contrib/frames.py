"""Data frames of records: a row for each, a column for each field.

```python
frame = to_frame(Scooter.scan(Scooter.battery < 20), "model", "battery", backend="polars")
```

Histories and rows of tables make their own: `History.to_frame`, `Timeline.to_frame`,
`Rows.to_frame`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Sequence
from typing import Any

from ttorm.api.errors import MissingEntryError
from ttorm.pairs import twin_of
from ttorm.records.bulk import aload_all, load_all
from ttorm.records.frames import Backend, frame
from ttorm.records.twin import Twin

__all__ = ["ato_frame", "to_frame"]


def to_frame(records: Iterable[Twin], *fields: str, backend: Backend = "pandas") -> Any:
    """Return a data frame with the column ``uuid`` and one for each field.

    What is not loaded is loaded, many records side by side. A value that is missing, of a field
    without default, is missing in the frame.

    Args:
        records: A scan, or records.
        *fields: Names of fields; without any, all fields of the first record's class.
        backend: The library that makes it.

    Raises:
        ConfigurationError: The library, or narwhals, is not installed.
        TypeError: There is no such field.

    Example:
        >>> class Pump(Twin):
        ...     pressure: Field[float] = entry()
        >>> _ = Pump.create(pressure=2.5)
        >>> to_frame(Pump.scan(), "pressure", backend="polars")["pressure"].to_list()
        [2.5]
    """
    rows = list(records)
    names = _names(rows, fields)
    load_all(rows, *_parts(rows, names))
    return _frame(rows, names, backend)


@twin_of(to_frame)
async def ato_frame(
    records: Iterable[Twin] | AsyncIterable[Twin], *fields: str, backend: Backend = "pandas"
) -> Any:
    if isinstance(records, AsyncIterable):
        rows = [record async for record in records]
    else:
        rows = list(records)
    names = _names(rows, fields)
    await aload_all(rows, *_parts(rows, names))
    return _frame(rows, names, backend)


def _names(rows: Sequence[Twin], fields: Sequence[str]) -> Sequence[str]:
    names = fields or tuple(type(rows[0]).__fields__ if rows else ())
    for record in rows:
        for name in names:
            if name not in type(record).__fields__:
                raise TypeError(f"{type(record).__name__} has no field {name!r}")
    return names


def _parts(rows: Sequence[Twin], names: Sequence[str]) -> list[str]:
    specs = (type(record).__fields__[name] for record in rows for name in names)
    return list(dict.fromkeys(["description", *(spec.part for spec in specs)]))


def _frame(rows: Sequence[Twin], names: Sequence[str], backend: Backend) -> Any:
    columns = {name: [_value(record, name) for record in rows] for name in names}
    return frame({"uuid": [record.uuid for record in rows], **columns}, backend)


def _value(record: Twin, name: str) -> Any:
    try:
        return getattr(record, name)
    except MissingEntryError:
        return None
