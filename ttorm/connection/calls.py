"""One call of one operation, as a flow: headers, retries, errors, and what it does to the cache."""

from __future__ import annotations

from time import time
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeVar

from ttorm import signals
from ttorm.api.errors import (
    AlreadyDoneError,
    ApiError,
    BudgetExceededError,
    OutcomeUnknownError,
    ResponseFormatError,
    ServerError,
    TransportError,
)
from ttorm.api.http import HttpRequest, HttpResponse
from ttorm.api.operations import Operation, Repeat
from ttorm.api.request import ApiRequest, read_answer
from ttorm.api.retry import Failure, failure_of_status, retry_after
from ttorm.connection.budgets import spend
from ttorm.connection.hooks import Call, added_headers, observed, tell_of_repeat
from ttorm.connection.invalidation import after_failure, after_write, before_write
from ttorm.connection.patience import Circuit, Patience
from ttorm.flows import Flow, carry, collecting, send, sleep

if TYPE_CHECKING:
    from ttorm.connection.core import Connection
    from ttorm.connection.credentials import Credential

__all__ = ["ask", "may_have_happened", "outcome_unknown", "perform"]

R = TypeVar("R")
_CARRIED = ("twins", "ledgers", "identities", "docs")
"""Areas of the API whose writes can go together with others."""
_ONCE = frozenset({"create_user_secret"})
"""Operations whose answer is given once only."""


class _Attempt(NamedTuple):
    response: HttpResponse | None
    error: TransportError | None
    failure: Failure | None
    floor: float | None


def perform(
    connection: Connection,
    request: ApiRequest,
    *,
    sink: IO[bytes] | None = None,
    missed: bool = False,
) -> Flow[dict[str, Any]]:
    """Send a call, repeat it where that does no harm, and bring the cache up to date.

    Args:
        connection: Whom to ask.
        request: The call.
        sink: Where the bytes of a successful answer go; the result is then empty.
        missed: Whether the cache was asked first, and had no answer.

    Raises:
        ApiError: The service refused.
        TransportError: It could not be reached.
        OutcomeUnknownError: A write may or may not have happened.
        BudgetExceededError: The work that asks has sent as many requests as it may.
    """
    call = Call(connection, request)
    call.missed = missed
    return _observed(call, _perform(call, sink))


def _observed(call: Call, flow: Flow[R]) -> Flow[R]:
    connection = call.connection
    return observed(call, flow) if connection.hooks or connection.log.is_verbose() else flow


def _perform(call: Call, sink: IO[bytes] | None) -> Flow[dict[str, Any]]:
    connection, request = call.connection, call.request
    if collecting.get() and sink is None and _can_be_carried(request.operation):
        exchange = _carried(call)
    else:
        exchange = yield from _prepared(call, sink)
    cache, scope = connection.cache, connection.scope(request.dictionary)
    writing = None if cache is None else before_write(cache, request)
    try:
        response = yield from exchange
        if sink is not None and 200 <= response.status < 300:
            return {}
        answer = read_answer(request, response, call.attempts)
    except ApiError as error:
        if cache is not None:
            after_failure(cache, scope, request, error.status, writing)
            yield from _tell_of_stale(connection, request, error.status)
        if isinstance(error, ServerError) and not request.operation.repeat.is_harmless:
            raise outcome_unknown(request, error.attempts, error) from error
        raise
    except BaseException as error:
        # Also a cancelled task: the request may have arrived.
        if cache is not None:
            after_failure(cache, scope, request, None, writing)
            if isinstance(error, Exception):
                yield from _tell_of_stale(connection, request)
            elif writing is not None:
                # A cancelled flow waits for nothing more.
                connection.run_beside(cache.deliver())
        if isinstance(error, ResponseFormatError) and not request.operation.repeat.is_harmless:
            raise outcome_unknown(request, call.attempts, error) from error
        raise
    if cache is not None:
        after_write(cache, scope, request, answer, writing)
        yield from _tell_of_stale(connection, request)
    return answer


def _prepared(call: Call, sink: IO[bytes] | None = None) -> Flow[Flow[HttpResponse]]:
    """Do what comes before a call is sent, and give the flow that sends it."""
    connection, request = call.connection, call.request
    spend(connection, request)
    if connection.watch is not None:
        connection.watch.note(request.operation)
    credentials = connection.credentials
    signer = credentials.current
    if credentials.is_due and request.operation.credential:
        signer = yield from credentials.ready(connection)
    http = connection.bind(request, signer)._replace(sink=sink)
    return _signed(call, http, signer)


def _can_be_carried(operation: Operation) -> bool:
    # Reads are shared by who asks at the same time, and are worth little when they come late.
    return operation.method != "GET" and operation.category in _CARRIED


def _carried(call: Call) -> Flow[HttpResponse]:
    """Have a call made together with others, or else send it."""
    # What is too large is refused here as there.
    call.request.encode_body()
    response = yield from carry(call.connection, call.request)
    if response is not None:
        call.attempts, call.status = 1, response.status
        return response
    exchange = yield from _prepared(call)
    return (yield from exchange)


def ask(
    connection: Connection, request: ApiRequest, credential: Credential
) -> Flow[dict[str, Any]]:
    """Send a call that another credential than the connection's own signs.

    Raises:
        ApiError: The service refused.
        TransportError: It could not be reached.
        OutcomeUnknownError: It may or may not have happened.
    """
    call = Call(connection, request)
    return _observed(call, _ask(call, credential))


def _ask(call: Call, credential: Credential) -> Flow[dict[str, Any]]:
    http = call.connection.bind(call.request, credential)
    response = yield from _exchange(call, http)
    return read_answer(call.request, response, call.attempts)


