"""Sessions: which objects are known, and which of them have changes to send.

A session keeps one state for each Twin, so that everybody who asks for a Twin's UUID shares its
values and changes. A block (`with ttorm.session()`) is a unit of work as well: it sends the changes
when it ends well, and restores the records when it does not.
"""

from __future__ import annotations

import warnings
import weakref
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias

from ttorm.api.errors import StateError
from ttorm.connection.blocking import runner
from ttorm.connection.core import Connection
from ttorm.connection.opening import default_connection
from ttorm.flows import Flow, gather
from ttorm.pairs import twin_of
from ttorm.results import SaveResult

__all__ = [
    "Session",
    "UnsavedChangesWarning",
    "current_session",
    "open_block",
    "session",
]


class UnsavedChangesWarning(UserWarning):
    """A block ended, and records whose last save failed still have changes."""


class Unit(Protocol):
    """What a session keeps track of: the state of one record."""

    @property
    def uuid(self) -> str | None:
        """UUID, or None before the record was created."""

    @property
    def stuck(self) -> bool:
        """Whether its last save failed, and nobody decided since what to do about it."""
        ...

    def is_modified(self) -> bool:
        """Tell whether a save would send anything."""
        ...

    def save_flow(self) -> Flow[SaveResult]:
        """Send the changes."""
        ...

    def discard(self) -> None:
        """Forget the changes."""

    def record(self) -> Any:
        """Return the record the user knows it by."""


class Session:
    """Known objects of one connection, and their unsaved changes.

    Make blocks with `ttorm.session`. Outside blocks each context (thread, task) has a session of
    its own that keeps nothing alive.

    Attributes:
        known: The states of known Twins by UUID, as long as somebody holds them.
        asynchronous: Whether it was opened by ``async with``: reading attributes never blocks.
    """

    def __init__(self, connection: Connection, *, keep: bool = False) -> None:
        # Weakly: the default sessions of a context must not keep closed connections.
        self._connection = weakref.ref(connection)
        self._kept = connection if keep else None
        self.known: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
        self.asynchronous = False
        self._held: dict[int, Unit] = {}
        self._open = False

    @property
    def connection(self) -> Connection:
        """The connection its records use.

        Raises:
            StateError: It is gone.
        """
        connection = self._connection()
        if connection is None:
            raise StateError("the connection of this session is gone: call ttorm.connect() again")
        return connection

    @property
    def is_open(self) -> bool:
        """Whether it is a block that has begun and not ended."""
        return self._open

    def hold(self, unit: Unit) -> None:
        """Keep a record with changes (or with a container somebody may change) until the flush."""
        if self._open:
            self._held[id(unit)] = unit

    def release(self, unit: Unit) -> None:
        """Let go of a record, whatever was changed."""
        self._held.pop(id(unit), None)

    @property
    def dirty(self) -> list[Any]:
        """The records with unsaved changes.

        Example:
            >>> with ttorm.session() as s:
            ...     pump = Twin()
            ...     pump.description["kind"] = "pump"
            ...     s.dirty == [pump]
            True
        """
        return [unit.record() for unit in self._held.values() if unit.is_modified()]

    def flush(self) -> SaveResult:
        """Save every record with changes, except those whose last save failed.

        These wait for their own `save()` or `discard()`.

        Returns:
            What was done, all records together.

        Raises:
            TtormError: A record could not be saved; the others were.
        """
        return self.connection.run(self._flush())

    @twin_of(flush)
    async def aflush(self) -> SaveResult:
        return await self.connection.arun(self._flush())

    def _flush(self) -> Flow[SaveResult]:
        units = [unit for unit in self._held.values() if unit.is_modified() and not unit.stuck]
        outcomes = yield from gather(unit.save_flow() for unit in units)
        errors = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        # Records with containers in users' hands stay: they may be changed again.
        if errors:
            for error in errors[1:]:
                errors[0].add_note(f"also, in the same flush: {error}")
            raise errors[0]
        results = [outcome for outcome in outcomes if isinstance(outcome, SaveResult)]
        return SaveResult(
            tuple(name for result in results for name in result.created),
            tuple(name for result in results for name in result.updated),
            tuple(name for result in results for name in result.deleted),
            sum(result.requests for result in results),
        )

    def rollback(self) -> None:
        """Forget all unsaved changes; requests already answered stay done."""
        for unit in self._held.values():
            unit.discard()

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.flush()
                self._warn()
            else:
                self.rollback()
        finally:
            self._end()

    async def __aenter__(self) -> Self:
        self._begin()
        self.asynchronous = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                await self.aflush()
                self._warn()
            else:
                self.rollback()
        finally:
            self._end()

    def _begin(self) -> None:
        if self._open:
            raise StateError("this session is open already: make another with ttorm.session()")
        self._open = True
        _blocks.set((*_blocks.get(), self))

    def _warn(self) -> None:
        left = [unit for unit in self._held.values() if unit.stuck and unit.is_modified()]
        if left:
            names = ", ".join(repr(unit.record()) for unit in left)
            warnings.warn(
                f"the block ended with changes that could not be saved before: {names}; save() or "
                "discard() them where the error is handled",
                UnsavedChangesWarning,
                stacklevel=3,
            )

    def _end(self) -> None:
        # Not by a token: a block may end in another context than it began in, as blocks inside
        # generators do.
        _blocks.set(tuple(block for block in _blocks.get() if block is not self))
        self._open = False
        # Its records stay usable, and load like those of any other session.
        self.asynchronous = False
        self._held.clear()


_blocks: ContextVar[tuple[Session, ...]] = ContextVar("ttorm_session_blocks", default=())
_Sessions: TypeAlias = weakref.WeakKeyDictionary[Connection, Session]
# With the thread or task they belong to: tasks start with a copy of another's context.
_defaults: ContextVar[tuple[object, _Sessions]] = ContextVar("ttorm_default_sessions")


def session(connection: Connection | None = None) -> Session:
    """Make a session to be used as a block.

    Args:
        connection: Whom its records talk to; the default connection when left out.

    Example:
        >>> with ttorm.session() as s:
        ...     pump = Twin.create()
        ...     pump.ledger["pressure"] = 2.5
        >>> Twin.get(pump.uuid, fresh=True).ledger["pressure"].value
        2.5
    """
    return Session(connection or default_connection(), keep=True)


def open_block(connection: Connection | None = None) -> Session | None:
    """Return the innermost open block, or None outside of blocks.

    Args:
        connection: Only a block of this connection.
    """
    for block in reversed(_blocks.get()):
        # A task may have been started inside a block that has ended since.
        if block.is_open and (connection is None or block.connection is connection):
            return block
    return None


def current_session(connection: Connection | None = None) -> Session:
    """Return the innermost open block, or this context's default session.

    Args:
        connection: Only a session of this connection.
    """
    block = open_block(connection)
    if block is not None:
        return block
    connection = connection or default_connection()
    own = runner()
    known = _defaults.get(None)
    if known is None or known[0] != own:
        known = (own, _Sessions())
        _defaults.set(known)
    sessions = known[1]
    if connection not in sessions:
        sessions[connection] = Session(connection)
    return sessions[connection]
