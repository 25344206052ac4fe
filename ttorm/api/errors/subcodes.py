"""Error numbers of the service, and which error an answer becomes."""

from __future__ import annotations

from collections.abc import Mapping
from time import time
from types import MappingProxyType
from typing import Any, Final, NamedTuple, cast

from ttorm.api.errors.service import (
    AlreadyDoneError,
    ApiError,
    BadRequestError,
    BusyError,
    DatabaseUnavailableError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    OperationNotAllowedError,
    OperationOrderError,
    QuotaError,
    ServerError,
    ServerTimeoutError,
    ServiceDisabledError,
    UnauthorizedError,
)
from ttorm.api.http import origin
from ttorm.api.retry import Failure, failure_of_status, retry_after

__all__ = ["SUBCODES", "Subcode", "api_error"]


class Subcode(NamedTuple):
    """A known error number of the service."""

    name: str
    error: type[ApiError]


SUBCODES: dict[int, Subcode] = {
    400141: Subcode("quota_violation", QuotaError),
    400314: Subcode("invalid_characters", InvalidRequestError),
    400358: Subcode("idempotency_violation", AlreadyDoneError),
    400415: Subcode("not_a_valid_json", InvalidRequestError),
    400589: Subcode("request_format", InvalidRequestError),
    400592: Subcode("operation_order_violation", OperationOrderError),
    400793: Subcode("corrupted_request", InvalidRequestError),
    400897: Subcode("operation_not_allowed", OperationNotAllowedError),
    400979: Subcode("service_disabled", ServiceDisabledError),
    401000: Subcode("unauthorized", UnauthorizedError),
    403535: Subcode("access_forbidden", ForbiddenError),
    404653: Subcode("not_found", NotFoundError),
    500000: Subcode("general", ServerError),
    500001: Subcode("assert", ServerError),
    500159: Subcode("response_timeout", ServerTimeoutError),
    500314: Subcode("services_database_no_connection", DatabaseUnavailableError),
    501159: Subcode("auth_timeout", ServerTimeoutError),
    502159: Subcode("request_timeout", ServerTimeoutError),
    503159: Subcode("processing_timeout", ServerTimeoutError),
}
"""The service's known error numbers."""


_BY_STATUS: dict[int, type[ApiError]] = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
}


_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


def _class_of(status: int, subcode: int | None) -> type[ApiError]:
    if subcode in SUBCODES:
        return SUBCODES[subcode].error
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return ServerError
    return BadRequestError if status >= 400 else ApiError


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _redirect(status: int, location: str | None) -> str:
    if not location or not 300 <= status < 400:
        return ""
    place = origin(location)
    way = f"to {place}" if place else "elsewhere on its server"
    return (
        f"the answer leads {way}, and calls follow none, for the credential would go along: "
        "connect to the address of the API itself"
    )


def api_error(
    status: int,
    body: Any,
    headers: Mapping[str, str] = _NO_HEADERS,
    *,
    operation: str | None = None,
    request: str | None = None,
    attempts: int = 1,
) -> ApiError:
    """Make the exception for an error answer.

    Args:
        status: HTTP status of the answer.
        body: Its decoded JSON object, or None when it was not JSON (a proxy's page).
        headers: Its headers, with names in lower case.
        operation: Name of the operation.
        request: Method and path, without anything secret.
        attempts: How many times the request was sent.

    Returns:
        The most specific class known; unknown subcodes fall back to the status.
    """
    fields = cast("Mapping[str, Any]", body if isinstance(body, dict) else {})
    try:
        subcode: int | None = int(fields["subcode"])
    except (KeyError, TypeError, ValueError, OverflowError):
        subcode = None
    description, trace = _text(fields.get("description")), _text(fields.get("trace"))
    asked = headers.get("retry-after")
    busy = failure_of_status(status, asked is not None) is Failure.REJECTED
    error = BusyError if busy else _class_of(status, subcode)
    said = description or _redirect(status, headers.get("location"))
    if not said and not fields:
        said = "the body is not the API's JSON, a proxy may have answered"
    parts = [f"{request or operation or 'the request'} got {status}"]
    if subcode is not None:
        parts.append(f"/{subcode}")
    parts.append(f": {error.meaning}")
    if said:
        parts.append(f" ({said})")
    wait = retry_after(asked, time()) if busy else None
    if wait is not None:
        parts.append(f"; it asks to wait {wait:,.0f} seconds")
    if trace:
        parts.append(f", trace {trace}")
    made = error(
        "".join(parts),
        status=status,
        subcode=subcode,
        trace=trace,
        description=description,
        operation=operation,
        attempts=attempts,
        request=request,
    )
    if isinstance(made, BusyError):
        made.retry_after = wait
    return made
