"""When a request is sent again, and after how long: arithmetic only."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from ttorm.api.operations import Operation

__all__ = [
    "NO_RETRIES",
    "CircuitBreaker",
    "Failure",
    "RetryPolicy",
    "RetryQuota",
    "failure_of_status",
    "http_date",
    "retry_after",
]


_YEAR = 31_536_000.0
"""Seconds."""


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
        Seconds from now, a year at most; None when the header is missing or senseless.

    Example:
        >>> retry_after("2", 0.0), retry_after("soon", 0.0), retry_after("-1", 0.0)
        (2.0, None, None)
    """
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        date = http_date(value)
        if date is None:
            return None
        seconds = date - now
    return min(seconds, _YEAR) if seconds >= 0 else None


def http_date(value: str) -> float | None:
    """Read a date of a header in Unix seconds; None when it is none.

    Example:
        >>> http_date("Mon, 01 Jan 2024 00:00:00 GMT"), http_date("soon")
        (1704067200.0, None)
    """
    from datetime import UTC
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(value)
        # Dates of HTTP are in GMT, also in the form that does not say so.
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return aware.timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


class RetryQuota(NamedTuple):
    """How many repeats a connection may spend while a service is down.

    A pool of tokens that repeats use up and successes fill again: a service in trouble is asked
    little more than it would be without repeats, while a single failure is repeated as ever.

    Attributes:
        capacity: Tokens at the beginning, and at most.
        ambiguous: What a repeat after an answer of 5xx or a lost connection costs.
        rejected: What a repeat costs that the service asked for, or that it has not seen.
        success: What a request that succeeds at once gives back; one that was repeated gives back
            what its last repeat has cost.
    """

    capacity: int = 500
    ambiguous: int = 14
    rejected: int = 5
    success: int = 1

    def cost(self, failure: Failure) -> int:
        """Give what a repeat costs after a failure."""
        return self.ambiguous if failure is Failure.AMBIGUOUS else self.rejected


class CircuitBreaker(NamedTuple):
    """When to stop asking a service that does not answer.

    Attributes:
        failures: So many calls in a row that got no answer, or one of 5xx, open the circuit.
        pause: Seconds in which calls then fail at once; after them one call may try, and is sent
            once.
    """

    failures: int = 10
    pause: float = 10.0


class RetryPolicy(NamedTuple):
    """How often and how long requests are repeated.

    Where numbers do not say it, override `delay` or `may_repeat` in a class of your own.

    Attributes:
        attempts: Most sendings of one request.
        base: First back-off in seconds; doubles with each attempt.
        cap: Longest back-off in seconds.
        deadline: Seconds from the first sending after which none is begun.
        longest_retry_after: A ``Retry-After`` of more seconds ends the attempts at once.
        quota: What all requests of a connection may spend on repeats; None sets no bound.
        breaker: When to stop asking at all; None never does.

    Example:
        >>> class Steady(ttorm.RetryPolicy):
        ...     def delay(self, attempt, floor, random):
        ...         return max(floor or 0.0, 0.5)
        >>> ttorm.connect("memory:", retry=Steady(attempts=5)).retry.delay(3, None, 0.9)
        0.5
    """

    attempts: int = 3
    base: float = 0.25
    cap: float = 8.0
    deadline: float = 30.0
    longest_retry_after: float = 60.0
    quota: RetryQuota | None = RetryQuota()
    breaker: CircuitBreaker | None = None

    def may_repeat(self, operation: Operation, failure: Failure) -> bool:
        """Tell whether a failed request may be sent again without looking what it has done.

        A write whose outcome is unknown is repeated only where that does no harm: not where it
        could overwrite what somebody else wrote in between, or make a second object.
        """
        return operation.repeat.is_harmless or failure is not Failure.AMBIGUOUS

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
