"""When a request is sent again, and after how long: arithmetic only."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from ttorm.api.operations import Operation, Repeat

__all__ = ["Failure", "RetryPolicy", "failure_of_status", "retry_after"]


class Failure(Enum):
    """What is known of a request that failed."""

    NOT_SENT = "not sent"
    """The service has not seen it."""
    REJECTED = "rejected"
    """The service refused it before doing anything, and will take it later."""
    AMBIGUOUS = "ambiguous"
    """It may or may not have taken effect."""


def failure_of_status(status: int, has_retry_after: bool) -> Failure | None:
    """Classify an answer; None means that sending it again would not help."""
    if status == 429 or (status == 503 and has_retry_after):
        return Failure.REJECTED
    return Failure.AMBIGUOUS if status >= 500 else None


def retry_after(value: str | None, now: float) -> float | None:
    """Read a ``Retry-After`` header.

    Args:
        value: Seconds or an HTTP date.
        now: Unix seconds.

    Returns:
        Seconds from now, or None when the header is missing or senseless.

    Example:
        >>> retry_after("2", 0.0), retry_after("soon", 0.0), retry_after("-1", 0.0)
        (2.0, None, None)
    """
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        from email.utils import parsedate_to_datetime

        try:
            seconds = parsedate_to_datetime(value).timestamp() - now
        except (TypeError, ValueError, OverflowError):
            return None
    return seconds if 0 <= seconds < 86_400 else None


class RetryPolicy(NamedTuple):
    """How often and how long requests are repeated.

    Attributes:
        attempts: Most sendings of one request.
        base: First back-off in seconds; doubles with each attempt.
        cap: Longest back-off in seconds.
        deadline: Seconds from the first sending after which none is begun.
        longest_retry_after: A ``Retry-After`` of more seconds ends the attempts at once.
    """

    attempts: int = 3
    base: float = 0.25
    cap: float = 8.0
    deadline: float = 30.0
    longest_retry_after: float = 60.0

    def may_repeat(self, operation: Operation, failure: Failure) -> bool:
        """Tell whether a failed request may be sent again without doing harm.

        A write whose outcome is unknown is not repeated blindly: it could overwrite what somebody
        else wrote in between, or make a second object.
        """
        return failure is not Failure.AMBIGUOUS or operation.repeat is Repeat.SAFE

    def delay(self, attempt: int, floor: float | None, random: float) -> float:
        """Give the pause before the next sending.

        Args:
            attempt: How many sendings there were, at least 1.
            floor: What ``Retry-After`` asks for, in seconds.
            random: A number from 0 to 1 (full jitter).
        """
        backoff = min(self.cap, self.base * 2.0 ** min(attempt - 1, 100))
        return max(floor or 0.0, random * backoff)


NO_RETRIES = RetryPolicy(attempts=1)
"""Each request is sent once."""
