"""Hooks: what a connection tells of calls, repeats, saves and flushes."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

import ttorm
from ttorm import (
    BudgetExceededError,
    CircuitBreaker,
    Field,
    Hooks,
    NotFoundError,
    OutcomeUnknownError,
    RetryPolicy,
    Twin,
    description,
    entry,
)
from ttorm.api.errors import ApiError, CircuitOpenError, RequestTimeoutError, TransportError
from ttorm.api.http import HttpResponse

MISSING = "00000000-0000-4000-8000-000000000000"
inside = contextvars.ContextVar("inside", default="nothing")


class Pump(Twin):
    name: Field[str] = description(default="")
    pressure: Field[float] = entry(default=0.0)


class Notes(Hooks):
    """Notes all that it is told."""

    def __init__(self):
        self.told = []
        self.calls = []

    def before(self, call):
        self.told.append(("before", call.operation, inside.get()))

    def repeated(self, call, pause):
        self.told.append(("repeated", call.status or type(call.error), pause))

    def after(self, call):
        self.calls.append(call)
        self.told.append(("after", call.operation, call.status, call.attempts))

    def begin(self, work):
        self.told.append(("begin", work.name, inside.get()))
        inside.set(work.name)

    def end(self, work):
        self.told.append(("end", work.name, inside.get()))

    def take(self):
        taken = self.told[:]
        self.told.clear()
        return taken


@pytest.fixture
def notes():
    return Notes()


@pytest.fixture
def connection(connect, notes):
    return connect(default=True, hooks=[notes], retry=RetryPolicy(base=0.0))


def failing(*answers):
    """Answer in turn; None lets the emulator do so."""
    left = list(answers)

    def meddle(request):
        answer = left.pop(0) if left else None
        if isinstance(answer, Exception):
            raise answer
        return answer

    return meddle


# Calls


async def test_a_call_is_told_of_before_and_after(do, connection, notes):
    twin = await do(connection, "call", "create_twin")
    [call] = notes.calls
    assert notes.take() == [
        ("before", "create_twin", "nothing"),
        ("after", "create_twin", 201, 1),
    ]
    assert (call.method, call.template, call.path) == ("POST", "/twins", "/twins")
    assert (call.error, call.cached, call.connection) == (None, False, connection)
    assert 0 < call.seconds < 60
    assert repr(call) == "<Call create_twin: POST /twins>"
    uuid = twin["creation_certificate"]["uuid"]
    await do(connection, "call", "get_twin", uuid)
    assert notes.calls[1].path == f"/twins/{uuid}"
    assert notes.calls[1].template == "/twins/{twin}"


async def test_a_path_that_is_a_credential_is_not_told(do, connection, notes):
    with pytest.raises(NotFoundError):
        await do(connection, "call", "create_user_secret", MISSING, "Pin123")
    assert notes.calls[0].path == "/secrets/{account}/{pin}"


async def test_a_call_that_fails(do, connection, notes):
    with pytest.raises(NotFoundError) as raised:
        await do(Twin, "get", MISSING)
    assert notes.take()[-1] == ("after", "get_twin", 404, 1)
    assert notes.calls[0].error is raised.value


async def test_a_call_that_a_budget_refuses_was_never_sent(do, connection, notes):
    async with do.block(ttorm.session(budget=0)):
        with pytest.raises(BudgetExceededError):
            await do(Twin, "get", MISSING)
    [call] = notes.calls
    assert (call.attempts, call.status, type(call.error)) == (0, None, BudgetExceededError)


async def test_answers_of_the_cache_are_told_of(do, connection, notes, sent):
    pump = await do(Pump, "create", name="a")
    notes.take()
    sent.clear()
    await do(Twin, "get", pump.uuid)
    await do(connection, "whoami")
    await do(connection, "whoami")
    await do(Twin, "get", pump.uuid, fresh=True)
    told = [(call.operation, call.cached, call.missed) for call in notes.calls[-4:]]
    assert told == [
        ("get_twin", True, False),
        ("who_am_i", False, True),
        ("who_am_i", True, False),
        ("get_twin", False, False),
    ]
    assert [call.attempts for call in notes.calls[-4:]] == [0, 1, 0, 1]
    assert sent.lines() == ["GET /whoami", f"GET /twins/{pump.uuid}"]


async def test_repeats(do, connection, notes, wire):
    lost = TransportError("it broke", sent=True)
    wire.meddle = failing(HttpResponse(500), lost)
    await do(connection, "whoami")
    assert notes.take() == [
        ("before", "who_am_i", "nothing"),
        ("repeated", 500, 0.0),
        ("repeated", TransportError, 0.0),
        ("after", "who_am_i", 200, 3),
    ]
    assert notes.calls[0].error is None


async def test_a_call_given_up(do, connection, notes, wire):
    wire.meddle = failing(*[HttpResponse(500)] * 3)
    with pytest.raises(ApiError) as raised:
        await do(connection, "whoami")
    assert raised.value.attempts == 3
    assert notes.take()[-1] == ("after", "who_am_i", 500, 3)


async def test_a_write_in_doubt(do, connection, notes, wire):
    wire.meddle = failing(RequestTimeoutError("late", sent=True))
    with pytest.raises(OutcomeUnknownError):
        await do(connection, "call", "create_twin")
    assert isinstance(notes.calls[0].error, OutcomeUnknownError)
    assert notes.take()[-1] == ("after", "create_twin", None, 1)


async def test_more_headers(do, connect, notes):
    seen = []

    class Numbered(Hooks):
        def before(self, call):
            call.headers |= {"x-request-id": "7", "authorization": "mine", "accept": "mine"}

    connection = connect(hooks=[Numbered()], dictionary={"a": 1})
    connection.transport.meddle = lambda request: seen.append(dict(request.headers))
    await do(connection, "whoami")
    assert seen[0]["x-request-id"] == "7"
    assert seen[0]["accept"] == "application/json"


async def test_headers_that_cannot_be_sent_are_left_out(do, connect, caplog):
    odd = {"x": 5, 7: "x", "x-line": "a\r\nb: c", "x y": "1", "x-e": "\xe9", "Content-Length": "9"}
    seen = []

    class Odd(Hooks):
        def before(self, call):
            call.headers.update(odd | {"Authorization": "mine", "X-Order": "17"})

    connection = connect(hooks=[Odd()])
    connection.transport.meddle = lambda request: seen.append(dict(request.headers))
    await do(connection, "call", "create_twin", body={})
    assert not seen[0].keys() & {*odd, "content-length"}
    assert (seen[0]["authorization"], seen[0]["x-order"]) == ("mine", "17")
    assert [record.args for record in caplog.records] == [(name,) for name in odd]
    assert {record.name for record in caplog.records} == {"ttorm.hooks"}


async def test_what_a_hook_raises_goes_no_further(do, connection, notes, caplog, sent):
    class Broken(Hooks):
        def before(self, call):
            raise ValueError("broken")

        after = begin = end = before

    connection.hooks = (Broken(), *connection.hooks)
    pump = await do(Pump, "create", pressure=2.5)
    assert pump.pressure == 2.5
    assert [told[0] for told in notes.take()] == [
        *("begin", "before", "after", "before", "after", "end"),
    ]
    assert {record.name for record in caplog.records} == {"ttorm.hooks"}


# Saves and flushes


async def test_a_save_is_told_of_with_its_calls_inside(do, connection, notes):
    pump = Pump(name="a", pressure=2.5)
    await do(pump, "save")
    assert notes.take() == [
        ("begin", "save", "nothing"),
        ("before", "create_twin", "save"),
        ("after", "create_twin", 201, 1),
        ("before", "add_twin_ledger_entry", "save"),
        ("after", "add_twin_ledger_entry", 201, 1),
        ("end", "save", "save"),
    ]
    assert inside.get() == "nothing"
    await do(pump, "save")
    assert notes.take() == []


async def test_the_saves_of_a_flush_are_inside_it(do, connection, notes):
    async with do.block(ttorm.session()):
        pumps = [Pump(name=str(number)) for number in range(3)]
    told = notes.take()
    assert told[0] == ("begin", "flush", "nothing")
    assert told[-1] == ("end", "flush", "flush")
    assert told.count(("begin", "save", "flush")) == 3
    assert told.count(("before", "create_twin", "save")) == 3
    assert all(pump.status == "alive" for pump in pumps)


async def test_saves_side_by_side_see_their_own_context(do, connection):
    class Named(Hooks):
        def __init__(self):
            self.seen = []

        def begin(self, work):
            inside.set(work.record.name)

        def before(self, call):
            body = call.request.body
            self.seen.append((inside.get(), body["description"]["name"]))

    named = Named()
    connection.hooks = (named,)
    await do(ttorm, "save_all", [Pump(name=str(number)) for number in range(20)])
    assert sorted(named.seen) == sorted((str(n), str(n)) for n in range(20))


async def test_a_save_that_fails(do, connection, notes, wire):
    works = []
    notes.end = works.append
    wire.meddle = failing(HttpResponse(403, {}, b"{}"))
    with pytest.raises(ApiError) as raised:
        await do(Pump(name="a"), "save")
    assert [work.error for work in works] == [raised.value]
    assert isinstance(works[0].record, Pump)


def test_a_loop_is_no_loop_because_of_hooks(connect, recwarn):
    connection = connect(default=True, hooks=[Notes()], development=True)
    with ttorm.session(connection):
        _ = [Pump(name=str(number)) for number in range(30)]
    assert not recwarn.list


def test_a_cancelled_save_has_an_end(connection, notes, wire):
    ends = []
    notes.end = ends.append

    async def never(request):
        await asyncio.sleep(60)

    wire.asend = never

    async def main():
        task = asyncio.ensure_future(Pump(name="a").asave())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert [type(work.error) for work in ends] == [asyncio.CancelledError]
    assert [type(call.error) for call in notes.calls] == [asyncio.CancelledError]


def test_hooks_hear_of_all_threads(connection, notes):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: Pump.create(name=str(number)), range(40)))
    assert sum(told[:2] == ("begin", "save") for told in notes.told) == 40
    assert sum(call.operation == "create_twin" for call in notes.calls) == 40


def test_without_hooks_there_is_no_work_for_them(connect, monkeypatch):
    from ttorm.connection import hooks

    def refuse(*_):
        raise AssertionError

    for name in ("Work", "_tell", "copy_context", "monotonic"):
        monkeypatch.setattr(hooks, name, refuse)
    connect(default=True)
    pump = Pump.create(name="a", pressure=1.0)
    assert Pump.get(pump.uuid).name == "a"


# The log


@pytest.fixture
def lines(caplog):
    """Take the lines of a logger, as ``(level, text)``."""
    caplog.set_level(logging.DEBUG, "ttorm.requests")

    def take():
        found = [(one.levelname, one.getMessage()) for one in caplog.records]
        caplog.clear()
        return found

    return take


def shorn(lines):
    """Leave the seconds out."""
    return [(level, text.partition(", attempts")[0]) for level, text in lines]


async def test_each_call_has_a_line(do, connection, lines, caplog):
    twin = await do(Twin, "create")
    await do(Twin, "get", twin.uuid)
    with pytest.raises(NotFoundError):
        await do(Twin, "get", MISSING)
    record = caplog.records[0]
    assert (record.ttorm_operation, record.ttorm_template) == ("create_twin", "/twins")
    assert (record.ttorm_status, record.ttorm_attempts, record.ttorm_cached) == (201, 1, False)
    assert record.ttorm_seconds > 0
    assert caplog.records[2].ttorm_error == "NotFoundError"
    assert shorn(lines()) == [
        ("DEBUG", "POST /twins: 201"),
        ("DEBUG", "GET /twins/{twin}: from the cache"),
        ("DEBUG", "GET /twins/{twin}: 404"),
    ]


async def test_repeats_and_giving_up_are_logged(do, connection, lines, wire):
    wire.meddle = failing(*[HttpResponse(500)] * 2, TransportError("it broke", sent=True))
    with pytest.raises(TransportError):
        await do(connection, "whoami")
    assert shorn(lines()) == [
        ("INFO", "GET /whoami: 500, made again in 0.000 s (attempt 2)"),
        ("INFO", "GET /whoami: 500, made again in 0.000 s (attempt 3)"),
        ("WARNING", "GET /whoami: TransportError, given up after 3 attempts"),
        ("DEBUG", "GET /whoami: TransportError"),
    ]


async def test_a_circuit_that_opens_is_logged_once(do, connect, lines):
    connection = connect(retry=RetryPolicy(attempts=1, breaker=CircuitBreaker(2, 60.0)))
    connection.transport.meddle = lambda request: HttpResponse(500)
    for _ in range(2):
        with pytest.raises(ApiError):
            await do(connection, "whoami")
    with pytest.raises(CircuitOpenError):
        await do(connection, "whoami")
    assert [line for line in lines() if line[0] == "WARNING"] == [
        (
            "WARNING",
            "2 calls in a row have failed: nothing is sent to http://emulator.localhost for 60.0 s",
        )
    ]


async def test_a_lost_race_is_logged(do, connection, others, lines):
    pump = await do(Pump, "create", pressure=1.0)
    await do(pump, "load")
    body = {"entries": {"pressure": {"value": 7.0}}}
    others.call("update_twin_ledger_entry_value", pump.uuid, body=body)
    lines()
    pump.pressure = 2.0
    with pytest.raises(ttorm.ConflictError):
        await do(pump, "save", check=True)
    infos = [text for level, text in lines() if level == "INFO"]
    assert infos == [f"a checked save of Twin {pump.uuid} lost against somebody else's: pressure"]


def test_nothing_is_shown_unless_it_is_asked_for(connection, wire, capfd):
    wire.meddle = failing(*[HttpResponse(500)] * 3)
    with pytest.raises(ApiError):
        connection.whoami()
    assert capfd.readouterr() == ("", "")


class Broken(logging.Filter):
    """A filter of the user's that fails."""

    def filter(self, record):
        raise ZeroDivisionError("a broken filter")


@pytest.fixture
def broken():
    """Have all lines of ttorm's loggers meet a filter that fails."""
    filter_ = Broken()
    loggers = [logging.getLogger(f"ttorm.{name}") for name in ("requests", "hooks", "signals")]
    for logger in loggers:
        logger.addFilter(filter_)
    yield
    for logger in loggers:
        logger.removeFilter(filter_)


async def test_a_filter_that_fails_hides_no_result(do, connection, lines, wire, broken, capfd):
    twin = await do(Twin, "create")
    assert (await do(Twin, "get", twin.uuid)).uuid == twin.uuid
    with pytest.raises(NotFoundError):
        await do(Twin, "get", MISSING)
    wire.meddle = failing(HttpResponse(500))
    assert await do(connection, "whoami")
    assert capfd.readouterr().err.count("ZeroDivisionError: a broken filter") == 5


async def test_a_filter_that_fails_on_what_a_receiver_raised_loses_no_save(do, connection, broken):
    def receiver(sender, **arguments):
        raise RuntimeError("a receiver")

    with ttorm.signals.post_save.connected_to(receiver):
        pump = await do(Pump, "create", pressure=1.0)
    assert (await do(Pump, "get", pump.uuid, fresh=True)).pressure == 1.0
