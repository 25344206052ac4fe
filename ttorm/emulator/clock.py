"""The emulator's time: the computer's, or one that a test or a demonstration sets."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from ttorm.api.errors import ConfigurationError
from ttorm.api.moments import timestamp

__all__ = ["Clock", "later"]

_LAST = 253_402_300_799
"""The last second of the year 9999, after which there are no dates."""


class Clock:
    """Unix seconds with three decimals, as all timestamps of the API.

    Example:
        >>> clock = Clock()
        >>> clock.freeze(1_718_000_000)
        >>> clock.advance(0.25)
        >>> clock.now()
        1718000000.25
    """

    __slots__ = ("_frozen", "_offset")

    def __init__(self) -> None:
        self._frozen: float | None = None
        self._offset = 0.0

    def now(self) -> float:
        """Return the current time in Unix seconds, rounded to milliseconds."""
        frozen = self._frozen
        return round(time.time() + self._offset if frozen is None else frozen, 3)

    def freeze(self, at: datetime | float | None = None) -> None:
        """Stop the clock.

        Args:
            at: Where to stop it: an aware datetime or Unix seconds; None stops it where it is.

        Raises:
            ConfigurationError: That is before 1970, or after the year 9999.
            ValidationError: The datetime has no timezone.
        """
        if isinstance(at, datetime):
            at = timestamp(at)
        self._frozen = self.now() if at is None else _possible(float(at))

    def advance(self, seconds: timedelta | float) -> None:
        """Move the clock, frozen or running.

        Raises:
            ConfigurationError: It would be before 1970, or after the year 9999.
        """
        if isinstance(seconds, timedelta):
            seconds = seconds.total_seconds()
        _possible(self.now() + seconds)
        if self._frozen is None:
            self._offset += seconds
        else:
            self._frozen += seconds

    def pause(self, seconds: float) -> float:
        """Let time pass: a frozen clock is moved, for a running one somebody has to wait.

        Returns:
            How many seconds the caller has to wait.
        """
        if self._frozen is None:
            return seconds
        self._frozen = min(self._frozen + seconds, _LAST)
        return 0.0

    @property
    def is_frozen(self) -> bool:
        """Whether the clock stands still."""
        return self._frozen is not None

    def unfreeze(self) -> None:
        """Return to the computer's time."""
        self._frozen, self._offset = None, 0.0


def _possible(at: float) -> float:
    if not 0 <= at <= _LAST:
        raise ConfigurationError(
            f"the clock cannot be at {at} Unix seconds: expected 0 to {_LAST}, years 1970 to 9999"
        )
    return at


def later(now: float, previous: float) -> float:
    """Return the time of a change: ``now``, but always later than the change before it.

    Conditions on an Entry compare its timestamp for equality, so that two changes must never
    share one, however fast they follow each other.

    Example:
        >>> later(10.0, 10.0), later(12.5, 10.0)
        (10.001, 12.5)
    """
    return now if now > previous else round(previous + 0.001, 3)
