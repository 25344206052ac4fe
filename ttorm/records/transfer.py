"""Files to and from the service, as flows."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import urljoin

from ttorm.api.answers import member, needed, refusal
from ttorm.api.errors import (
    ApiError,
    ItemError,
    NotFoundError,
    OutcomeUnknownError,
    ResponseFormatError,
    SaveError,
    ServerError,
    TransportError,
    ValidationError,
    api_error,
)
from ttorm.api.http import HttpRequest, HttpResponse, Upload, origin
from ttorm.api.request import ApiRequest, api_request
from ttorm.api.retry import Failure
from ttorm.connection.calls import perform
from ttorm.connection.core import Connection
from ttorm.connection.files import exchange
from ttorm.connection.patience import Patience
from ttorm.flows import Flow, sleep
from ttorm.records.streams import Progress, Sink, Told, Unclosed, Watched

__all__ = [
    "FAILED",
    "Progress",
    "Source",
    "Target",
    "attach",
    "copied",
    "download",
    "failure",
    "fetch",
    "store",
    "upload_of",
]

Source = bytes | str | os.PathLike[str] | IO[bytes]
Target = str | os.PathLike[str] | IO[bytes]
_CHUNK = 1 << 16
_REDIRECTS = 5
FAILED = ("hash_mismatch", "error")
"""Statuses of Docs of which nothing is stored."""
_PATIENCE = 30.0
"""Seconds that an upload waits until the service has copied the file."""
_SHORTEST, _LONGEST = 0.1, 15.0
"""Seconds between two looks, which double from one to the next."""


def attach(
    connection: Connection,
    twin: str,
    name: str,
    source: Source,
    wish: Mapping[str, Any],
    *,
    progress: Progress | None = None,
    wait: bool = True,
) -> Flow[dict[str, Any]]:
    """Upload a file, attach it to a Twin, and wait until the service has copied it.

    Args:
        connection: Whom to send it to.
        twin: UUID of the Twin.
        name: The Doc's name.
        source: Its content.
        wish: What is to be said of it; a `hash` that is given has to be the content's.
        progress: Told what was sent.
        wait: Whether to wait for the copy.

    Returns:
        The Doc's object.

    Raises:
        ValidationError: The content has another hash than is given; nothing was sent.
        SaveError: The service refused the Doc, or found another hash than was sent.
    """
    with ExitStack() as copies:
        upload, digest = upload_of(source, copies)
        _check_hash(name, wish.get("hash"), digest)
        told = None if progress is None else Told(progress)
        if told is not None:
            upload = _watched(upload, told)
        try:
            handler = yield from store(connection, upload)
        except Exception:
            if told is not None and told.failure is not None:
                raise told.failure from None
            raise
    wanted = {"handler": handler, **wish, "hash": digest}
    body = {"docs": {name: {key: value for key, value in wanted.items() if value is not None}}}
    request = api_request("attach_twin_doc", [twin], body=body)
    yield from _attached(connection, request, name, digest)
    doc = yield from copied(connection, twin, name, _PATIENCE if wait else 0.0)
    if doc.get("status") in FAILED:
        # Nothing of it is stored, but it would keep its name from the next attempt.
        with suppress(ApiError, TransportError, OutcomeUnknownError):
            yield from perform(connection, api_request("delete_twin_doc", [twin, name]))
        raise failure(name, doc)
    return doc


def _attached(connection: Connection, request: ApiRequest, name: str, digest: str) -> Flow[None]:
    """Attach a Doc; when no answer comes, look whether it is there, and if not attach it again.

    Raises:
        OutcomeUnknownError: Nobody can tell.
        SaveError: The service refused it.
    """
    patience = Patience(connection.strain)
    while True:
        try:
            answer = yield from perform(connection, request)
        except (OutcomeUnknownError, ServerError) as error:
            try:
                there = yield from _is_there(connection, request, name, digest)
            except (ApiError, TransportError) as failure:
                raise error from failure
            if there:
                return
            pause = patience.pause(Failure.AMBIGUOUS)
            if pause is None:
                raise
            yield from sleep(pause)
            continue
        patience.repay()
        text = refusal(answer, "docs", name)
        if text is None:
            return
        # What was sent before may have arrived late.
        late = patience.attempt > 1
        if late and (yield from _is_there(connection, request, name, digest)):
            return
        raise _refused(name, text, "attach_twin_doc")


def _is_there(connection: Connection, request: ApiRequest, name: str, digest: str) -> Flow[bool]:
    """Tell whether a Doc is there with the same content, at least."""
    look = api_request("get_twin_doc", [*request.arguments, name])
    try:
        found = yield from perform(connection, look)
    except NotFoundError:
        return False
    return str(member(found, "creation_certificate").get("hash")).lower() == digest


def store(connection: Connection, upload: bytes | Upload) -> Flow[str]:
    """Upload content, and return the handler by which other requests name it."""
    place = yield from perform(connection, api_request("create_upload_url"))
    request = HttpRequest("PUT", needed(place, "url"), {}, upload)
    _check_step(connection.base_url, request.url)
    response = yield from exchange(connection, lambda: request, "PUT (upload)")
    if not 200 <= response.status < 300:
        raise api_error(
            response.status, None, operation="create_upload_url", request="PUT (upload)"
        )
    return needed(place, "handler")


def copied(connection: Connection, twin: str, name: str, patience: float) -> Flow[dict[str, Any]]:
    """Look at a Doc until the service has copied it, or for as many seconds.

    Returns:
        The Doc's object as it was last seen.
    """
    request = api_request("get_twin_doc", [twin, name])
    waited, pause = 0.0, _SHORTEST
    while True:
        doc = yield from perform(connection, request)
        if doc.get("status") != "copying" or waited >= patience:
            return doc
        pause = min(pause, patience - waited)
        yield from sleep(pause)
        waited, pause = waited + pause, min(2 * pause, _LONGEST)


def failure(name: str, doc: Mapping[str, Any]) -> SaveError:
    """Make the error of a copy that came to nothing."""
    return _refused(name, f"the copy ended as {doc['status']}", "get_twin_doc")


def _refused(name: str, text: str, operation: str) -> SaveError:
    return SaveError(
        f"the Doc {name!r} was not attached: {text}",
        errors={f"docs[{name!r}]": ItemError(text, operation)},
    )


def _check_hash(name: str, given: str | None, digest: str) -> None:
    if given is not None and given.lower() != digest:
        raise ValidationError(
            f"the content of {name!r} has the SHA-256 {digest}, not {given}: it is not the file "
            "that was meant, or not all of it; nothing was sent",
            code="hash-mismatch",
        )


def _watched(upload: bytes | Upload, progress: Progress) -> Upload:
    """Tell of what is read of a body."""
    if isinstance(upload, bytes):
        content = upload
        upload = Upload(lambda: io.BytesIO(content), len(content))
    whole = upload
    return Upload(lambda: cast(IO[bytes], Watched(whole.open(), progress, whole.size)), whole.size)


def upload_of(source: Source, copies: ExitStack) -> tuple[bytes | Upload, str]:
    """Make a repeatable body of a source, and its SHA-256."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        import hashlib

        content = bytes(source)
        return content, hashlib.sha256(content).hexdigest()
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        with path.open("rb") as reader:
            digest = _digest(reader)
        return Upload(lambda: path.open("rb"), path.stat().st_size), digest
    if not hasattr(source, "read"):
        raise ValidationError(
            f"a Doc is made of bytes, a path or a file opened for reading bytes, found "
            f"{type(source).__name__}",
            code="bad-argument",
        )
    return _upload_of_file(source, copies)


