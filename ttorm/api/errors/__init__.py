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
├── LogGapError (LookupError)                messages of the log went elsewhere
├── BatchError (RuntimeError)                a batch that has called nothing
├── StateError (RuntimeError)                the record or connection is past doing that
├── SecretNotStoredError (RuntimeError)      a new secret that could not be stored
├── ConflictError                            somebody else changed the same thing
├── SaveError                                some items of a save were refused
├── BudgetExceededError (RuntimeError)       more requests than the budget allows
├── TransportError (ConnectionError)         no answer: the request did not reach the service
│   ├── RequestTimeoutError (TimeoutError)   ... in time
│   └── CircuitOpenError                     ... for a while, so that it is not asked now
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
    ├── BusyError                            429, 503 with Retry-After: nothing was done
    └── ServerError                          5xx
        ├── ServerTimeoutError               500159 501159 502159 503159
        └── DatabaseUnavailableError         500314
```

Every message ends in a short code in brackets; `docs/errors.md` has a section for each.
"""

from __future__ import annotations

from ttorm.api.errors.base import TtormError
from ttorm.api.errors.refusals import (
    AmbiguousIdentityError,
    BatchError,
    BrokenReferenceError,
    BudgetExceededError,
    ConfigurationError,
    LogGapError,
    MissingEntryError,
    NotLoadedError,
    SecretNotStoredError,
    StateError,
    ValidationError,
    WrongKindError,
)
from ttorm.api.errors.saving import (
    Conflict,
    ConflictError,
    ItemError,
    Resolution,
    Resolver,
    SaveError,
)
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
from ttorm.api.errors.subcodes import SUBCODES, api_error
from ttorm.api.errors.transport import (
    CircuitOpenError,
    OutcomeUnknownError,
    RequestTimeoutError,
    ResponseFormatError,
    ResponseTooLargeError,
    TransportError,
)

__all__ = [
    "SUBCODES",
    "AlreadyDoneError",
    "AmbiguousIdentityError",
    "ApiError",
    "BadRequestError",
    "BatchError",
    "BrokenReferenceError",
    "BudgetExceededError",
    "BusyError",
    "CircuitOpenError",
    "ConfigurationError",
    "Conflict",
    "ConflictError",
    "DatabaseUnavailableError",
    "ForbiddenError",
    "InvalidRequestError",
    "ItemError",
    "LogGapError",
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
    "SecretNotStoredError",
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
