"""What the operations do: one function each, in modules by noun."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple, TypeAlias

from ttorm.api.http import HttpResponse
from ttorm.api.operations import OPERATIONS, operation
from ttorm.emulator.call import Call

__all__ = ["Answer", "Function", "Handler", "handles", "registered"]

Answer: TypeAlias = Mapping[str, Any] | HttpResponse
"""A JSON object, sent with the operation's status, or a whole answer."""
Function: TypeAlias = Callable[[Call], Answer]


class Handler(NamedTuple):
    """What an operation does.

    Attributes:
        function: Does it.
        writes: Whether it changes the store.
    """

    function: Function
    writes: bool


_HOMES = {
    "cache": "uploads",
    "trace": "log",
    "user_secrets": "secrets",
    "user_token": "tokens",
}
"""Modules of the areas that are called otherwise."""
_HANDLERS: dict[str, Handler] = {}


def handles(name: str, *, writes: bool | None = None) -> Callable[[Function], Function]:
    """Register the function of an operation.

    Args:
        name: The operation.
        writes: Whether it changes the store; by default all but GET operations do.
    """
    changes = operation(name).method != "GET" if writes is None else writes

    def register(function: Function) -> Function:
        _HANDLERS[name] = Handler(function, changes)
        return function

    return register


def registered() -> Mapping[str, Handler]:
    """Return the handlers by operation."""
    return _Registered()


class _Registered(Mapping[str, Handler]):
    """Imports the modules of an area when one of its operations is asked for: few are at first."""

    def __getitem__(self, name: str) -> Handler:
        if name not in _HANDLERS:
            _import(OPERATIONS[name].category)
        return _HANDLERS[name]

    def __iter__(self) -> Iterator[str]:
        for area in {row.category for row in OPERATIONS.values()}:
            _import(area)
        return iter(_HANDLERS)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _import(area: str) -> None:
    import_module(f"{__name__}.{_HOMES.get(area, area)}")
