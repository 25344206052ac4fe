"""PostgreSQL by psycopg, for many processes and machines: the only module that imports it."""

from __future__ import annotations

import os
import re
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from datetime import date, datetime, time
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from itertools import count
from typing import Any, TypeAlias
from urllib.parse import quote, unquote

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row

from ttorm.api.credentials import Secret, masked
from ttorm.api.errors import ConfigurationError
from ttorm.emulator.blobs import Blobs
from ttorm.emulator.pieces import Pieces
from ttorm.emulator.store import Transaction
from ttorm.emulator.store.copying import NUMBERED, copy_rows
from ttorm.emulator.store.gate import Gate
from ttorm.emulator.store.lending import Lending
from ttorm.emulator.store.schema import POSTGRES, prepare
from ttorm.emulator.store.sqlite import MemoryStore

__all__ = ["PostgresStore"]

_SCHEMA = "ttorm"
"""Where in a database the tables are, unless the URL says another."""
_SCHEMA_NAME = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}")
_MOST = 16
"""How many connections a process has at most."""
_DEFAULTS = {
    "application_name": "ttorm",
    "connect_timeout": 10,
    # A machine that vanished must not hold the writers' lock for hours.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    # These are not sent while an answer is waited for.
    "tcp_user_timeout": 60_000,
}
_SESSION = (
    "SELECT set_config('search_path', $1, false), set_config('client_min_messages', 'warning', "
    "false), set_config('idle_in_transaction_session_timeout', '60s', false), "
    "set_config('lock_timeout', '30s', false)"
)
_READ = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_ASIDE = b"BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0"
_NUMBERS = (
    "SELECT setval(pg_get_serial_sequence('{table}', '{column}'), "
    "COALESCE(MAX({column}), 0) + 1, false) FROM {table}"
)
_HAS_SCHEMA = "SELECT 1 FROM pg_namespace WHERE nspname = ?"
_HAS_TABLES = "SELECT 1 FROM pg_tables WHERE schemaname = ? LIMIT 1"
_HAS_OURS = "SELECT 1 FROM pg_tables WHERE schemaname = ? AND tablename = 'meta'"

_Connection: TypeAlias = psycopg.Connection[dict[str, Any]]


class _Cursor(psycopg.RawCursor[dict[str, Any]]):
    """Takes the parameters' marks as PostgreSQL has them."""


class _Transaction:
    """Runs statements on one connection."""

    __slots__ = ("_connection",)

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    def row(self, sql: str, *parameters: Any) -> dict[str, Any] | None:
        return self._execute(sql, parameters).fetchone()

    def rows(self, sql: str, *parameters: Any) -> list[Any]:
        return self._execute(sql, parameters).fetchall()

    def run(self, sql: str, *parameters: Any) -> int:
        return self._execute(sql, parameters).rowcount

    def _execute(self, sql: str, parameters: Any) -> psycopg.Cursor[dict[str, Any]]:
        try:
            return self._connection.execute(_numbered(sql), parameters)
        except psycopg.DataError:
            # The one character that texts of PostgreSQL cannot have; nothing was sent yet.
            if not any(isinstance(value, str) and "\0" in value for value in parameters):
                raise
        shown = [v.replace("\0", "\ufffd") if isinstance(v, str) else v for v in parameters]
        return self._connection.execute(_numbered(sql), shown)


class _PlainTransaction(_Transaction):
    """Gives values as SQLite has them."""

    __slots__ = ()

    def rows(self, sql: str, *parameters: Any) -> list[Any]:
        return [_plain_row(row) for row in super().rows(sql, *parameters)]


_MARKS = re.compile(
    r"""(?P<kept>
        \b[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*"
        | --[^\n]* | /\*.*?\*/ | \$(?P<tag>(?:[A-Za-z_]\w*)?)\$.*?\$(?P=tag)\$
    )|\?""",
    re.DOTALL | re.VERBOSE,
)


@lru_cache(maxsize=4_096)
def _numbered(sql: str) -> bytes:
    """Write ``$1``, ``$2``, ... for the marks, as PostgreSQL does; not inside texts and names."""
    numbers = count(1)
    return _MARKS.sub(lambda found: found["kept"] or f"${next(numbers)}", sql).encode()


