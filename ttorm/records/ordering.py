"""Which types of values are ordered in JSON as they are in Python, so that rules may use ``<``."""

from __future__ import annotations

from datetime import date, time
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin
from uuid import UUID

__all__ = ["orders_in_json"]

_SCALARS = (bool, int, float, str, NoneType)
_ORDERED = (*_SCALARS, date, time, UUID)
"""Numbers, text, and what travels as text of one width. Decimals and durations travel as text,
too, which orders "10" before "9"; addresses do, and whatever else has a form of its own."""
_CHOICES = (Union, UnionType, Literal)


def orders_in_json(declared: Any) -> bool:
    """Tell whether all values of a type order as their JSON does.

    Args:
        declared: The type of a field; `Any` and type variables are the user's own affair.

    Example:
        >>> orders_in_json(float | None), orders_in_json(list[float])
        (True, False)
    """
    if declared is Any or isinstance(declared, TypeVar):
        return True
    origin = get_origin(declared)
    if origin is Annotated:
        return orders_in_json(get_args(declared)[0])
    if origin in _CHOICES:
        return all(orders_in_json(choice) for choice in get_args(declared))
    if isinstance(declared, type):
        return issubclass(declared, _ORDERED)
    named = _named(declared, origin)
    return isinstance(declared, _SCALARS) if named is None else orders_in_json(named)


def _named(declared: Any, origin: Any) -> Any:
    """Return what a `NewType` or a ``type`` statement gives a name to."""
    if hasattr(origin, "__value__"):
        return origin.__value__[get_args(declared)]
    return getattr(declared, "__supertype__", None) or getattr(declared, "__value__", None)
