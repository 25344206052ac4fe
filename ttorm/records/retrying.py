"""Doing something again after somebody else was faster."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Self

from ttorm.api.errors import ConflictError, ValidationError
from ttorm.api.retry import RetryPolicy
from ttorm.connection import blocking
from ttorm.flows import Flow, sleep

__all__ = ["Attempt", "Attempts", "backoff", "retry_conflicts"]


def backoff(attempt: int, base: float, cap: float = 1.0) -> Flow[None]:
    """Wait a while after a lost race, at random, so that the losers do not meet again.

    Args:
        attempt: How many attempts there were.
        base: Longest wait in seconds after the first one; doubles with each.
        cap: Longest wait in seconds after any of them.
    """
    from random import random

    pause = RetryPolicy(base=base, cap=cap).delay(attempt, None, random())  # noqa: S311 # jitter is no secret
    yield from sleep(pause)


class Attempt:
    """One attempt: a block that a `ConflictError` ends quietly, unless it is the last one.

    Its record then forgets its unsaved changes, so that the next attempt starts from what the
    service holds.

    Attributes:
        number: Which attempt it is, from 1.
        conflict: The conflict that ended it, or None.
    """

    def __init__(self, number: int, *, last: bool) -> None:
        self.number = number
        self.conflict: ConflictError | None = None
        self._last = last

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if self._last or not isinstance(error, ConflictError) or error.record is None:
            return False
        self.conflict = error
        error.record.discard()
        return True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        return self.__exit__(kind, error, traceback)

    def __repr__(self) -> str:
        return f"<Attempt {self.number}>"


class Attempts:
    """Attempts for ``for`` and ``async for``; made by `retry_conflicts`."""

    def __init__(self, times: int, pause: float) -> None:
        self._times = times
        self._pause = pause

    def _each(self) -> Iterator[Attempt]:
        for number in range(1, self._times + 1):
            attempt = Attempt(number, last=number == self._times)
            yield attempt
            if attempt.conflict is None:
                return

    def __iter__(self) -> Iterator[Attempt]:
        for attempt in self._each():
            yield attempt
            if attempt.conflict is not None:
                blocking.run(backoff(attempt.number, self._pause))

    async def __aiter__(self) -> AsyncIterator[Attempt]:
        from ttorm.connection import tasks

        for attempt in self._each():
            yield attempt
            if attempt.conflict is not None:
                await tasks.run(backoff(attempt.number, self._pause), blocking.BOUND)

    def __repr__(self) -> str:
        return f"<Attempts: up to {self._times}>"


def retry_conflicts(times: int = 5, *, pause: float = 0.05) -> Attempts:
    """Repeat a block until nobody else was faster.

    Inside the block read, change and save with a check; where several Entries are changed, save
    with ``atomic=True``, so that a lost race leaves nothing half done. What is repeated is the
    whole block, so it must not do anything else that counts.

    Args:
        times: Most attempts; the `ConflictError` of the last one is raised.
        pause: Longest wait in seconds after the first lost race; doubles with each, up to one.

    Returns:
        What is gone through by ``for``, or ``async for``.

    Raises:
        ValidationError: `times` is below 1, or `pause` is negative.

    Example:
        >>> pump = Twin.create(entries={"liters": 5})
        >>> for attempt in ttorm.retry_conflicts():
        ...     with attempt:
        ...         pump.ledger["liters"].value += 2
        ...         _ = pump.save(check=True)
        >>> pump.ledger["liters"].value
        7
    """
    if times < 1 or pause < 0:
        raise ValidationError(
            f"times={times}, pause={pause}: expected times from 1 and seconds from 0",
            code="bad-argument",
        )
    return Attempts(times, pause)
