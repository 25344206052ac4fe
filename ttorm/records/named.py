"""Mappings by names of the platform: a name that it does not allow is one that is not there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, overload

from ttorm.api.errors import ValidationError

__all__ = ["Named"]

T = TypeVar("T")
V_co = TypeVar("V_co", covariant=True)


class Named(Mapping[str, V_co]):
    """What `Description`, `Identities` and `Docs` have in common.

    Brackets refuse impossible names, for they are mistakes; ``in`` and `get` only ask.
    """

    __slots__ = ()

    def __contains__(self, name: object) -> bool:
        try:
            self[name]  # type: ignore[index] # whatever it is
        except (KeyError, ValidationError):
            return False
        return True

    @overload
    def get(self, name: str, /) -> V_co | None: ...
    @overload
    def get(self, name: str, /, default: V_co) -> V_co: ...  # type: ignore[misc] # as Mapping's
    @overload
    def get(self, name: str, /, default: T) -> V_co | T: ...
    def get(self, name: str, /, default: Any = None) -> Any:
        """Return what has the name, or the default."""
        try:
            return self[name]
        except (KeyError, ValidationError):
            return default
