"""Requests without an answer, or without one that can be read."""

from __future__ import annotations

from ttorm.api.errors.base import TtormError

__all__ = [
    "CircuitOpenError",
    "OutcomeUnknownError",
    "RequestError",
    "RequestTimeoutError",
    "ResponseFormatError",
    "ResponseTooLargeError",
    "TransportError",
]


class RequestError(TtormError):
    """An error of one request.

    Attributes:
        operation: Name of the operation, for example ``"get_twin"``.
        attempts: How many times the request was sent.
        request: Method and path, without query, headers and body.
    """

    def __init__(
        self,
        message: str = "",
        *,
        operation: str | None = None,
        attempts: int = 1,
        request: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.operation = operation
        self.attempts = attempts
        self.request = request


class TransportError(RequestError, ConnectionError):
    """The service could not be reached, or the connection broke while reading.

    Attributes:
        sent: Whether the request may have reached the service.
    """

    code = "transport"

    def __init__(
        self,
        message: str = "",
        *,
        sent: bool = True,
        operation: str | None = None,
        attempts: int = 1,
        request: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(
            message, operation=operation, attempts=attempts, request=request, code=code
        )
        self.sent = sent

    def __str__(self) -> str:
        # Known only when it is given up: whoever carries requests knows none of the API's.
        text = TtormError.__str__(self)
        return text if self.request is None else f"{self.request}: {text}"


class RequestTimeoutError(TransportError, TimeoutError):
    """The service did not answer in time."""

    code = "timeout"


class CircuitOpenError(TransportError):
    """The service has not answered for a while: nothing was sent."""

    code = "circuit-open"


class OutcomeUnknownError(RequestError):
    """A write was sent, no answer came, and it may or may not have happened."""

    code = "outcome-unknown"


class ResponseFormatError(RequestError, ValueError):
    """The answer is not one of the API's: a proxy's page, broken JSON, a wrong shape."""

    code = "response-format"


class ResponseTooLargeError(ResponseFormatError):
    """The answer, decompressed, is larger than the connection's limit."""

    code = "response-too-large"
