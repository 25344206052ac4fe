"""SQLite from the standard library: the only module that imports it."""

from __future__ import annotations

import atexit
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from ttorm.api.errors import ConfigurationError, StateError
from ttorm.emulator.blobs import Blobs, Folder
from ttorm.emulator.store import Transaction
from ttorm.emulator.store.gate import Gate
from ttorm.emulator.store.lending import Lending
from ttorm.emulator.store.schema import prepare

__all__ = ["FileStore", "MemoryStore"]

_BUSY_SECONDS = 30.0
"""How long a writer waits for writers of other processes."""
_ANY_TABLE = "SELECT name FROM sqlite_master LIMIT 1"
_MOST = 16
"""How many connections to a file a process has at most."""


class _Transaction:
    """Runs statements on one connection."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def row(self, sql: str, *parameters: Any) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._connection.execute(sql, parameters).fetchone()
        return row

    def rows(self, sql: str, *parameters: Any) -> list[Any]:
        return self._connection.execute(sql, parameters).fetchall()

    def run(self, sql: str, *parameters: Any) -> int:
        return self._connection.execute(sql, parameters).rowcount


def _connect(target: str) -> sqlite3.Connection:
    # Connections move between threads, never two threads at once: the stores see to that.
    connection = sqlite3.connect(
        target,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


@contextmanager
def _within(connection: sqlite3.Connection, begin: str) -> Generator[Transaction]:
    connection.execute(begin)
    try:
        yield _Transaction(connection)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _query(connection: sqlite3.Connection, sql: str, parameters: Any) -> list[dict[str, Any]]:
    connection.execute("PRAGMA query_only = ON")
    try:
        return [dict(row) for row in connection.execute(sql, parameters)]
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.execute("PRAGMA query_only = OFF")


def _opened(image: bytes) -> sqlite3.Connection:
    """Open a copy of a store in memory, brought up to date."""
    connection = _connect(":memory:")
    try:
        connection.deserialize(image)
        with _within(connection, "BEGIN") as tx:
            prepare(tx, new=False)
    except BaseException as error:
        connection.close()
        # Of no bytes at all SQLite says that memory is short.
        if isinstance(error, sqlite3.DatabaseError | MemoryError):
            raise ConfigurationError(
                f"this is no copy of a store that ttorm made: {error}"
            ) from None
        raise
    return connection


@cache
def _empty() -> sqlite3.Connection:
    """Make the tables in memory: to copy them from there takes a tenth of the time."""
    connection = _connect(":memory:")
    atexit.register(connection.close)
    with _within(connection, "BEGIN") as tx:
        prepare(tx, new=True)
    return connection


class MemoryStore:
    """Data that ends with the process: one connection, one transaction at a time."""

    near = True
    address = None

    def __init__(self) -> None:
        self._lock = threading.RLock()
        # SQLite has locks of its own, which opening takes as well.
        with _GATE, _COPYING:
            self._connection = _connect(":memory:")
            self._closing = self._finalizer(self._connection)
            _empty().backup(self._connection)

    @contextmanager
    def transaction(self, write: bool) -> Generator[Transaction]:
        """See `Store.transaction`."""
        with _GATE, self._lock:
            if not self._closing.alive:
                raise StateError(
                    "this emulator is closed: connect() again, or open it by Emulator(url)"
                )
            if write:
                with _within(self._connection, "BEGIN") as tx:
                    yield tx
            else:
                yield _Transaction(self._connection)

    def query(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        """See `Store.query`."""
        with self.transaction(write=False):
            return _query(self._connection, sql, parameters)

    def blobs(self) -> Blobs:
        """See `Store.blobs`."""
        return Folder(None)

    def dump(self) -> bytes:
        """See `Store.dump`."""
        with self.transaction(write=False):
            return self._connection.serialize()

    def load(self, image: bytes, settle: Callable[[Transaction], None]) -> None:
        """See `Store.load`."""
        with _GATE, self._lock:
            # A connection of its own: what is prepared on one does not notice that tables are
            # others.
            new = _opened(image)
            former = self._closing
            if not former.alive or self._connection.in_transaction:
                new.close()
                raise StateError(
                    "a snapshot can be restored neither when the emulator is closed nor within a "
                    "transaction of this thread"
                )
            self._connection, self._closing = new, self._finalizer(new)
            with self.transaction(write=True) as tx:
                settle(tx)
            former()

    def _finalizer(self, connection: sqlite3.Connection) -> weakref.finalize[[], MemoryStore]:
        return weakref.finalize(self, connection.close)

    def close(self) -> None:
        """See `Store.close`."""
        with _GATE, self._lock:
            self._closing()


class FileStore:
    """Data in a file, shared by threads and processes of one computer.

    Args:
        path: The file; its folder must exist.
        full: Let every commit survive a loss of power.

    Raises:
        ConfigurationError: The file cannot be opened or holds something else.
    """

    near = True

    def __init__(self, path: Path, *, full: bool = False) -> None:
        # A later change of the working directory must not move the store.
        self.path = path.absolute()
        self.address = self.path.as_uri()
        self._synchronous = "FULL" if full else "NORMAL"
        self._connections = Lending(self._open, _MOST)
        self._writing = threading.Lock()
        _STORES.add(self)
        try:
            with _GATE:
                _make_private(self.path)
                _check_ours(self.path)
            with self.transaction(write=True) as tx:
                prepare(tx, new=tx.row(_ANY_TABLE) is None)
        except sqlite3.Error as error:
            self.close()
            raise ConfigurationError(
                f"{path} cannot be used as a store: {error}; expected a file that ttorm made, or "
                "a new name in a folder that exists and can be written"
            ) from None
        except ConfigurationError:
            self.close()
            raise

    @contextmanager
    def transaction(self, write: bool) -> Generator[Transaction]:
        """See `Store.transaction`."""
        if not write:
            with self._lent() as connection, _within(connection, "BEGIN") as tx:
                yield tx
            return
        # Threads queue here, in the order they came, instead of polling the file's lock.
        with (
            _GATE,
            self._writing,
            self._lent() as connection,
            _within(connection, "BEGIN IMMEDIATE") as tx,
        ):
            yield tx

    def query(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        """See `Store.query`."""
        with self._lent() as connection:
            return _query(connection, sql, parameters)

    def blobs(self) -> Blobs:
        """See `Store.blobs`."""
        return Folder(self.path)

    def dump(self) -> bytes:
        """See `Store.dump`."""
        with _GATE, closing(_connect(":memory:")) as copy:
            with self._lent() as connection:
                connection.backup(copy)
            image = bytearray(copy.serialize())
        # No database in memory takes what says that it has a write-ahead log.
        image[18:20] = b"\x01\x01"
        return bytes(image)

    def load(self, image: bytes, settle: Callable[[Transaction], None]) -> None:
        """See `Store.load`."""
        with _GATE, closing(_opened(image)) as source, self._writing, self._lent() as connection:
            source.backup(connection)
            with _within(connection, "BEGIN IMMEDIATE") as tx:
                settle(tx)

    @contextmanager
    def _lent(self) -> Generator[sqlite3.Connection]:
        with _GATE:
            connection, _ = self._connections.take()
            try:
                yield connection
            finally:
                self._connections.give_back(connection, usable=True)

    def _open(self) -> sqlite3.Connection:
        connection = _connect(str(self.path))
        try:
            _use_write_ahead_log(connection)
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """See `Store.close`."""
        with _GATE:
            self._connections.close()

    def forked(self) -> None:
        """Let go of what the parent process held; called in a forked child."""
        # SQLite forbids even closing a connection that was opened before the fork.
        _INHERITED.extend(self._connections.forked())


def _make_private(path: Path) -> None:
    """Make a new file that only its owner can read: with the key in it tokens can be made."""
    with suppress(OSError):  # what is wrong with the place, SQLite tells
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _check_ours(path: Path) -> None:
    """Refuse a file of another program before anything in it is changed."""
    connection = _connect(str(path))
    try:
        if connection.execute(_ANY_TABLE).fetchone():
            connection.execute("SELECT value FROM meta WHERE name = 'version'")
    finally:
        connection.close()


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch a file to its write-ahead log, which SQLite refuses while others read it."""
    for wait in (0.01, 0.05, 0.2, 0.5, 1.0, None):
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if wait is None or "locked" not in str(error):
                raise
            threading.Event().wait(wait)
        else:
            return


_GATE = Gate()
_COPYING = threading.Lock()
_STORES: weakref.WeakSet[FileStore] = weakref.WeakSet()
_INHERITED: list[sqlite3.Connection] = []


def _after_fork() -> None:
    for store in list(_STORES):
        store.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
