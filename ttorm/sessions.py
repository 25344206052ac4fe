"""Sessions: which objects are known, and which of them have changes to send.

A session keeps one state for each Twin, so that everybody who asks for a Twin's UUID shares its
values and changes. A block (`with ttorm.session()`) is a unit of work as well: it sends the changes
when it ends well, and restores the records when it does not.
"""

from __future__ import annotations

import threading
import warnings
import weakref
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias, get_args

from ttorm.api.errors import StateError, ValidationError
from ttorm.connection.blocking import runner, running_loop
from ttorm.connection.budgets import Budget
from ttorm.connection.core import Connection
from ttorm.connection.hooks import at_work
from ttorm.connection.opening import default_connection
from ttorm.flows import Flow
from ttorm.identitymap import IdentityMap
from ttorm.ordering import in_order, waves
from ttorm.pairs import twin_of
from ttorm.results import Plan, SaveResult, all_of, joined
from ttorm.units import Unit

__all__ = [
    "Fetch",
    "Session",
    "UnsavedChangesWarning",
    "block_connection",
    "check_fetch",
    "current_session",
    "live_sessions",
    "open_block",
    "session",
]


Fetch: TypeAlias = Literal["peers", "one", "raise"]
"""What looking at a part that a record lacks loads: it for the next records of the same listing
as well, for this record alone, or nothing."""


class UnsavedChangesWarning(UserWarning):
    """Changes are here that no save sends.

    A block ended with records whose last save failed, or a container was changed after a newer
    value had taken its place.
    """


