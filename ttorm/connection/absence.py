"""Kept answers that say that there is nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ttorm.api.errors import ApiError, NotFoundError, api_error
from ttorm.api.request import ApiRequest

__all__ = ["absence", "is_absence", "told_absence"]

_MARK = "\0absent"
"""A member that no answer of the service has; any backend can carry it."""


def absence(error: NotFoundError) -> dict[str, Any]:
    """Make what is kept of a refusal."""
    said = {"subcode": error.subcode, "trace": error.trace, "description": error.description}
    return {_MARK: {name: value for name, value in said.items() if value is not None}}


def is_absence(kept: Mapping[str, Any]) -> bool:
    """Tell whether that is what was kept of a refusal."""
    return _MARK in kept


def told_absence(kept: Mapping[str, Any], request: ApiRequest) -> ApiError:
    """Make the error again."""
    operation = request.operation.name
    return api_error(404, kept[_MARK], operation=operation, request=request.label, attempts=0)
