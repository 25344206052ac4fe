"""Contents of Docs: files named by what is in them, written and read in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tempfile import TemporaryDirectory

__all__ = ["Blobs", "Received"]

_PIECE = 1 << 18


class Received(NamedTuple):
    """A file that was written but does not belong to anything yet.

    Attributes:
        path: Where it is.
        content: SHA-256 of it, in lower-case hexadecimal digits.
        size: Its length in bytes.
    """

    path: Path
    content: str
    size: int


class Blobs:
    """A folder of contents, beside the store's file or temporary.

    Contents go by their SHA-256: names that callers choose never reach the file system, and the
    same file attached to many Twins is kept once.

    Args:
        store: The store's file; None for one in memory.
    """

    def __init__(self, store: Path | None) -> None:
        self._beside = None if store is None else store.with_name(store.name + ".docs")
        self._temporary: TemporaryDirectory[str] | None = None
        self._lock = Lock()

    @property
    def folder(self) -> Path:
        """The folder; it is made when it is first needed."""
        if self._beside is not None:
            self._beside.mkdir(mode=0o700, exist_ok=True)
            return self._beside
        from tempfile import TemporaryDirectory

        with self._lock:
            if self._temporary is None:
                self._temporary = TemporaryDirectory(prefix="ttorm-docs-")
            return Path(self._temporary.name)

    def receive(self, source: IO[bytes]) -> Received:
        """Write down everything that a reader gives; `keep` or `forget` what comes of it."""
        return self.write(iter(partial(source.read, _PIECE), b""))

    def write(self, pieces: Iterable[bytes]) -> Received:
        """Write down what comes in pieces; `keep` or `forget` what comes of it."""
        from tempfile import NamedTemporaryFile

        digest, size = sha256(), 0
        with NamedTemporaryFile(dir=self.folder, prefix="new-", delete=False) as file:
            path = Path(file.name)
            try:
                for piece in pieces:
                    digest.update(piece)
                    size += file.write(piece)
            except BaseException:
                path.unlink()
                raise
        return Received(path, digest.hexdigest(), size)

    def keep(self, received: Received) -> None:
        """Make a received file readable under its content."""
        received.path.replace(self._path(received.content))

    def forget(self, received: Received) -> None:
        """Remove a received file that is not kept; one that was kept stays."""
        received.path.unlink(missing_ok=True)

    def open(self, content: str) -> IO[bytes]:
        """Open a content for reading."""
        return self._path(content).open("rb")

    def read(self, content: str) -> Iterator[bytes]:
        """Yield a content in pieces; its file is open only while it is being read."""
        with self.open(content) as file:
            while piece := file.read(_PIECE):
                yield piece

    def remove(self, content: str) -> None:
        """Remove a content; one that is not there is removed already."""
        self._path(content).unlink(missing_ok=True)

    def close(self) -> None:
        """Remove a temporary folder with all in it."""
        with self._lock:
            if self._temporary is not None:
                self._temporary.cleanup()
                self._temporary = None

    def _path(self, content: str) -> Path:
        return self.folder / content
