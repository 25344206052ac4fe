"""Faults on purpose: errors, delays and broken connections, to see what a program makes of them.

A fault befalls a request between the network and the emulator. Calls of batches are no requests.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from threading import Lock
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self, TypeAlias

from ttorm.api.errors import ConfigurationError, TransportError
from ttorm.api.http import HttpRequest, HttpResponse
from ttorm.api.operations import OPERATIONS
from ttorm.emulator.answers import Fault
from ttorm.emulator.routing import UPLOAD, name_of

__all__ = ["UNHURT", "Drop", "FaultRule", "Faults", "Strike"]

Drop: TypeAlias = Literal["before", "after"]
"""When a connection breaks: before the request takes effect, or after it, its answer lost."""

_SUBCODES = {429: 429_000, 500: 500_000, 501: 501_159, 502: 502_159, 503: 503_159}
"""Subcodes of statuses for which none is given; others have three zeros behind the status."""


class Strike(NamedTuple):
    """What the faults do to one request.

    Attributes:
        delay: Seconds to wait before anything else.
        drop: When the connection breaks, if it does.
        fault: The error that is answered in place of doing anything, if there is one.
        retry_after: Seconds that this answer tells to wait, if it does.
    """

    delay: float = 0.0
    drop: Drop | None = None
    fault: Fault | None = None
    retry_after: float | None = None

    @property
    def is_decisive(self) -> bool:
        """Whether it changes what the caller gets, not only when."""
        return self.drop is not None or self.fault is not None

    def break_connection(self, moment: Drop) -> None:
        """Break the connection, if it is to break at this moment.

        Raises:
            TransportError: It does.
        """
        if self.drop == moment:
            raise TransportError(f"no answer (a fault broke the connection {moment} the effect)")

    def dress(self, answer: HttpResponse) -> HttpResponse:
        """Give the answer of the fault the headers that it is to have."""
        if self.retry_after is None:
            return answer
        return answer._replace(headers={**answer.headers, "retry-after": f"{self.retry_after:g}"})


UNHURT = Strike()
"""Nothing happens to the request."""


class FaultRule:
    """A fault that waits for requests; it ends with `remove`, or with the block of a ``with``.

    Attributes:
        number: Identifies it among the faults of its emulator.
        operation: The operation that it befalls; ``*`` for all.
        strike: What it does to a request.
        hits: How many requests it has befallen.
    """

    def __init__(
        self,
        faults: Faults,
        number: int,
        operation: str,
        strike: Strike,
        *,
        every: int,
        probability: float,
        seed: int,
        times: int | None,
    ) -> None:
        self._faults = faults
        self.number = number
        self.operation = operation
        self.hits = 0
        self.strike = strike
        self._every = every
        self._probability = probability
        self._random = Random(seed)  # noqa: S311 - repeatable on purpose
        self._times = times
        self._met = 0

    def meets(self, operation: str) -> bool:
        """Tell whether a request is befallen, and count it."""
        if self.operation not in ("*", operation) or self.hits == self._times:
            return False
        self._met += 1
        if self._met % self._every or self._random.random() >= self._probability:
            return False
        self.hits += 1
        return True

    def remove(self) -> None:
        """End the fault; removing it twice is harmless."""
        self._faults.remove(self)

    def describe(self) -> dict[str, Any]:
        """Return what it does and has done, as a JSON object."""
        strike = self.strike
        return {
            "number": self.number,
            "operation": self.operation,
            "subcode": strike.fault and strike.fault.subcode,
            "retry_after": strike.retry_after,
            "delay": strike.delay,
            "drop": strike.drop,
            "every": self._every,
            "probability": self._probability,
            "times": self._times,
            "hits": self.hits,
        }

    def __repr__(self) -> str:
        told = {name: value for name, value in self.describe().items() if value is not None}
        return f"<FaultRule {' '.join(f'{name}={value!r}' for name, value in told.items())}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.remove()


class Faults:
    """The faults of an emulator, in the order in which they were added."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._added = 0
        self._rules: list[FaultRule] = []

    def add(
        self,
        operation: str = "*",
        *,
        status: int | None = None,
        subcode: int | None = None,
        retry_after: float | None = None,
        delay: float = 0.0,
        drop: Drop | None = None,
        every: int = 1,
        probability: float = 1.0,
        seed: int = 0,
        times: int | None = None,
    ) -> FaultRule:
        """Let something go wrong from now on.

        Args:
            operation: The operation to befall, ``upload`` for files that are put to their address,
                or ``*`` for every request.
            status: Answer with an error of this HTTP status instead of doing anything.
            subcode: Answer with this error of the API, which has its status in it.
            retry_after: Seconds for the header ``Retry-After`` of that answer.
            delay: Seconds to wait first. A frozen clock is moved instead of waiting.
            drop: Break the connection, ``"before"`` the request takes effect or ``"after"``.
            every: Befall each so-manieth request of those meant.
            probability: Befall a request with this probability, from 0 to 1.
            seed: Makes the same choices each time.
            times: How many requests are befallen at most.

        Returns:
            The fault, to be removed or asked how often it struck.

        Raises:
            ConfigurationError: An argument makes no sense, or the fault would do nothing.

        Example:
            >>> from ttorm.emulator import Emulator
            >>> request = HttpRequest("GET", "http://emulator.localhost/whoami")
            >>> with Emulator("memory:") as emulator:
            ...     with emulator.faults.add("who_am_i", status=503) as fault:
            ...         print(emulator.handle(request).status, fault.hits)
            503 1
        """
        fault = _fault(status, subcode)
        _check(operation, fault, retry_after, delay, drop)
        whole = isinstance(every, int) and isinstance(times, int | None)
        if not whole or every < 1 or not 0 <= probability <= 1 or (times or 0) < 0:
            raise ConfigurationError(
                f"every={every}, probability={probability}, times={times}: expected every from 1, "
                "a probability from 0 to 1, and times from 0 or None"
            )
        strike = Strike(float(delay), drop, fault, retry_after)
        with self._lock:
            self._added += 1
            rule = FaultRule(
                self,
                self._added,
                operation,
                strike,
                every=every,
                probability=probability,
                seed=seed,
                times=times,
            )
            self._rules.append(rule)
        return rule

    def remove(self, rule: FaultRule) -> None:
        """End a fault; one that has ended already is no error."""
        with self._lock:
            self._rules = [other for other in self._rules if other is not rule]

    def clear(self) -> None:
        """End all faults."""
        with self._lock:
            self._rules = []

    def __iter__(self) -> Iterator[FaultRule]:
        return iter(self._rules)

    def __len__(self) -> int:
        return len(self._rules)

    def strike(self, request: HttpRequest) -> Strike:
        """Find out what befalls a request.

        Delays add up. Of faults that answer or break the connection the first one that strikes
        is all that the request meets: those behind it wait for another.
        """
        if not self._rules:
            return UNHURT
        operation = name_of(request)
        strike = UNHURT
        with self._lock:
            for rule in self._rules:
                if strike.is_decisive and rule.strike.is_decisive:
                    continue
                if rule.meets(operation):
                    strike = _both(strike, rule.strike)
        return strike


