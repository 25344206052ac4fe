"""The files of batches, from the caller's side.

The platform does not publish what they look like. So who sends batches to it configures a
`BatchCodec`; `EmulatorBatchCodec` writes and reads what the emulator does (see
`ttorm.emulator.batchfile`, its other side). **Provisional**: the protocol may change as soon as
the platform's format is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO, Any, NamedTuple, Protocol

from ttorm.api import codec
from ttorm.api.answers import member
from ttorm.api.errors import ResponseFormatError
from ttorm.api.request import ApiRequest

__all__ = ["BatchCodec", "BatchLine", "EmulatorBatchCodec"]


class BatchLine(NamedTuple):
    """What became of one call, as the file of results tells it.

    Attributes:
        line: Which call it was, counted from 1.
        status: The HTTP status of its answer.
        response: The JSON of its answer.
    """

    line: int
    status: int
    response: Any


class BatchCodec(Protocol):
    r"""Knows what the files of batches look like. Neither side holds a whole file in memory.

    Example:
        >>> class Csv:
        ...     def write(self, calls):
        ...         for call in calls:
        ...             yield f"{call.operation.method},{call.target}\n".encode()
        ...
        ...     def read(self, file):
        ...         for number, text in enumerate(file, 1):
        ...             yield ttorm.BatchLine(number, int(text), {})
        >>> connection = ttorm.connect("memory:", batch_codec=Csv())
    """

    def write(self, calls: Iterable[ApiRequest]) -> Iterable[bytes]:
        """Write calls of one operation, piece by piece.

        Args:
            calls: Each has `operation`, `arguments` (of the path, in order), `query` (pairs of
                texts), `body` and `dictionary`.
        """
        ...

    def read(self, file: IO[bytes]) -> Iterable[BatchLine]:
        """Read results, one after the other.

        Args:
            file: The file of results, at its beginning.

        Raises:
            ValueError: That is none.
        """
        ...


class EmulatorBatchCodec:
    r"""The emulator's format: JSON Lines, one call or result in each.

    The default for the embedded emulator; for ``ttorm serve`` it has to be given, as an address
    does not tell who answers there.

    Example:
        >>> from ttorm.api.request import api_request
        >>> [*EmulatorBatchCodec().write([api_request("get_twin", ["u"])])]
        [b'{"twin":"u"}\n']
    """

    def write(self, calls: Iterable[ApiRequest]) -> Iterator[bytes]:
        """Write one object a line: arguments of the path by name, and what else there is."""
        for call in calls:
            names = (parameter.name for parameter in call.operation.path_params)
            line: dict[str, Any] = dict(zip(names, call.arguments, strict=True))
            if call.query:
                line["params"] = _parameters(call)
            if call.body is not None:
                line["body"] = call.body
            if call.dictionary is not None:
                line["dictionary"] = dict(call.dictionary)
            yield codec.encode(line) + b"\n"

    def read(self, file: IO[bytes]) -> Iterator[BatchLine]:
        """Read one object a line."""
        for text in file:
            found = member({"line": codec.decode(text)}, "line")
            try:
                yield BatchLine(found["line"], found["status"], found["response"])
            except KeyError as error:
                raise ResponseFormatError(
                    f"a line of the results has no {error}, it starts {text[:60]!r}: were they "
                    "written by another version, or by another service?"
                ) from None


def _parameters(call: ApiRequest) -> dict[str, Any]:
    found: dict[str, list[str]] = {}
    for name, value in call.query:
        found.setdefault(name, []).append(value)
    return {name: several if several[1:] else several[0] for name, several in found.items()}
