"""Request bodies: reading them, and checking their fields."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Collection, Mapping
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, TypeGuard, cast

from ttorm.api import codec, names
from ttorm.api.http import HttpRequest, Upload
from ttorm.api.request import MAX_BODY
from ttorm.emulator.answers import Fault

__all__ = [
    "LENIENT",
    "MAX_DICTIONARY",
    "MAX_TIMESTAMP",
    "NAME",
    "check_array",
    "check_description",
    "check_fields",
    "check_mapping",
    "check_name",
    "check_rule",
    "check_template",
    "check_text",
    "check_timestamp",
    "check_topic",
    "check_uuid",
    "read_body",
    "read_dictionary",
    "take_body",
]

MAX_DICTIONARY = 8_192
"""Longest value of ``X-TrustedTwin``."""
MAX_TIMESTAMP = 1e12
"""The farthest that a time is from 1970, in seconds."""
NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_ \-]{0,30}[0-9A-Za-z]")
"""What names of users and roles look like."""

LENIENT: ContextVar[bool] = ContextVar("ttorm_emulator_lenient", default=False)
"""Whether unknown fields are ignored in the current request."""


def take_body(request: HttpRequest) -> bytes:
    """Read the body of a request, or as much as tells that it is too long."""
    if not isinstance(request.body, Upload):
        return request.body
    with request.body.open() as file:
        return file.read(MAX_BODY + 1)


def read_body(body: bytes) -> dict[str, Any] | None:
    """Decode a body.

    Raises:
        Fault: It is too long (400141), not UTF-8 (400314), not JSON (400415) or not a JSON
            object (400589).
    """
    if not body:
        return None
    if len(body) > MAX_BODY:
        raise Fault(400141, f"The body is larger than {MAX_BODY} bytes.")
    try:
        body.decode()
    except UnicodeDecodeError:
        raise Fault(400314, "Request body contains invalid characters.") from None
    try:
        value = codec.decode_finite(body)
    except (ValueError, RecursionError):
        raise Fault(400415, "The request body is not valid JSON.") from None
    return check_mapping(value, "The body")


def read_dictionary(header: str | None) -> dict[str, Any] | None:
    """Decode the value of ``X-TrustedTwin``.

    Raises:
        Fault: It is too long or not base64 of a JSON object (400793), or has a bad key (400589).
    """
    if header is None:
        return None
    value = None
    if len(header) <= MAX_DICTIONARY:
        with suppress(ValueError, RecursionError):
            value = codec.decode_finite(b64decode(header, validate=True))
    if not isinstance(value, dict):
        raise Fault(
            400793,
            f"X-TrustedTwin is not base64 of a JSON object of at most {MAX_DICTIONARY} characters.",
        )
    return check_description(value, "X-TrustedTwin")


def check_mapping(value: Any, where: str) -> dict[str, Any]:
    """Return a JSON object, or raise `Fault` 400589."""
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    raise Fault(400589, f"{where} is {_kind(value)}: write a JSON object.")


def check_array(value: Any, where: str) -> list[Any]:
    """Return a JSON array, or raise `Fault` 400589."""
    if _is_array(value):
        return value
    raise Fault(400589, f"{where} is {_kind(value)}: write an array.")


def check_fields(
    fields: Mapping[str, Any],
    allowed: Collection[str],
    *,
    required: Collection[str] = (),
    where: str = "The body",
) -> None:
    """Refuse fields that do not exist or are missing (400589)."""
    for name in required:
        if name not in fields:
            raise Fault(400589, f"{where} needs {name!r}.")
    if LENIENT.get():
        return
    for name in fields:
        if name not in allowed:
            known = ", ".join(sorted(allowed)) or "none"
            raise Fault(400589, f"{where} has an unknown field {name!r}; it takes: {known}.")


def check_description(value: Any, where: str = "'description'") -> dict[str, Any] | None:
    """Return a description or dictionary, or None for null (else 400589)."""
    if value is None:
        return None
    description = check_mapping(value, where)
    for key in description:
        if not names.DESCRIPTION_KEY.fullmatch(key):
            raise Fault(
                400589,
                f"{where} has the key {key!r}: write 1 to 64 lower-case letters, digits and '_', "
                "not starting with a digit.",
            )
    return description


def check_name(value: Any, where: str = "'name'") -> str:
    """Return the name of a user or role (else 400589)."""
    if isinstance(value, str) and NAME.fullmatch(value):
        return value
    raise Fault(
        400589,
        f"{where} is {_shown(value)}: write 2 to 32 letters, digits, spaces, '_' and '-', "
        "starting and ending with a letter or digit.",
    )


def check_uuid(value: Any, where: str) -> str:
    """Return a UUID in lower case (else 400589)."""
    if isinstance(value, str) and names.UUID.fullmatch(value):
        return value.lower()
    raise Fault(400589, f"{where} is {_shown(value)}: write a UUID.")


def check_text(value: Any, where: str, longest: int) -> str:
    """Return text of at most so many characters (else 400589)."""
    if isinstance(value, str) and len(value) <= longest:
        return value
    raise Fault(400589, f"{where} is {_shown(value)}: write text of at most {longest} characters.")


def check_topic(value: Any, where: str) -> str:
    """Return a topic of notifications (else 400589)."""
    if isinstance(value, str) and names.TOPIC.fullmatch(value):
        return value
    raise Fault(400589, f"{where} is {_shown(value)}: write 3 to 48 letters, digits and '-'.")


def check_timestamp(value: Any, where: str = "'validity_ts'") -> float | None:
    """Return a time in Unix seconds, rounded to milliseconds, or None for null (else 400589)."""
    if value is None:
        return None
    if (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and abs(value) <= MAX_TIMESTAMP
    ):
        return round(float(value), 3)
    raise Fault(400589, f"{where} is {_shown(value)}: write Unix seconds or null.")


def check_rule(value: Any, where: str) -> str:
    """Return the text of a rule that can be evaluated (else 400589)."""
    from ttorm.emulator.rules import RuleError, compile_rule

    if not isinstance(value, str):
        raise Fault(400589, f"{where} is {_kind(value)}: write the text of a rule.")
    try:
        compile_rule(value)
    except RuleError as error:
        raise Fault(400589, f"{where} is no rule: {error}.") from None
    return value


def check_template(value: Any, where: str) -> str:
    """Return the text of a template (else 400589)."""
    from ttorm.emulator.templates import TemplateError, compile_template

    if not isinstance(value, str):
        raise Fault(400589, f"{where} is {_kind(value)}: write the text of a template.")
    try:
        compile_template(value)
    except TemplateError as error:
        raise Fault(400589, f"{where} is no template: {error}.") from None
    return value


def _is_array(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    kinds = ((str, "text"), ((int, float), "a number"), (list, "an array"), (dict, "an object"))
    return next(kind for types, kind in kinds if isinstance(value, types))


def _shown(value: Any) -> str:
    return repr(value[:80]) if isinstance(value, str) else _kind(value)
