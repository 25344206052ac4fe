"""The service's own error answers."""

from __future__ import annotations

from typing import ClassVar

from ttorm.api.errors.transport import RequestError

__all__ = [
    "AlreadyDoneError",
    "ApiError",
    "BadRequestError",
    "BusyError",
    "DatabaseUnavailableError",
    "ForbiddenError",
    "InvalidRequestError",
    "NotFoundError",
    "OperationNotAllowedError",
    "OperationOrderError",
    "QuotaError",
    "ServerError",
    "ServerTimeoutError",
    "ServiceDisabledError",
    "UnauthorizedError",
]


class ApiError(RequestError):
    """The service answered with an error.

    Attributes:
        status: HTTP status; None when ttorm raised the error before sending.
        subcode: The service's error number, or None.
        trace: The service's identification of this very error, to quote to its support, or None.
        description: The service's text, or None.
    """

    code = "api"
    meaning: ClassVar[str] = "the service answered with an error"

    def __init__(
        self,
        message: str = "",
        *,
        status: int | None = None,
        subcode: int | None = None,
        trace: str | None = None,
        description: str | None = None,
        operation: str | None = None,
        attempts: int = 1,
        request: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(
            message, operation=operation, attempts=attempts, request=request, code=code
        )
        self.status = status
        self.subcode = subcode
        self.trace = trace
        self.description = description


class BadRequestError(ApiError, ValueError):
    """The service found the request wrong (400)."""

    code = "bad-request"
    meaning = "the request is wrong"


class QuotaError(BadRequestError):
    """A body or a Ledger would be over the platform's 64 kB (400141)."""

    code = "quota"
    meaning = "a limit of the platform is exceeded: a body and a Ledger hold at most 64 kB each"


class InvalidRequestError(BadRequestError):
    """The request does not have the expected form (400314, 400415, 400589, 400793)."""

    code = "invalid-request"
    meaning = "the request does not have the expected form"


class AlreadyDoneError(BadRequestError):
    """The operation was done before and cannot be repeated (400358)."""

    code = "already-done"
    meaning = "this was already done"


class OperationOrderError(BadRequestError):
    """A step that must come first is missing, or it is too late for this one (400592)."""

    code = "operation-order"
    meaning = "an earlier step is missing, or it is too late for this one"


class OperationNotAllowedError(BadRequestError):
    """The state of the object does not allow it, whatever the permissions (400897)."""

    code = "not-allowed"
    meaning = "the state of the object does not allow this"


class ServiceDisabledError(BadRequestError):
    """The account does not have this service of the platform enabled (400979)."""

    code = "service-disabled"
    meaning = "this service is not enabled for the account"


class BusyError(ApiError):
    """The service takes no more requests for now, and did nothing (429, 503 with Retry-After).

    Attributes:
        retry_after: Seconds that it asks to wait, or None.
    """

    code = "busy"
    meaning = "the service takes no more requests for now, and did nothing"
    retry_after: float | None = None


class UnauthorizedError(ApiError, PermissionError):
    """The credential is missing, unknown, expired or deleted (401)."""

    code = "unauthorized"
    meaning = "the secret or token is missing, unknown, expired or deleted"


class ForbiddenError(ApiError, PermissionError):
    """The user's role or an access rule says no (403)."""

    code = "forbidden"
    meaning = "the user's role does not list this operation, or an access rule says no"


class NotFoundError(ApiError, LookupError):
    """There is no such object, or the caller may not know of it (404)."""

    code = "not-found"
    meaning = "there is no such object"


class ServerError(ApiError):
    """The service failed (5xx)."""

    code = "server"
    meaning = "the service failed"


class ServerTimeoutError(ServerError):
    """A step inside the service took too long (500159, 501159, 502159, 503159)."""

    code = "server-timeout"
    meaning = "a step inside the service took too long"


class DatabaseUnavailableError(ServerError):
    """The service cannot reach the account's database (500314)."""

    code = "database-unavailable"
    meaning = "the service cannot reach the account's database"
