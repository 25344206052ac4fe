"""Single flight: work that many want done, and one of them does."""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from ttorm.api.errors import TtormError
from ttorm.flows import Flow, join

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["SingleFlight"]

_PATIENCE = 2
"""How many failures of others somebody waits through before taking the last one as the answer."""


class SingleFlight:
    """Has work done once for all threads and tasks that want it at the same time."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._flight: Future[None] | None = None
        self._failures, self._error = 0, Exception()
        # The process last: of a child's threads, who sees it takes the lock.
        self._lock, self._process = threading.Lock(), os.getpid()

    def do(self, work: Callable[[], Flow[None]], wanted: Callable[[], bool]) -> Flow[None]:
        """Do some work unless it is done already, or wait for who does it.

        When who does it fails or is cancelled, one of those who wait does it again.

        Args:
            work: Makes the flow that does it.
            wanted: Tells whether it still has to be done.

        Raises:
            Exception: What the work raises.
            TtormError: What it raised, more than once, where it was waited for.
        """
        before = self._failures
        while wanted():
            flight, leads = self._board(before)
            if leads:
                yield from self._lead(flight, work, wanted)
                return
            if not (yield from join(flight)):
                # It is done by what waiting would block.
                yield from work()
                return

    def _board(self, before: int) -> tuple[Future[None], bool]:
        from concurrent.futures import Future

        if self._process != os.getpid():
            # Of what the parent's threads were doing, a forked child sees no end.
            self._begin()
        with self._lock:
            if self._flight is not None:
                return self._flight, False
            if self._failures - before >= _PATIENCE:
                # One of its own: threads would write their traces into the same one.
                raise copy.copy(self._error)
            self._flight = Future()
            return self._flight, True

    def _lead(
        self, flight: Future[None], work: Callable[[], Flow[None]], wanted: Callable[[], bool]
    ) -> Flow[None]:
        try:
            # It may have been done between the look and the boarding.
            if wanted():
                yield from work()
        except TtormError as error:
            # Others cannot be copied for sure, and tell more where they are raised.
            self._failures, self._error = self._failures + 1, copy.copy(error)
            raise
        finally:
            with self._lock:
                self._flight = None
            flight.set_result(None)
