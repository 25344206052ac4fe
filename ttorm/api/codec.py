"""JSON: decoding answers, encoding bodies, and telling whether a value is JSON at all."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from math import isfinite
from typing import Any, TypeAlias, cast

from ttorm.api.errors import ValidationError

__all__ = [
    "JSONValue",
    "Json",
    "canonical",
    "check_json",
    "decode",
    "decode_finite",
    "encode",
    "fingerprint",
    "same",
]

JSONValue: TypeAlias = Any
"""Any JSON value: None, bool, int, float, str, list or dict with text keys."""
Json: TypeAlias = "bool | float | str | list[Json] | dict[str, Json] | None"
"""The same, for functions that look into values they do not know."""

_HUGE = re.compile(rb"[eE]\+?[0-9]{3}|[0-9]{200}")
"""What the text of a number beyond the range of floats has in it."""
_SCALARS = (str, int, float, bool, type(None))
_DEEPEST = 190
"""Levels of containers in one value: decoders stop at 200, and answers add a few of their own."""


def encode(value: JSONValue) -> bytes:
    """Encode a JSON value as compact UTF-8.

    Raises:
        ValidationError: The value is not JSON, or holds text that is not valid Unicode.

    Example:
        >>> encode({"a": [1, True]})
        b'{"a":[1,true]}'
    """
    from pydantic_core import PydanticSerializationError, to_json

    try:
        return to_json(value, inf_nan_mode="constants")
    except (PydanticSerializationError, UnicodeEncodeError, ValueError) as error:
        raise ValidationError(
            f"this value cannot be sent as JSON: {error}", code="not-json"
        ) from None


def decode(body: bytes, *, keys_recur: bool = True) -> JSONValue:
    """Decode UTF-8 JSON.

    Args:
        body: The text.
        keys_recur: Whether keys of objects are likely to come again in other texts, so that it
            pays to keep them in the decoder's store of 16,384 texts.

    Raises:
        ValueError: The bytes are not JSON.

    Example:
        >>> decode(b'{"a": 1}')
        {'a': 1}
    """
    from pydantic_core import from_json

    return from_json(body, allow_inf_nan=False, cache_strings="keys" if keys_recur else "none")


def decode_finite(body: bytes) -> JSONValue:
    """Decode UTF-8 JSON of which parts will be encoded again.

    Raises:
        ValueError: The bytes are not JSON, or hold a number beyond the range of floats, such as
            ``1e999``, of which `decode` makes infinity.

    Example:
        >>> decode_finite(b"[1e300]")
        [1e+300]
    """
    value = decode(body)
    if _HUGE.search(body):
        json.dumps(value, allow_nan=False)
    return value


def fingerprint(value: JSONValue) -> bytes:
    """Encode quickly for comparison; differs when only the order of keys differs."""
    return encode(value)


def canonical(value: JSONValue) -> bytes:
    """Encode with sorted keys: equal bytes mean the same JSON value.

    Example:
        >>> canonical({"b": 1, "a": 2})
        b'{"a":2,"b":1}'
    """
    try:
        text = json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        return text.encode()
    except (TypeError, ValueError, RecursionError):
        check_json(value)
        raise


def same(one: JSONValue, other: JSONValue) -> bool:
    """Tell whether two JSON values are the same; ``1``, ``1.0`` and ``true`` are three values.

    Example:
        >>> same({"a": 1, "b": 2}, {"b": 2, "a": 1}), same(1, True)
        (True, False)
    """
    if isinstance(one, _SCALARS) or isinstance(other, _SCALARS):
        return type(one) is type(other) and one == other
    return canonical(one) == canonical(other)


def check_json(value: object, where: str = "value") -> None:
    """Refuse what JSON cannot carry, naming the place.

    Args:
        value: The value to look through.
        where: How messages name the value, for example ``"Entry 'battery'"``.

    Raises:
        ValidationError: NaN, infinity, a set, bytes, a key that is not text, an object of any
            other type, text that is not valid Unicode, or nesting without end.

    Example:
        >>> check_json({"a": {1, 2}})
        Traceback (most recent call last):
        ...
        ttorm.ValidationError: value['a'] is a set, which JSON cannot hold: write a list [not-json]
    """
    try:
        _walk(value, where, "", _DEEPEST)
    except RecursionError:
        raise ValidationError(
            f"{where} is nested deeper than {_DEEPEST} levels, or contains itself", code="not-json"
        ) from None


_MENDS: dict[type[Any], str] = {
    set: "write a list",
    frozenset: "write a list",
    bytes: "decode it to text, or store it as a Doc",
    bytearray: "decode it to text, or store it as a Doc",
}


def _walk(value: object, where: str, path: str, levels: int) -> None:
    if value is None or isinstance(value, (bool, int)):
        return
    if isinstance(value, str):
        if not _is_unicode(value):
            raise _refuse(where, path, "holds a lone surrogate", "it is not valid Unicode")
    elif isinstance(value, float):
        if not isfinite(value):
            raise _refuse(where, path, f"is {value}", "write None, or leave it out")
    elif levels == 0:
        raise RecursionError
    elif isinstance(value, dict):
        for key, item in cast("dict[object, object]", value).items():
            if not isinstance(key, str) or not _is_unicode(key):
                raise _refuse(where, path, f"has the key {key!r}", "write text keys")
            _walk(item, where, f"{path}[{key!r}]", levels - 1)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(cast("Sequence[object]", value)):
            _walk(item, where, f"{path}[{index}]", levels - 1)
    else:
        kind = type(value)
        mend = next(
            (text for known, text in _MENDS.items() if issubclass(kind, known)),
            "write text, numbers, lists and dictionaries, or declare a typed field",
        )
        article = "an" if kind.__name__[0] in "aeiouAEIOU" else "a"
        raise _refuse(where, path, f"is {article} {kind.__name__}", mend)


def _is_unicode(text: str) -> bool:
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _refuse(where: str, path: str, what: str, mend: str) -> ValidationError:
    return ValidationError(f"{where}{path} {what}, which JSON cannot hold: {mend}", code="not-json")
