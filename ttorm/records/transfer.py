"""Files to the service, as flows."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any, cast

from ttorm.api.answers import member, needed, refusal
from ttorm.api.errors import (
    ApiError,
    ItemError,
    NotFoundError,
    OutcomeUnknownError,
    SaveError,
    TransportError,
    ValidationError,
    api_error,
)
from ttorm.api.http import HttpRequest, Upload
from ttorm.api.request import ApiRequest, api_request
from ttorm.api.retry import Failure
from ttorm.connection.calls import perform
from ttorm.connection.core import Connection
from ttorm.connection.files import exchange, step
from ttorm.connection.patience import Patience
from ttorm.flows import Flow, sleep
from ttorm.records.streams import Progress, Told, Unclosed, Watched

__all__ = [
    "FAILED",
    "Progress",
    "Source",
    "attach",
    "copied",
    "failure",
    "store",
    "upload_of",
]

Source = bytes | str | os.PathLike[str] | IO[bytes]
_CHUNK = 1 << 16
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
        except OutcomeUnknownError as error:
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
    """Upload content, and return the handler by which other requests name it.

    Raises:
        TransportError: Nobody answered; what the content is for was not begun.
    """
    try:
        place = yield from perform(connection, api_request("create_upload_url"))
    except OutcomeUnknownError as error:
        # A place that nobody knows ends by itself.
        raise TransportError(
            "no answer", operation=error.operation, attempts=error.attempts, request=error.request
        ) from error
    request = HttpRequest("PUT", step(connection.base_url + "/", needed(place, "url")), {}, upload)
    response = yield from exchange(connection, lambda: request, "PUT (upload)")
    if not 200 <= response.status < 300:
        raise api_error(
            response.status,
            None,
            response.headers,
            operation="create_upload_url",
            request="PUT (upload)",
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
    seekable = getattr(source, "seekable", None)
    if seekable is None or not seekable():
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
