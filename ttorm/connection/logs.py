"""What a connection writes into the log: route templates and figures, no bodies and no secrets."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ttorm.telling import tell

if TYPE_CHECKING:
    from ttorm.api.retry import CircuitBreaker
    from ttorm.connection.hooks import Call

__all__ = ["RequestLog"]

_log = logging.getLogger("ttorm.requests")
# What fails is raised as well: nobody has to see it twice who has not asked for it.
_log.addHandler(logging.NullHandler())


class RequestLog:
    """The logger ``ttorm.requests``: a line for each call, and for what went wrong on the way."""

    def is_verbose(self) -> bool:
        """Tell whether somebody wants to see every call."""
        return _log.isEnabledFor(logging.DEBUG)

    def ended(self, call: Call) -> None:
        """Tell of a call that is over."""
        if not _log.isEnabledFor(logging.DEBUG):
            return
        if call.cached:
            outcome = "from the cache"
        else:
            failure = "no answer" if call.error is None else type(call.error).__name__
            outcome = failure if call.status is None else str(call.status)
        tell(
            _log,
            logging.DEBUG,
            "%s %s: %s, attempts %d, %.3f s",
            *(call.method, call.template, outcome, call.attempts, call.seconds),
            extra=_extra(call),
        )

    def repeated(self, call: Call, pause: float) -> None:
        """Tell of a call that is made again."""
        tell(
            _log,
            logging.INFO,
            "%s %s: %s, made again in %.3f s (attempt %d)",
            *(call.method, call.template, _failure(call), pause, call.attempts + 1),
            extra={**_extra(call), "ttorm_pause": pause},
        )

    def given_up(self, call: Call) -> None:
        """Tell of a call that has failed again and again."""
        tell(
            _log,
            logging.WARNING,
            "%s %s: %s, given up after %d attempts",
            *(call.method, call.template, _failure(call), call.attempts),
            extra=_extra(call),
        )

    def circuit_opened(self, call: Call, breaker: CircuitBreaker) -> None:
        """Tell that the service is left alone for a while."""
        tell(
            _log,
            logging.WARNING,
            "%d calls in a row have failed: nothing is sent to %s for %.1f s",
            *(breaker.failures, call.connection.base_url, breaker.pause),
            extra={**_extra(call), "ttorm_pause": breaker.pause},
        )

    def conflict(self, twin: str, attributes: Iterable[str]) -> None:
        """Tell of a checked save that has lost."""
        tell(
            _log,
            logging.INFO,
            "a checked save of Twin %s lost against somebody else's: %s",
            *(twin, ", ".join(attributes)),
            extra={"ttorm_twin": twin},
        )

    def batch_left(self, batch: str) -> None:
        """Tell that nobody waits for a batch any more."""
        tell(
            _log,
            logging.WARNING,
            "a save was cut off while batch %s was under way: it goes on, unless "
            "Batch.get(%r).cancel() stops it",
            *(batch, batch),
            extra={"ttorm_batch": batch},
        )


def _failure(call: Call) -> str:
    return str(call.status) if call.error is None else type(call.error).__name__


def _extra(call: Call) -> dict[str, object]:
    return {
        "ttorm_operation": call.operation,
        "ttorm_method": call.method,
        "ttorm_template": call.template,
        "ttorm_status": call.status,
        "ttorm_attempts": call.attempts,
        "ttorm_seconds": call.seconds,
        "ttorm_cached": call.cached,
        "ttorm_error": None if call.error is None else type(call.error).__name__,
    }
