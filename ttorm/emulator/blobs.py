"""Contents of Docs: files named by what is in them, written and read in pieces."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import IO, NamedTuple

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
        self._temporary: TemporaryDirectory[str] | None = None
        if store is None:
            self._temporary = TemporaryDirectory(prefix="ttorm-docs-")
            self._folder = Path(self._temporary.name)
        else:
            self._folder = store.with_name(store.name + ".docs")

    def receive(self, source: IO[bytes]) -> Received:
        """Write down everything that a reader gives; `keep` or `forget` what comes of it."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        digest, size = sha256(), 0
        with NamedTemporaryFile(dir=self._folder, prefix="new-", delete=False) as file:
            path = Path(file.name)
            try:
                while piece := source.read(_PIECE):
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

    def read(self, content: str) -> Iterator[bytes]:
        """Yield a content in pieces; its file is open only while it is being read."""
        with self._path(content).open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece

    def remove(self, content: str) -> None:
        """Remove a content; one that is not there is removed already."""
        self._path(content).unlink(missing_ok=True)

    def close(self) -> None:
        """Remove a temporary folder with all in it."""
        if self._temporary is not None:
            self._temporary.cleanup()

    def _path(self, content: str) -> Path:
        return self._folder / content
