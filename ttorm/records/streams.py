"""What file contents go through on their way: readers and writers that count and tell."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = ["Progress", "Sink", "Told", "Unclosed", "Watched"]

Progress: TypeAlias = Callable[[int, int | None], object]
"""Called with the bytes done so far and their number altogether, None while that is not known."""


class Told:
    """Who is told how far an upload is; what they raise is remembered."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.failure: Exception | None = None

    def __call__(self, done: int, whole: int | None) -> None:
        """Tell; what is raised ends the upload."""
        try:
            self._progress(done, whole)
        except Exception as error:
            self.failure = error
            raise


class Watched(io.RawIOBase):
    """A reader that tells how far it is."""

    def __init__(self, source: IO[bytes], progress: Progress, size: int) -> None:
        self._source = source
        self._progress = progress
        self._size = size
        self._done = 0

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Read so many bytes, and tell of them."""
        chunk = self._source.read(-1 if size is None else size)
        if chunk:
            self._done += len(chunk)
            self._progress(self._done, self._size)
        return chunk

    def close(self) -> None:
        """Close what is read as well."""
        self._source.close()
        super().close()


class Unclosed(io.RawIOBase):
    """A reader of the caller's file that leaves it open."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Read so many bytes."""
        return self._source.read(-1 if size is None else size)


class Sink(io.RawIOBase):
    """Takes a download's bytes and their hash on the way to a file, and tells how far it is."""

    def __init__(self, file: IO[bytes], progress: Progress | None, whole: int | None) -> None:
        self._file = file
        self._progress = progress
        self._whole = whole
        self._begin()

    def _begin(self) -> None:
        import hashlib

        self.digest: _Hash = hashlib.sha256()
        self.size = 0

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Begin anew: no other place can be gone to."""
        self._begin()
        return self._file.seek(offset, whence)

    def truncate(self, size: int | None = None, /) -> int:
        """Forget what was written."""
        return self._file.truncate(size)

    def write(self, data: Any, /) -> int:
        """Write bytes, and tell of them."""
        self.digest.update(data)
        self.size += len(data)
        written = self._file.write(data)
        if self._progress is not None:
            self._progress(self.size, self._whole)
        return written
