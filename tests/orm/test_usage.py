"""Usage by hour, and the request that leaves a trace."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import pytest

import ttorm
from ttorm import NotFoundError, Twin, UnauthorizedError, Usage, ValidationError
from ttorm.api.http import HttpResponse


def answering(wire, body):
    wire.meddle = lambda request: HttpResponse(200, {}, body)


async def test_what_a_user_did(do, connection, emulator):
    me = emulator.first_user()
    await do(Twin, "create")
    usage = await do(Usage, "current", me)
    assert usage.user == me
    assert usage.total()["twins_created"] == 1
    assert usage.total()["task_create_twin_count"] == 1
    (hour,) = usage
    assert hour == datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


async def test_what_no_user_did(do, connection, sent):
    usage = await do(Usage, "current")
    assert sent.lines() == ["GET /usage"]
    assert (dict(usage), usage.total(), usage.user) == ({}, {}, None)


async def test_hours_add_up(do, connection, wire):
    answering(
        wire,
        b'{"usage": {"2024-06-10-07": {"rest_count": 2, "ledger_size_delta": -40}, '
        b'"2024-06-10-06": {"rest_count": 40, "db_read_cost": 12.5, "new_item": null}}}',
    )
    usage = await do(Usage, "current")
    six, seven = (datetime(2024, 6, 10, hour, tzinfo=UTC) for hour in (6, 7))
    assert list(usage) == [six, seven]
    assert usage[six] == {"rest_count": 40, "db_read_cost": 12.5}
    assert usage.total() == {"rest_count": 42, "db_read_cost": 12.5, "ledger_size_delta": -40}
    assert "2024-06-10 06:00" in str(usage._sheet())


async def test_an_hour_that_is_none(do, connection, wire):
    answering(wire, b'{"usage": {"yesterday": {}}}')
    with pytest.raises(ttorm.TtormError, match="'yesterday'"):
        await do(Usage, "current")


async def test_users_that_are_none(do, connection, sent):
    with pytest.raises(ValidationError, match="no user"):
        await do(Usage, "current", "ann")
    assert not sent
    with pytest.raises(NotFoundError):
        await do(Usage, "current", "0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11")


async def test_trace(do, connection, sent, caplog):
    with caplog.at_level(logging.INFO, "ttorm.emulator"):
        assert await do(connection, "trace") is None
    assert sent.lines() == ["POST /trace"]
    assert "trace by user" in caplog.text


async def test_trace_says_whether_the_credential_is_good(do, connection, wire):
    wire.meddle = lambda request: HttpResponse(401, {}, b'{"subcode": 401000, "trace": "t"}')
    with pytest.raises(UnauthorizedError):
        await do(connection, "trace")
