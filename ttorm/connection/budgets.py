"""Budgets: how many requests a piece of work may send, and who sent one too many."""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ttorm.api.errors import BudgetExceededError, ValidationError
from ttorm.connection.callers import calling_line

if TYPE_CHECKING:
    from ttorm.api.request import ApiRequest
    from ttorm.connection.core import Connection

__all__ = ["Budget", "spend"]

_budgets: ContextVar[tuple[Budget, ...]] = ContextVar("ttorm_budgets", default=())


class Budget:
    """At most so many requests of one connection, by this thread or task and those it starts.

    Made by `Session.budget`. It counts calls that the cache did not answer; a call that is
    repeated after a failure counts once. As a context manager it ends with the block.

    Attributes:
        limit: How many requests are allowed.
        spent: How many were made.

    Example:
        >>> pump = Twin.create(entries={"pressure": 2.5})
        >>> with ttorm.session() as s, s.budget(1) as budget:
        ...     pump.ledger.refresh()
        <Ledger 'personal' of ...>
        >>> budget.spent
        1
    """

    def __init__(self, connection: Connection, limit: int) -> None:
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
            raise ValidationError(f"a budget of {limit!r} requests: expected 0 or more")
        self.limit = limit
        self.spent = 0
        self._connection = weakref.ref(connection)
        self._open = True
        _budgets.set((*_budgets.get(), self))

    def __repr__(self) -> str:
        return f"<Budget: {self.spent} of {self.limit} requests>"

    def end(self) -> None:
        """Count and refuse nothing any more; ending twice is harmless."""
        self._open = False
        _budgets.set(tuple(budget for budget in _budgets.get() if budget is not self))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()

    def _spend(self, connection: Connection, request: ApiRequest) -> None:
        if not self._open or self._connection() is not connection:
            return
        if self.spent >= self.limit:
            line = calling_line()
            asked = "a task" if line is None else str(line)
            raise BudgetExceededError(
                f"{request.label} would be request {self.spent + 1} of a budget of {self.limit}; "
                f"asked for by {asked}: read what a loop needs beforehand, by "
                "scan(...).prefetch(...) or ttorm.load_all(records, ...), or allow more"
            )
        self.spent += 1


def spend(connection: Connection, request: ApiRequest) -> None:
    """Count a request against all budgets that are open here.

    Raises:
        BudgetExceededError: It is one too many; it is not sent.
    """
    for budget in _budgets.get():
        budget._spend(connection, request)
