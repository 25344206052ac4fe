"""What limits and policies may be: refused before anything is sent by them."""

from __future__ import annotations

from math import inf

from ttorm.api.errors import ConfigurationError
from ttorm.api.http import Limits
from ttorm.api.retry import CircuitBreaker, RetryPolicy, RetryQuota

__all__ = ["check_limits", "check_policy", "check_time_out"]

_LONGEST = 86_400.0 * 365
"""Seconds; what clocks of operating systems can hold is not much more."""


def check_limits(limits: Limits) -> None:
    """Refuse limits by which nothing could be sent.

    Raises:
        ConfigurationError: Those.
    """
    _check_kind("limits", limits, Limits)
    for name in ("connect", "read", "write", "pool", "answer"):
        check_time_out(f"limits.{name}", getattr(limits, name))
    for name in ("connections", "body"):
        _check("limits", limits, name, 1, whole=True)


def check_time_out(name: str, seconds: object) -> None:
    """Refuse what is no time to wait.

    Raises:
        ConfigurationError: That.
    """
    if seconds is not None and not (_is_number(seconds) and 0 < seconds <= _LONGEST):  # type: ignore[operator]
        raise ConfigurationError(
            f"{name}={seconds!r}: expected seconds above 0, or None to wait for ever"
        )


def check_policy(policy: RetryPolicy) -> None:
    """Refuse a policy that says nothing sensible.

    Raises:
        ConfigurationError: That.
    """
    _check_kind("retry", policy, RetryPolicy)
    _check("retry", policy, "attempts", 1, whole=True)
    for name in ("base", "cap"):
        _check("retry", policy, name, 0, most=_LONGEST)
    for name in ("deadline", "longest_retry_after"):
        _check("retry", policy, name, 0)
    if policy.quota is not None:
        _check_kind("retry.quota", policy.quota, RetryQuota)
        for name in RetryQuota._fields:
            _check("retry.quota", policy.quota, name, 0, whole=True)
    if policy.breaker is not None:
        _check_kind("retry.breaker", policy.breaker, CircuitBreaker)
        _check("retry.breaker", policy.breaker, "failures", 1, whole=True)
        _check("retry.breaker", policy.breaker, "pause", 0, most=_LONGEST)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_kind(name: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise ConfigurationError(
            f"{name}={value!r}: expected a ttorm.{kind.__name__}, as in ttorm.{kind.__name__}()"
        )


def _check(
    owner: str, values: object, name: str, least: int, *, most: float = inf, whole: bool = False
) -> None:
    value = getattr(values, name)
    if not (_is_number(value) and least <= value <= most) or (whole and value % 1 != 0):
        what = "a whole number" if whole else "a number"
        raise ConfigurationError(f"{owner}.{name}={value!r}: expected {what} from {least}")
