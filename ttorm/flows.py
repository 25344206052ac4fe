"""Operations written once: generators that yield effects and are sent their results.

A flow is a plain generator function. It asks for work by ``yield from`` of the helpers here and
returns its result; `ttorm.connection.blocking` and `ttorm.connection.tasks` drive it on a
thread or on an event loop. Flows do no I/O themselves and know no HTTP library.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, TypeVar, cast

from ttorm.api.http import HttpRequest, HttpResponse, Transport
from ttorm.api.request import ApiRequest

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = [
    "Await",
    "Carry",
    "Door",
    "Effect",
    "Flow",
    "Gather",
    "Send",
    "Sleep",
    "Wait",
    "carry",
    "collecting",
    "finish",
    "gather",
    "gathering",
    "inform",
    "join",
    "query",
    "send",
    "sleep",
    "telling",
    "wait",
]

R = TypeVar("R")
Q = TypeVar("Q")
Q_contra = TypeVar("Q_contra", contravariant=True)
A_co = TypeVar("A_co", covariant=True)


class Door(Protocol[Q_contra, A_co]):
    """Where questions are carried to, in both worlds; a `Transport` is one."""

    def send(self, request: Q_contra, /) -> A_co:
        """Ask on the calling thread and block until the answer is there."""
        ...

    async def asend(self, request: Q_contra, /) -> A_co:
        """Ask from the running event loop."""
        ...


class Send(NamedTuple):
    """Carry one request and give back its answer.

    Attributes:
        transport: What carries it.
        request: The request.
        to_the_end: Whether a cancellation waits for the answer, which cannot be had again.
    """

    transport: Door[Any, Any]
    request: Any
    to_the_end: bool = False


class Sleep(NamedTuple):
    """Let some seconds pass."""

    seconds: float


class Wait(NamedTuple):
    """Wait until somebody else's future is done; its result is not looked at."""

    future: Future[Any]


class Await(NamedTuple):
    """Run a coroutine of the user's (a signal receiver); only an event loop can."""

    coroutine: Coroutine[Any, Any, Any]


class Carry(NamedTuple):
    """Make a call together with others; drivers do not, only who collects calls."""

    connection: Any
    call: ApiRequest


class Gather(NamedTuple):
    """Run several flows to their ends, at most as many sends at once as the driver's bound."""

    flows: tuple[Flow[Any], ...]


gathering: ContextVar[bool] = ContextVar("ttorm_gathering", default=False)
"""Whether the flow that runs here is one of several that a driver runs side by side."""

telling: ContextVar[bool] = ContextVar("ttorm_telling", default=False)
"""Whether a function of the user's runs here, such as a receiver of a signal."""

collecting: ContextVar[bool] = ContextVar("ttorm_collecting", default=False)
"""Whether the flow that runs here is stepped by somebody who collects calls."""

Effect: TypeAlias = Send | Sleep | Wait | Await | Carry | Gather
Flow: TypeAlias = Generator[Effect, Any, R]


def send(
    transport: Transport, request: HttpRequest, *, to_the_end: bool = False
) -> Flow[HttpResponse]:
    """Send a request.

    Args:
        transport: What carries it.
        request: The request.
        to_the_end: Have a cancellation wait for the answer; it comes right after it.

    Raises:
        TtormError: Whatever the transport raises, thrown into the flow.
    """
    return cast(HttpResponse, (yield Send(transport, request, to_the_end)))


def query(door: Door[Q, R], question: Q) -> Flow[R]:
    """Ask something beside the service, such as a cache that processes share.

    Raises:
        Exception: Whatever the door raises, thrown into the flow.
    """
    return cast(R, (yield Send(door, question)))


def sleep(seconds: float) -> Flow[None]:
    """Wait some seconds."""
    yield Sleep(seconds)


def wait(future: Future[Any]) -> Flow[bool]:
    """Wait until a future of another thread, task or flow is done, whatever its outcome.

    Returns:
        False when waiting here would block the very event loop that works on the future.
    """
    return cast(bool, (yield Wait(future)))


def join(future: Future[Any]) -> Flow[bool]:
    """Wait for work that somebody does for all, unless that may be waiting for who asks.

    Returns:
        False when the work is better done here: somewhere above, a receiver may have been called
        by the very flow that does it, or by one that is stepped on the same thread.
    """
    return future.done() or (not telling.get() and (yield from wait(future)))


def inform(receiver: Callable[..., R], *arguments: Any, **named: Any) -> R:
    """Call a function of the user's from inside a flow.

    Raises:
        Exception: What the function raises.
    """
    outside = telling.set(True)
    try:
        return receiver(*arguments, **named)
    finally:
        telling.reset(outside)


def finish(coroutine: Coroutine[Any, Any, Any]) -> Flow[Any]:
    """Run a coroutine to its end.

    Raises:
        StateError: The flow is driven without an event loop.
    """
    return (yield Await(coroutine))


def carry(connection: Any, call: ApiRequest) -> Flow[HttpResponse | None]:
    """Have a call made together with others.

    Returns:
        Its answer; None when it is to be sent by itself.

    Raises:
        TtormError: What was sent in its place has failed.
    """
    return cast("HttpResponse | None", (yield Carry(connection, call)))


def gather(flows: Iterable[Flow[R]]) -> Flow[list[R | Exception]]:
    """Run flows side by side, each to its end.

    Returns:
        Their results in order; an exception stands in the place of a flow that raised it.
    """
    return cast("list[R | Exception]", (yield Gather(tuple(flows))))
