"""Contents of Docs, which go by what is in them, written and read in pieces."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from threading import Lock
from time import time
from typing import IO, Any, NamedTuple
from weakref import finalize

from ttorm.emulator.store import Transaction

__all__ = ["LOST", "PIECE", "Blobs", "Folder", "Received"]

LOST = 3_600.0
"""Seconds after which a received file that nothing kept is taken for left over by a crash."""
PIECE = 1 << 18
"""Bytes that are in memory at once."""


class Received(NamedTuple):
    """A file that was written but does not belong to anything yet.

    Attributes:
        name: Where it is.
        content: SHA-256 of it, in lower-case hexadecimal digits.
        size: Its length in bytes.
    """

    name: str
    content: str
    size: int


class Blobs(ABC):
    """A place for contents.

    Contents go by their SHA-256: names that callers choose never reach the storage, and the same
    file attached to many Twins is kept once.
    """

    def receive(self, source: IO[bytes]) -> Received:
        """Write down everything that a reader gives; `keep` or `forget` what comes of it."""
        return self.write(iter(partial(source.read, PIECE), b""))

    def read(self, content: str) -> Iterator[bytes]:
        """Yield a content in pieces; it is open only while it is being read."""
        with self.open(content) as file:
            while piece := file.read(PIECE):
                yield piece

    @abstractmethod
    def write(self, pieces: Iterable[bytes]) -> Received:
        """Write down what comes in pieces; `keep` or `forget` what comes of it."""

    @abstractmethod
    def keep(self, tx: Transaction, received: Received) -> None:
        """Make a received file readable under its content, in the transaction that names it."""

    @abstractmethod
    def forget(self, received: Received) -> None:
        """Remove a received file that is not kept; one that was kept stays."""

    @abstractmethod
    def open(self, content: str) -> IO[bytes]:
        """Open a content for reading."""

    def has(self, content: str) -> bool:
        """Tell whether a content is there."""
        try:
            self.open(content).close()
        except FileNotFoundError:
            return False
        return True

    def copy(self, content: str, target: Path) -> None:
        """Write a content into a new file."""
        with target.open("xb") as file:
            file.writelines(self.read(content))

    @abstractmethod
    def remove(self, tx: Transaction, content: str) -> None:
        """Remove a content; one that is not there is removed already."""

    @abstractmethod
    def close(self) -> None:
        """Remove what is temporary; closing twice is harmless."""


class Folder(Blobs):
    """A folder of files, beside the store's file or temporary.

    Args:
        store: The store's file; None for one in memory.
    """

    def __init__(self, store: Path | None) -> None:
        self._beside = None if store is None else store.with_name(store.name + ".docs")
        self._temporary: finalize[..., Any] | None = None
        self._name = ""
        self._lock = Lock()
        self._swept = False

    @property
    def folder(self) -> Path:
        """The folder; it is made when it is first needed."""
        if self._beside is not None:
            self._beside.mkdir(mode=0o700, exist_ok=True)
            return self._beside
        from shutil import rmtree
        from tempfile import mkdtemp

        with self._lock:
            if self._temporary is None:
                # Scripts end without closing anything; TemporaryDirectory warns of that.
                name = mkdtemp(prefix="ttorm-docs-")
                self._temporary = finalize(self, rmtree, name, ignore_errors=True)
                self._name = name
            return Path(self._name)

    def write(self, pieces: Iterable[bytes]) -> Received:
        """See `Blobs.write`."""
        from tempfile import NamedTemporaryFile

        self._sweep()
        digest, size = sha256(), 0
        with NamedTemporaryFile(dir=self.folder, prefix="new-", delete=False) as file:
            try:
                for piece in pieces:
                    digest.update(piece)
                    size += file.write(piece)
            except BaseException:
                Path(file.name).unlink()
                raise
        return Received(file.name, digest.hexdigest(), size)

    def _sweep(self) -> None:
        """Remove, once, what processes that were killed have left; others may be writing now."""
        if self._swept:
            return
        self._swept = True
        for file in self.folder.glob("new-*"):
            with suppress(FileNotFoundError):  # another process sweeps as well
                if file.stat().st_mtime < time() - LOST:
                    file.unlink()

    def keep(self, tx: Transaction, received: Received) -> None:
        """See `Blobs.keep`."""
        del tx  # a folder knows no transactions
        Path(received.name).replace(self._path(received.content))

    def forget(self, received: Received) -> None:
        """See `Blobs.forget`."""
        Path(received.name).unlink(missing_ok=True)

    def open(self, content: str) -> IO[bytes]:
        """See `Blobs.open`."""
        return self._path(content).open("rb")

    def copy(self, content: str, target: Path) -> None:
        """See `Blobs.copy`."""
        try:
            # A content never changes: where the file system can, both names share one file.
            target.hardlink_to(self._path(content))
        except OSError:
            super().copy(content, target)

    def remove(self, tx: Transaction, content: str) -> None:
        """See `Blobs.remove`."""
        del tx
        self._path(content).unlink(missing_ok=True)

    def close(self) -> None:
        """See `Blobs.close`."""
        with self._lock:
            if self._temporary is not None:
                self._temporary()
                self._temporary = None

    def _path(self, content: str) -> Path:
        return self.folder / content