def _upload_of_file(source: IO[bytes], copies: ExitStack) -> tuple[Upload, str]:
    if isinstance(source.read(0), str):
        raise ValidationError(
            "the file was opened for text: open it with mode 'rb'", code="bad-argument"
        )
    if not source.seekable():
        # What can be read once only is put aside, so that a repeat can send it again.
        from tempfile import TemporaryFile

        copy = copies.enter_context(TemporaryFile())  # noqa: SIM115 # closed by the stack
        while chunk := source.read(_CHUNK):
            copy.write(chunk)
        copy.seek(0)
        source = copy
    start = source.tell()
    digest = _digest(source)
    size = source.tell() - start

    def rewound() -> IO[bytes]:
        source.seek(start)
        return cast(IO[bytes], Unclosed(source))

    return Upload(rewound, size), digest


def _digest(reader: IO[bytes]) -> str:
    import hashlib

    digest = hashlib.sha256()
    while chunk := reader.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


# Download


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
            response = yield from download(connection, str(url), cast(IO[bytes], sink))
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
    request = HttpRequest(
        "GET", urljoin(connection.base_url + "/", url), {"accept-encoding": "identity"}, sink=sink
    )

    def make() -> HttpRequest:
        # What an earlier sending has brought is not all of it.
        sink.seek(0)
        sink.truncate()
        return request

    _check_step(connection.base_url, request.url)
    for _ in range(_REDIRECTS + 1):
        response = yield from exchange(connection, make, "GET (download)")
        if response.status not in (301, 302, 303, 307, 308):
            break
        target = urljoin(request.url, response.headers.get("location", ""))
        _check_step(request.url, target)
        request = request._replace(url=target)
    else:
        raise ResponseFormatError(f"the download leads through more than {_REDIRECTS} redirects")
    if not 200 <= response.status < 300:
        raise api_error(response.status, None, operation="download_doc", request="GET (download)")
    return response


def _check_step(before: str, after: str) -> None:
    """Refuse a way that begins encrypted and does not stay so.

    Raises:
        ResponseFormatError: That.
    """
    if before.lower().startswith("https:") and not after.lower().startswith("https:"):
        raise ResponseFormatError(
            f"the file's address leads from https to {origin(after)}, where it would not be "
            "encrypted"
        )


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
    import zipfile
    from tempfile import TemporaryFile

    with TemporaryFile() as copy:
        try:
            with zipfile.ZipFile(file.name) as archive:
                [member] = archive.infolist()
                if size is not None and member.file_size != size:
                    return False  # whatever it grows to, it is not the file
                digest = hashlib.sha256()
                with archive.open(member) as reader:
                    while chunk := reader.read(_CHUNK):
                        digest.update(chunk)
                        copy.write(chunk)
        except (zipfile.BadZipFile, ValueError):
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