def _signed(call: Call, http: HttpRequest, signer: Credential) -> Flow[HttpResponse]:
    """Send a call, and once more if what signed it was replaced while it was under way."""
    connection, request = call.connection, call.request
    response = yield from _exchange(call, http)
    if response.status != 401 or not request.operation.credential:
        return response
    other = yield from connection.credentials.after_refusal(connection, signer)
    if other is None:
        return response
    again = connection.bind(request, other)._replace(sink=http.sink)
    return (yield from _exchange(call, again))


def _tell_of_stale(
    connection: Connection, request: ApiRequest, status: int | None = None
) -> Flow[None]:
    stale = request.operation.method != "GET" or status in (401, 403)
    if stale and connection.cache is not None:
        yield from connection.cache.deliver()
    if stale and signals.cache_invalidated.receivers:
        yield from signals.emit(
            signals.cache_invalidated, connection, **_about(connection, request)
        )


def _about(connection: Connection, request: ApiRequest) -> dict[str, Any]:
    """Say which request it is, in the arguments of a signal."""
    return {
        "operation": request.operation.name,
        "path": request.shown_path,
        "connection": connection,
    }


def _exchange(call: Call, http: HttpRequest) -> Flow[HttpResponse]:
    connection, request = call.connection, call.request
    strain = connection.strain
    if strain.circuit is not None:
        strain.circuit.check()
    if call.headers:
        http = http._replace(headers={**added_headers(call), **http.headers})
    patience = Patience(strain)
    while True:
        tried = yield from _try(call, http)
        failure = tried.failure
        if failure is None and tried.response is not None:
            break
        pause = None
        if failure is not None and strain.policy.may_repeat(request.operation, failure):
            pause = patience.pause(failure, tried.floor)
        if pause is None:
            if strain.circuit is not None:
                _note(call, strain.circuit, failed=failure is not Failure.REJECTED)
            return _give_up(call, tried)
        call.doubtful = call.doubtful or failure is Failure.AMBIGUOUS
        tell_of_repeat(call, pause)
        yield from sleep(pause)
    patience.succeed()
    if strain.circuit is not None:
        strain.circuit.note(failed=False)
    response = tried.response
    if call.doubtful and _is_done_already(request, response):
        return response._replace(status=200, body=b"")
    return response


def _note(call: Call, circuit: Circuit, *, failed: bool) -> None:
    if circuit.note(failed=failed):
        call.connection.log.circuit_opened(call, circuit.breaker)


def _is_done_already(request: ApiRequest, response: HttpResponse) -> bool:
    """Tell whether a repeated request finds what an earlier sending of it has done."""
    if response.status == 404:
        return request.operation.method == "DELETE"
    return response.status == 400 and isinstance(_refusal(request, response), AlreadyDoneError)


def _refusal(request: ApiRequest, response: HttpResponse) -> ApiError | None:
    try:
        read_answer(request, response)
    except ApiError as error:
        return error
    return None


def _try(call: Call, http: HttpRequest) -> Flow[_Attempt]:
    connection = call.connection
    call.attempts += 1
    call.status = call.error = None
    try:
        response = yield from send(
            connection.transport, http, to_the_end=call.request.operation.name in _ONCE
        )
    except TransportError as error:
        call.error = error
        failure = Failure.AMBIGUOUS if error.sent else Failure.NOT_SENT
        return _Attempt(None, error, failure, None)
    except ResponseFormatError as error:
        error.operation, error.request = call.request.operation.name, call.request.label
        error.attempts = call.attempts
        raise
    call.status = response.status
    connection.credentials.hear(response.headers)
    connection.requests += 1
    if signals.request_sent.receivers:
        yield from signals.emit(
            signals.request_sent,
            connection,
            status=response.status,
            **_about(connection, call.request),
        )
    asked = response.headers.get("retry-after")
    failure_or_none = failure_of_status(response.status, asked is not None)
    return _Attempt(response, None, failure_or_none, retry_after(asked, time()))


def _give_up(call: Call, tried: _Attempt) -> HttpResponse:
    request = call.request
    if call.attempts > 1:
        call.connection.log.given_up(call)
    writes = request.operation.repeat is not Repeat.SAFE
    if tried.response is not None:
        if writes and call.doubtful and tried.failure is Failure.REJECTED:
            # This sending has done nothing, but an earlier one may have.
            refused = _refusal(request, tried.response) or TransportError("no answer")
            raise outcome_unknown(request, call.attempts, refused) from refused
        return tried.response
    error = tried.error or TransportError("no answer")
    if writes and (call.doubtful or tried.failure is Failure.AMBIGUOUS):
        raise outcome_unknown(request, call.attempts, error) from error
    error.operation, error.request = request.operation.name, request.label
    error.attempts = call.attempts
    raise error


def may_have_happened(error: BaseException) -> bool:
    """Tell whether a write that raised may have been done, as that of a cancelled task may."""
    refused = isinstance(error, (ApiError, BudgetExceededError, TransportError))
    return not refused or isinstance(error, ServerError)


def outcome_unknown(request: ApiRequest, attempts: int, error: Exception) -> OutcomeUnknownError:
    """Make the error of a write of which nobody knows whether it has happened."""
    # What each sending makes once more has no address yet by which it could be read.
    operation = request.operation
    makes = operation.repeat is Repeat.UNSAFE and operation.method == "POST"
    look = "look for what it was to make" if makes else "read the object afresh"
    return OutcomeUnknownError(
        f"{request.label} was sent and may or may not have happened ({error}): "
        f"{look} before you decide to send it again",
        operation=operation.name,
        attempts=attempts,
        request=request.label,
    )
