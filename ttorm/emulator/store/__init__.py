"""Where the emulator keeps its data: transactions of portable SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ttorm.api.errors import ConfigurationError

if TYPE_CHECKING:
    from ttorm.emulator.blobs import Blobs

__all__ = ["Row", "Store", "Transaction", "open_store"]


class Row(Protocol):
    """A row of an answer, read by column name."""

    def __getitem__(self, column: str, /) -> Any: ...

    def keys(self) -> Iterable[str]:
        """Return the names of the columns."""
        ...


class Transaction(Protocol):
    """Statements that are done together or not at all; ``?`` marks parameters."""

    def row(self, sql: str, *parameters: Any) -> Row | None:
        """Return the first row, or None."""
        ...

    def rows(self, sql: str, *parameters: Any) -> list[Row]:
        """Return all rows."""
        ...

    def run(self, sql: str, *parameters: Any) -> int:
        """Change something and return how many rows were touched."""
        ...


class Store(Protocol):
    """A place for data, usable from many threads."""

    @property
    def near(self) -> bool:
        """Whether the data is on this computer, so that nobody waits long for it."""
        ...

    @property
    def address(self) -> str | None:
        """Names the data: equal wherever it is opened; None for data that nobody else can open."""
        ...

    def transaction(self, write: bool) -> AbstractContextManager[Transaction]:
        """Begin a transaction: committed at the normal end of the block, else rolled back.

        Args:
            write: Whether it changes anything; writers wait for each other from its start.
        """
        ...

    def query(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        """Run a query that somebody else wrote, and return its rows; it cannot change anything."""
        ...

    def blobs(self) -> Blobs:
        """Return the place for contents of Docs."""
        ...

    def dump(self) -> bytes:
        """Copy everything but contents of Docs into an SQLite database, and return its bytes."""
        ...

    def load(self, image: bytes, settle: Callable[[Transaction], None]) -> None:
        """Put what `dump` gave, here or elsewhere, in the place of everything; all or nothing.

        Args:
            image: The bytes.
            settle: What belongs to it, done before any other writer has its turn.

        Raises:
            ConfigurationError: The bytes are no such copy, or one of a newer version.
        """
        ...

    def close(self) -> None:
        """Release everything; closing twice is harmless."""
        ...


def open_store(url: str) -> Store:
    """Open the store that a URL names, making it when it does not exist.

    Args:
        url: ``memory:``, ``sqlite:///relative.db`` or ``sqlite:////absolute/path.db``. A file
            also takes ``?durability=full``: commits then survive a loss of power, not only
            of the process, and are many times slower. ``postgresql://host/database`` takes the
            parameters of libpq and ``?schema=name``.

    Raises:
        ConfigurationError: The URL names no store, or it cannot be used.
    """
    if url.startswith(("postgresql://", "postgres://")):
        return _open_postgres(url)
    from ttorm.emulator.store.sqlite import FileStore, MemoryStore

    if url in ("memory:", "memory://", "sqlite://", "sqlite:///:memory:"):
        return MemoryStore()
    location, _, options = url.partition("?")
    if not location.startswith("sqlite:///") or location == "sqlite:///":
        raise ConfigurationError(
            f"{url!r} names no store of the emulator: expected 'memory:', 'sqlite:///file.db', "
            "'sqlite:////absolute/path/file.db' or 'postgresql://host/database'"
        )
    if options not in ("", "durability=normal", "durability=full"):
        raise ConfigurationError(
            f"unknown options {options!r} of a store: expected 'durability=normal' or "
            "'durability=full'"
        )
    path = Path(location.removeprefix("sqlite:///"))
    return FileStore(path, full=options == "durability=full")


def _open_postgres(url: str) -> Store:
    try:
        from ttorm.emulator.store.postgres import PostgresStore
    except ImportError as error:
        raise ConfigurationError(
            f"a store on PostgreSQL needs the extra 'postgres' ({error}): "
            "pip install 'ttorm[postgres]'"
        ) from error
    return PostgresStore(url)
