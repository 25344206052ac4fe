"""Operations written once: generators that yield effects and are sent their results.

A flow is a plain generator function. It asks for work by ``yield from`` of the helpers here and
returns its result; `ttorm.connection.blocking` and `ttorm.connection.tasks` drive it on a
thread or on an event loop. Flows do no I/O themselves and know no HTTP library.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

from ttorm.api.http import HttpRequest, HttpResponse, Transport

__all__ = ["Effect", "Flow", "Gather", "Send", "Sleep", "Wait", "gather", "send", "sleep", "wait"]

R = TypeVar("R")


class Send(NamedTuple):
    """Carry one request and give back its answer."""

    transport: Transport
    request: HttpRequest


class Sleep(NamedTuple):
    """Let some seconds pass."""

    seconds: float


class Wait(NamedTuple):
    """Wait until somebody else's future is done; its result is not looked at."""

    future: Future[Any]


class Gather(NamedTuple):
    """Run several flows to their ends, at most as many sends at once as the driver's bound."""

    flows: tuple[Flow[Any], ...]


Effect: TypeAlias = Send | Sleep | Wait | Gather
Flow: TypeAlias = Generator[Effect, Any, R]


def send(transport: Transport, request: HttpRequest) -> Flow[HttpResponse]:
    """Send a request.

    Raises:
        TtormError: Whatever the transport raises, thrown into the flow.
    """
    return cast(HttpResponse, (yield Send(transport, request)))


def sleep(seconds: float) -> Flow[None]:
    """Wait some seconds."""
    yield Sleep(seconds)


def wait(future: Future[Any]) -> Flow[None]:
    """Wait until a future of another thread, task or flow is done, whatever its outcome."""
    yield Wait(future)


def gather(flows: Iterable[Flow[R]]) -> Flow[list[R | Exception]]:
    """Run flows side by side, each to its end.

    Returns:
        Their results in order; an exception stands in the place of a flow that raised it.
    """
    return cast("list[R | Exception]", (yield Gather(tuple(flows))))