class PostgresStore:
    """Data in a schema of a PostgreSQL database, shared by processes of many computers.

    Writers wait for each other from the beginning of their transactions, with a lock of the
    database that goes by the schema: as with SQLite, the order of commits is that of the numbers
    that rows get, and no transaction has to be repeated because of another one.

    Args:
        url: ``postgresql://...`` as libpq takes it, and ``schema`` as one more parameter.

    Raises:
        ConfigurationError: The server or database cannot be used, or the schema holds something
            else.
    """

    near = False

    def __init__(self, url: str) -> None:
        settings, self._schema = _read_url(url)
        self.address = _address(settings, self._schema)
        self._conninfo = Secret(make_conninfo(**settings))
        key = int.from_bytes(sha256(f"ttorm {self._schema}".encode()).digest()[:8], signed=True)
        self._write = f"BEGIN; SELECT pg_advisory_xact_lock({key})".encode()
        self._writing = threading.Lock()
        self._connections: Lending[_Connection] = Lending(self._open, _MOST)
        _STORES.add(self)
        try:
            with self.transaction(write=True) as tx:
                self._prepare(tx)
        except psycopg.Error as error:
            self.close()
            raise ConfigurationError(
                f"{self.address} cannot be used as a store: {_first_line(error)}; expected a "
                "database that exists, on a server that runs, and a user who may make a schema in "
                "it or owns the one that the URL names"
            ) from None
        except ConfigurationError:
            self.close()
            raise

    def _prepare(self, tx: Transaction) -> None:
        new = tx.row(_HAS_TABLES, self._schema) is None
        if not new and tx.row(_HAS_OURS, self._schema) is None:
            raise ConfigurationError(
                f"the schema {self._schema!r} of {self.address} holds other tables: name one that "
                f"ttorm made or may make, as in 'postgresql://host/database?schema={_SCHEMA}'"
            )
        if tx.row(_HAS_SCHEMA, self._schema) is None:
            tx.run(f"CREATE SCHEMA {self._schema}")
        prepare(tx, new=new, dialect=POSTGRES)

    @contextmanager
    def transaction(self, write: bool) -> Generator[Transaction]:
        """See `Store.transaction`."""
        if not write:
            with self._within(_READ) as connection:
                yield _Transaction(connection)
            return
        # Threads queue here: those that wait for the database's lock would hold connections.
        with _GATE, self._writing, self._within(self._write) as connection:
            yield _Transaction(connection)

    def blobs(self) -> Blobs:
        """See `Store.blobs`."""
        return Pieces(self, self.aside)

    @contextmanager
    def aside(self) -> Generator[Transaction]:
        """Begin a transaction that waits for no writer and lets none wait.

        It is for rows that become something only by a transaction that comes after it.
        """
        with self._within(_ASIDE) as connection:
            yield _Transaction(connection)

    def dump(self) -> bytes:
        """See `Store.dump`."""
        with closing(MemoryStore()) as copy:
            with self._within(_READ) as connection, copy.transaction(write=True) as target:
                copy_rows(_PlainTransaction(connection), target)
            return copy.dump()

    def load(self, image: bytes, settle: Callable[[Transaction], None]) -> None:
        """See `Store.load`."""
        with closing(MemoryStore()) as copy:
            copy.load(image, lambda _: None)
            with copy.transaction(write=False) as source, self.transaction(write=True) as target:
                copy_rows(source, target)
                for table, column in NUMBERED.items():
                    target.row(_NUMBERS.format(table=table, column=column))
                settle(target)

    def query(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        """See `Store.query`."""
        with self._within(_READ) as connection:
            # Prepared, it can be no more than one statement; and the end rolls back what it set.
            cursor = connection.execute(_numbered(sql), parameters, prepare=True)
            rows = cursor.fetchall() if cursor.description else []
            connection.execute(b"ROLLBACK")
            return [_plain_row(row) for row in rows]

    @contextmanager
    def _within(self, begin: bytes) -> Generator[_Connection]:
        with _GATE:
            connection = self._begun(begin)
            try:
                yield connection
                _commit(connection)
            finally:
                self._connections.give_back(connection, usable=_is_idle(connection))

    def _begun(self, begin: bytes) -> _Connection:
        """Take a connection and begin a transaction; those that were cut meanwhile are given up."""
        while True:
            connection, new = self._connections.take()
            try:
                connection.execute(begin)
            except BaseException as error:
                self._connections.give_back(connection, usable=_is_idle(connection))
                cut = isinstance(error, psycopg.OperationalError) and connection.closed
                if new or not cut:
                    raise
            else:
                return connection

    def _open(self) -> _Connection:
        connection = _Connection.connect(
            self._conninfo.reveal(),
            autocommit=True,
            cursor_factory=_Cursor,
            row_factory=dict_row,
        )
        try:
            connection.prepared_max = 256
            connection.execute(_SESSION.encode(), [self._schema])
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
        _INHERITED.extend(self._connections.forked())


def _commit(connection: _Connection) -> None:
    if connection.info.transaction_status == TransactionStatus.IDLE:
        return
    # PostgreSQL takes back, without an error, what is committed after a failed statement.
    if connection.execute(b"COMMIT").statusmessage != "COMMIT":
        raise psycopg.errors.InFailedSqlTransaction("a statement of this transaction had failed")


def _is_idle(connection: _Connection) -> bool:
    """End what is left of a transaction, and tell whether the connection can be used again."""
    status = connection.info.transaction_status
    if status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
        with suppress(psycopg.Error):
            connection.execute(b"ROLLBACK")
    return connection.info.transaction_status == TransactionStatus.IDLE


def _plain_row(row: dict[str, Any]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    """Give a value of a table as SQLite has it."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime):
        return value.isoformat(" ", "milliseconds")
    if isinstance(value, time):
        return value.isoformat("milliseconds")
    return value.isoformat() if isinstance(value, date) else value


def _read_url(url: str) -> tuple[dict[str, Any], str]:
    """Split a URL into what libpq takes, and the schema."""
    # What may be a password is masked: tracebacks show locals.
    location, query = map(masked, url.partition("?")[::2])
    options = [masked(option) for option in query.split("&") if option]
    named = [option for option in options if option.startswith("schema=")]
    schema = unquote(named[-1].removeprefix("schema=")) if named else _SCHEMA
    if not _SCHEMA_NAME.fullmatch(schema):
        raise ConfigurationError(
            f"schema={schema!r} names no schema of a store: write a small letter, then small "
            "letters, digits and '_', at most 63 together"
        )
    rest = masked("&".join(option for option in options if option not in named))
    try:
        settings = conninfo_to_dict(f"{location}?{rest}" if rest else location)
    except psycopg.ProgrammingError:
        # The text of the error quotes what it could not read: that may be a password.
        raise ConfigurationError(
            "this URL of a PostgreSQL store cannot be read: expected "
            "'postgresql://user@host:5432/database?schema=ttorm', with signs such as '@', '/' and "
            "'%' in names and passwords written as '%40', '%2F' and '%25', and parameters that "
            "libpq knows"
        ) from None
    if "password" in settings:
        settings["password"] = masked(str(settings["password"]))
    return {**_DEFAULTS, **settings}, schema


def _address(settings: dict[str, Any], schema: str) -> str:
    """Name the store without saying who may use it."""
    host = settings.get("host") or settings.get("hostaddr") or os.environ.get("PGHOST", "localhost")
    port = settings.get("port") or os.environ.get("PGPORT", "5432")
    user = settings.get("user") or os.environ.get("PGUSER", "")
    database = settings.get("dbname") or os.environ.get("PGDATABASE", user)
    return f"postgresql://{quote(str(host), ':,')}:{port}/{quote(str(database))}?schema={schema}"


def _first_line(error: psycopg.Error) -> str:
    return str(error).strip().partition("\n")[0]


def _after_fork() -> None:
    for store in list(_STORES):
        store.forked()


_GATE = Gate()
_STORES: weakref.WeakSet[PostgresStore] = weakref.WeakSet()
_INHERITED: list[_Connection] = []

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
