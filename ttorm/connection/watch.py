"""Loops that ask for one object after the other: noticed while a program is being developed."""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING
from warnings import warn_explicit

from ttorm.connection.callers import Line, calling_line
from ttorm.flows import gathering

if TYPE_CHECKING:
    from ttorm.api.operations import Operation

__all__ = ["NPlusOneWarning", "Watch"]

_MANY = 10
"""How many requests from one line, one after the other, make a loop."""
_PAUSE = 2.0
"""Seconds after which a line begins anew: requests of a server's clients are no loop."""
_LINES = 1_000


class NPlusOneWarning(UserWarning):
    """A loop sends one request for each of its objects, where one call could read or write all."""


class Watch:
    """Counts the requests that each line sends, one by one, and warns of loops.

    Args:
        many: After how many requests it warns.
    """

    def __init__(self, many: int = _MANY) -> None:
        self._many = many
        self._seen: dict[tuple[int, Line, str], tuple[int, float]] = {}

    def note(self, operation: Operation) -> None:
        """Note that a request is about to be sent."""
        if gathering.get() or not _is_about_one(operation):
            return
        line = calling_line()
        if line is None:
            return
        key, now = (threading.get_ident(), line, operation.name), monotonic()
        number, last = self._seen.get(key, (0, now))
        number = number + 1 if now - last < _PAUSE else 1
        if len(self._seen) >= _LINES:
            self._seen.clear()
        self._seen[key] = number, now
        if number == self._many:
            warn_explicit(_message(operation, line, number), NPlusOneWarning, *line)


def _is_about_one(operation: Operation) -> bool:
    # A history is read page by page, and by moments: there is no way to read several at once.
    return "{" in operation.path and not operation.path.endswith("/history")


def _message(operation: Operation, line: Line, number: int) -> str:
    if operation.method == "GET":
        cure = (
            "read them together: scan(...).prefetch(...), or ttorm.load_all(records, ...), "
            "await ttorm.aload_all(records, ...)"
        )
    else:
        cure = (
            "write them together: change the records inside `with ttorm.session():`, or call "
            "ttorm.save_all(records), await ttorm.asave_all(records)"
        )
    return f"{line} sent {number} requests {operation.name}, one after the other: {cure}"
