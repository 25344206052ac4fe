"""Everything ttorm raises, as one tree.

```
TtormError
├── ConfigurationError (ValueError)          a connection cannot be made from what was given
├── ValidationError (ValueError)             a name or value that cannot be sent or was not expected
├── NotLoadedError (RuntimeError)            a read that would block where blocking is not allowed
├── MissingEntryError (AttributeError)       a declared Entry that the Ledger lacks
├── BrokenReferenceError (LookupError)       a reference whose source is gone or hidden
├── WrongKindError (LookupError)             a Twin of another kind than the class says
├── AmbiguousIdentityError (LookupError)     several Twins where one is expected
├── StateError (RuntimeError)                the record or connection is past doing that
├── ConflictError                            somebody else changed the same thing
├── SaveError                                some items of a save were refused
├── BudgetExceededError (RuntimeError)       more requests than the budget allows
├── TransportError (ConnectionError)         no answer: the request did not reach the service
│   └── RequestTimeoutError (TimeoutError)   ... in time
├── OutcomeUnknownError                      no answer to a write that may have happened
├── ResponseFormatError (ValueError)         an answer that is not the API's
│   └── ResponseTooLargeError                ... or is larger than allowed
└── ApiError                                 the service's own answer
    ├── BadRequestError (ValueError)         400
    │   ├── QuotaError                       400141 (also raised before sending)
    │   ├── InvalidRequestError              400314 400415 400589 400793
    │   ├── AlreadyDoneError                 400358
    │   ├── OperationOrderError              400592
    │   ├── OperationNotAllowedError         400897
    │   └── ServiceDisabledError             400979
    ├── UnauthorizedError (PermissionError)  401
    ├── ForbiddenError (PermissionError)     403
    ├── NotFoundError (LookupError)          404
    └── ServerError                          5xx
        ├── ServerTimeoutError               500159 501159 502159 503159
        └── DatabaseUnavailableError         500314
```

Every message ends in a short code in brackets; `docs/errors.md` has a section for each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, TypeAlias, cast

__all__ = [
    "SUBCODES",
    "AlreadyDoneError",
    "AmbiguousIdentityError",
    "ApiError",
    "BadRequestError",
    "BrokenReferenceError",
    "BudgetExceededError",
    "ConfigurationError",
    "Conflict",
    "ConflictError",
    "DatabaseUnavailableError",
    "ForbiddenError",
    "InvalidRequestError",
    "ItemError",
    "MissingEntryError",
    "NotFoundError",
    "NotLoadedError",
    "OperationNotAllowedError",
    "OperationOrderError",
    "OutcomeUnknownError",
    "QuotaError",
    "RequestTimeoutError",
    "Resolution",
    "Resolver",
    "ResponseFormatError",
    "ResponseTooLargeError",
    "SaveError",
    "ServerError",
    "ServerTimeoutError",
    "ServiceDisabledError",
    "StateError",
    "TransportError",
    "TtormError",
    "UnauthorizedError",
    "ValidationError",
    "WrongKindError",
    "api_error",
]


class TtormError(Exception):
    """Root of all errors that ttorm raises.

    Attributes:
        code: Short code of the error, a section of the documentation page "Errors".
    """

    code: str = "error"

    def __init__(self, message: str = "", *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{super().__str__()} [{self.code}]"

    @property
    def help(self) -> str:
        """Where the documentation explains this error."""
        return f"docs/errors.md#{self.code}"


class ConfigurationError(TtormError, ValueError):
    """A connection cannot be made from the given URL, credentials or options."""

    code = "configuration"


class ValidationError(TtormError, ValueError):
    """A name or value that cannot be sent, or that the service stored and a field refuses."""

    code = "invalid-value"


class NotLoadedError(TtormError, RuntimeError):
    """An attribute would have to be fetched where blocking is not allowed.

    Not an `AttributeError`, so that ``hasattr`` and ``getattr`` with a default do not hide it.
    """

    code = "not-loaded"


class MissingEntryError(TtormError, AttributeError):
    """A declared Entry without a default that the Ledger does not have."""

    code = "missing-entry"


class WrongKindError(TtormError, LookupError):
    """The Twin exists but is of another kind than the model class says."""

    code = "wrong-kind"


class BrokenReferenceError(TtormError, LookupError):
    """A reference or include has no value: its source is gone, hidden or not copied yet.

    Attributes:
        status: What the service says of a reference, such as ``"not_found"``; None of an include.
    """

    code = "broken-reference"

    def __init__(
        self, message: str = "", *, status: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.status = status


class AmbiguousIdentityError(TtormError, LookupError):
    """Several alive Twins have an Identity that is expected to lead to one.

    Attributes:
        candidates: Their UUIDs, the oldest Twin first.
    """

    code = "ambiguous-identity"

    def __init__(
        self, message: str = "", *, candidates: Sequence[str] = (), code: str | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.candidates = tuple(candidates)


class StateError(TtormError, RuntimeError):
    """The record, session or connection is in a state that does not allow this."""

    code = "state"


class BudgetExceededError(TtormError, RuntimeError):
    """One request more than the session's budget allows."""

    code = "budget"


class Conflict(NamedTuple):
    """One value that was changed on both sides; None stands for one that is not there.

    Attributes:
        name: The attribute.
        base: The value that this record started from.
        mine: The value that it wants to write.
        theirs: The value that the service holds now.
    """

    name: str
    base: Any
    mine: Any
    theirs: Any


Resolution: TypeAlias = Literal["mine", "theirs", "merge"] | Callable[[Conflict], Any]
"""How a conflict ends."""


