"""Bodies on their way: answers are taken in within their bounds, files are sent in chunks."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import closing
from math import inf
from time import monotonic
from typing import IO

from ttorm.api.errors import (
    RequestTimeoutError,
    ResponseFormatError,
    ResponseTooLargeError,
    ValidationError,
)
from ttorm.api.http import HttpRequest, HttpResponse, Limits, Upload

__all__ = ["Intake", "achunks", "chunks"]

_CHUNK = 1 << 16
"""Bytes that are read at once."""


class Intake:
    """Takes an answer's chunks, decompresses them, and stops when it is too much or too long.

    Args:
        request: What is answered; its sink gets what a success brings, without bounds.
        status: HTTP status of the answer.
        headers: Its headers, names in lower case.
        limits: Bounds of what is kept in memory.
    """

    def __init__(
        self, request: HttpRequest, status: int, headers: Mapping[str, str], limits: Limits
    ) -> None:
        self._status = status
        self._headers = dict(headers)
        self._sink = request.sink if 200 <= status < 300 else None
        self._limits = limits
        seconds = limits.answer if self._sink is None else None
        self._until = inf if seconds is None else monotonic() + seconds
        # In one piece: however small the chunks are, it takes no more memory than its bytes.
        self._body = bytearray()
        self._begun = False
        encoding = self._headers.pop("content-encoding", "").lower() or "identity"
        if encoding not in ("identity", "gzip", "x-gzip", "deflate"):
            raise ResponseFormatError(
                f"the answer is compressed as {encoding!r}, ttorm asked for gzip at most"
            )
        self._inflate = None if encoding == "identity" else zlib.decompressobj(zlib.MAX_WBITS | 32)

    def take_decoded(self, content: bytes) -> None:
        """Take a whole body that was decompressed elsewhere."""
        self._inflate = None
        self._keep(content)

    def feed(self, chunk: bytes) -> None:
        """Take the next chunk as it came.

        Raises:
            RequestTimeoutError: It has been coming for too long.
            ResponseFormatError: Its compression is broken.
            ResponseTooLargeError: It is over the limit.
        """
        if monotonic() > self._until:
            raise RequestTimeoutError(
                f"the answer is still coming after {self._limits.answer:g} seconds: "
                "ask for less at once, or raise Limits(answer=...)"
            )
        if self._inflate is None:
            self._keep(chunk)
            return
        self._begun = True
        if self._inflate.eof:
            # zlib would put it all aside.
            raise ResponseFormatError("the answer goes on after the end of its compressed body")
        try:
            while chunk:
                self._keep(self._inflate.decompress(chunk, _CHUNK))
                chunk = self._inflate.unconsumed_tail
        except zlib.error as error:
            raise ResponseFormatError(f"the answer's compression is broken: {error}") from None

    def _keep(self, data: bytes) -> None:
        if self._sink is not None:
            self._sink.write(data)
            return
        if len(self._body) + len(data) > self._limits.body:
            raise ResponseTooLargeError(
                f"the answer has more than {self._limits.body:,} bytes decompressed: "
                "ask for less at once, or raise Limits(body=...)"
            )
        self._body += data

    def finish(self) -> HttpResponse:
        """Give the whole answer.

        Raises:
            ResponseFormatError: Its compressed body does not end where it should.
        """
        if self._inflate is not None:
            self._keep(self._inflate.flush())
            if self._begun and not self._inflate.eof:
                raise ResponseFormatError("the answer's compressed body is cut short")
            if self._inflate.unused_data:
                raise ResponseFormatError("the answer goes on after the end of its compressed body")
        return HttpResponse(self._status, self._headers, bytes(self._body))


class _Measured:
    """Reads a body that is sent, of which the head of the request has told the length."""

    def __init__(self, upload: Upload) -> None:
        self._reader: IO[bytes] = upload.open()
        self._left = upload.size
        self.close = self._reader.close

    def read(self) -> bytes:
        """Read the next chunk.

        Raises:
            ValidationError: There is more or less of it than was told.
        """
        chunk = self._reader.read(_CHUNK)
        self._left -= len(chunk)
        if self._left < 0 or (self._left and not chunk):
            raise ValidationError(
                "the file has changed its length while it was sent: send it again when nobody "
                "writes to it",
                code="hash-mismatch",
            )
        return chunk


def chunks(upload: Upload) -> Iterator[bytes]:
    """Read a body that is sent."""
    with closing(_Measured(upload)) as reader:
        while chunk := reader.read():
            yield chunk


async def achunks(upload: Upload) -> AsyncIterator[bytes]:
    """Read a body that is sent, beside the event loop."""
    from asyncio import to_thread

    with closing(await to_thread(_Measured, upload)) as reader:
        while chunk := await to_thread(reader.read):
            yield chunk
