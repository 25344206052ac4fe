"""Hooks: code of the user's that is told of calls and saves while they happen."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextvars import Context, copy_context
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from ttorm.flows import Effect, Flow, Gather, gathering, inform

if TYPE_CHECKING:
    from ttorm.api.request import ApiRequest
    from ttorm.connection.core import Connection

__all__ = [
    "Call",
    "Hooks",
    "Work",
    "added_headers",
    "at_work",
    "observed",
    "tell_of_hit",
    "tell_of_repeat",
]

R = TypeVar("R")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"(?:[!-~](?:[\t -~]*[!-~])?)?")
_FRAMING = frozenset({"connection", "content-length", "host", "transfer-encoding"})
"""Headers that say where a request goes and where it ends."""


class Hooks:
    """What a connection tells of its work: override what you want to hear of.

    Methods are called on the thread, or in the task, that does the work, and should not wait for
    anything. What they raise is logged by the logger ``ttorm.hooks`` and goes no further.

    Example:
        >>> class Slow(ttorm.Hooks):
        ...     def after(self, call):
        ...         if call.seconds > 1:
        ...             print(call.operation, call.seconds)
        >>> connection = ttorm.connect("memory:", hooks=[Slow()])
    """

    def before(self, call: Call) -> None:
        """Hear of a call that is about to be made; `Call.headers` takes more headers for it."""

    def repeated(self, call: Call, pause: float) -> None:
        """Hear of a call that has failed and is made again.

        Args:
            call: The call, with the status or error of the sending that failed.
            pause: Seconds until then.
        """

    def after(self, call: Call) -> None:
        """Hear of a call that was answered, by the service or the cache, or that has failed."""

    def begin(self, work: Work) -> None:
        """Hear of a save or flush that begins.

        Context variables set here are seen by all that belongs to it, and by nothing else.
        """

    def end(self, work: Work) -> None:
        """Hear of a save or flush that has ended."""


class Call:
    """One call of one operation, as hooks see it.

    Attributes:
        connection: Whom it asks.
        request: What is asked, with its body; the credential is not in it.
        attempts: How often it was sent so far.
        doubtful: Whether an earlier sending may have had its effect.
        status: Status of the last answer; None when there is none.
        error: What it has failed with, once it is over; or what the last sending has.
        seconds: How long it took, once it is over.
        cached: Whether the cache has answered it.
        missed: Whether the cache was asked first, and had no answer.
        headers: Headers to send with it, beside those that ttorm sends.
        notes: For hooks to keep what they need until the end.
    """

    __slots__ = (
        *("attempts", "cached", "connection", "doubtful", "error", "headers"),
        *("missed", "notes", "request", "seconds", "status"),
    )

    def __init__(self, connection: Connection, request: ApiRequest) -> None:
        self.connection = connection
        self.request = request
        self.attempts = 0
        self.doubtful = False
        self.status: int | None = None
        self.error: BaseException | None = None
        self.seconds = 0.0
        self.cached = self.missed = False
        self.headers: dict[str, str] = {}
        self.notes: dict[Any, Any] = {}

    def __repr__(self) -> str:
        return f"<Call {self.operation}: {self.method} {self.template}>"

    @property
    def operation(self) -> str:
        """Name of the operation."""
        return self.request.operation.name

    @property
    def method(self) -> str:
        """HTTP method."""
        return self.request.operation.method

    @property
    def template(self) -> str:
        """Path template, such as ``/twins/{twin}``."""
        return self.request.operation.path

    @property
    def path(self) -> str:
        """The path, without query; the template where the path is a credential by itself."""
        return self.request.shown_path


class Work:
    """A piece of work of several calls, as hooks see it.

    Attributes:
        name: ``"save"`` or ``"flush"``.
        connection: Whom it asks.
        record: What is saved; None for a flush.
        error: What it has failed with, once it is over.
        notes: For hooks to keep what they need until the end.
    """

    __slots__ = ("connection", "error", "name", "notes", "record")

    def __init__(self, connection: Connection, name: str, record: Any = None) -> None:
        self.connection = connection
        self.name = name
        self.record = record
        self.error: BaseException | None = None
        self.notes: dict[Any, Any] = {}

    def __repr__(self) -> str:
        return f"<Work: {self.name}>"


def added_headers(call: Call) -> dict[str, str]:
    """Give the headers that hooks have added to a call, names in lower case.

    What cannot be sent would fail the call: it is left out and logged, as what hooks raise is.
    """
    found: dict[str, str] = {}
    for name, value in call.headers.items():
        if _can_be_sent(name, value):
            found[name.lower()] = value
        else:
            _complain("a hook has added the header %r, which cannot be sent", name)
    return found


def _can_be_sent(name: object, value: object) -> bool:
    if not (isinstance(name, str) and isinstance(value, str)):
        return False
    well_formed = _HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value)
    return well_formed is not None and name.lower() not in _FRAMING


def observed(call: Call, flow: Flow[R]) -> Flow[R]:
    """Tell hooks and the log of a call while it is made."""
    hooks, started = call.connection.hooks, monotonic()
    for one in hooks:
        _tell(one.before, call)
    try:
        result = yield from flow
    except BaseException as error:
        call.error = error
        raise
    else:
        call.error = None
        return result
    finally:
        call.seconds = monotonic() - started
        call.connection.log.ended(call)
        for one in hooks:
            _tell(one.after, call)


def tell_of_hit(connection: Connection, request: ApiRequest) -> None:
    """Tell hooks and the log of a call that the cache has answered."""
    call = Call(connection, request)
    call.cached = True
    connection.log.ended(call)
    for one in connection.hooks:
        _tell(one.after, call)


def at_work(connection: Connection, name: str, flow: Flow[R], record: Any = None) -> Flow[R]:
    """Run a flow of several calls, and tell hooks of its beginning and end."""
    if not connection.hooks:
        return (yield from flow)
    hooks, work, context = connection.hooks, Work(connection, name, record), copy_context()
    for one in hooks:
        context.run(_tell, one.begin, work)
    try:
        return (yield from _inside(context, flow))
    except BaseException as error:
        work.error = error
        raise
    finally:
        for one in hooks:
            context.run(_tell, one.end, work)


def _inside(context: Context, flow: Flow[R]) -> Flow[R]:
    """Step a flow, and those that it gathers, in a context of its own."""
    step: Callable[[], Effect] = flow.__next__
    try:
        while True:
            try:
                effect = context.run(step)
            except StopIteration as end:
                result: R = end.value
                return result
            if isinstance(effect, Gather):
                effect = Gather(tuple(_gathered(context, child) for child in effect.flows))
            try:
                answer = yield effect
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 # all of them are the flow's to handle
                step = _call(flow.throw, error)
            else:
                step = _call(flow.send, answer)
    finally:
        context.run(flow.close)


def _gathered(context: Context, flow: Flow[R]) -> Flow[R]:
    own = context.copy()
    own.run(gathering.set, True)  # noqa: FBT003 # the variable's value
    return _inside(own, flow)


def _call(step: Callable[[Any], Effect], argument: Any) -> Callable[[], Effect]:
    return lambda: step(argument)


def _tell(method: Callable[..., None], *arguments: Any) -> None:
    try:
        inform(method, *arguments)
    except Exception:  # noqa: BLE001 # it is the user's, and may raise anything
        _complain("a hook failed: %r", method, exc_info=True)


def _complain(message: str, value: object, **options: Any) -> None:
    import logging

    from ttorm.telling import tell

    tell(logging.getLogger("ttorm.hooks"), logging.ERROR, message, value, **options)


def tell_of_repeat(call: Call, pause: float) -> None:
    """Tell hooks and the log of a call that is made again."""
    call.connection.log.repeated(call, pause)
    for one in call.connection.hooks:
        _tell(one.repeated, call, pause)
