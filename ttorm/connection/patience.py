"""How long a connection goes on with what fails: repeats of one call, and of all calls together."""

from __future__ import annotations

import os
import threading
from time import monotonic

from ttorm.api.errors import CircuitOpenError
from ttorm.api.retry import CircuitBreaker, Failure, RetryPolicy, RetryQuota
from ttorm.connection.bounds import check_policy

__all__ = ["Circuit", "Patience", "Strain", "Tokens"]


class Tokens:
    """What is left of a `RetryQuota`; safe to use from many threads.

    Attributes:
        left: The tokens that are left.
        refused: How many repeats were refused for lack of them.
    """

    def __init__(self, quota: RetryQuota) -> None:
        self.quota = quota
        self.left = quota.capacity
        self.refused = 0
        self._lock = threading.Lock()

    def take(self, failure: Failure) -> int | None:
        """Pay for a repeat.

        Returns:
            What it has cost; None when there is not enough.
        """
        cost = self.quota.cost(failure)
        with self._lock:
            if cost > self.left:
                self.refused += 1
                return None
            self.left -= cost
            return cost

    def give_back(self, cost: int) -> None:
        """Put tokens back after a success."""
        with self._lock:
            self.left = min(self.quota.capacity, self.left + (cost or self.quota.success))


class Circuit:
    """Whether a service is asked at all: open after too many failures in a row."""

    def __init__(self, breaker: CircuitBreaker) -> None:
        self.breaker = breaker
        self._lock = threading.Lock()
        self._failures = 0
        self._closed_from = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the service is left alone: what is sent nevertheless is sent once."""
        return self._failures >= self.breaker.failures

    def check(self) -> None:
        """Let a call through, or not.

        Raises:
            CircuitOpenError: The service has not answered for a while, and is left alone.
        """
        with self._lock:
            if not self.is_open:
                return
            now = monotonic()
            if now < self._closed_from:
                raise CircuitOpenError(
                    f"{self._failures} calls in a row have failed: nothing is sent for another "
                    f"{self._closed_from - now:.1f} seconds (RetryPolicy.breaker)",
                    sent=False,
                )
            # This call tries; the others go on waiting until it is answered.
            self._closed_from = now + self.breaker.pause

    def note(self, *, failed: bool) -> bool:
        """Take what became of a call.

        Returns:
            Whether that has opened the circuit.
        """
        with self._lock:
            self._failures = self._failures + 1 if failed else 0
            if self._failures >= self.breaker.failures:
                self._closed_from = monotonic() + self.breaker.pause
            return self._failures == self.breaker.failures


class Strain:
    """What the calls of one connection share: their quota of repeats and their circuit."""

    def __init__(self, policy: RetryPolicy) -> None:
        check_policy(policy)
        self.policy = policy
        self.tokens = None if policy.quota is None else Tokens(policy.quota)
        self.circuit = None if policy.breaker is None else Circuit(policy.breaker)
        # A forked child begins afresh: its parent's locks may be held for ever.
        self.process = os.getpid()


class Patience:
    """How often one call may still be repeated.

    Attributes:
        attempt: Number of the present sending, from 1.
    """

    def __init__(self, strain: Strain) -> None:
        self.attempt = 1
        self._strain = strain
        self._started = monotonic()
        self._paid = 0

    def pause(self, failure: Failure, floor: float | None = None) -> float | None:
        """Decide about another sending, and count it.

        Args:
            failure: What became of the present one.
            floor: What ``Retry-After`` asks for, in seconds.

        Returns:
            Seconds to wait before it; None when there is none.
        """
        # Imported with the first failure: it brings half of the standard library along.
        from random import random

        policy, tokens, circuit = self._strain.policy, self._strain.tokens, self._strain.circuit
        wait = max(0.0, policy.delay(self.attempt, floor, random()))  # noqa: S311 # jitter is no secret
        if (
            self.attempt >= policy.attempts
            or (circuit is not None and circuit.is_open)
            or (floor or 0) > policy.longest_retry_after
            or monotonic() + wait - self._started > policy.deadline
        ):
            return None
        if tokens is not None:
            paid = tokens.take(failure)
            if paid is None:
                return None
            self._paid = paid
        self.attempt += 1
        return wait

    def succeed(self) -> None:
        """Give back what repeats have cost."""
        if self._strain.tokens is not None:
            self._strain.tokens.give_back(self._paid)

    def repay(self) -> None:
        """Give back what repeats of others' calls have cost: each call tells of itself."""
        if self._paid:
            self.succeed()
            self._paid = 0
