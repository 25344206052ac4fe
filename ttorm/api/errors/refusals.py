"""What ttorm itself refuses or misses, whatever the service says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ttorm.api.errors.base import TtormError

__all__ = [
    "AmbiguousIdentityError",
    "BatchError",
    "BrokenReferenceError",
    "BudgetExceededError",
    "ConfigurationError",
    "LogGapError",
    "MissingEntryError",
    "NotLoadedError",
    "SecretNotStoredError",
    "StateError",
    "ValidationError",
    "WrongKindError",
]


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


class SecretNotStoredError(TtormError, RuntimeError):
    """A secret was rotated, and the function that was to store the new one failed.

    Attributes:
        secret: The new `Secret`, which the connection signs with already; no pickle has it.
    """

    code = "secret-not-stored"

    def __init__(self, message: str = "", *, secret: Any = None, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.secret = secret

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args, {**vars(self), "secret": None}


class BatchError(TtormError, RuntimeError):
    """A batch ended without having called anything: its file was refused, or arrived damaged.

    Attributes:
        status: The batch's status, such as ``"validation_failed"``.
    """

    code = "batch"

    def __init__(
        self, message: str = "", *, status: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.status = status


class LogGapError(TtormError, LookupError):
    """Messages of the account's log went to another reader, or were lost with an answer."""

    code = "log-gap"
