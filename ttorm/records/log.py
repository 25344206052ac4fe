"""The account's log: what went wrong where no caller could be told."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator

from ttorm.api.answers import listed, needed
from ttorm.api.errors import LogGapError, NotFoundError, ValidationError
from ttorm.api.request import api_request
from ttorm.connection.calls import perform
from ttorm.connection.core import Connection
from ttorm.flows import Flow, sleep
from ttorm.pairs import twin_of
from ttorm.sessions import current_session

__all__ = ["Followed", "Log"]


class Log:
    """The account's log, for one reader: texts about what went wrong in the background.

    **Reading takes messages away**: the service gives each one once, in pieces (fragments), of
    which each names the next. A reader asks for the piece it was told of, so it notices when
    somebody else has read in between, or an answer was lost.

    Iterating gives the messages until there are none, sync and async. What was read and not yet
    given out stays here, and comes first the next time. One reader at a time may use a `Log`.

    Args:
        fragment: Where an earlier reader stopped: its `fragment`. None takes what there is.

    Attributes:
        fragment: The piece that comes next; keep it to go on in another process. None before the
            first reading, and after a gap.

    Example:
        >>> pump = Twin.create()
        >>> pump.ledger["heat"] = Entry(5, timeseries={"no_such_table": {}})
        >>> _ = pump.save()
        >>> for message in Log():
        ...     print(message)
        Invalid Ledger configuration. ...
        >>> list(Log())
        []
    """

    def __init__(self, fragment: str | None = None) -> None:
        self.fragment = fragment
        self._bound: Connection | None = None
        self._waiting: deque[str] = deque()

    @property
    def _connection(self) -> Connection:
        if self._bound is None:
            self._bound = current_session().connection
        return self._bound

    def read(self) -> list[str]:
        """Read the messages since the last reading, oldest first.

        Raises:
            LogGapError: Messages went elsewhere; the next reading takes what there is.
            OutcomeUnknownError: The answer was lost, and perhaps the messages in it; the next
                reading tells.
        """
        self._connection.run(self._read())
        return self._taken()

    @twin_of(read)
    async def aread(self) -> list[str]:
        await self._connection.arun(self._read())
        return self._taken()

    def _read(self) -> Flow[bool]:
        """Read the next piece, and tell whether there was anything in it."""
        asked = self.fragment
        try:
            answer = yield from perform(
                self._connection, api_request("get_log", query={"fragment": asked})
            )
        except NotFoundError as error:
            if asked is None:
                raise
            self.fragment = None
            raise LogGapError(
                "the log was read by somebody else, or an answer with messages was lost: what was "
                "in it cannot be read again; the next reading takes what there is now"
            ) from error
        found = [str(message) for message in listed(answer, "messages")]
        # First what must not be lost.
        self._waiting.extend(found)
        self.fragment = needed(answer, "fragment")
        return bool(found)

    def _taken(self) -> list[str]:
        return [self._waiting.popleft() for _ in range(len(self._waiting))]

    def __iter__(self) -> Iterator[str]:
        while bool(self._waiting) or self._connection.run(self._read()):
            yield self._waiting.popleft()

    async def __aiter__(self) -> AsyncIterator[str]:
        while bool(self._waiting) or await self._connection.arun(self._read()):
            yield self._waiting.popleft()

    def follow(self, interval: float = 5.0) -> Followed:
        """Go through the messages as they come, without end.

        Args:
            interval: Seconds between two readings that find nothing; more than 0.

        Returns:
            What can be gone through by ``for`` and ``async for``. After a `LogGapError` it can be
            gone through again.

        Raises:
            ValidationError: The interval is not above 0.

        Example:
            >>> pump = Twin.create()
            >>> pump.ledger["heat"] = Entry(5, timeseries={"no_such_table": {}})
            >>> _ = pump.save()
            >>> for message in Log().follow(interval=60):
            ...     break
        """
        if not interval > 0:
            raise ValidationError(
                f"interval={interval!r}: expected seconds above 0", code="bad-argument"
            )
        return Followed(self, interval)

    def __repr__(self) -> str:
        return f"<Log from {self.fragment or 'wherever it is'}>"


class Followed:
    """The messages of a log as they come; made by `Log.follow`."""

    def __init__(self, log: Log, interval: float) -> None:
        self._log = log
        self._interval = interval

    def __iter__(self) -> Iterator[str]:
        log = self._log
        while True:
            yield from log
            log._connection.run(sleep(self._interval))

    async def __aiter__(self) -> AsyncIterator[str]:
        log = self._log
        while True:
            async for message in log:
                yield message
            await log._connection.arun(sleep(self._interval))

    def __repr__(self) -> str:
        return f"<{self._log!r} every {self._interval:g} seconds>"
