"""The files of batches: the only module of the emulator that knows what they look like.

The platform's format is not published, so this one is ttorm's own: JSON Lines, that is UTF-8 text
with one JSON object in each line. A line of a batch is one call: its path arguments by name, of
which those with a default may be left out, and, as far as there are any, ``params`` (the query),
``body`` and ``dictionary``::

    {"twin": "085c0f9f-427e-4e23-9a60-bacf6585a862", "body": {"entries": {"temp": {"value": 21}}}}

A line of the results says what became of the call in a line of the batch, in the same order::

    {"line":1,"status":200,"response":{"entries":{"temp":{"value":21}}}}

What callers write and read is in `ttorm.api.batches`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any, NamedTuple, cast

from ttorm.api import codec
from ttorm.api.operations import Operation
from ttorm.api.request import ApiRequest, api_request, dictionary_header

__all__ = [
    "MAX_LINE",
    "SUFFIX",
    "TYPE",
    "BatchCall",
    "BatchFileError",
    "read_calls",
    "result_line",
]

MAX_LINE = 1_048_576
"""Longest line, in bytes."""
SUFFIX = ".jsonl"
"""Ending of the name of a file of results."""
TYPE = "application/jsonl"
"""Media type of results."""

_LONGEST_REASON = 300
_MORE = {"params", "body", "dictionary"}


class BatchFileError(ValueError):
    """A file is no batch of calls of an operation; the text names the line and what is wrong."""


class BatchCall(NamedTuple):
    """A call that a batch asks for.

    Attributes:
        line: Where it stands, counted from 1.
        end: The bytes of the file up to its end: where the next one begins.
        request: The call.
    """

    line: int
    end: int
    request: ApiRequest


def read_calls(
    file: IO[bytes], operation: Operation, *, line: int = 0, position: int = 0
) -> Iterator[BatchCall]:
    """Yield the calls of a batch, which may be larger than memory.

    Args:
        file: The file, which can seek.
        operation: What is called.
        line: Line of the call after which to begin; 0 for the beginning.
        position: The end of that call.

    Raises:
        BatchFileError: A line is no call.
    """
    file.seek(position)
    while text := file.readline(MAX_LINE + 1):
        line += 1
        position += len(text)
        if text.strip():
            try:
                request = _read_call(text, operation)
            except ValueError as error:
                # A line can be long, and what is wrong with it quotes it.
                reason = str(error.args[0])[:_LONGEST_REASON]
                raise BatchFileError(
                    f"line {line} is no call of {operation.name}: {reason}"
                ) from None
            yield BatchCall(line, position, request)


def _read_call(text: bytes, operation: Operation) -> ApiRequest:
    if len(text) > MAX_LINE:
        raise BatchFileError(f"it is longer than {MAX_LINE} bytes")
    names = [parameter.name for parameter in operation.path_params]
    fields = _mapping(codec.decode(text), "it")
    unknown = fields.keys() - _MORE - set(names)
    if unknown:
        known = ", ".join([*names, *sorted(_MORE)])
        raise BatchFileError(f"it has {', '.join(sorted(unknown))}, but may have only {known}")
    arguments = [fields.get(name, default) for name, default in operation.path_params]
    for name, argument in zip(names, arguments, strict=True):
        if not isinstance(argument, str):
            raise BatchFileError(f"it needs {name!r}, a text")
    params, dictionary = fields.get("params"), fields.get("dictionary")
    if dictionary is not None:
        dictionary_header(_mapping(dictionary, "'dictionary'"))
    query = None if params is None else _mapping(params, "'params'")
    return api_request(operation.name, arguments, query, fields.get("body"), dictionary)


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    raise BatchFileError(f"{where} is no JSON object")


def result_line(line: int, status: int, response: str) -> bytes:
    """Write what became of a call.

    Args:
        line: The line of the call.
        status: The HTTP status of its answer.
        response: The JSON text of its answer.
    """
    return f'{{"line":{line},"status":{status},"response":{response}}}\n'.encode()
