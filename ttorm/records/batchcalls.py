"""The calls of a batch, and what became of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from tempfile import TemporaryFile
from typing import IO, Any, NamedTuple

from ttorm.api.batches import BatchCodec
from ttorm.api.codec import JSONValue
from ttorm.api.errors import (
    ApiError,
    ConfigurationError,
    QuotaError,
    ResponseFormatError,
    ValidationError,
    api_error,
)
from ttorm.api.operations import Operation, operation
from ttorm.api.request import ApiRequest, api_request
from ttorm.connection.core import Connection
from ttorm.flows import Flow, sleep
from ttorm.records.collection import Collection
from ttorm.records.record import Record
from ttorm.records.resource import Resource

__all__ = [
    "BatchCall",
    "BatchResult",
    "BatchResults",
    "batched",
    "codec_of",
    "decoded",
    "requests",
    "written",
]

_STRETCH = 1_000
"""Lines of a file after which others on an event loop have their turn."""


class BatchCall:
    """One call of a batch, as `Connection.call` takes it, but for the operation's name.

    Args:
        *arguments: Path arguments in order; records stand for their UUIDs.
        body: The JSON body.
        dictionary: The request dictionary, in place of the batch's.
        **parameters: Query parameters, and path arguments by name.

    Example:
        >>> BatchCall(Twin.create(), body={"entries": {"pressure": {"value": 2.5}}})
        BatchCall('...', body={'entries': {'pressure': {'value': 2.5}}})
    """

    __slots__ = ("arguments", "body", "dictionary", "parameters")

    def __init__(
        self,
        *arguments: object,
        body: JSONValue = None,
        dictionary: Mapping[str, JSONValue] | None = None,
        **parameters: object,
    ) -> None:
        self.arguments = tuple(map(_argument, arguments))
        self.body = body
        self.dictionary = dictionary
        self.parameters = {name: _argument(value) for name, value in parameters.items()}

    def __repr__(self) -> str:
        shown = [*map(repr, self.arguments)]
        if self.body is not None:
            shown.append(f"body={self.body!r}")
        if self.dictionary is not None:
            shown.append(f"dictionary={dict(self.dictionary)!r}")
        shown += [f"{name}={value!r}" for name, value in self.parameters.items()]
        return f"BatchCall({', '.join(shown)})"


def _argument(value: object) -> object:
    if isinstance(value, Record):
        return value.uuid
    return value._saved_key() if isinstance(value, Resource) else value


class BatchResult(NamedTuple):
    """What became of one call of a batch.

    Attributes:
        line: Which call it was, counted from 1.
        status: The HTTP status of its answer.
        response: The JSON of its answer.
        error: What the call would have raised by itself; None when it succeeded.
    """

    line: int
    status: int
    response: Any
    error: ApiError | None = None


class BatchResults(Collection[BatchResult]):
    """What became of the calls of a batch, in their order; iterable and async iterable.

    Each time the file of results is downloaded to a temporary place and read line by line, so that
    a long one needs no more memory than a short one.
    """

    def __init__(
        self,
        what: str,
        connection: Connection,
        fetch: Callable[[IO[bytes]], Flow[None]],
        name: str | None,
    ) -> None:
        self._what = what
        self._connection = connection
        self._fetch = fetch
        self._name = name

    def __iter__(self) -> Iterator[BatchResult]:
        with TemporaryFile() as file:
            self._connection.run(self._fetch(file))
            yield from self._read(file)

    async def __aiter__(self) -> AsyncIterator[BatchResult]:
        with TemporaryFile() as file:
            await self._connection.arun(self._fetch(file))
            for result in self._read(file):
                yield result
                if result.line % _STRETCH == 0:
                    await self._connection.arun(sleep(0))

    def _read(self, file: IO[bytes]) -> Iterator[BatchResult]:
        return decoded(self._connection, file, self._name)


# What is sent, and what comes back


def codec_of(connection: Connection) -> BatchCodec:
    """Give what writes and reads the files of batches.

    Raises:
        ConfigurationError: Nothing is known of this service's format.
    """
    if connection.batch_codec is None:
        raise ConfigurationError(
            f"what files of batches look like at {connection.url} is not known here, as the "
            "service does not publish it: write connect(..., batch_codec=...) with a codec that "
            "knows it, or batch_codec=ttorm.EmulatorBatchCodec() when `ttorm serve` answers there",
            code="batch-format",
        )
    return connection.batch_codec


def batched(name: str) -> Operation:
    """Give an operation that batches can call.

    Raises:
        LookupError: There is no such operation.
        ValidationError: Batches cannot call it.
    """
    row = operation(name)
    if row.category == "batches" or not row.credential:
        raise ValidationError(
            f"{name} cannot be called by a batch: expected an operation that needs a credential "
            "and is none of batches",
            code="bad-argument",
        )
    return row


def requests(name: str, calls: Iterable[BatchCall]) -> Iterator[ApiRequest]:
    """Check calls of an operation, one after the other, and make requests of them.

    Raises:
        QuotaError: The body of one is too large.
        ValidationError: One of them does not fit the operation.
    """
    for number, call in enumerate(calls, 1):
        if not isinstance(call, BatchCall):
            raise ValidationError(
                f"call {number} of the batch is {call!r}: expected a ttorm.BatchCall",
                code="bad-argument",
            )
        try:
            request = api_request(name, call.arguments, call.parameters, call.body, call.dictionary)
            request.encode_body()
        except (QuotaError, ValidationError) as error:
            error.add_note(f"this is call {number} of the batch; nothing was sent")
            raise
        yield request


def written(file: IO[bytes], pieces: Iterable[bytes]) -> Flow[int]:
    """Write a file piece by piece.

    Returns:
        Its length in bytes.
    """
    size = 0
    for number, piece in enumerate(pieces):
        size += file.write(piece)
        if number % _STRETCH == _STRETCH - 1:
            yield from sleep(0)
    return size


def decoded(connection: Connection, file: IO[bytes], name: str | None) -> Iterator[BatchResult]:
    """Read results from a file.

    Args:
        connection: Where they are from.
        file: The file.
        name: The operation that was called, if it is known.

    Raises:
        ResponseFormatError: The connection's codec cannot read it.
    """
    file.seek(0)
    try:
        for line, status, response in codec_of(connection).read(file):
            error = None
            if not 200 <= status < 300:
                error = api_error(status, response, operation=name, request=f"call {line}")
            yield BatchResult(line, status, response, error)
    except ResponseFormatError:
        raise
    except (TypeError, ValueError) as error:
        raise ResponseFormatError(
            f"the results of the batch cannot be read ({error}): does the connection's "
            "batch_codec know this service's format?"
        ) from error
