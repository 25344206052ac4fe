"""Files from the service, as flows."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, cast

from ttorm.api.answers import member
from ttorm.api.credentials import masked
from ttorm.api.errors import NotFoundError, ResponseFormatError, ValidationError, api_error
from ttorm.api.http import HttpRequest, HttpResponse
from ttorm.api.request import api_request
from ttorm.connection.calls import perform
from ttorm.connection.core import Connection
from ttorm.connection.files import exchange, step
from ttorm.flows import Flow
from ttorm.records.streams import Progress, Sink

__all__ = ["Target", "download", "fetch"]

Target = str | os.PathLike[str] | IO[bytes]
_CHUNK = 1 << 16
_REDIRECTS = 5


def fetch(
    connection: Connection,
    twin: str,
    name: str,
    to: Target | None,
    progress: Progress | None = None,
) -> Flow[bytes | None]:
    """Download a Doc, check it against its certificate, and put it where it is wanted.

    Returns:
        The bytes when `to` is None.
    """
    from tempfile import NamedTemporaryFile

    _check_target(to)
    request = api_request("get_twin_doc", [twin, name], {"download": True})
    doc = yield from perform(connection, request)
    url = member(doc, "download").get("url")
    if not url:
        raise NotFoundError(
            f"the Doc {name!r} cannot be downloaded yet, its status is {doc.get('status')!r}: "
            "try again when it is 'ok'",
            operation="get_twin_doc",
            request=request.label,
        )
    folder = Path(to).parent if isinstance(to, (str, os.PathLike)) else None
    with NamedTemporaryFile(dir=folder, prefix=".ttorm-", delete=False) as file:
        try:
            sink = Sink(file, progress, member(doc, "creation_certificate").get("size"))
            response = yield from download(connection, masked(url), cast(IO[bytes], sink))
            file.flush()
            _check(doc, name, response, sink, file)
            return _deliver(file, to)
        finally:
            Path(file.name).unlink(missing_ok=True)


def _check_target(to: object) -> None:
    """Refuse what bytes cannot be written to, before anything is asked."""
    if to is None or isinstance(to, (str, os.PathLike)):
        return
    if isinstance(to, io.TextIOBase) or not hasattr(to, "write"):
        raise ValidationError(
            "a Doc is written to a path or a file opened for writing bytes (mode 'wb'), found "
            f"{type(to).__name__}",
            code="bad-argument",
        )


def download(connection: Connection, url: str, sink: IO[bytes]) -> Flow[HttpResponse]:
    """Write what is at a temporary address of the service's into a file."""
    # The address is the credential: neither secret nor dictionary go along, wherever it leads.
    address = step(connection.base_url + "/", url)
    request = HttpRequest("GET", address, {"accept-encoding": "identity"}, sink=sink)

    def make() -> HttpRequest:
        # What an earlier sending has brought is not all of it.
        sink.seek(0)
        sink.truncate()
        return request

    for _ in range(_REDIRECTS + 1):
        response = yield from exchange(connection, make, "GET (download)")
        if response.status not in (301, 302, 303, 307, 308):
            break
        target = response.headers.get("location", "")
        request = request._replace(url=step(request.url, target))
    else:
        raise ResponseFormatError(f"the download leads through more than {_REDIRECTS} redirects")
    if not 200 <= response.status < 300:
        raise api_error(
            response.status,
            None,
            response.headers,
            operation="download_doc",
            request="GET (download)",
        )
    return response


def _check(
    doc: Mapping[str, Any], name: str, response: HttpResponse, sink: Sink, file: IO[bytes]
) -> None:
    expected = str(member(doc, "creation_certificate").get("hash") or "").lower()
    if not expected or sink.digest.hexdigest() == expected:
        return
    kind = response.headers.get("content-type", "").partition(";")[0].strip()
    if kind == "application/zip" and not name.lower().endswith(".zip"):
        size = member(doc, "creation_certificate").get("size")
        if _unwrap(file, expected, size if isinstance(size, int) else None):
            return
    raise ResponseFormatError(
        f"the Doc {name!r} arrived with {sink.size:,} bytes that do not match the SHA-256 of its "
        "certificate: download it again"
    )


def _unwrap(file: IO[bytes], expected: str, size: int | None) -> bool:
    """Replace a zip file by its only member, if that is what the certificate speaks of."""
    import hashlib
    from tempfile import TemporaryFile

    digest = hashlib.sha256()
    with TemporaryFile() as copy:
        try:
            for chunk in _unpacked(file.name, size):
                digest.update(chunk)
                copy.write(chunk)
        except ResponseFormatError:
            return False
        if digest.hexdigest() != expected:
            return False
        copy.seek(0)
        file.seek(0)
        file.truncate()
        while chunk := copy.read(_CHUNK):
            file.write(chunk)
        file.flush()
        return True


def _unpacked(path: str, size: int | None) -> Iterator[bytes]:
    """Read the only member of a zip file.

    Raises:
        ResponseFormatError: It has another size, or cannot be read.
    """
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            [member] = archive.infolist()
            if size is not None and member.file_size != size:
                raise ValueError(member.file_size)  # noqa: TRY301 # whatever it grows to
            with archive.open(member) as reader:
                while chunk := reader.read(_CHUNK):
                    yield chunk
    except Exception as error:  # there are many ways to be none, and as many errors
        raise ResponseFormatError("that is no zip file of it") from error


def _deliver(file: IO[bytes], to: Target | None) -> bytes | None:
    if isinstance(to, (str, os.PathLike)):
        os.fsync(file.fileno())
        Path(file.name).replace(to)
        return None
    file.seek(0)
    if to is None:
        return file.read()
    while chunk := file.read(_CHUNK):
        to.write(chunk)
    return None
