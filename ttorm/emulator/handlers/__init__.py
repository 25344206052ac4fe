"""What the operations do: one function each, in modules by noun."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NamedTuple, TypeAlias

from ttorm.api.http import HttpResponse
from ttorm.api.operations import operation
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


_NOUNS = (
    "account",
    "batches",
    "databases",
    "docs",
    "downloads",
    "history",
    "identities",
    "indexes",
    "ledgers",
    "log",
    "notifications",
    "roles",
    "secrets",
    "stickers",
    "timeseries",
    "tokens",
    "twins",
    "uploads",
    "usage",
    "users",
)
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
    """Return the handlers by operation, importing their modules the first time."""
    for noun in _NOUNS:
        import_module(f"{__name__}.{noun}")
    return _HANDLERS