class Resolver(Protocol):
    """Knows the record of a conflict, and what is to be done to it."""

    @property
    def record(self) -> Any:
        """The record."""

    def resolve(self, how: Resolution) -> None:
        """Have the next save of the record write what was decided."""


class ConflictError(TtormError):
    """Somebody else changed what this record also changed.

    Nothing is lost: the record keeps its own values as unsaved changes of those that the service
    holds now.

    Attributes:
        base: Values when this record read them, by attribute.
        mine: Values this record wants to write.
        theirs: Values the service holds now.
    """

    code = "conflict"
    _resolver: Resolver | None = None

    def __init__(
        self,
        message: str = "",
        *,
        base: Mapping[str, Any] | None = None,
        mine: Mapping[str, Any] | None = None,
        theirs: Mapping[str, Any] | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.base = dict(base or {})
        self.mine = dict(mine or {})
        self.theirs = dict(theirs or {})

    @property
    def conflicts(self) -> tuple[Conflict, ...]:
        """The values in conflict, one by one."""
        return tuple(
            Conflict(name, self.base.get(name), mine, self.theirs.get(name))
            for name, mine in self.mine.items()
        )

    @property
    def record(self) -> Any:
        """The record that was to be saved; None when the conflict is about no record."""
        return None if self._resolver is None else self._resolver.record

    def resolve(self, how: Resolution) -> None:
        """Decide what the next save of the record writes; nothing is sent yet.

        Args:
            how: ``"mine"`` keeps the record's values, ``"theirs"`` takes the service's,
                ``"merge"`` puts dictionaries together key by key (see `ttorm.merge`). A function
                gets each `Conflict` and returns the value; None, where one side has removed the
                value, removes it.

        Raises:
            ConflictError: Merging met a key that both sides changed; nothing is decided then.
            StateError: This conflict is about two containers of one value, not about a save.
            ValidationError: The field's type refuses what the function returned.

        Example:
            >>> pump = Twin.create(entries={"liters": 5})
            >>> with ttorm.session():
            ...     Twin.at(pump.uuid).ledger["liters"] = 9
            >>> pump.ledger["liters"] = 7
            >>> try:
            ...     _ = pump.save(check=True)
            ... except ttorm.ConflictError as error:
            ...     error.resolve(lambda conflict: max(conflict.mine, conflict.theirs))
            >>> pump.ledger["liters"].value
            9
        """
        if self._resolver is None:
            raise StateError(
                "this conflict has no other side: assign the value once, or discard() the changes"
            )
        self._resolver.resolve(how)


class ItemError(NamedTuple):
    """Why one item of a save was refused.

    Attributes:
        message: The service's text for the item, or ttorm's.
        operation: The operation whose answer refused it.
    """

    message: str
    operation: str


class SaveError(TtormError):
    """Some items of a save were refused; those that succeeded are clean, these are still changed.

    Attributes:
        errors: The refused items by attribute name.
        result: What the save did before and beside the refusals (a `SaveResult`).
    """

    code = "save"

    def __init__(
        self,
        message: str = "",
        *,
        errors: Mapping[str, ItemError] | None = None,
        result: Any = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.errors = dict(errors or {})
        self.result = result


class _RequestError(TtormError):
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


class TransportError(_RequestError, ConnectionError):
    """The service could not be reached, or the connection broke while reading.

    Attributes:
        sent: Whether the request may have reached the service.
    """

    code = "transport"
    __str__ = TtormError.__str__

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


class RequestTimeoutError(TransportError, TimeoutError):
    """The service did not answer in time."""

    code = "timeout"

    __str__ = TtormError.__str__


class OutcomeUnknownError(_RequestError):
    """A write was sent, no answer came, and it may or may not have happened."""

    code = "outcome-unknown"


class ResponseFormatError(_RequestError, ValueError):
    """The answer is not one of the API's: a proxy's page, broken JSON, a wrong shape."""

    code = "response-format"

    __str__ = TtormError.__str__


class ResponseTooLargeError(ResponseFormatError):
    """The answer, decompressed, is larger than the connection's limit."""

    code = "response-too-large"


class ApiError(_RequestError):
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
    __str__ = TtormError.__str__


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


class UnauthorizedError(ApiError, PermissionError):
    """The credential is missing, unknown, expired or deleted (401)."""

    code = "unauthorized"
    meaning = "the secret or token is missing, unknown, expired or deleted"
    __str__ = TtormError.__str__


class ForbiddenError(ApiError, PermissionError):
    """The user's role or an access rule says no (403)."""

    code = "forbidden"
    meaning = "the user's role does not list this operation, or an access rule says no"
    __str__ = TtormError.__str__


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


def api_error(
    status: int,
    body: Any,
    *,
    operation: str | None = None,
    request: str | None = None,
    attempts: int = 1,
) -> ApiError:
    """Make the exception for an error answer.

    Args:
        status: HTTP status of the answer.
        body: Its decoded JSON object, or None when it was not JSON (a proxy's page).
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
    error = _class_of(status, subcode)
    said = description or (
        "" if fields else "the body is not the API's JSON, a proxy may have answered"
    )
    parts = [f"{request or operation or 'the request'} got {status}"]
    if subcode is not None:
        parts.append(f"/{subcode}")
    parts.append(f": {error.meaning}")
    if said:
        parts.append(f" ({said})")
    if trace:
        parts.append(f", trace {trace}")
    return error(
        "".join(parts),
        status=status,
        subcode=subcode,
        trace=trace,
        description=description,
        operation=operation,
        attempts=attempts,
        request=request,
    )
