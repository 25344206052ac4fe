"""Sync and async forms of one verb: ``save`` and ``asave`` share one text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["twin_of"]

F = TypeVar("F", bound=Callable[..., Any])


def twin_of(verb: Any) -> Callable[[F], F]:
    """Give an async verb the docstring of its blocking twin.

    Args:
        verb: The blocking function, method or classmethod.
    """

    def document(function: F) -> F:
        function.__doc__ = verb.__doc__
        return function

    return document
