"""Data frames of whatever library the user has, made through narwhals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from ttorm.api.errors import ConfigurationError

__all__ = ["Backend", "frame"]

Backend: TypeAlias = Literal["pandas", "polars", "pyarrow"]
"""A library of data frames."""
_NUMBERS: set[type[Any]] = {int, float}


def frame(columns: Mapping[str, list[Any]], backend: Backend) -> Any:
    """Make a data frame.

    Args:
        columns: Values by column, all of one length; None is a missing value.
        backend: The library that makes it.

    Raises:
        ConfigurationError: The library, or narwhals, is not installed.

    Example:
        >>> frame({"a": [1, 2]}, "polars").shape
        (2, 1)
    """
    try:
        import narwhals
    except ImportError:
        raise ConfigurationError(
            "data frames are made through narwhals, which is not installed: "
            "pip install 'ttorm[frames]'"
        ) from None
    try:
        made = narwhals.from_dict(
            {name: _of_one_type(column) for name, column in columns.items()}, backend=backend
        )
    except ImportError:
        raise ConfigurationError(
            f"the data frame library {backend!r} is not installed: install it, or give another "
            "backend="
        ) from None
    return made.to_native()


def _of_one_type(column: list[Any]) -> list[Any]:
    """Write whole numbers among others as the others; what fits nothing together, as text."""
    kinds: set[type[Any]] = {type(value) for value in column if value is not None}
    if len(kinds) < 2:
        return column
    if kinds == _NUMBERS:
        return [None if value is None else float(value) for value in column]
    return [None if value is None else str(value) for value in column]
