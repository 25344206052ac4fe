"""Contents of Docs in the store's database, in pieces: where many computers share a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from hashlib import sha256
from io import SEEK_CUR, SEEK_SET, BufferedReader, RawIOBase
from time import time
from typing import IO, TYPE_CHECKING
from uuid import uuid4

from ttorm.emulator.blobs import LOST, PIECE, Blobs, Received
from ttorm.emulator.store import Store, Transaction

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["Pieces"]


class Pieces(Blobs):
    """Tables of pieces.

    Args:
        store: The store that has the tables ``files`` and ``pieces``.
        aside: Begins transactions that no writer waits for.
    """

    def __init__(
        self, store: Store, aside: Callable[[], AbstractContextManager[Transaction]]
    ) -> None:
        self._store = store
        self._aside = aside

    def write(self, pieces: Iterable[bytes]) -> Received:
        """See `Blobs.write`."""
        name, digest, size = str(uuid4()), sha256(), 0
        with self._aside() as tx:
            tx.run("DELETE FROM files WHERE content IS NULL AND received_ts < ?", time() - LOST)
            tx.run("INSERT INTO files (file, size, received_ts) VALUES (?, 0, 0)", name)
            for number, piece in enumerate(_even(pieces)):
                digest.update(piece)
                size += len(piece)
                tx.run(
                    "INSERT INTO pieces (file, number, data) VALUES (?, ?, ?)", name, number, piece
                )
            tx.run("UPDATE files SET size = ?, received_ts = ? WHERE file = ?", size, time(), name)
        return Received(name, digest.hexdigest(), size)

    def keep(self, tx: Transaction, received: Received) -> None:
        """See `Blobs.keep`."""
        tx.run(
            "UPDATE files SET content = ? WHERE file = ? "
            "AND NOT EXISTS (SELECT 1 FROM files WHERE content = ?)",
            received.content,
            received.name,
            received.content,
        )

    def forget(self, received: Received) -> None:
        """See `Blobs.forget`."""
        with self._aside() as tx:
            tx.run("DELETE FROM files WHERE file = ? AND content IS NULL", received.name)

    def open(self, content: str) -> IO[bytes]:
        """See `Blobs.open`."""
        with self._store.transaction(write=False) as tx:
            row = tx.row("SELECT file, size FROM files WHERE content = ?", content)
        if row is None:
            raise FileNotFoundError(f"the content {content} is not in the store")
        return BufferedReader(_File(self._store, row["file"], row["size"]), PIECE)

    def remove(self, tx: Transaction, content: str) -> None:
        """See `Blobs.remove`."""
        tx.run("DELETE FROM files WHERE content = ?", content)

    def close(self) -> None:
        """See `Blobs.close`."""


class _File(RawIOBase):
    """Reads a file piece by piece; all but the last have the same length."""

    def __init__(self, store: Store, name: str, size: int) -> None:
        super().__init__()
        self._store = store
        self._name = name
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = SEEK_SET, /) -> int:
        start = {SEEK_SET: 0, SEEK_CUR: self._at}.get(whence, self._size)
        self._at = start + offset
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        if self._at >= self._size:
            return 0
        number, skipped = divmod(self._at, PIECE)
        with self._store.transaction(write=False) as tx:
            row = tx.row(
                "SELECT data FROM pieces WHERE file = ? AND number = ?", self._name, number
            )
        if row is None:
            raise FileNotFoundError(f"the file {self._name} was removed while it was read")
        target = memoryview(buffer).cast("B")
        part = memoryview(row["data"])[skipped : skipped + len(target)]
        target[: len(part)] = part
        self._at += len(part)
        return len(part)


def _even(pieces: Iterable[bytes]) -> Iterable[bytes]:
    """Cut what comes into pieces of the same length."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        while len(waiting) >= PIECE:
            yield bytes(waiting[:PIECE])
            del waiting[:PIECE]
    if waiting:
        yield bytes(waiting)
