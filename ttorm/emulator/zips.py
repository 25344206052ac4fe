"""Zip archives made while they are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import RawIOBase
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

__all__ = ["zipped"]


class _Pipe(RawIOBase):
    """Keeps what is written until it is taken."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken


def zipped(name: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a zip archive with one member, in pieces.

    Args:
        name: Name of the member.
        pieces: Its contents.
    """
    pipe = _Pipe()
    with ZipFile(pipe, "w", ZIP_DEFLATED) as archive:
        with archive.open(name, "w", force_zip64=True) as member:
            for piece in pieces:
                member.write(piece)
                yield pipe.take()
        yield pipe.take()
    yield pipe.take()
