"""The account's log: every message once, gaps noticed, nothing lost on the way to who reads."""

from __future__ import annotations

import asyncio
import time
from itertools import islice

import pytest

from ttorm import Log, LogGapError, OutcomeUnknownError, ValidationError
from ttorm.api.errors import TransportError
from ttorm.api.http import HttpResponse
from ttorm.api.retry import NO_RETRIES
from ttorm.emulator.logs import report


@pytest.fixture
def happen(emulator, connection):
    """Have messages come into the account's log."""
    account = connection.call("who_am_i")["account"]
    connection.transport.sent.clear()

    def happen(*messages):
        with emulator.store.transaction(write=True) as tx:
            report(tx, account, messages)

    return happen


async def test_each_reading_asks_for_the_piece_that_it_was_told_of(do, happen, sent):
    happen("a", "b")
    log = Log()
    assert await do(log, "read") == ["a", "b"]
    told = log.fragment
    happen("c")
    assert await do(log, "read") == ["c"]
    assert [request.query for request in sent.take()] == [(), (("fragment", told),)]
    assert await do(log, "read") == []


async def test_iterating_ends_when_there_are_no_more(do, happen, sent):
    happen("a", "b")
    log = Log()
    assert await do.list(log) == ["a", "b"]
    assert await do.list(log) == []
    assert sent.lines() == ["GET /log"] * 3


async def test_another_process_goes_on_where_one_has_stopped(do, happen):
    happen("a")
    log = Log()
    await do(log, "read")
    happen("b")
    assert await do.list(Log(log.fragment)) == ["b"]


async def test_a_second_reader_is_noticed(do, happen, others):
    log = Log()
    happen("a")
    await do(log, "read")
    happen("b")
    assert others.call("get_log")["messages"] == ["b"]
    happen("c")
    with pytest.raises(LogGapError, match=r"somebody else.*\[log-gap\]"):
        await do(log, "read")
    assert await do(log, "read") == ["c"]


async def test_a_lost_answer_is_not_repeated_and_leaves_a_gap(do, happen, wire, connection):
    connection.retry = NO_RETRIES
    happen("a")
    log = Log()
    await do(log, "read")
    happen("b")
    lost = []

    def lose(request):
        lost.append(wire.transport.send(request))
        raise TransportError("cut off", sent=True)

    wire.meddle = lose
    with pytest.raises(OutcomeUnknownError):
        await do(log, "read")
    assert len(lost) == 1
    wire.meddle = lambda request: None
    with pytest.raises(LogGapError):
        await do(log, "read")


async def test_what_was_read_and_not_given_out_comes_first(world, happen, sent):
    happen("a", "b", "c")
    log = Log()
    if world.asynchronous:
        async for message in log:
            assert message == "a"
            break
    else:
        assert next(iter(log)) == "a"
    assert len(sent) == 1
    happen("d")
    assert await world(log, "read") == ["b", "c", "d"]


async def test_messages_without_a_following_piece_are_not_lost(do, wire):
    wire.meddle = lambda request: HttpResponse(200, {}, b'{"messages": ["a"]}')
    log = Log()
    with pytest.raises(ValueError, match="no fragment"):
        await do(log, "read")
    wire.meddle = lambda request: None
    assert await do(log, "read") == ["a"]


async def test_following_waits_between_readings_that_find_nothing(world, happen, sent, monkeypatch):
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        happen(f"after {len(pauses)}")

    async def apause(seconds):
        pause(seconds)

    happen("a", "b")
    followed = Log().follow(interval=7)
    if world.asynchronous:
        monkeypatch.setattr(asyncio, "sleep", apause)
        found = []
        async for message in followed:
            found.append(message)
            if len(found) == 4:
                break
    else:
        monkeypatch.setattr("ttorm.connection.blocking.sleep", pause)
        found = list(islice(followed, 4))
    assert found == ["a", "b", "after 1", "after 2"]
    assert pauses == [7, 7]
    assert sent.lines() == ["GET /log"] * 5


async def test_following_goes_on_after_a_gap(world, happen, others):
    log = Log()
    happen("a")
    assert await world(log, "read") == ["a"]
    others.call("get_log")
    followed = log.follow(interval=0.01)

    async def first():
        if not world.asynchronous:
            return next(iter(followed))
        async for message in followed:
            return message
        return None

    with pytest.raises(LogGapError):
        await first()
    happen("b")
    begun = time.monotonic()
    assert await first() == "b"
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("interval", [0, -1, float("nan")])
def test_an_interval_is_above_zero(interval, connection, sent):
    with pytest.raises(ValidationError, match="above 0"):
        Log().follow(interval=interval)
    assert not sent


def test_what_it_is_shows_without_asking(connection, sent):
    assert repr(Log()) == "<Log from wherever it is>"
    assert repr(Log("f").follow(2)) == "<<Log from f> every 2 seconds>"
    assert not sent
