"""Limits and policies that say nothing sensible are refused when a connection is made."""

from __future__ import annotations

from math import inf, nan

import pytest

import ttorm

POLICIES = [
    *({"attempts": value} for value in (0, -1, 1.5, "3", None, True, nan)),
    *({"base": value} for value in (-1.0, nan, inf, "1", None)),
    *({"cap": value} for value in (-1, inf)),
    *({"deadline": value} for value in (-1, None, nan)),
    {"longest_retry_after": -1},
    *(
        {"quota": value}
        for value in (5, ttorm.RetryQuota(capacity=-1), ttorm.RetryQuota(success=0.5))
    ),
    *({"breaker": value} for value in (5, ttorm.CircuitBreaker(failures=0))),
    {"breaker": ttorm.CircuitBreaker(pause=-1)},
]
LIMITS = [
    *({"connections": value} for value in (0, -1, 1.5, "9")),
    *({"body": value} for value in (0, -1)),
    *(
        {name: value}
        for name in ("connect", "read", "write", "pool")
        for value in (-1, 0, "x", nan)
    ),
    {"read": inf},
]


@pytest.mark.parametrize("values", POLICIES, ids=str)
def test_policies(values):
    [name] = values
    with pytest.raises(ttorm.ConfigurationError, match=rf"retry\.{name}.*expected a"):
        ttorm.connect("memory:", default=False, retry=ttorm.RetryPolicy(**values))


def test_a_policy_that_is_set_later_is_checked_before_anything_is_sent():
    with ttorm.connect("memory:", default=False) as connection:
        connection.retry = ttorm.RetryPolicy(attempts=0)
        with pytest.raises(ttorm.ConfigurationError, match=r"attempts=0: expected a whole number"):
            connection.call("get_account")
        assert connection.requests == 0


@pytest.mark.parametrize("values", LIMITS, ids=str)
def test_limits(values):
    [name] = values
    with pytest.raises(ttorm.ConfigurationError, match=rf"limits\.{name}=.*expected "):
        ttorm.connect("memory:", default=False, limits=ttorm.Limits(**values))


@pytest.mark.parametrize(
    "options", [{"timeout": -1}, {"timeout": 0}, {"timeout": "a"}, {"limits": 5}, {"retry": 5}]
)
def test_other_kinds(options):
    [name] = options
    with pytest.raises(ttorm.ConfigurationError, match=rf"{name}=.*: expected "):
        ttorm.connect("memory:", default=False, **options)


def test_what_is_sensible_is_taken():
    policy = ttorm.RetryPolicy(deadline=inf, longest_retry_after=inf, base=0, quota=None)
    limits = ttorm.Limits(connect=None, read=None, write=0.5, pool=None, connections=1, body=1)
    with ttorm.connect("memory:", default=False, retry=policy, limits=limits) as connection:
        assert connection.retry is policy
        assert connection.call("get_account")["uuid"] == connection.whoami()["account"]