class Session:
    """Known objects of one connection, and their unsaved changes.

    Make blocks with `ttorm.session`. Outside blocks each context (thread, task) has a session of
    its own that keeps nothing alive.

    Attributes:
        known: The states of known Twins by UUID, as long as somebody holds them.
        asynchronous: Whether it was opened by ``async with``: reading attributes never blocks.
        fetch: What looking at a part that a record lacks loads.
        is_open: Whether it is a block that has begun and not ended.
        anchored: Whether a block is for the thread and the event loop alone that opened it; else
            they may take turns.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        keep: bool = False,
        fetch: Fetch = "peers",
        budget: int | None = None,
        anchored: bool = True,
    ) -> None:
        # Weakly: the default sessions of a context must not keep closed connections.
        self._connection = weakref.ref(connection)
        self._kept = connection if keep else None
        self.known = IdentityMap()
        self.asynchronous = False
        self.fetch: Fetch = fetch
        self.anchored = anchored
        self._held: dict[int, Unit] = {}
        self.is_open = False
        self._home: tuple[int, Any] = (0, None)
        self._limit = budget
        self._budgets: list[Budget] = []
        _live[id(self)] = self

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

    def hold(self, unit: Unit) -> None:
        """Keep a record with changes (or with a container somebody may change) until the flush."""
        if self.is_open:
            self.check_home()
            self._held[id(unit)] = unit

    def release(self, unit: Unit) -> None:
        """Let go of a record, whatever was changed."""
        self._held.pop(id(unit), None)

    def let_go(self) -> None:
        """Let go of all records without changes: nothing here keeps them alive any more.

        Changes made later, in containers that were handed out before, are not saved by the block.
        """
        for unit in list(self._held.values()):
            if not unit.is_modified():
                self.release(unit)

    def check_home(self) -> None:
        """Refuse to be used by two threads or event loops at once: nothing here is locked.

        Raises:
            StateError: It is a block that was opened by another thread or event loop.
        """
        if not (self.is_open and self.anchored):
            return
        thread, loop = self._home
        if thread != threading.get_ident():
            raise StateError(
                "this session block was opened by another thread: open one of its own in each "
                "thread, with ttorm.session(), and hand over UUIDs instead of records",
                code="other-thread",
            )
        if loop is not None and running_loop() not in (None, loop()):
            raise StateError(
                "this session block was opened in another event loop: open one of its own in each "
                "loop, with ttorm.session(), and hand over UUIDs instead of records",
                code="other-thread",
            )

    def budget(self, requests: int) -> Budget:
        """Allow so many requests of its connection from now on, by this thread or task.

        Args:
            requests: How many.

        Returns:
            The budget, which counts, and ends with the session; as a block it ends before.

        Raises:
            StateError: The session is no open block.
            BudgetExceededError: Raised by the verb that would send one more.

        Example:
            >>> pump = Twin.create(entries={"pressure": 2.5})
            >>> with ttorm.session() as s:
            ...     budget = s.budget(3)
            ...     _ = Twin.get(pump.uuid).ledger["pressure"].value
            >>> budget
            <Budget: 1 of 3 requests>
        """
        if not self.is_open:
            raise StateError("this session is no open block: write with ttorm.session() as s:")
        budget = Budget(self.connection, requests)
        self._budgets.append(budget)
        return budget

    def __repr__(self) -> str:
        return f"<Session of {self.connection!r}: {len(self.dirty)} unsaved>"

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

    def plan(self) -> Plan:
        """Give the requests that `flush` would send, without sending anything.

        Example:
            >>> with ttorm.session() as s:
            ...     pump = Twin(description={"kind": "pump"})
            ...     print(s.plan())
            POST /twins
            {"description": {"kind": "pump"}}
        """
        ordered = waves(self._ready())
        return joined(unit.plan(wave.stage, wave.units) for wave in ordered for unit in wave.units)

    def _ready(self) -> list[Unit]:
        return [unit for unit in self._held.values() if unit.is_modified() and not unit.stuck]

    def flush(self) -> SaveResult:
        """Save every record with changes, except those whose last save failed.

        These wait for their own `save()` or `discard()`.

        Returns:
            What was done, all records together.

        Raises:
            TtormError: A record, which a note on it names, could not be saved; the others were.
        """
        return self.connection.run(self._flush())

    @twin_of(flush)
    async def aflush(self) -> SaveResult:
        return await self.connection.arun(self._flush())

    def _flush(self) -> Flow[SaveResult]:
        self.check_home()
        # Records with containers in users' hands stay: they may be changed again.
        ready = self._ready()
        if not ready:
            return SaveResult()
        flow = in_order(ready, lambda unit, early: unit.save_flow(early=early))
        return SaveResult.sum(all_of((yield from at_work(self.connection, "flush", flow))))

    def rollback(self) -> None:
        """Forget all unsaved changes; requests already answered stay done."""
        for unit in list(self._held.values()):
            unit.discard()

    def begin(self) -> None:
        """Begin the block, where ``with`` cannot: what begins and ends it are two functions.

        Raises:
            StateError: It has begun already.
        """
        if self.is_open:
            raise StateError("this session is open already: make another with ttorm.session()")
        self.is_open = True
        loop = running_loop()
        self._home = threading.get_ident(), None if loop is None else weakref.ref(loop)
        if self._limit is not None:
            self.budget(self._limit)
        _blocks.set((*_blocks.get(), self))

    def end(self) -> None:
        """End the block without sending anything; ending twice is harmless."""
        # Not by a token: a block may end in another context than it began in, as blocks inside
        # generators do.
        _blocks.set(tuple(block for block in _blocks.get() if block is not self))
        self.is_open = False
        while self._budgets:
            self._budgets.pop().end()
        # Its records stay usable, and load like those of any other session.
        self.asynchronous = False
        self._held.clear()

    def __enter__(self) -> Self:
        self.begin()
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
            self.end()

    async def __aenter__(self) -> Self:
        self.begin()
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
            self.end()

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


_live: weakref.WeakValueDictionary[int, Session] = weakref.WeakValueDictionary()
_blocks: ContextVar[tuple[Session, ...]] = ContextVar("ttorm_session_blocks", default=())
_Sessions: TypeAlias = weakref.WeakKeyDictionary[Connection, Session]
# With the thread or task they belong to: tasks start with a copy of another's context.
_defaults: ContextVar[tuple[object, _Sessions]] = ContextVar("ttorm_default_sessions")


def check_fetch(fetch: object) -> None:
    """Refuse what is no way to fetch."""
    if fetch is not None and fetch not in get_args(Fetch):
        raise ValidationError(
            f"fetch={fetch!r}: expected {', '.join(map(repr, get_args(Fetch)))}",
            code="bad-argument",
        )


def session(
    connection: Connection | None = None, *, fetch: Fetch = "peers", budget: int | None = None
) -> Session:
    """Make a session to be used as a block.

    A block belongs to the thread, and the event loop, that opened it.

    Args:
        connection: Whom its records talk to; the default connection when left out.
        fetch: What looking at a part that a record lacks loads: ``"peers"`` for the next records
            of the same listing as well, one round of the connection's concurrency at most;
            ``"one"`` for this record alone; ``"raise"`` nothing, it raises `NotLoadedError`.
        budget: How many requests the block may send, see `Session.budget`.

    Raises:
        ValidationError: There is no such way to fetch.

    Example:
        >>> with ttorm.session() as s:
        ...     pump = Twin.create()
        ...     pump.ledger["pressure"] = 2.5
        >>> Twin.get(pump.uuid, fresh=True).ledger["pressure"].value
        2.5
    """
    check_fetch(fetch)
    connection = default_connection() if connection is None else connection
    if not isinstance(connection, Connection):
        raise TypeError(
            f"a session is of a Connection, found {connection!r}: write "
            "ttorm.session(ttorm.connect(...)), or none for the one of the last connect()"
        )
    return Session(connection, keep=True, fetch=fetch, budget=budget)


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


def block_connection() -> Connection | None:
    """Return the connection of the innermost open block, or None outside of blocks."""
    block = open_block()
    return None if block is None else block.connection


def live_sessions(connection: Connection) -> list[Session]:
    """Return all sessions of a connection, of whatever thread or task."""
    # Taken at one go, and held: others come and go meanwhile.
    sessions = [reference() for reference in _live.valuerefs()]
    return [one for one in sessions if one is not None and one._connection() is connection]


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
