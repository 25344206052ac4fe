"""How columns are declared: `dimension`, `measurement` and `column`."""

from __future__ import annotations

from typing import Any, TypeVar, overload

from ttorm.rules import Attribute
from ttorm.tables.columns import Column

__all__ = ["column", "dimension", "measurement"]

T = TypeVar("T")


@overload
def dimension(
    template: Attribute[T],
    *,
    type: str | None = ...,
    name: str | None = ...,
    formerly: str | None = ...,
) -> Column[T]: ...
@overload
def dimension(
    template: str | None = ...,
    *,
    type: str | None = ...,
    name: str | None = ...,
    formerly: str | None = ...,
) -> Any: ...
def dimension(
    template: str | Attribute[Any] | None = None,
    *,
    type: str | None = None,  # noqa: A002 # the platform's word
    name: str | None = None,
    formerly: str | None = None,
) -> Any:
    """Declare a dimension of a Timeseries table: what tells rows of one moment apart.

    Args:
        template: What its values are made of: a field such as ``Station.city``, a variable such
            as ``LEDGER.city``, or text such as ``"{LEDGER.city}"``. Without one, Entries say it
            in their own `timeseries` property.
        type: The platform's type, when the annotated one does not tell it.
        name: The column's name, when it differs from the attribute's.
        formerly: The name that the column had; `migrate` renames it.

    Example:
        >>> class Weather(TimeseriesTable):
        ...     city: Column[str] = dimension("{LEDGER.city}")
        >>> Weather.city.type
        'varchar'
    """
    return Column[Any]("dimension", template=template, type=type, name=name, formerly=formerly)


def measurement(
    *,
    type: str | None = None,  # noqa: A002 # the platform's word
    name: str | None = None,
    formerly: str | None = None,
) -> Any:
    """Declare a measurement of a Timeseries table: a column that Entries write their values to.

    A cell is missing in rows of moments at which only other measurements were written.

    Args:
        type: The platform's type, when the annotated one does not tell it.
        name: The column's name, when it differs from the attribute's.
        formerly: The name that the column had; `migrate` renames it.

    Example:
        >>> class Weather(TimeseriesTable):
        ...     celsius: Column[float | None] = measurement(type="real")
        >>> Weather.celsius > 30
        <condition celsius > 30.0>
    """
    return Column[Any]("measurement", type=type, name=name, formerly=formerly)


@overload
def column(
    template: Attribute[T],
    *,
    type: str | None = ...,
    name: str | None = ...,
    formerly: str | None = ...,
) -> Column[T]: ...
@overload
def column(
    template: str | None = ...,
    *,
    type: str | None = ...,
    name: str | None = ...,
    formerly: str | None = ...,
) -> Any: ...
def column(
    template: str | Attribute[Any] | None = None,
    *,
    type: str | None = None,  # noqa: A002 # the platform's word
    name: str | None = None,
    formerly: str | None = None,
) -> Any:
    """Declare a column of an index table.

    Args:
        template: What its values are made of: a field such as ``Scooter.battery``, a variable
            such as ``LEDGER.battery``, or text such as ``"{LEDGER.battery}"``. Without one it is
            the model's field of the same name.
        type: The platform's type, when the annotated one does not tell it.
        name: The column's name, when it differs from the attribute's.
        formerly: The name that the column had; `migrate` renames it.

    Example:
        >>> class Pump(Twin):
        ...     pressure: Field[float] = entry()
        >>> class HighPressure(IndexTable[Pump]):
        ...     pressure: Column[float] = column()
        ...     class Meta:
        ...         rule = Pump.pressure > 8
        >>> HighPressure.pressure.template
        '{LEDGER.pressure}'
    """
    return Column[Any]("property", template=template, type=type, name=name, formerly=formerly)
