"""What becomes of a request in its transaction: who calls is let in, and its operation is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ttorm.api.http import HttpRequest, HttpResponse
from ttorm.emulator import routing
from ttorm.emulator.access import Principal, Who, authorize
from ttorm.emulator.answers import Fault, json_answer
from ttorm.emulator.body import LENIENT, check_fields, read_body, read_dictionary, take_body
from ttorm.emulator.call import Call
from ttorm.emulator.handlers import Answer, Function, Handler
from ttorm.emulator.routing import Route
from ttorm.emulator.store import Transaction
from ttorm.emulator.usage import hour_of

if TYPE_CHECKING:
    from ttorm.emulator.core import Emulator

__all__ = ["Done", "dispatch"]


class Done(NamedTuple):
    """What came of a request, to be finished when its transaction is committed.

    Attributes:
        answer: The answer.
        afterwards: What is left to do, in this order.
    """

    answer: HttpResponse
    afterwards: list[Callable[[], None]]

    def finish(self) -> HttpResponse:
        """Do what was left to do, and return the answer."""
        for action in self.afterwards:
            action()
        return self.answer


def dispatch(
    world: Emulator, tx: Transaction, route: Route, request: HttpRequest, who: Who
) -> Done:
    """Do what a request asks for, as a part of a transaction.

    Args:
        world: The emulator.
        tx: The transaction; one that may write if the operation does.
        route: The operation that the request asks for, and its path arguments.
        request: The request, its body read.
        who: Finds out who calls, when the operation needs to know.

    Raises:
        Fault: It cannot be done; the transaction must be rolled back.
    """
    origin, _, query = routing.split_url(request.url)
    operation = route.operation
    now = world.clock.now()
    principal = None
    if operation.credential:
        principal = who(tx, now)
        authorize(principal, operation)
    body = read_body(take_body(request))
    dictionary = _dictionary(request, principal)
    call = Call(
        world,
        tx,
        operation,
        now=now,
        origin=origin,
        principal=principal,
        args=route.args(),
        query=routing.read_query(query) if query else None,
        body=body,
        dictionary=dictionary,
    )
    answer = _counted(world, world._handlers[operation.name], call)
    if not isinstance(answer, HttpResponse):
        answer = json_answer(operation.success, answer)
    return Done(answer, call.afterwards)


def _dictionary(request: HttpRequest, principal: Principal | None) -> dict[str, Any] | None:
    """Join the request's dictionary and the token's, whose signed keys win."""
    given = read_dictionary(request.headers.get("x-trustedtwin"))
    signed = None if principal is None else principal.dictionary
    return given if signed is None else {**(given or {}), **signed}


def _counted(world: Emulator, handler: Handler, call: Call) -> Answer:
    """Do what a call asks for, and add it to the usage."""
    call.count(call.operation.name)
    asked = dict(call.counts)
    try:
        answer = _answer(handler.function, call, lenient=world.policy.lenient_bodies)
    except Fault:
        if call.operation.credential:
            world.usage.note(asked)
        raise
    if handler.writes:
        world.usage.store(call.tx, call.counts, hour_of(call.now))
    else:
        world.usage.note(call.counts)
    return answer


def _answer(function: Function, call: Call, *, lenient: bool) -> Answer:
    token = LENIENT.set(lenient)
    try:
        if not call.operation.body:
            check_fields(call.body or {}, ())
        return function(call)
    finally:
        LENIENT.reset(token)