def _both(first: Strike, second: Strike) -> Strike:
    delay = first.delay + second.delay
    return (first if first.is_decisive else second)._replace(delay=delay)


def _fault(status: int | None, subcode: int | None) -> Fault | None:
    if subcode is None and status is None:
        return None
    if subcode is None and status is not None:
        subcode = _SUBCODES.get(status, status * 1_000)
    if (
        isinstance(subcode, int)
        and 400_000 <= subcode < 600_000
        and status in (None, subcode // 1_000)
    ):
        return Fault(subcode, "A fault was added for this request.")
    raise ConfigurationError(
        f"status={status}, subcode={subcode}: expected an error, a status from 400 to 599 or a "
        "subcode that begins with it, such as 503159"
    )


def _check(
    operation: str,
    fault: Fault | None,
    retry_after: float | None,
    delay: float,
    drop: Drop | None,
) -> None:
    if operation not in ("*", UPLOAD) and operation not in OPERATIONS:
        raise ConfigurationError(
            f"{operation!r} is no operation: expected one such as 'get_twin', '{UPLOAD}' or '*'"
        )
    if drop not in (None, "before", "after"):
        raise ConfigurationError(f"drop={drop!r}: expected 'before' or 'after'")
    if delay < 0 or (retry_after is not None and (fault is None or retry_after < 0)):
        raise ConfigurationError(
            f"delay={delay}, retry_after={retry_after}: expected seconds from 0, and an error "
            "beside retry_after"
        )
    if fault is None and drop is None and not delay:
        raise ConfigurationError(
            "the fault would do nothing: expected status=, subcode=, delay= or drop="
        )
